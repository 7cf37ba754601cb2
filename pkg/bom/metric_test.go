package bom_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// scores lists the metrics of a document, each as one text.
func scores(t *testing.T, f bom.Format, raw []byte) []string {
	t.Helper()
	var doc struct {
		Metadata struct {
			Component struct {
				ModelCard struct {
					QuantitativeAnalysis struct {
						PerformanceMetrics []struct{ Type, Slice, Value string }
					}
				}
			}
		}
		Graph []struct {
			Metric []struct{ Type, Key, Value string } `json:"ai_metric"`
		} `json:"@graph"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range doc.Metadata.Component.ModelCard.QuantitativeAnalysis.PerformanceMetrics {
		out = append(out, m.Type+" | "+m.Slice+" | "+m.Value)
	}
	for _, e := range doc.Graph {
		for _, m := range e.Metric {
			out = append(out, m.Key+" | "+m.Value)
		}
	}
	if f == bom.SPDX && strings.Contains(string(raw), "20.1") {
		t.Error("SPDX 2.3 has a metric")
	}
	return out
}

// Metrics are in the order of the card, and no two have the same name on the same
// data.
func TestWriteMetrics(t *testing.T) {
	t.Parallel()
	for f, want := range map[bom.Format][]string{
		bom.CycloneDX: {
			"wer (Test WER) | Common Voice (fr, test) | 20.1 ± 0.3", "accuracy | org/imdb | 0.9120",
			"wer (Test WER (+LM)) | Common Voice (fr, test) | 18.50", "f1 |  | 0.9",
		},
		bom.SPDX: nil,
		bom.SPDX3: {
			"wer (Test WER) on Common Voice (fr, test) | 20.1 ± 0.3", "accuracy on org/imdb | 0.9120",
			"wer (Test WER (+LM)) on Common Voice (fr, test) | 18.50", "f1 | 0.9",
		},
	} {
		raw, err := bom.Write(full(), f)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, scores(t, f, raw)); d != "" {
			t.Errorf("%s:\n%s", f, d)
		}
	}
}

// Facts that somebody else made may hold any text.
func TestWriteMetricsClean(t *testing.T) {
	t.Parallel()
	m := &bom.Model{Digest: digest.FromString("m"), Facts: &modelfile.Facts{Metrics: []hf.Metric{
		{Type: "a\x1b[2J", Value: "1\n2"}, {Type: "a[2J", Value: "3"}, {Type: "\x00", Value: "4"}, {Type: "b", Value: "\u202e"},
	}}}
	raw, err := bom.Write(m, bom.CycloneDX)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a[2J |  | 1 2", "a[2J #2 |  | 3"}, scores(t, bom.CycloneDX, raw)); d != "" {
		t.Error(d)
	}
}

// What a document says that the model scored stays, once.
func TestCompleteMetrics(t *testing.T) {
	t.Parallel()
	const (
		cycloneDX = `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"metadata":{"component":{"type":"machine-learning-model","name":"tiny",
"modelCard":{"quantitativeAnalysis":{"graphics":{"description":"theirs"},"performanceMetrics":[%s]}}}}}`
		spdx3 = `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[
{"type":"CreationInfo","@id":"_:creationinfo","specVersion":"3.0.1","created":"2026-01-01T00:00:00Z","createdBy":["https://example.com/spdx#me"]},
{"type":"Person","spdxId":"https://example.com/spdx#me","creationInfo":"_:creationinfo","name":"Somebody"},
{"type":"ai_AIPackage","spdxId":"https://example.com/spdx#model","creationInfo":"_:creationinfo","name":"tiny","ai_metric":[%s]}]}`
	)
	rest := []string{"wer (Test WER) | Common Voice (fr, test) | 20.1 ± 0.3", "accuracy | org/imdb | 0.9120", "wer (Test WER (+LM)) | Common Voice (fr, test) | 18.50", "f1 |  | 0.9"}
	rest3 := []string{"wer (Test WER) on Common Voice (fr, test) | 20.1 ± 0.3", "accuracy on org/imdb | 0.9120", "wer (Test WER (+LM)) on Common Voice (fr, test) | 18.50", "f1 | 0.9"}
	without := func(list []string, i int) []string { return append(append([]string{}, list[:i]...), list[i+1:]...) }
	for name, tt := range map[string]struct {
		format        string
		given, theirs string
		ours          []string
		kept          string
	}{
		"none":                    {cycloneDX, ``, "", rest, ""},
		"another":                 {cycloneDX, `{"type":"bleu","value":"1","confidenceInterval":{"lowerBound":"0"}}`, "bleu |  | 1", rest, ""},
		"the same":                {cycloneDX, `{"type":"accuracy","slice":"org/imdb","value":"0.9120"}`, "accuracy | org/imdb | 0.9120", without(rest, 1), ""},
		"another value":           {cycloneDX, `{"type":"accuracy","slice":"org/imdb","value":"0.95"}`, "accuracy | org/imdb | 0.95", without(rest, 1), `performanceMetrics[accuracy on org/imdb].value: the document says "0.95", the model "0.9120"`},
		"another case":            {cycloneDX, `{"type":"Accuracy","slice":"org/imdb","value":"0.9120"}`, "Accuracy | org/imdb | 0.9120", without(rest, 1), `"Accuracy"`},
		"no slice":                {cycloneDX, `{"type":"Accuracy","value":"0.9120"}`, "Accuracy |  | 0.9120", without(rest, 1), ""},
		"no slice, another value": {cycloneDX, `{"type":"accuracy","value":"0.95"}`, "accuracy |  | 0.95", rest, ""},
		"another slice":           {cycloneDX, `{"type":"accuracy","slice":"women","value":"0.9120"}`, "accuracy | women | 0.9120", rest, ""},
		"no value":                {cycloneDX, `{"type":"accuracy","slice":"org/imdb"}`, "accuracy | org/imdb | 0.9120", without(rest, 1), ""},
		"SPDX 3, another":         {spdx3, `{"type":"DictionaryEntry","key":"bleu","value":"1"}`, "bleu | 1", rest3, ""},
		"SPDX 3, the same":        {spdx3, `{"type":"DictionaryEntry","key":"accuracy on org/imdb","value":"0.9120"}`, "accuracy on org/imdb | 0.9120", without(rest3, 1), ""},
		"SPDX 3, another value":   {spdx3, `{"type":"DictionaryEntry","key":"accuracy on org/imdb","value":"0.95"}`, "accuracy on org/imdb | 0.95", without(rest3, 1), `the document says "0.95", the model "0.9120"`},
		"SPDX 3, the name alone":  {spdx3, `{"type":"DictionaryEntry","key":"Accuracy","value":"0.9120"}`, "Accuracy | 0.9120", without(rest3, 1), ""},
	} {
		raw := fmt.Appendf(nil, tt.format, tt.given)
		kind, err := bom.Detect(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, schemaOf(kind), raw); err != nil {
			t.Errorf("%s: the given document: %v", name, err)
		}
		c, err := bom.Complete(raw, full())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := tt.ours
		if tt.theirs != "" {
			want = append([]string{tt.theirs}, want...)
		}
		if d := cmp.Diff(want, scores(t, kind.Format, c.Document)); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
		if err := validate(t, schemaOf(kind), c.Document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		kept := strings.Join(c.Kept, "\n")
		if mentioned := strings.Contains(kept, "etric"); mentioned != (tt.kept != "") || !strings.Contains(kept, tt.kept) {
			t.Errorf("%s: kept %q", name, c.Kept)
		}
		again, err := bom.Complete(c.Document, full())
		if err != nil || string(again.Document) != string(c.Document) {
			t.Errorf("%s: completed twice: %v\n%s", name, err, cmp.Diff(string(c.Document), string(again.Document)))
		}
	}
}
