package bom

import (
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// metric is what the model scored, as its author says. No two of a description have
// the same name and slice: what a document says of a metric is found again by them.
type metric struct {
	name  string
	value string // as it is written, since a number may come with what it is uncertain by
	slice string // what it was measured on; empty when nobody says
}

// metrics leaves out what says nothing, and keeps the order of the card.
func metrics(scored []hf.Metric) []metric {
	var some []hf.Metric
	for _, m := range scored {
		s := m.Dataset
		m = hf.Metric{Type: clean(m.Type), Value: clean(m.Value), Name: clean(m.Name), Config: clean(m.Config)}
		m.Dataset = hf.MetricDataset{Type: clean(s.Type), Name: clean(s.Name), Config: clean(s.Config), Split: clean(s.Split)}
		if m.Type != "" && m.Value != "" {
			some = append(some, m)
		}
	}
	var out []metric
	for i, name := range hf.MetricNames(some) {
		out = append(out, metric{name, some[i].Value, some[i].Dataset.String()})
	}
	return out
}

// on parts the name of a metric from its slice where a form has one field for both.
const on = " on "

// key is the name of the metric in a dictionary.
func (m metric) key() string {
	if m.slice == "" {
		return m.name
	}
	return m.name + on + m.slice
}

// unsliced collects what a document says of metrics without saying what they were
// measured on.
type unsliced map[[2]string]bool

func (u unsliced) add(name, value string) { u[[2]string{strings.ToLower(name), value}] = true }

// without takes away of our metrics those that the document says so: to add them would
// tell one measurement twice.
func (u unsliced) without(ours []any, read func(*object) (name, value string)) []any {
	var left []any
	for _, m := range ours {
		if o, ok := m.(*object); ok {
			name, value := read(o)
			if u[[2]string{strings.ToLower(name), value}] {
				continue
			}
		}
		left = append(left, m)
	}
	return left
}
