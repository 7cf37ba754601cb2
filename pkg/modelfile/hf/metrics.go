package hf

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

const (
	// MaxMetrics bounds the metrics of a front matter, and the results that they are
	// grouped in: cards with scores of embeddings on many sets of data have some
	// thousand. Aliases could make a hundred times as many of few.
	MaxMetrics = 10_000
	// maxMetricText bounds a text of a metric in bytes. They are numbers and names.
	maxMetricText = 512
)

// Metric is what a model scored, as the author of its card says: nobody has measured
// it anew. It is an element of model-index, with the task and the data of its result
// (https://github.com/huggingface/hub-docs/blob/main/modelcard.md).
type Metric struct {
	Type   string `json:"type"`             // id of the hub: accuracy, wer
	Value  string `json:"value"`            // as it is written: 0.91, 20.0 ± 1.2
	Name   string `json:"name,omitempty"`   // for people: Test WER
	Config string `json:"config,omitempty"` // of the metric

	Task      string        `json:"task,omitempty"`     // id of the hub: text-classification
	TaskName  string        `json:"taskName,omitempty"` // for people
	Dataset   MetricDataset `json:"dataset,omitzero"`
	Source    string        `json:"source,omitempty"` // who measured, by name
	SourceURL string        `json:"sourceURL,omitempty"`
}

// MetricDataset is what a metric was measured on.
type MetricDataset struct {
	Type     string `json:"type,omitempty"` // id of the hub: stanfordnlp/imdb
	Name     string `json:"name,omitempty"` // for people
	Config   string `json:"config,omitempty"`
	Split    string `json:"split,omitempty"`
	Revision string `json:"revision,omitempty"`
}

// String names the data set, with the part of it that was used: imdb (plain_text, test).
func (s MetricDataset) String() string {
	var parts []string
	for _, part := range []string{s.Config, s.Split} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	name, part := cmp.Or(s.Name, s.Type), strings.Join(parts, ", ")
	switch {
	case part == "":
		return name
	case name == "":
		return part
	}
	return name + " (" + part + ")"
}

// On is the name of a metric with what it was measured on: accuracy on imdb (test).
func (s MetricDataset) On(metric string) string {
	if on := s.String(); on != "" {
		return metric + " on " + on
	}
	return metric
}

// MetricNames returns a name for each metric: its type, and its name and config
// besides where several of one type were measured on the same data. No two have the
// same name on the same data.
func MetricNames(metrics []Metric) []string {
	alike := map[string]int{}
	for _, m := range metrics {
		alike[m.Dataset.On(m.Type)]++
	}
	names, taken := make([]string, len(metrics)), map[string]int{}
	for i, m := range metrics {
		name, on := m.Type, m.Dataset.On
		if alike[on(name)] > 1 {
			name = m.longName()
		}
		names[i] = name
		for taken[on(names[i])] > 0 {
			taken[on(name)]++ // the last number: thousands may have one name
			names[i] = fmt.Sprintf("%s #%d", name, taken[on(name)])
		}
		taken[on(names[i])]++
	}
	return names
}

func (m Metric) longName() string {
	switch {
	case m.Name == "" && m.Config == "":
		return m.Type
	case m.Name == "" || m.Config == "":
		return m.Type + " (" + m.Name + m.Config + ")"
	}
	return m.Type + " (" + m.Name + ", " + m.Config + ")"
}

// maxNotes bounds what is said of what was left out: who writes one metric wrong
// writes thousands so.
const maxNotes = 3

// metricsSeed is of this process, so that nobody can make two metrics that have one number.
var metricsSeed = maphash.MakeSeed()

// indexReader reads the field model-index, and counts what it has come by: an alias
// may name the same list many times.
type indexReader struct {
	doc              yamlDocument
	metrics          []Metric
	known            map[uint64]bool // the numbers of metrics, which take less memory than they do
	results, visited int
	full             bool // there are more than are read
	leftOut          []string
	more             int // that leftOut has no room for

	// Of results that were parsed by themselves: the marks in their place, with their
	// lines, and the numbers of their anchors, which are not all when some are unread.
	marks   map[string]int32
	anchors map[uint64]bool
	unread  bool
}

// leave notes what is left out.
func (r *indexReader) leave(format string, args ...any) {
	if len(r.leftOut) == maxNotes {
		r.more++
		return
	}
	r.leftOut = append(r.leftOut, fmt.Sprintf(format, args...))
}

// fill notes that there are more than are read, once and without fail.
func (r *indexReader) fill(place, what string) {
	r.leftOut = append(r.leftOut, fmt.Sprintf("%s is one of more than %d %s: neither it nor what follows is read", place, MaxMetrics, what))
	r.full = true
}

func (r *indexReader) notes() []string {
	if r.more > 0 {
		return append(r.leftOut, fmt.Sprintf("model-index: %d more are left out", r.more))
	}
	return r.leftOut
}

// read reads the field. What in it is not as it should be is left out, and no more
// than that: a metric, a result or a list.
func (r *indexReader) read(index ast.Node) { r.each("model-index", index, r.model) }

// each calls read with the items of a list and the place of each; null has none.
func (r *indexReader) each(place string, n ast.Node, read func(place string, n ast.Node)) {
	switch n := r.doc.deref(n).(type) {
	case nil, *ast.NullNode:
	case *ast.SequenceNode:
		for i, item := range n.Values {
			if r.full {
				return
			}
			read(fmt.Sprintf("%s[%d]", place, i), item)
		}
	default:
		r.leave("%s is not a list: no metric is taken from it", place)
	}
}

// texts reads the fields of a mapping that are texts.
func (r *indexReader) texts(place string, n ast.Node, texts map[string]*string) error {
	fields, ok := r.doc.fields(n)
	if !ok {
		return fmt.Errorf("%s is not a mapping", place)
	}
	for _, v := range fields {
		key := keyOf(v)
		if p, ok := texts[key]; ok {
			if *p, ok = r.doc.text(v.Value, maxMetricText); !ok {
				return fmt.Errorf("%s.%s is not a text or a number", place, key)
			}
		}
	}
	return nil
}

func (r *indexReader) model(place string, n ast.Node) {
	fields, ok := r.doc.fields(n)
	if !ok {
		r.leave("%s is not a mapping: no metric is taken from it", place)
	}
	for _, v := range fields {
		if keyOf(v) == "results" && !r.marked(v.Value) {
			r.each(place+".results", v.Value, r.result)
		}
	}
}

// marked reports whether a node stands for results that were read by themselves.
func (r *indexReader) marked(n ast.Node) bool {
	text, ok := r.doc.scalar(n)
	_, is := r.marks[text]
	return ok && is
}

// result reads the metrics of one task on one data set. They mean nothing without what
// the result says of these, so that none is taken of one that is wrong there.
func (r *indexReader) result(place string, n ast.Node) {
	if r.results++; r.results > MaxMetrics {
		r.fill(place, "results")
		return
	}
	fields, ok := r.doc.fields(n)
	if !ok {
		r.leave("%s is not a mapping: no metric is taken from it", place)
	}
	var m Metric
	var metrics ast.Node
	for _, v := range fields {
		var err error
		switch key := keyOf(v); key {
		case "task":
			err = r.texts(place+".task", v.Value, map[string]*string{"type": &m.Task, "name": &m.TaskName})
		case "dataset":
			s := &m.Dataset
			err = r.texts(place+".dataset", v.Value, map[string]*string{"type": &s.Type, "name": &s.Name, "config": &s.Config, "split": &s.Split, "revision": &s.Revision})
		case "source":
			err = r.texts(place+".source", v.Value, map[string]*string{"name": &m.Source, "url": &m.SourceURL})
		case "metrics":
			metrics = v.Value // read below, since they have what the other fields say
		}
		if err != nil {
			r.leave("%v: no metric of this result is taken", err)
			return
		}
	}
	r.each(place+".metrics", metrics, func(place string, n ast.Node) { r.metric(place, n, m) })
}

// metric reads a metric into a copy of what its result says.
func (r *indexReader) metric(place string, n ast.Node, m Metric) {
	if r.visited++; r.visited > MaxMetrics {
		r.fill(place, "metrics")
		return
	}
	err := r.texts(place, n, map[string]*string{"type": &m.Type, "value": &m.Value, "name": &m.Name, "config": &m.Config})
	switch {
	case err != nil:
	case m.Type == "":
		err = fmt.Errorf("%s has no type", place)
	case m.Value == "":
		err = fmt.Errorf("%s has no value", place)
	}
	if err != nil {
		r.leave("%v: it is left out", err)
		return
	}
	if key := maphash.Comparable(metricsSeed, m); !r.known[key] {
		r.known[key] = true
		r.metrics = append(r.metrics, m)
	}
}
