package hf

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

const (
	// MaxMetrics bounds the metrics of a front matter, and the results that they are
	// grouped in. A front matter has room for some 3,000, of which aliases would make a
	// hundred times as many; cards with benchmarks of embeddings have about a thousand.
	MaxMetrics = 2_000
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

// indexReader reads the field model-index, and counts what it has come by: an alias
// may name the same list many times.
type indexReader struct {
	doc              mapping
	metrics          []Metric
	known            map[Metric]bool
	results, visited int
}

// metrics returns those of the field model-index, each once. An error begins with the
// place in the field.
func (d mapping) metrics(index ast.Node) ([]Metric, error) {
	r := indexReader{doc: d, known: map[Metric]bool{}}
	if err := r.each(index, r.model); err != nil {
		return nil, err
	}
	return r.metrics, nil
}

// each calls read with the items of a list; null has none.
func (r *indexReader) each(n ast.Node, read func(ast.Node) error) error {
	switch n := r.doc.deref(n).(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		for i, item := range n.Values {
			if err := read(item); err != nil {
				return fmt.Errorf("[%d]%w", i, err)
			}
		}
		return nil
	}
	return errors.New(" is not a list")
}

// fields calls read with the fields of a mapping; null has none.
func (r *indexReader) fields(n ast.Node, read func(key string, value ast.Node) error) error {
	var values []*ast.MappingValueNode
	switch n := r.doc.deref(n).(type) {
	case nil, *ast.NullNode:
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return errors.New(" is not a mapping")
	}
	for _, v := range values {
		if v == nil || v.Key == nil || v.Key.GetToken() == nil {
			continue
		}
		key := v.Key.GetToken().Value
		if err := read(key, v.Value); err != nil {
			return fmt.Errorf(".%s%w", key, err)
		}
	}
	return nil
}

// texts reads the fields of a mapping that are texts.
func (r *indexReader) texts(n ast.Node, texts map[string]*string) error {
	return r.fields(n, func(key string, value ast.Node) error {
		p, ok := texts[key]
		if !ok {
			return nil
		}
		if *p, ok = r.doc.text(value, maxMetricText); !ok {
			return errors.New(" is not a text or a number")
		}
		return nil
	})
}

func (r *indexReader) model(n ast.Node) error {
	return r.fields(n, func(key string, value ast.Node) error {
		if key != "results" {
			return nil
		}
		return r.each(value, r.result)
	})
}

// result reads the metrics of one task on one data set.
func (r *indexReader) result(n ast.Node) error {
	if r.results++; r.results > MaxMetrics {
		return fmt.Errorf(" is one of more than %d results", MaxMetrics)
	}
	var m Metric
	var metrics ast.Node
	err := r.fields(n, func(key string, value ast.Node) error {
		switch key {
		case "task":
			return r.texts(value, map[string]*string{"type": &m.Task, "name": &m.TaskName})
		case "dataset":
			s := &m.Dataset
			return r.texts(value, map[string]*string{"type": &s.Type, "name": &s.Name, "config": &s.Config, "split": &s.Split, "revision": &s.Revision})
		case "source":
			return r.texts(value, map[string]*string{"name": &m.Source, "url": &m.SourceURL})
		case "metrics":
			metrics = value // read below, since they have what the other fields say
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.each(metrics, func(n ast.Node) error { return r.metric(n, m) }); err != nil {
		return fmt.Errorf(".metrics%w", err)
	}
	return nil
}

// metric reads a metric into a copy of what its result says.
func (r *indexReader) metric(n ast.Node, m Metric) error {
	if r.visited++; r.visited > MaxMetrics {
		return fmt.Errorf(" is one of more than %d metrics", MaxMetrics)
	}
	if err := r.texts(n, map[string]*string{"type": &m.Type, "value": &m.Value, "name": &m.Name, "config": &m.Config}); err != nil {
		return err
	}
	switch {
	case m.Type == "":
		return errors.New(" has no type")
	case m.Value == "":
		return errors.New(" has no value")
	case !r.known[m]:
		r.known[m] = true
		r.metrics = append(r.metrics, m)
	}
	return nil
}
