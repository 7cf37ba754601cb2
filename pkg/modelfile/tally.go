package modelfile

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// tally counts what the files of one format hold.
type tally struct {
	proven, unproven uint64 // bytes of files whose content, or only name, shows the format
	elements         map[string]uint64
	total            uint64
	tensors          uint64
	types            map[string]*TypeCount // by the format's own names
	// unknown: some tensors stand for a number of weights that nobody told.
	unknown bool
}

// maxTypes bounds the names of element types of one format; the largest has 40.
const maxTypes = 256

func (x *inspector) tally(format string) *tally {
	t := x.tallies[format]
	if t == nil {
		t = newTally()
		x.tallies[format] = t
	}
	return t
}

func newTally() *tally { return &tally{elements: map[string]uint64{}, types: map[string]*TypeCount{}} }

// merge adds what a file holds.
func (t *tally) merge(file *tally) {
	t.proven += file.proven
	t.unproven += file.unproven
	t.unknown = t.unknown || file.unknown
	for _, precision := range slices.Sorted(maps.Keys(file.elements)) {
		t.count(precision, file.elements[precision])
	}
	for _, name := range slices.Sorted(maps.Keys(file.types)) {
		t.countType(name, file.types[name].Tensors, file.types[name].Elements)
	}
}

// count adds n elements of a precision, which is "" when ModelPack has no name
// for it.
func (t *tally) count(precision string, n uint64) {
	sum, carry := bits.Add64(t.total, n, 0)
	if carry != 0 {
		t.unknown = true
		return
	}
	t.total = sum
	if n > 0 {
		t.elements[precision] += n
	}
}

// countType adds tensors with n elements of a type as the format names it.
func (t *tally) countType(name string, tensors, n uint64) {
	c := t.types[name]
	if c == nil {
		if len(t.types) == maxTypes {
			return
		}
		c = &TypeCount{Type: name}
		t.types[name] = c
	}
	t.tensors += tensors
	c.Tensors += tensors
	if sum, carry := bits.Add64(c.Elements, n, 0); carry == 0 {
		c.Elements = sum
	}
}

// typeCounts returns the types, those with most elements first.
func (t *tally) typeCounts() []TypeCount {
	var out []TypeCount
	for _, c := range t.types {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b TypeCount) int {
		return cmp.Or(cmp.Compare(b.Elements, a.Elements), strings.Compare(a.Type, b.Type))
	})
	return out
}
