package bom

import (
	"encoding/json"
	"fmt"
	"strings"
)

// merger adds to a document what it lacks.
type merger struct {
	// same tells what an item of a list is, by the name of the list: items of the same
	// text are the same thing. Items of which it tells nothing are the same when they
	// are equal.
	same func(list string, item *object) string
	// closed are lists that stay as they are where there is one, since what is added
	// would change what the others mean.
	closed map[string]bool
	kept   []string
	added  bool
}

// object adds to given the members of more that it lacks. Where both say something,
// given stays.
func (m *merger) object(place string, given, more *object) {
	for _, key := range more.keys {
		theirs, there := given.values[key]
		ours := more.values[key]
		if !there || unsaid(theirs) && !unsaid(ours) {
			given.set(key, ours)
			m.added = true
			continue
		}
		m.member(strings.TrimPrefix(place+"."+key, "."), key, given, theirs, ours)
	}
}

func (m *merger) member(place, key string, given *object, theirs, ours any) {
	switch ours := ours.(type) {
	case *object:
		if theirs, ok := theirs.(*object); ok {
			m.object(place, theirs, ours)
			return
		}
	case []any:
		if theirs, ok := theirs.([]any); ok {
			m.list(place, key, given, theirs, ours)
			return
		}
	}
	m.keep(place, theirs, ours)
}

// keep notes that the given document says something else.
func (m *merger) keep(place string, theirs, ours any) {
	if equal(theirs, ours) || unsaid(ours) {
		return
	}
	m.kept = append(m.kept, fmt.Sprintf("%s: the document says %s, the model %s: the document's stays", place, shown(theirs), shown(ours)))
}

func (m *merger) list(place, key string, given *object, theirs, ours []any) {
	if m.closed[key] && len(theirs) > 0 {
		m.keep(place, theirs, ours)
		return
	}
	known := map[string]any{}
	for _, x := range theirs {
		for _, name := range m.names(key, x) {
			known[name] = x
		}
	}
	for _, item := range ours {
		found := m.find(known, key, item)
		if found == nil {
			given.add(key, item)
			m.added = true
			continue
		}
		// Two texts that are the same thing are equal.
		theirItem, ok := found.(*object)
		ourItem, both := item.(*object)
		if ok && both {
			m.object(place+"["+clean(m.same(key, ourItem))+"]", theirItem, ourItem)
		}
	}
}

// names are what an item of a list is found by: what it is, and its whole text.
func (m *merger) names(key string, item any) []string {
	names := []string{"text " + text(item)}
	if o, ok := item.(*object); ok {
		if name := m.same(key, o); name != "" {
			names = append(names, "same "+name)
		}
	}
	return names
}

func (m *merger) find(known map[string]any, key string, item any) any {
	for _, name := range m.names(key, item) {
		if x, ok := known[name]; ok {
			return x
		}
	}
	return nil
}

// unsaid reports whether a value says nothing, as SPDX spells it.
func unsaid(v any) bool {
	s, ok := v.(string)
	return ok && (s == noAssertion || s == noAssertionLicense)
}

func equal(a, b any) bool { return text(a) == text(b) }

func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "" // what was parsed can be written
	}
	return string(raw)
}

// maxShown is how much of a value a note shows, in bytes.
const maxShown = 80

func shown(v any) string {
	s := clean(text(v))
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}

// rename gives texts in the members called keys other names, in the whole tree.
func rename(v any, names map[string]string, keys map[string]bool) {
	switch v := v.(type) {
	case *object:
		for _, k := range v.keys {
			v.values[k] = renamed(v.values[k], names, keys[k])
			rename(v.values[k], names, keys)
		}
	case []any:
		for i := range v {
			rename(v[i], names, keys)
		}
	}
}

func renamed(v any, names map[string]string, here bool) any {
	if !here {
		return v
	}
	switch x := v.(type) {
	case string:
		if name, ok := names[x]; ok {
			return name
		}
	case []any:
		for i := range x {
			x[i] = renamed(x[i], names, true)
		}
	}
	return v
}
