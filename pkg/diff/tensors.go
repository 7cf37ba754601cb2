package diff

import (
	"cmp"
	"slices"
)

// Tensor is one entry of the header of a weight file.
type Tensor struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"` // as the format spells it
	Shape []uint64 `json:"shape"`
	File  string   `json:"file"`
}

func (t Tensor) like(o Tensor) bool { return t.Type == o.Type && slices.Equal(t.Shape, o.Shape) }

// TensorChange is a tensor that differs by what the headers say.
type TensorChange struct {
	Change Change  `json:"change"`
	Before *Tensor `json:"before,omitempty"` // nil: added
	After  *Tensor `json:"after,omitempty"`  // nil: removed
}

// Name is what the tensor is called.
func (c TensorChange) Name() string {
	if c.After != nil {
		return c.After.Name
	}
	return c.Before.Name
}

// TensorChanges is how the tensors differ of the files whose bytes differ.
type TensorChanges struct {
	// Alike counts tensors that have name, type and shape in common. Whether their
	// bytes differ only the bytes could tell.
	Alike int `json:"alike"`
	// Moved counts those of them that are in another file.
	Moved   int            `json:"moved,omitempty"`
	Changes []TensorChange `json:"changes"`
}

// Tensors compares tensors by name: first those of the files of one path, then the
// others over all files, since another number of shards is no other model.
func Tensors(a, b []Tensor) TensorChanges {
	type place struct{ file, name string }
	out := TensorChanges{Changes: []TensorChange{}}
	here := make(map[place]int, len(b)) // place → index in b
	for i, t := range b {
		here[place{t.File, t.Name}] = i
	}
	paired := make([]bool, len(b))
	var left []Tensor
	for i := range a {
		j, ok := here[place{a[i].File, a[i].Name}]
		if !ok || paired[j] {
			left = append(left, a[i])
			continue
		}
		paired[j] = true
		out.compare(&a[i], &b[j])
	}
	elsewhere := map[string][]int{}
	for j := range b {
		if !paired[j] {
			elsewhere[b[j].Name] = append(elsewhere[b[j].Name], j)
		}
	}
	for i := range left {
		t := &left[i]
		js := elsewhere[t.Name]
		if len(js) == 0 {
			out.Changes = append(out.Changes, TensorChange{Change: Removed, Before: t})
			continue
		}
		elsewhere[t.Name], paired[js[0]] = js[1:], true
		out.compare(t, &b[js[0]])
	}
	for j := range b {
		if !paired[j] {
			out.Changes = append(out.Changes, TensorChange{Change: Added, After: &b[j]})
		}
	}
	slices.SortStableFunc(out.Changes, func(x, y TensorChange) int {
		return cmp.Or(cmp.Compare(x.Name(), y.Name()), cmp.Compare(x.Change, y.Change))
	})
	return out
}

func (c *TensorChanges) compare(before, after *Tensor) {
	if !before.like(*after) {
		c.Changes = append(c.Changes, TensorChange{Change: Changed, Before: before, After: after})
		return
	}
	c.Alike++
	if before.File != after.File {
		c.Moved++
	}
}
