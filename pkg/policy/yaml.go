package policy

import (
	"errors"
	"math"
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
	what   string
	line   int
	values map[string]ast.Node
}

func (d *document) mapping(n ast.Node, what string, known ...string) (mapping, error) {
	m := mapping{what: what, line: line(n), values: map[string]ast.Node{}}
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		return m, d.wrong(n, what, "a mapping with the keys "+strings.Join(known, ", "))
	}
	for _, e := range entries {
		key, ok := e.Key.(*ast.StringNode)
		if !ok {
			return m, d.wrong(e.Key, "a key of "+what, "plain text")
		}
		if !slices.Contains(known, key.Value) {
			return m, d.errorf(line(key), "%s has the unknown key %q; known are %s", what, key.Value, strings.Join(known, ", "))
		}
		if m.values[key.Value] != nil {
			return m, d.errorf(line(key), "%s has the key %q twice", what, key.Value)
		}
		m.values[key.Value] = e.Value
	}
	return m, nil
}

func (d *document) required(m mapping, key string) (ast.Node, error) {
	if n := m.values[key]; n != nil {
		return n, nil
	}
	return nil, d.errorf(m.line, "%s has no %s", m.what, key)
}

func (d *document) list(n ast.Node, what string) ([]ast.Node, error) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, d.wrong(n, what, "a list")
	}
	return s.Values, nil
}

func (d *document) text(n ast.Node, what string) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	}
	return "", d.wrong(n, what, "text (in quotes when it looks like something else)")
}

func (d *document) integer(n ast.Node, what string) (int, error) {
	if i, ok := n.(*ast.IntegerNode); ok {
		switch v := i.Value.(type) {
		case int64:
			if v >= math.MinInt32 && v <= math.MaxInt32 {
				return int(v), nil
			}
		case uint64:
			if v <= math.MaxInt32 {
				return int(v), nil
			}
		}
	}
	return 0, d.wrong(n, what, "a whole number")
}

func (d *document) boolean(n ast.Node, what string) (bool, error) {
	if b, ok := n.(*ast.BoolNode); ok {
		return b.Value, nil
	}
	return false, d.wrong(n, what, "true or false")
}

// wrong says that n is not what it should be. Anchors, aliases, merge keys and
// tags end here, too: they let a document mean something else than it shows.
func (d *document) wrong(n ast.Node, what, want string) error {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return d.errorf(line(n), "anchors, aliases and merge keys are not allowed in a policy")
	case *ast.TagNode:
		return d.errorf(line(n), "tags are not allowed in a policy")
	}
	return d.errorf(line(n), "%s must be %s", what, want)
}
