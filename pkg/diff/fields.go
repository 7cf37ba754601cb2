package diff

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Field is a value that a config, a manifest or a header has under a name.
type Field struct {
	Source string `json:"source"` // where it stands: config, annotations, or the path of a file
	Name   string `json:"name"`   // of a member of a member: outer.inner; see [Flatten]
	Value  string `json:"value"`  // as JSON, which keeps the text "1" apart from the number
}

// FieldChange is a field that differs.
type FieldChange struct {
	Change Change          `json:"change"`
	Source string          `json:"source"`
	Name   string          `json:"name"`
	Before json.RawMessage `json:"before,omitempty"` // nil: added
	After  json.RawMessage `json:"after,omitempty"`  // nil: removed
}

// Fields compares fields by source and name, sorted by both. Of two fields of one
// name the last counts, as in JSON.
func Fields(a, b []Field) []FieldChange {
	type key struct{ source, name string }
	before, after := map[key]string{}, map[key]string{}
	for _, f := range a {
		before[key{f.Source, f.Name}] = f.Value
	}
	for _, f := range b {
		after[key{f.Source, f.Name}] = f.Value
	}
	out := []FieldChange{}
	for k, old := range before {
		switch now, ok := after[k]; {
		case !ok:
			out = append(out, FieldChange{Change: Removed, Source: k.source, Name: k.name, Before: json.RawMessage(old)})
		case now != old:
			out = append(out, FieldChange{Change: Changed, Source: k.source, Name: k.name, Before: json.RawMessage(old), After: json.RawMessage(now)})
		}
	}
	for k, now := range after {
		if _, ok := before[k]; !ok {
			out = append(out, FieldChange{Change: Added, Source: k.source, Name: k.name, After: json.RawMessage(now)})
		}
	}
	slices.SortFunc(out, func(x, y FieldChange) int {
		return cmp.Or(cmp.Compare(x.Source, y.Source), cmp.Compare(x.Name, y.Name))
	})
	return out
}
