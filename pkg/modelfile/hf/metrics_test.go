package hf_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

func withIndex(index string) []byte { return []byte("---\nlicense: mit\n" + index + "---\n# Title\n") }

func TestMetrics(t *testing.T) {
	imdb := hf.MetricDataset{Type: "imdb", Name: "IMDb"}
	for _, tt := range []struct {
		name, index string
		want        []hf.Metric
	}{
		{"none", "", nil},
		{"null", "model-index:\n", nil},
		{"an empty list", "model-index: []\n", nil},
		{"a model without results", "model-index:\n- name: x\n", nil},
		// what the trainer of transformers writes when there was no evaluation
		{"no results", "model-index:\n- name: x\n  results: []\n", nil},
		{"null results", "model-index:\n- name: x\n  results:\n  -\n  - null\n", nil},
		{"no metrics", "model-index:\n- results:\n  - task: {type: a}\n  - metrics: []\n", nil},
		{
			// the example of hub-docs/modelcard.md
			"all", `model-index:
- name: m
  results:
  - task:
      type: automatic-speech-recognition
      name: Speech Recognition
    dataset:
      type: common_voice
      name: Common Voice (French)
      config: fr
      split: test
      revision: 5503434ddd753f426f4b38109466949a1217c2bb
      args:
        language: en
    metrics:
      - type: wer
        value: 20.90
        name: Test WER
        config: default
        args:
          max_order: 4
        verified: true
        verifyToken: abc.def
      - type: cer
        value: "20.0 ± 1.2"
    source:
      name: Open LLM Leaderboard
      url: https://example.com/board
`,
			[]hf.Metric{
				{
					Type: "wer", Value: "20.90", Name: "Test WER", Config: "default", Task: "automatic-speech-recognition", TaskName: "Speech Recognition",
					Dataset: hf.MetricDataset{Type: "common_voice", Name: "Common Voice (French)", Config: "fr", Split: "test", Revision: "5503434ddd753f426f4b38109466949a1217c2bb"},
					Source:  "Open LLM Leaderboard", SourceURL: "https://example.com/board",
				},
				{
					Type: "cer", Value: "20.0 ± 1.2", Task: "automatic-speech-recognition", TaskName: "Speech Recognition",
					Dataset: hf.MetricDataset{Type: "common_voice", Name: "Common Voice (French)", Config: "fr", Split: "test", Revision: "5503434ddd753f426f4b38109466949a1217c2bb"},
					Source:  "Open LLM Leaderboard", SourceURL: "https://example.com/board",
				},
			},
		},
		{"args that are a text", "model-index:\n- results:\n  - dataset: {type: imdb, name: IMDb, args: plain_text}\n    metrics: [{type: f1, value: 1}]\n", []hf.Metric{{Type: "f1", Value: "1", Dataset: imdb}}},
		{"no data set", "model-index:\n- results:\n  - metrics: [{type: f1, value: 1}]\n", []hf.Metric{{Type: "f1", Value: "1"}}},
		{"metrics before their data set", "model-index:\n- results:\n  - metrics:\n    - value: 1\n      type: f1\n    dataset:\n      name: IMDb\n      type: imdb\n", []hf.Metric{{Type: "f1", Value: "1", Dataset: imdb}}},
		{"values as they are written", "model-index:\n- results:\n  - metrics: [{type: a, value: 0.10}, {type: b, value: .nan}, {type: c, value: -.inf}, {type: d, value: true}, {type: e, value: 1e-3}]\n", []hf.Metric{
			{Type: "a", Value: "0.10"}, {Type: "b", Value: ".nan"}, {Type: "c", Value: "-.inf"}, {Type: "d", Value: "true"}, {Type: "e", Value: "1e-3"},
		}},
		{"several models and results", "model-index:\n- results:\n  - metrics: [{type: a, value: 1}]\n  - metrics: [{type: b, value: 2}]\n- results:\n  - metrics: [{type: c, value: 3}]\n", []hf.Metric{{Type: "a", Value: "1"}, {Type: "b", Value: "2"}, {Type: "c", Value: "3"}}},
		{"said twice", "model-index:\n- results: &r\n  - metrics: [{type: a, value: 1}, {type: a, value: 1}, {type: a, value: 2}]\n- results: *r\n", []hf.Metric{{Type: "a", Value: "1"}, {Type: "a", Value: "2"}}},
		{"clean text", "model-index:\n- results:\n  - metrics: [{type: \"a\\e[2J\\nb\", value: \"" + strings.Repeat("9", 600) + "\"}]\n", []hf.Metric{{Type: "a[2J b", Value: strings.Repeat("9", 512)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readFrontMatter(withIndex(tt.index))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&hf.FrontMatter{License: []string{"mit"}, Metrics: tt.want}, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// What is wrong in it is left out, and nothing else.
func TestMetricsRefuses(t *testing.T) {
	result := func(s string) string { return "[{results: [{" + s + "}]}]" }
	metric := func(s string) string { return result("metrics: [{type: a, value: 1}, " + s + "]") }
	repeated := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s, n), ",") }
	for _, tt := range [][2]string{
		{"text", " is not a list: no metric is taken from it"},
		{"1", " is not a list: no metric is taken from it"},
		{"{name: a, results: []}", " is not a list: no metric is taken from it"},
		{"{a: b}", " is not a list: no metric is taken from it"},
		{"[text]", "[0] is not a mapping: no metric is taken from it"},
		{"[{name: a}, [b]]", "[1] is not a mapping: no metric is taken from it"},
		{"[{results: text}]", "[0].results is not a list: no metric is taken from it"},
		{"[{results: {metrics: []}}]", "[0].results is not a list: no metric is taken from it"},
		{"[{results: [text]}]", "[0].results[0] is not a mapping: no metric is taken from it"},
		{"[{results: [[]]}]", "[0].results[0] is not a mapping: no metric is taken from it"},
		{result("task: text-generation"), "[0].results[0].task is not a mapping: no metric of this result is taken"},
		{result("task: [a]"), "[0].results[0].task is not a mapping: no metric of this result is taken"},
		{result("task: {type: [a]}"), "[0].results[0].task.type is not a text or a number: no metric of this result is taken"},
		{result("task: {name: {a: b}}"), "[0].results[0].task.name is not a text or a number: no metric of this result is taken"},
		{result("dataset: imdb"), "[0].results[0].dataset is not a mapping: no metric of this result is taken"},
		{result("dataset: {type: {a: b}}"), "[0].results[0].dataset.type is not a text or a number: no metric of this result is taken"},
		{result("dataset: {name: [a]}"), "[0].results[0].dataset.name is not a text or a number: no metric of this result is taken"},
		{result("dataset: {config: [a]}"), "[0].results[0].dataset.config is not a text or a number: no metric of this result is taken"},
		{result("dataset: {split: [a]}"), "[0].results[0].dataset.split is not a text or a number: no metric of this result is taken"},
		{result("dataset: {revision: [a]}"), "[0].results[0].dataset.revision is not a text or a number: no metric of this result is taken"},
		{result("source: https://example.com"), "[0].results[0].source is not a mapping: no metric of this result is taken"},
		{result("source: {url: [a]}"), "[0].results[0].source.url is not a text or a number: no metric of this result is taken"},
		{result("metrics: {type: a, value: 1}"), "[0].results[0].metrics is not a list: no metric is taken from it"},
		{result("metrics: accuracy"), "[0].results[0].metrics is not a list: no metric is taken from it"},
		{metric("accuracy"), "[0].results[0].metrics[1] is not a mapping: it is left out"},
		{metric("[a]"), "[0].results[0].metrics[1] is not a mapping: it is left out"},
		{metric("null"), "[0].results[0].metrics[1] has no type: it is left out"},
		{metric("{value: 1}"), "[0].results[0].metrics[1] has no type: it is left out"},
		{metric("{name: a, value: 1}"), "[0].results[0].metrics[1] has no type: it is left out"},
		{metric("{type: '', value: 1}"), "[0].results[0].metrics[1] has no type: it is left out"},
		{metric("{type: b}"), "[0].results[0].metrics[1] has no value: it is left out"},
		{metric("{type: b, value: null}"), "[0].results[0].metrics[1] has no value: it is left out"},
		// an old trainer of transformers wrote the result of a metric as it came
		{metric("{type: b, value: {accuracy: 1}}"), "[0].results[0].metrics[1].value is not a text or a number: it is left out"},
		{metric("{type: b, value: [1, 2]}"), "[0].results[0].metrics[1].value is not a text or a number: it is left out"},
		{metric("{type: [b], value: 1}"), "[0].results[0].metrics[1].type is not a text or a number: it is left out"},
		{metric("{type: b, value: 1, name: [a]}"), "[0].results[0].metrics[1].name is not a text or a number: it is left out"},
		{metric("{type: b, value: 1, config: {a: b}}"), "[0].results[0].metrics[1].config is not a text or a number: it is left out"},
		{"[{results: &r [{metrics: *r}]}]", "[0].results[0].metrics[0] has no type: it is left out"},
		{"[{results: [{metrics: &m [{type: *m, value: 1}]}]}]", "[0].results[0].metrics[0].type is not a text or a number: it is left out"},
		{"[{results: [{metrics: &m [" + repeated("{type: a, value: 1},", 100) + "]}," + repeated("{metrics: *m },", 100) + "]}]", "[0].results[100].metrics[0] is one of more than 10000 metrics: neither it nor what follows is read"},
		{"[{results: &r [" + repeated("{},", 100) + "]}," + repeated("{results: *r },", 100) + "]", "[100].results[0] is one of more than 10000 results: neither it nor what follows is read"},
	} {
		got, err := readFrontMatter(withIndex("model-index: " + tt[0] + "\nlanguage: en\n"))
		if err != nil {
			t.Errorf("%.80s: %v", tt[0], err)
			continue
		}
		want := &hf.FrontMatter{License: []string{"mit"}, Language: []string{"en"}, LeftOut: []string{"model-index" + tt[1]}}
		if strings.Contains(tt[0], "[{type: a, value: 1}") {
			want.Metrics = []hf.Metric{{Type: "a", Value: "1"}}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%.80s:\n%s", tt[0], d)
		}
	}
}

// Of many that are wrong the first are told, and how many there are.
func TestMetricsRefusesMany(t *testing.T) {
	got, err := readFrontMatter(withIndex("model-index:\n- results:\n  - metrics:\n" + numbered("    - {type: t%[1]d, value: %[1]d}\n    - {type: t%[1]d}\n", 5) + "  - task: x\n    metrics: [{type: z, value: 1}]\n  - metrics: [{type: y, value: 2}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"model-index[0].results[0].metrics[1] has no value: it is left out", "model-index[0].results[0].metrics[3] has no value: it is left out",
		"model-index[0].results[0].metrics[5] has no value: it is left out", "model-index: 3 more are left out",
	}
	if d := cmp.Diff(want, got.LeftOut); d != "" {
		t.Error(d)
	}
	if len(got.Metrics) != 6 || got.Metrics[5] != (hf.Metric{Type: "y", Value: "2"}) {
		t.Errorf("%+v", got.Metrics)
	}
}

// A card of the hub may have a thousand metrics of embeddings.
func TestMetricsMany(t *testing.T) {
	const results, each = 60, 18
	index := "model-index:\n- name: m\n  results:\n" + numbered("  - task:\n      type: Retrieval\n    dataset:\n      type: mteb/d%[1]d\n      name: MTEB %[1]d\n      config: default\n"+
		"      split: test\n      revision: e8379541af4e31359cca9fbcf4b00f2671dba205\n    metrics:\n"+strings.Repeat("    - type: map_at_1000\n      value: 74.%[1]d3134328358209\n", 1)+numbered("    - type: ndcg_%d\n      value: 1\n", each-1), results)
	got, err := readFrontMatter(withIndex(index))
	if err != nil || len(got.LeftOut) > 0 || len(got.Metrics) != results*each {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestMetricNames(t *testing.T) {
	imdb := hf.MetricDataset{Name: "imdb", Config: "plain_text", Split: "test"}
	metrics := []hf.Metric{
		{Type: "accuracy", Name: "Accuracy", Dataset: imdb},
		{Type: "accuracy", Name: "Accuracy"},
		{Type: "wer", Name: "Test WER", Dataset: imdb},
		{Type: "wer", Name: "Test WER (+LM)", Config: "lm", Dataset: imdb},
		{Type: "wer", Config: "c", Dataset: imdb},
		{Type: "f1", Task: "a"},
		{Type: "f1", Task: "b"},
		{Type: "f1 #2"},
		{Type: "f1 on imdb (plain_text, test)"},
		{Type: "f1", Dataset: imdb},
		{Type: "f1", Task: "c"},
	}
	want := []string{
		"accuracy on imdb (plain_text, test)", "accuracy", "wer (Test WER) on imdb (plain_text, test)", "wer (Test WER (+LM), lm) on imdb (plain_text, test)",
		"wer (c) on imdb (plain_text, test)", "f1", "f1 #2", "f1 #2 #2", "f1 on imdb (plain_text, test)", "f1 #2 on imdb (plain_text, test)", "f1 #3",
	}
	names := hf.MetricNames(metrics)
	for i, m := range metrics {
		names[i] = m.Dataset.On(names[i])
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	for dataset, want := range map[hf.MetricDataset]string{
		{}: "m", {Type: "org/a"}: "m on org/a", {Type: "org/a", Name: "A"}: "m on A", {Split: "test"}: "m on test", {Name: "A", Split: "test"}: "m on A (test)", {Name: "A", Config: "c"}: "m on A (c)",
	} {
		if got := dataset.On("m"); got != want {
			t.Errorf("%+v: %q", dataset, got)
		}
	}
}

// Thousands of metrics that nothing tells apart get their names one after the other.
func TestMetricNamesMany(t *testing.T) {
	metrics := make([]hf.Metric, 100*hf.MaxMetrics)
	for i := range metrics {
		metrics[i] = hf.Metric{Type: "a", Value: fmt.Sprint(i)}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	names := hf.MetricNames(metrics)
	runtime.ReadMemStats(&after)
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != len(metrics) {
		t.Errorf("%d names for %d metrics", n, len(metrics))
	}
	if made := (after.TotalAlloc - before.TotalAlloc) / uint64(len(metrics)); made > 1_000 {
		t.Errorf("%d bytes were allocated for each", made)
	}
}

// Aliases cost nothing to write, and each of them is read anew.
func TestMetricsMemory(t *testing.T) {
	const budget = 32 << 20
	text := "x: &x " + strings.Repeat("ü", 15_000) + "\n"
	for name, tt := range map[string]struct {
		block string
		all   bool // are read
	}{
		"metrics": {"model-index:\n- results:\n  - metrics:\n" + numbered("    - type: a\n      value: %d\n", 2_000), true},
		"a text again": {
			text + "model-index:\n- results:\n  - &r\n    metrics:\n" + numbered("    - type: *x\n      name: *x\n      config: *x\n      value: %d\n", 16) + strings.Repeat("  - *r\n", 50), true,
		},
		"lists again":   {"model-index:\n- results:\n  - metrics: &m\n" + numbered("    - type: a\n      value: %d\n", 1_500) + strings.Repeat("  - metrics: *m\n", 99), false},
		"results again": {"model-index:\n- results: &r\n" + numbered("  - metrics:\n    - type: a\n      value: %d\n", 1_200) + strings.Repeat("- results: *r\n", 99), false},
		// A metric of many fields is passed over as often as there are aliases of it.
		"fields again": {"model-index:\n- results:\n  - metrics: &m\n    - &a\n      type: a\n      value: 1\n" + numbered("      k%d: v\n", 1_490) + strings.Repeat("    - *a\n", 40) + strings.Repeat("  - metrics: *m\n", 40), true},
	} {
		t.Run(name, func(t *testing.T) {
			block := withIndex(tt.block)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := hf.ReadFrontMatter(bytes.NewReader(block))
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Metrics) == 0 || len(got.LeftOut) > 0 == tt.all {
				t.Errorf("%d metrics, %q", len(got.Metrics), got.LeftOut)
			}
			if made := after.TotalAlloc - before.TotalAlloc; made > budget {
				t.Errorf("%d bytes were allocated", made)
			}
		})
	}
}
