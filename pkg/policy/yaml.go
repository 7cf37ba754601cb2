package policy

import (
	"errors"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/yamlshape"
)

// parseYAML returns the body of the only document in data.
func parseYAML(name string, data []byte) (ast.Node, error) {
	if err := yamlshape.Check(data, limits.PolicyBytes, yamlshape.MaxLines); err != nil {
		e := &Error{Name: name, Message: err.Error()}
		var shape *yamlshape.Error
		if errors.As(err, &shape) {
			e.Line, e.Message = shape.Line, shape.Message
		}
		return nil, e
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		e := &Error{Name: name, Message: err.Error()}
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			e.Message = syntax.GetMessage()
			if t := syntax.GetToken(); t != nil && t.Position != nil {
				e.Line = t.Position.Line
			}
		}
		return nil, e
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, &Error{Name: name, Line: line(doc.Body), Message: "a second document begins; a policy is one document"}
		}
		body = doc.Body
	}
	if body == nil {
		return nil, &Error{Name: name, Message: "it is empty"}
	}
	return body, nil
}

func line(n ast.Node) int {
	// The token of a mapping is its first colon, which can be lines below its
	// key.
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return line(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return line(n.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// mapping is a mapping whose keys are known and different.
type mapping struct {
	section *Section
	line    int
	values  map[string]ast.Node
	lines   map[string]int // of the keys
}

// mapping reads n as a mapping of the section: its keys are known, none stands
// there twice, and those that must be there are.
func (d *document) mapping(n ast.Node, s *Section) (mapping, error) {
	m, err := d.keys(n, s)
	if err != nil {
		return m, err
	}
	return m, d.complete(m)
}

func (d *document) keys(n ast.Node, s *Section) (mapping, error) {
	m := mapping{section: s, line: line(n), values: map[string]ast.Node{}, lines: map[string]int{}}
	entries, err := d.entries(n, s.Title, "a mapping with the keys "+strings.Join(s.names(), ", "))
	if err != nil {
		return m, err
	}
	for _, e := range entries {
		key, err := d.key(e, s.Title)
		if err != nil {
			return m, err
		}
		if m.values[key] != nil {
			return m, d.errorf(line(e.Key), "%s has the key %q twice; only one of the two can be meant", s.Title, key)
		}
		m.values[key], m.lines[key] = e.Value, line(e.Key)
	}
	return m, nil
}

func (d *document) entries(n ast.Node, what, want string) ([]*ast.MappingValueNode, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, d.wrong(n, what, want)
}

func (d *document) key(e *ast.MappingValueNode, what string) (string, error) {
	key, ok := e.Key.(*ast.StringNode)
	if !ok {
		return "", d.wrong(e.Key, "a key of "+what, "plain text")
	}
	return key.Value, nil
}

// complete checks the keys of m against those of its section.
func (d *document) complete(m mapping) error {
	s := m.section
	names := s.names()
	for key, at := range m.lines {
		if !slices.Contains(names, key) {
			// The first in the document, whatever the order of the map.
			for other, l := range m.lines {
				if !slices.Contains(names, other) && (l < at || l == at && other < key) {
					key, at = other, l
				}
			}
			return d.errorf(at, "%s has the unknown key %q; known are %s", s.Title, key, strings.Join(names, ", "))
		}
	}
	for _, f := range s.Fields {
		if f.Required && m.values[f.Name] == nil {
			return d.errorf(m.line, "%s has no %s; write one, such as %s: %s", s.Title, f.Name, f.Name, f.Example)
		}
	}
	for _, group := range s.OneOf {
		if err := d.oneOf(m, group); err != nil {
			return err
		}
	}
	if s.AnyOf && len(m.values) == 0 {
		return d.errorf(m.line, "%s is empty; write at least one of %s", s.Title, strings.Join(names, ", "))
	}
	return nil
}

func (d *document) oneOf(m mapping, group []string) error {
	var there []string
	for _, name := range group {
		if m.values[name] != nil {
			there = append(there, name)
		}
	}
	switch len(there) {
	case 0:
		if len(m.values) == 0 {
			return d.errorf(m.line, "%s is empty; write %s", m.section.Title, alternatives(group))
		}
		return d.errorf(m.line, "%s has no %s; write exactly one of them", m.section.Title, alternatives(group))
	case 1:
		return nil
	}
	second := there[1]
	if m.lines[there[0]] > m.lines[second] {
		second = there[0]
	}
	return d.errorf(m.lines[second], "%s is about one thing, and has %s: write only one of them%s", m.section.Title, strings.Join(there, " and "), anotherItem(m.section, second))
}

// anotherItem helps with what is often meant in a list.
func anotherItem(s *Section, key string) string {
	if s != &requirementSection {
		return ""
	}
	return ", and begin another requirement with - before " + key
}

func alternatives(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func (s *Section) names() []string {
	var out []string
	for _, f := range s.Fields {
		out = append(out, f.Name)
	}
	return out
}

// field returns what the section says about a key. The keys that the parser asks
// for are in the section: a test asks for all of them.
func (m mapping) field(name string) Field {
	i := slices.IndexFunc(m.section.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{Name: name}
	}
	return m.section.Fields[i]
}

// wrong says that n is not what it should be. Anchors, aliases, merge keys and
// tags end here, too: they let a document mean something else than it shows.
func (d *document) wrong(n ast.Node, what, want string) error {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return d.errorf(line(n), "anchors, aliases and merge keys are not allowed in a policy; write out what they stand for")
	case *ast.TagNode:
		return d.errorf(line(n), "tags are not allowed in a policy; write the value without one")
	}
	return d.errorf(line(n), "%s must be %s", what, want)
}
