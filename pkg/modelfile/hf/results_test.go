package hf_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// mteb is a result as the program of that name writes it.
func mteb(indent string, n, metrics int) string {
	s := fmt.Sprintf("- task:\n    type: Retrieval\n  dataset:\n    type: mteb/d%[1]d\n    name: MTEB %[1]d (eng-eng)\n    config: default\n    split: test\n"+
		"    revision: e8379541af4e31359cca9fbcf4b00f2671dba205\n  metrics:\n", n)
	for i := range metrics {
		s += fmt.Sprintf("  - type: nauc_map_at_%d_std\n    value: %d.3134328358209%d\n", i, i, n)
	}
	return indent + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n"+indent) + "\n"
}

// longModel is a model of model-index with three results, empty and too long to be
// parsed with the rest of a front matter.
func longModel(indented bool) string {
	model := "- results:\n" + strings.Repeat("  - {}\n"+strings.Repeat("  #"+strings.Repeat("x", 80)+"\n", 300), 3)
	if indented {
		return "  " + strings.TrimSuffix(strings.ReplaceAll(model, "\n", "\n  "), "  ")
	}
	return model
}

// What a card says is the same whether it is parsed whole or, with another model that
// makes it long, in parts.
func TestReadFrontMatterInParts(t *testing.T) {
	const before = "license: apache-2.0\ntags: &t\n- mteb\n- x\n"
	const after = "language:\n- en\n- de\nbase_model: org/base\ndatasets: *t\npipeline_tag: feature-extraction\n"
	two := mteb("  ", 1, 2) + mteb("  ", 2, 3)
	for name, index := range map[string]string{
		"as huggingface_hub writes it": "model-index:\n- name: m\n  results:\n" + two,
		"indented":                     "model-index:\n  - name: m\n    results:\n" + mteb("      ", 1, 2) + mteb("      ", 2, 3),
		"no name":                      "model-index:\n- results:\n" + two,
		"name after":                   "model-index:\n- results:\n" + two + "  name: m\n",
		"wide":                         "model-index:\n-   name: m\n    results:\n" + mteb("    ", 1, 2) + mteb("    ", 2, 3),
		"dash alone":                   "model-index:\n- name: m\n  results:\n  -\n    task:\n      type: a\n    metrics:\n    -\n      type: b\n      value: 1\n",
		"two models":                   "model-index:\n- name: m\n  results:\n" + two + "- name: n\n  results:\n" + mteb("  ", 7, 2),
		"other lists":                  "model-index:\n- name: m\n  x:\n    results:\n    - a\n  y:\n  - results:\n    - b\n  results:\n" + two + "  z:\n  - c\n",
		"another field":                "results:\n- metrics: [{type: a, value: 1}]\nmodel-index:\n- results:\n" + two,
		"a field of that name":         "x:\n  model-index:\n  - results:\n    - metrics: [{type: z, value: 1}]\nmodel-index:\n- results:\n" + two,
		"braces":                       "model-index:\n- name: m\n  results:\n  - {task: {type: a}, metrics: [{type: b, value: 1}]}\n  - metrics: [{type: c, value: 2},\n      {type: d, value: 3}]\n",
		"texts of several lines":       "model-index:\n- name: m\n  results:\n  - dataset:\n      name: |\n        # a\n\n        - b\n      type: \"c\n        d\"\n      config: e\n        f\n    metrics: [{type: c, value: 2}]\n",
		"comments":                     "model-index: # a\n# b\n- name: m\n  results: # c\n  # d\n" + two + "  # e\n",
		"wrong":                        "model-index:\n- name: m\n  results:\n  - text\n  - [a]\n  - - task: a\n  - null\n  -\n  - metrics: [{type: a}, {type: b, value: 1}]\n  - task: c\n",
		"none":                         "model-index:\n- name: m\n  results:\n\x00x:\n- metrics: [{type: a, value: 1}]\n",
		"a list further left":          "model-index:\n  - name: m\n    results:\n" + strings.TrimSuffix("    "+strings.ReplaceAll(mteb("", 1, 2), "\n", "\n    "), "    "),
		"said twice":                   "model-index:\n- name: m\n  results:\n" + two + two,
		"carriage returns":             strings.ReplaceAll("model-index:\n- name: m\n  results:\n"+two, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(index, "\x00") {
				index += "\x00"
			}
			read := func(more string) *hf.FrontMatter {
				t.Helper()
				got, err := readFrontMatter([]byte("---\n" + before + strings.ReplaceAll(index, "\x00", more) + after + "---\n# T\n"))
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			if d := cmp.Diff(read(""), read(longModel(strings.Contains("\n"+index, "\nmodel-index:\n  - ")))); d != "" {
				t.Error(d)
			}
			whole := read("")
			if len(whole.License) != 1 || !slices.Equal(whole.Datasets, []string{"mteb", "x"}) || len(whole.Language) != 2 {
				t.Errorf("%+v", whole)
			}
		})
	}
}

func TestReadFrontMatterLongCard(t *testing.T) {
	const results, each = 60, 140
	var index strings.Builder
	for i := range results {
		index.WriteString(mteb("  ", i, each))
	}
	got, err := readFrontMatter([]byte("---\ntags:\n- mteb\nmodel-index:\n- name: m\n  results:\n" + index.String() + "license: mit\nlanguage: [en]\n---\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &hf.FrontMatter{License: []string{"mit"}, Language: []string{"en"}, Tags: []string{"mteb"}, Metrics: got.Metrics}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(got.Metrics) != results*each {
		t.Fatalf("%d metrics in %d bytes", len(got.Metrics), index.Len())
	}
	last := hf.Metric{Type: "nauc_map_at_139_std", Value: "139.313432835820959", Task: "Retrieval", Dataset: hf.MetricDataset{
		Type: "mteb/d59", Name: "MTEB 59 (eng-eng)", Config: "default", Split: "test", Revision: "e8379541af4e31359cca9fbcf4b00f2671dba205",
	}}
	if d := cmp.Diff(last, got.Metrics[len(got.Metrics)-1]); d != "" {
		t.Error(d)
	}
}

// What of a long card is not read is said, and the rest is read.
func TestReadFrontMatterLongCardLeavesOut(t *testing.T) {
	card := func(results string) []byte {
		return []byte("---\nmodel-index:\n" + longModel(false) + "- results:\n" + results + "  - metrics: [{type: a, value: 1}]\nlicense: mit\n---\n")
	}
	metric := []hf.Metric{{Type: "a", Value: "1"}}
	for _, tt := range []struct {
		name, results, why string
		metrics            []hf.Metric
	}{
		{"a long result", "  - x:\n" + strings.Repeat("    - y\n", 5_000), "model-index[1].results[0] is longer than 32768 bytes: it is left out", metric},
		{"an alias of another result", "  - metrics: &m [{type: b, value: 2}]\n  - metrics: *m\n", `model-index[1].results[1]: line 909: alias "m" names nothing that is read with it: no metric of this result is taken`, []hf.Metric{{Type: "b", Value: "2"}, metric[0]}},
		{"no type", "  - metrics:\n    - value: 1\n", "model-index[1].results[0].metrics[0] has no type: it is left out", metric},
		{"many metrics", strings.Repeat("  - metrics: ["+strings.Repeat("{type: b, value: 2},", 100)+"]\n", 101), "model-index[1].results[100].metrics[0] is one of more than 10000 metrics: neither it nor what follows is read", []hf.Metric{{Type: "b", Value: "2"}}},
		{"many results", strings.Repeat("  - x: y\n", 10_001), "model-index[1].results[9997] is one of more than 10000 results: neither it nor what follows is read", nil},
	} {
		got, err := readFrontMatter(card(tt.results))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if d := cmp.Diff(&hf.FrontMatter{License: []string{"mit"}, Metrics: tt.metrics, LeftOut: []string{tt.why}}, got); d != "" {
			t.Errorf("%s:\n%s", tt.name, d)
		}
	}
}

// Nothing can be made to look like a field of the card that the parser of the whole
// would take for a part of model-index, nor can one be there twice.
func TestReadFrontMatterLongCardRefuses(t *testing.T) {
	long := "model-index:\n" + longModel(false)
	text := strings.Repeat("x", 70_000)
	refusals(t, readFrontMatter, [][2]string{
		{"---\nlicense: mit\n" + long + "license: gpl\n---\n", `yaml: [908:1] mapping key "license" already defined at [2:1]`},
		{"---\n" + long + "model-index:\n- results:\n  - metrics: []\n---\n", `yaml: [907:1] mapping key "model-index" already defined at [2:1]`},
		{"---\n" + long + "license: *m\nx: 1\n---\n", `line 907: alias "m" names nothing that is read with it`},
		{"---\n" + long + "  - name: '\nlicense: mit\nx: '\n---\n", "model-index[0].results[3]: yaml: [907:11] could not find end character of single-quoted text"},
		{"---\n" + long + "  name: '\n- results:\n  - metrics: []'\n---\n", "model-index[1].results[0]: yaml: [909:16] could not find end character of single-quoted text"},
		{"---\n" + long + "  - a: [b\nlicense: mit\n# ]\n---\n", "model-index[0].results[3]: yaml: [907:8] sequence end token ']' not found"},
		{"---\n" + long + "  - a: b\n   c: d\n---\n", "model-index[0].results[3]: yaml: [908:4] value is not allowed in this context"},
		{"---\n" + long + "  - a: !!str b\n---\n", `model-index[0].results[3]: line 907: yaml tag "!!str"`},
		{"---\n" + long + "  - a: \xff\n---\n", "model-index[0].results[3]: not valid UTF-8"},
		{"---\n" + long + "x: " + text + "\n---\n", "line 907: longer than 65536 bytes"},
		{"---\n" + long + "x:\n" + strings.Repeat("# x\n", 17_000) + "---\n", "line 17276: the front matter is longer than 65536 bytes without the results of model-index"},
		{"---\nx: \"\n" + long + "  - {x: 'a\" # '}\nlicense: gpl-3.0\ny: 'x # \"\nlicense: mit\n# '\n---\n", "line 5: what looks like a result of model-index is a part of something else"},
		{"---\nx: \"\n" + long + "\"\nlicense: mit\n---\n", "line 5: what looks like a result of model-index is a part of something else"},
		{"---\n" + long + "license: mit\nx: 'y\n" + long + "'\n---\n", "line 911: what looks like a result of model-index is a part of something else"},
		{"---\n" + long + " x\n---\n", "yaml: [907:2] value is not allowed in this context"},
		{"---\nx: &a mit\n" + long + "  - &a gpl\nlicense: *a\n---\n", `alias "a" may name what is in the results of model-index, or something else`},
		{"---\nx: &a mit\n" + long + strings.Repeat("  - x\n", 10_000) + "  - &a gpl\nlicense: *a\n---\n", `alias "a" may name what is in the results of model-index, or something else`},
		{"---\nx: &a mit\n" + long + "  - &a gpl\n" + strings.Repeat("    # "+text[:1000]+"\n", 50) + "license: *a\n---\n", `alias "a" may name what is in the results of model-index, or something else`},
		{"---\nx: &a mit\n" + long + "  - [&a gpl, *b]\nlicense: *a\n---\n", `alias "a" may name what is in the results of model-index, or something else`},
		{"---\nx: &a mit\n" + long + manyAnchors() + "license: *a\n---\n", `alias "a" may name what is in the results of model-index, or something else`},
		{"---\n" + long, `front matter has no end: no line "---" follows`},
	})
}

// manyAnchors returns results with more of them than are noted.
func manyAnchors() string {
	var b strings.Builder
	for i := range 20 {
		b.WriteString("  - x:\n")
		for j := range 501 {
			fmt.Fprintf(&b, "    - &b%d_%d 1\n", i, j)
		}
	}
	return b.String()
}
