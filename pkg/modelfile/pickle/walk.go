package pickle

import (
	"strconv"
	"strings"
)

const (
	// maxWalk bounds the values that [Walk] visits, and maxWalkDepth how deep they are
	// in each other.
	maxWalk      = 2_000_000
	maxWalkDepth = 64
	maxName      = 1 << 10
)

// Step is how [Walk] goes on.
type Step uint8

// Steps.
const (
	Into Step = iota // with what is in the value
	Over             // with what is beside it
	End              // not at all
)

// Walk calls visit for root and for what is in it that can have others in it, with the
// way to it through keys, indexes and attributes. What is in an object is visited once.
// Walk returns whether that was all: visit did not end it, and there is no more than is
// kept and looked at.
func Walk(root Value, visit func(name string, v Value) Step) (whole bool) {
	w := walker{visit: visit, seen: map[value]bool{}, whole: true}
	w.value("", root, 0)
	return w.whole
}

type walker struct {
	visit func(string, Value) Step
	ended bool
	seen  map[value]bool
	steps int
	whole bool
}

func (w *walker) value(name string, v Value, depth int) {
	if w.ended || v.Kind() < Tuple || v.Kind() == GlobalRef || v.Kind() == Magic {
		return
	}
	w.steps++
	if w.steps > maxWalk || depth > maxWalkDepth || len(name) > maxName {
		w.whole = false
		return
	}
	step := w.visit(name, v)
	if step == End {
		w.ended, w.whole = true, false
	}
	if step != Into || w.seen[v.v] {
		return
	}
	w.seen[v.v] = true
	w.inside(name, v, depth)
}

// inside goes into v. The arguments of a call have no names: what they hold is found
// under that of the call.
func (w *walker) inside(name string, v Value, depth int) {
	entries, whole := v.Entries()
	w.whole = w.whole && whole
	for _, e := range entries {
		if w.ended {
			return
		}
		w.value(join(name, e.Key), e.Value, depth+1)
	}
	switch v.Kind() {
	case Tuple:
		items, whole := v.Items()
		w.whole = w.whole && whole
		for i, item := range items {
			w.value(join(name, Value{v.heap, integer(int64(i))}), item, depth+1)
		}
	case Call:
		items, whole := v.Items()
		w.whole = w.whole && whole
		for _, item := range items {
			w.value(name, item, depth+1)
		}
		w.value(name, v.State(), depth+1)
	}
}

func join(name string, key Value) string {
	part, ok := key.Text()
	if n, isInt := key.Int(); isInt {
		part, ok = strconv.FormatInt(n, 10), true
	}
	switch {
	case !ok:
		part = "?"
	case part == "_modules" || part == "_parameters" || part == "_buffers":
		return name // of a torch.nn.Module, whose state_dict leaves them out
	case name == "":
		return part
	}
	return strings.TrimPrefix(name+"."+part, ".")
}
