package hf

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on the front matter of a README.
const (
	MaxFrontMatterSize = 64 << 10
	MaxAliases         = 100
	// maxYAMLDepth bounds what can nest on one line; the parser needs time in
	// the square of it.
	maxYAMLDepth = 32
	// maxYAMLLine bounds the tokens of a line: what the parser says of an error takes
	// memory in the square of them.
	maxYAMLLine = 4_000
	// maxYAMLMarks bounds lines and punctuation; model cards with hundreds of results
	// have a few thousand.
	maxYAMLMarks = 16_000
	// maxYAMLKeys bounds the keys of a mapping; the parser copies those below a key
	// for each of them, which takes time and memory in the square of their number.
	maxYAMLKeys = 1_500
)

// FrontMatter is what the YAML block of a README says about a model.
type FrontMatter struct {
	License           []string // ids of the hub, see [Licenses]
	LicenseName       string   // of a license that has no id
	LicenseLink       string
	Language          []string
	BaseModel         []string
	BaseModelRelation string
	Datasets          []string
	PipelineTag       string
	LibraryName       string
	Tags              []string
	// Metrics is what model-index says, in its order.
	Metrics []Metric
	// LeftOut says of fields that are read and not understood why they were left out.
	// Only model-index can be: it is long, and nothing else depends on it.
	LeftOut []string
}

// ParseFrontMatter reads the block between a first line "---" and the next. It
// returns nil for a README that does not begin so.
//
// Values are taken from the syntax tree, never decoded, so that aliases do not
// multiply and nothing but text comes out.
func ParseFrontMatter(readme []byte) (*FrontMatter, error) {
	block, ok, err := frontMatterBlock(readme)
	if err != nil || !ok {
		return nil, err
	}
	doc, err := parseYAML(block)
	if err != nil {
		return nil, err
	}
	return doc.frontMatter()
}

func frontMatterBlock(readme []byte) (block []byte, ok bool, err error) {
	readme = bytes.TrimPrefix(readme, []byte("\xef\xbb\xbf"))
	first, rest, _ := bytes.Cut(readme, []byte("\n"))
	if !isFence(first) {
		return nil, false, nil
	}
	for at := 0; at < len(rest); {
		line, _, _ := bytes.Cut(rest[at:], []byte("\n"))
		if at > MaxFrontMatterSize {
			break
		}
		if isFence(line) {
			return rest[:at], true, nil
		}
		at += len(line) + 1
	}
	return nil, false, fmt.Errorf("front matter does not end within %d bytes", MaxFrontMatterSize)
}

func isFence(line []byte) bool { return string(bytes.TrimRight(line, " \t\r")) == "---" }

// mapping is a YAML mapping with the anchors inside it.
type mapping struct {
	values  []*ast.MappingValueNode
	anchors map[string]ast.Node
}

func parseYAML(block []byte) (doc mapping, err error) {
	// The parser has had panics on malformed input; one in a README must not
	// end the program.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	if !utf8.Valid(block) {
		return doc, errors.New("not valid UTF-8")
	}
	if marks := countMarks(block); marks > maxYAMLMarks {
		return doc, fmt.Errorf("%d yaml marks and lines are more than %d", marks, maxYAMLMarks)
	}
	tokens := lexer.Tokenize(string(block))
	if err := checkTokens(tokens); err != nil {
		return doc, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return doc, yamlError(err)
	}
	return newDocument(file)
}

// yamlError keeps the message of the parser and its place, and drops the
// picture of the source that it draws on further lines.
func yamlError(err error) error {
	text, _, _ := bytes.Cut([]byte(err.Error()), []byte("\n"))
	return fmt.Errorf("yaml: %s", CleanText(string(text), MaxTextSize))
}

// countMarks counts what makes tokens: the lexer spends half a kilobyte on each, before
// anybody can look at them.
func countMarks(block []byte) (n int) {
	for _, c := range block {
		if strings.IndexByte("\n,:&*[]{}", c) >= 0 {
			n++
		}
	}
	return n
}

func checkTokens(tokens token.Tokens) error {
	flow, aliases, line, onLine, nesting := 0, 0, 0, 0, 0
	var keys keyCount
	for _, t := range tokens {
		if t.Position.Line != line {
			line, onLine, nesting = t.Position.Line, 0, 0
		}
		if flow == 0 && keys.add(t) > maxYAMLKeys {
			return fmt.Errorf("line %d: more than %d keys in one yaml mapping", line, maxYAMLKeys)
		}
		if onLine++; onLine > maxYAMLLine {
			return fmt.Errorf("line %d: more than %d yaml tokens", line, maxYAMLLine)
		}
		switch t.Type {
		case token.TagType:
			return fmt.Errorf("line %d: yaml tag %q", line, t.Value)
		case token.DirectiveType:
			return fmt.Errorf("line %d: yaml directive", line)
		case token.AliasType:
			aliases++
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType:
			nesting++
		}
		if flow > maxYAMLDepth || nesting > maxYAMLDepth {
			return fmt.Errorf("line %d: nested deeper than %d", line, maxYAMLDepth)
		}
		if aliases > MaxAliases {
			return fmt.Errorf("line %d: more than %d aliases", line, MaxAliases)
		}
	}
	return nil
}

// keyCount counts the keys of the block mappings that are open. One goes on from line
// to line, at its column, until a line begins further left.
type keyCount struct {
	line, column int         // where the first token is that can begin a key
	keys         map[int]int // by column
}

// add returns how many keys the mapping has that t may belong to.
func (c *keyCount) add(t *token.Token) int {
	if t.Type == token.CommentType {
		return 0
	}
	if t.Position.Line != c.line {
		c.line, c.column = t.Position.Line, 0
		maps.DeleteFunc(c.keys, func(column, _ int) bool { return column > t.Position.Column })
	}
	if c.column == 0 && t.Type != token.SequenceEntryType {
		c.column = t.Position.Column
	}
	if t.Type == token.MappingValueType || t.Type == token.MappingKeyType {
		if c.keys == nil {
			c.keys = map[int]int{}
		}
		c.keys[c.column]++
	}
	return c.keys[c.column]
}

func newDocument(file *ast.File) (mapping, error) {
	doc := mapping{anchors: map[string]ast.Node{}}
	if len(file.Docs) == 0 || len(file.Docs) == 1 && file.Docs[0].Body == nil {
		return doc, nil
	}
	if len(file.Docs) > 1 {
		return doc, errors.New("more than one yaml document")
	}
	body := file.Docs[0].Body
	ast.Walk(doc, body)
	switch body := body.(type) {
	case *ast.MappingNode:
		doc.values = body.Values
	case *ast.MappingValueNode:
		doc.values = []*ast.MappingValueNode{body}
	case *ast.CommentGroupNode, *ast.NullNode:
	default:
		return doc, errors.New("not a yaml mapping")
	}
	return doc, nil
}

// Visit collects anchors.
func (d mapping) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil && a.Value != nil {
		d.anchors[a.Name.GetToken().Value] = a.Value
	}
	return d
}

func (d mapping) frontMatter() (*FrontMatter, error) {
	fm := &FrontMatter{}
	texts := map[string]*string{
		"license_name": &fm.LicenseName, "license_link": &fm.LicenseLink, "base_model_relation": &fm.BaseModelRelation,
		"pipeline_tag": &fm.PipelineTag, "library_name": &fm.LibraryName,
	}
	lists := map[string]*[]string{
		"license": &fm.License, "language": &fm.Language, "base_model": &fm.BaseModel, "datasets": &fm.Datasets, "tags": &fm.Tags,
	}
	for _, v := range d.values {
		if v == nil || v.Key == nil || v.Key.GetToken() == nil {
			continue
		}
		key := v.Key.GetToken().Value
		if p, ok := texts[key]; ok {
			if *p, ok = d.scalar(v.Value); !ok {
				return nil, fmt.Errorf("field %q is not a string", key)
			}
		}
		if p, ok := lists[key]; ok {
			if *p, ok = d.list(v.Value); !ok {
				return nil, fmt.Errorf("field %q is not a string or a list of strings", key)
			}
		}
		if key == "model-index" {
			var err error
			if fm.Metrics, err = d.metrics(v.Value); err != nil {
				fm.LeftOut = append(fm.LeftOut, fmt.Sprintf("%s%v: no metric is taken from it", key, err))
			}
		}
	}
	return fm, nil
}

// deref follows an anchor, and an alias to the value it names.
func (d mapping) deref(n ast.Node) ast.Node {
	for range 4 {
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.AliasNode:
			if x.Value == nil {
				return nil
			}
			n = d.anchors[x.Value.GetToken().Value]
		default:
			return n
		}
	}
	return nil
}

// list returns the items of a sequence, or a scalar as a list of one. Items
// without text are left out.
func (d mapping) list(n ast.Node) ([]string, bool) {
	n = d.deref(n)
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		s, ok := d.scalar(n)
		if s == "" {
			return nil, ok
		}
		return []string{s}, ok
	}
	var out []string
	for _, item := range seq.Values {
		s, ok := d.scalar(item)
		if !ok {
			return nil, false
		}
		if s != "" {
			out = append(out, s)
		}
	}
	return out, true
}

// scalar returns the text of a scalar as it is written: the language "no" and
// the version 1.10 are neither a bool nor a number.
func (d mapping) scalar(n ast.Node) (string, bool) { return d.text(n, MaxTextSize) }

// text is scalar with another bound on the text, in bytes.
func (d mapping) text(n ast.Node, limit int) (string, bool) {
	switch n := d.deref(n).(type) {
	case nil, *ast.NullNode:
		return "", true
	case *ast.StringNode:
		return CleanText(n.Value, limit), true
	case *ast.LiteralNode:
		return CleanText(n.Value.Value, limit), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return CleanText(n.GetToken().Value, limit), true
	}
	return "", false
}
