package promotion

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/yamlshape"
)

// body returns the only document in data, of which every value stands for what
// it shows.
func body(name string, data []byte) (ast.Node, error) {
	if err := yamlshape.Check(data, limits.PlanBytes, yamlshape.MaxLines); err != nil {
		return nil, refused(name, err)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, refused(name, err)
	}
	var root ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case root != nil:
			return nil, &Error{Name: name, Line: line(doc.Body), Message: "a second document begins; a plan is one document"}
		default:
			root = doc.Body
		}
	}
	if root == nil {
		return nil, &Error{Name: name, Message: "it is empty"}
	}
	var v plainOnly
	if ast.Walk(&v, root); v.message != "" {
		return nil, &Error{Name: name, Line: v.line, Message: v.message}
	}
	return root, nil
}

// plainOnly looks for what lets a document mean something else than it shows, and
// for keys without a value.
type plainOnly struct {
	line    int
	message string
}

// Visit implements ast.Visitor.
func (v *plainOnly) Visit(n ast.Node) ast.Visitor {
	if v.message != "" {
		return nil
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		v.message = "anchors, aliases and merge keys are not allowed in a plan; write out what they stand for"
	case *ast.TagNode:
		v.message = "tags are not allowed in a plan; write the value without one"
	case *ast.NullNode:
		v.message = "a value is missing; write one, or leave the key out"
	}
	if v.message != "" {
		v.line = line(n)
	}
	return v
}

func line(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // the token of a mapping is its first colon
	}
	if v, ok := n.(*ast.MappingValueNode); ok {
		n = v.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// knownFields says what may stand where. A test holds it to the types.
const knownFields = "a plan has version, defaults and promotions; each of the promotions has from, to, overwrite, expect and what " +
	"defaults has, too: policy, destinationPolicy, sign, verifierId, levels and renew; sign has key, certificate, " +
	"certificateChain, keyless, signingConfig and trustedRoot"

// refused makes an [*Error] of what the parser or the decoder says.
func refused(name string, err error) error {
	e := &Error{Name: name, Message: err.Error()}
	var shape *yamlshape.Error
	var syntax yaml.Error
	var own *Error
	switch {
	case errors.As(err, &own):
		e.Line, e.Message = own.Line, own.Message
	case errors.As(err, &shape):
		e.Line, e.Message = shape.Line, shape.Message
	case errors.As(err, &syntax):
		e.Message = syntax.GetMessage()
		if t := syntax.GetToken(); t != nil && t.Position != nil {
			e.Line = t.Position.Line
		}
		var unknown *yaml.UnknownFieldError
		if errors.As(err, &unknown) {
			e.Message += "; " + knownFields
		}
	}
	return e
}

// text is a value that must be text, and its line.
type text struct {
	value string
	line  int
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (t *text) UnmarshalYAML(n ast.Node) error {
	t.line = line(n)
	switch n := n.(type) {
	case *ast.StringNode:
		t.value = n.Value
	case *ast.LiteralNode:
		t.value = n.Value.Value
	default:
		return &Error{Line: t.line, Message: "text is needed (in quotes when it looks like something else)"}
	}
	if t.value == "" {
		return &Error{Line: t.line, Message: "the text is empty; leave the key out, or write what is meant"}
	}
	return nil
}

// texts is a text or a list of them.
type texts []text

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (t *texts) UnmarshalYAML(n ast.Node) error {
	nodes := []ast.Node{n}
	if s, ok := n.(*ast.SequenceNode); ok {
		nodes = s.Values
	}
	if len(nodes) == 0 || len(nodes) > limits.PlanNames {
		return &Error{Line: line(n), Message: fmt.Sprintf("%d entries; there must be between 1 and %d", len(nodes), limits.PlanNames)}
	}
	for _, n := range nodes {
		var one text
		if err := one.UnmarshalYAML(n); err != nil {
			return err
		}
		*t = append(*t, one)
	}
	return nil
}

// boolean is true or false, and nothing that YAML 1.1 would take for it.
type boolean bool

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (b *boolean) UnmarshalYAML(n ast.Node) error {
	v, ok := n.(*ast.BoolNode)
	if !ok {
		return &Error{Line: line(n), Message: "true or false is needed"}
	}
	*b = boolean(v.Value)
	return nil
}

// whole is a whole number.
type whole struct {
	value uint64
	line  int
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (w *whole) UnmarshalYAML(n ast.Node) error {
	w.line = line(n)
	if i, ok := n.(*ast.IntegerNode); ok {
		if v, ok := i.Value.(uint64); ok {
			w.value = v
			return nil
		}
	}
	return &Error{Line: w.line, Message: "a whole number is needed"}
}
