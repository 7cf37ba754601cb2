package hf

import (
	"fmt"
	"hash/maphash"
	"math"

	"github.com/goccy/go-yaml/ast"
)

// checkMarks compares what was taken out of a front matter, by its lines, with where the
// parser finds the rest of it: all of it must have been results of models in list, which
// is the value of model-index, and nothing may be an alias of what is in it.
func (r *indexReader) checkMarks(d yamlDocument, list ast.Node) error {
	for _, alias := range d.aliases {
		if alias.Value == nil {
			continue
		}
		if name := alias.Value.GetToken().Value; r.unread || r.anchors[numberOf(name)] {
			return fmt.Errorf("alias %q may name what is in the results of model-index, or something else", CleanText(name, maxMetricText))
		}
	}
	first := int32(math.MaxInt32)
	found := r.foundMarks(d, list)
	for mark, line := range r.marks {
		if !found[mark] {
			first = min(first, line)
		}
	}
	if first < math.MaxInt32 {
		return fmt.Errorf("line %d: what looks like a result of model-index is a part of something else", first)
	}
	return nil
}

// foundMarks returns the marks in the place of the results of the models.
func (r *indexReader) foundMarks(d yamlDocument, list ast.Node) map[string]bool {
	found := map[string]bool{}
	models, ok := d.deref(list).(*ast.SequenceNode)
	if !ok {
		return found
	}
	for _, model := range models.Values {
		fields, _ := d.fields(model)
		for _, v := range fields {
			if text, ok := d.scalar(v.Value); ok && keyOf(v) == "results" {
				found[text] = true
			}
		}
	}
	return found
}

// noteAnchors notes the anchors of a result, as many as there is room for.
func (r *indexReader) noteAnchors(d yamlDocument) {
	for name := range d.anchors {
		if len(r.anchors) == MaxMetrics {
			r.unread = true
			return
		}
		r.anchors[numberOf(name)] = true
	}
}

func numberOf(name string) uint64 { return maphash.String(metricsSeed, name) }
