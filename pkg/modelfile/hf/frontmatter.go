package hf

import (
	"errors"
	"fmt"
	"io"
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
	// MaxFrontMatterSize bounds it in bytes: the longest have the scores of embeddings on
	// a thousand sets of data, and some hundred KiB.
	MaxFrontMatterSize = 2 << 20
	// MaxParsedSize bounds what the parser gets of it at once, in bytes: all of a front
	// matter that is no longer, else all but the results of model-index.
	MaxParsedSize = 64 << 10
	MaxAliases    = 100
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
	// LeftOut says what of model-index is not in Metrics, and why: the first few, and how
	// many there are besides. Nothing else is left out: it is long, and nothing depends
	// on it.
	LeftOut []string
}

// ReadFrontMatter reads the block between a first line "---" and the next. It
// returns nil for a README that does not begin so. Lines in errors and in LeftOut are
// those of the README.
//
// Of a front matter above [MaxParsedSize] the results of model-index are read one by
// one, and nothing in it may be an alias of what is in one of them.
//
// Values are taken from the syntax tree, never decoded, so that aliases do not
// multiply and nothing but text comes out.
func ReadFrontMatter(readme io.Reader) (*FrontMatter, error) {
	lines, err := openFrontMatter(readme)
	if err != nil || lines == nil {
		return nil, err
	}
	var card excerpt
	index := &indexReader{known: map[uint64]bool{}}
	switch whole, err := lines.upTo(MaxParsedSize, &card); {
	case err != nil:
		return nil, err
	case !whole:
		if err := readResults(lines, &card, index); err != nil {
			return nil, err
		}
	}
	doc, err := parseYAML(card)
	if err != nil {
		return nil, err
	}
	return doc.frontMatter(index)
}

// yamlDocument is a YAML document with its anchors.
type yamlDocument struct {
	body    ast.Node // nil when there is nothing but comments
	anchors map[string]ast.Node
	aliases []*ast.AliasNode
}

func parseYAML(x excerpt) (doc yamlDocument, err error) {
	// The parser has had panics on malformed input; one in a README must not
	// end the program.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	if !utf8.Valid(x.text) {
		return doc, errors.New("not valid UTF-8")
	}
	if marks := countMarks(x.text); marks > maxYAMLMarks {
		return doc, fmt.Errorf("%d yaml marks and lines are more than %d", marks, maxYAMLMarks)
	}
	tokens := lexer.Tokenize(string(x.text))
	if err := checkTokens(tokens, x); err != nil {
		return doc, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return doc, x.yamlError(err)
	}
	doc, err = newDocument(file)
	if err != nil {
		return doc, err
	}
	return doc, doc.checkAliases(x)
}

// yamlError keeps the message of the parser and its place, and drops the
// picture of the source that it draws on further lines.
func (x excerpt) yamlError(err error) error {
	if at, ok := err.(interface {
		GetToken() *token.Token
		GetMessage() string
	}); ok && at.GetToken() != nil {
		place := at.GetToken().Position
		return fmt.Errorf("yaml: [%d:%d] %s", x.line(place.Line), place.Column, x.cleanMessage(at.GetMessage()))
	}
	return fmt.Errorf("yaml: %s", x.cleanMessage(err.Error()))
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

func checkTokens(tokens token.Tokens, x excerpt) error {
	flow, aliases, line, onLine, nesting := 0, 0, 0, 0, 0
	var keys keyCount
	for _, t := range tokens {
		if t.Position.Line != line {
			line, onLine, nesting = t.Position.Line, 0, 0
		}
		if flow == 0 && keys.add(t) > maxYAMLKeys {
			return fmt.Errorf("line %d: more than %d keys in one yaml mapping", x.line(line), maxYAMLKeys)
		}
		if onLine++; onLine > maxYAMLLine {
			return fmt.Errorf("line %d: more than %d yaml tokens", x.line(line), maxYAMLLine)
		}
		switch t.Type {
		case token.TagType:
			return fmt.Errorf("line %d: yaml tag %q", x.line(line), t.Value)
		case token.DirectiveType:
			return fmt.Errorf("line %d: yaml directive", x.line(line))
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
			return fmt.Errorf("line %d: nested deeper than %d", x.line(line), maxYAMLDepth)
		}
		if aliases > MaxAliases {
			return fmt.Errorf("line %d: more than %d aliases", x.line(line), MaxAliases)
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

func newDocument(file *ast.File) (yamlDocument, error) {
	doc := yamlDocument{anchors: map[string]ast.Node{}}
	if len(file.Docs) == 0 || len(file.Docs) == 1 && file.Docs[0].Body == nil {
		return doc, nil
	}
	if len(file.Docs) > 1 {
		return doc, errors.New("more than one yaml document")
	}
	if _, comment := file.Docs[0].Body.(*ast.CommentGroupNode); !comment {
		doc.body = file.Docs[0].Body
		ast.Walk(&doc, doc.body)
	}
	return doc, nil
}

// Visit collects anchors and aliases.
func (d *yamlDocument) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AnchorNode:
		if n.Name != nil && n.Value != nil {
			d.anchors[n.Name.GetToken().Value] = n.Value
		}
	case *ast.AliasNode:
		d.aliases = append(d.aliases, n)
	}
	return d
}

// checkAliases refuses those of nothing, which would be read as empty.
func (d yamlDocument) checkAliases(x excerpt) error {
	for _, alias := range d.aliases {
		if alias.Value == nil {
			continue
		}
		name := alias.Value.GetToken()
		if d.anchors[name.Value] == nil {
			return &aliasError{x.line(name.Position.Line), CleanText(name.Value, maxMetricText)}
		}
	}
	return nil
}

// aliasError is an alias of nothing, or of what was parsed by itself.
type aliasError struct {
	line int
	name string
}

func (e *aliasError) Error() string {
	return fmt.Sprintf("line %d: alias %q names nothing that is read with it", e.line, e.name)
}

// fields returns the fields of a mapping, of which nothing has none.
func (d yamlDocument) fields(n ast.Node) (fields []*ast.MappingValueNode, ok bool) {
	switch n := d.deref(n).(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// keyOf returns the key of a field, "" for one of which the parser has made none.
func keyOf(field *ast.MappingValueNode) string {
	if field == nil || field.Key == nil || field.Key.GetToken() == nil {
		return ""
	}
	return field.Key.GetToken().Value
}

// frontMatter reads the fields, of which model-index adds to what was read of it.
func (d yamlDocument) frontMatter(index *indexReader) (*FrontMatter, error) {
	fm := &FrontMatter{}
	fields, ok := d.fields(d.body)
	if !ok {
		return nil, errors.New("not a yaml mapping")
	}
	texts := map[string]*string{
		"license_name": &fm.LicenseName, "license_link": &fm.LicenseLink, "base_model_relation": &fm.BaseModelRelation,
		"pipeline_tag": &fm.PipelineTag, "library_name": &fm.LibraryName,
	}
	lists := map[string]*[]string{
		"license": &fm.License, "language": &fm.Language, "base_model": &fm.BaseModel, "datasets": &fm.Datasets, "tags": &fm.Tags,
	}
	var list ast.Node // of models
	for _, v := range fields {
		key := keyOf(v)
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
			list = v.Value
			index.doc = d
			index.read(v.Value)
		}
	}
	if err := index.checkMarks(d, list); err != nil {
		return nil, err
	}
	fm.Metrics, fm.LeftOut = index.metrics, index.notes()
	return fm, nil
}

// deref follows an anchor, and an alias to the value it names.
func (d yamlDocument) deref(n ast.Node) ast.Node {
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
func (d yamlDocument) list(n ast.Node) ([]string, bool) {
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
func (d yamlDocument) scalar(n ast.Node) (string, bool) { return d.text(n, MaxTextSize) }

// text is scalar with another bound on the text, in bytes.
func (d yamlDocument) text(n ast.Node, limit int) (string, bool) {
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
