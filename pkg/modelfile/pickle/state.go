package pickle

import (
	"fmt"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// maxStateDepth bounds how deep the arguments of calls that make a state are looked at;
// pairs of a dictionary are three deep.
const maxStateDepth = 5

// state looks at the attributes that an object is given.
func (m *machine) state(v value) {
	key, computed := m.hijacked(v, true)
	switch {
	case key != "":
		m.find(hazard.Of("pickle-dunder-name", key, fmt.Sprintf("the attribute %s of an object is set, which changes what the object is or does", key)).At(m.at))
	case computed:
		m.find(hazard.Of("pickle-computed-name", "", "an attribute of an object is set whose name is computed").At(m.at))
	}
}

// hijacked returns the attribute by which a state changes what an object is, if any, or
// that the name of one is computed. A state is a dictionary, one that a call made, or
// with pair a tuple of two of which the second has slots.
func (m *machine) hijacked(state value, pair bool) (key string, computed bool) {
	switch state.kind() {
	case isTuple, isDict, isCall:
	default:
		return "", false
	}
	o := m.heap.object(state)
	if o == nil || o.cut {
		return m.hijack, false // it may be that one
	}
	if state.kind() == isTuple {
		if pair && len(o.items) == 2 {
			for _, part := range o.items {
				key, bad := m.hijacked(part, false)
				if key != "" {
					return key, computed
				}
				computed = computed || bad
			}
		}
		return "", computed
	}
	for i := 0; i < len(o.items); i += 2 {
		text, kept := m.heap.text(o.items[i])
		switch {
		case hijacks[text]:
			return text, false
		case !kept && o.items[i].kind() == isText && o.items[i].id() != lost:
			key = m.hijack // it is too far back, and may be that one
		}
		computed = computed || o.items[i].kind() == isCall || o.items[i].kind() == isUnknown
	}
	if state.kind() != isCall {
		return key, computed
	}
	// OrderedDict, dict and tuple take keys in lists of pairs, in dictionaries, and in
	// others that calls made: whatever there is can be one.
	return m.hijack, computed || m.calledIn(o.args, 0)
}

// calledIn tells whether the arguments of a call hold what others returned.
func (m *machine) calledIn(v value, depth int) bool {
	if v.kind() == isCall || v.kind() == isUnknown {
		return true
	}
	if v.kind() < isTuple || v.kind() > isSet {
		return false
	}
	o := m.heap.object(v)
	if o == nil || o.cut || depth > maxStateDepth {
		return true
	}
	for _, item := range o.items {
		if m.calledIn(item, depth+1) {
			return true
		}
	}
	return false
}

// notice remembers the last text or bytes that name one of hijacks: in a state that
// nobody can look through, that may be the name.
func (m *machine) notice(text []byte) {
	if hijacks[string(text)] {
		m.hijack = string(text)
	}
}
