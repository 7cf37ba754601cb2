package bom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// object is a JSON object that keeps the order of its members, so that a document
// that is completed stays the one that its author knows.
type object struct {
	keys   []string
	values map[string]any // *object, []any, string, json.Number, bool or nil
}

// parseTree reads a document whose size, depth, number of values and keys are in
// bounds. A key that stands twice is refused: two readers would see two documents.
func parseTree(raw []byte) (*object, error) {
	if len(raw) > limits.PredicateBytes {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrInvalid, len(raw), limits.PredicateBytes)
	}
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("%w: not valid UTF-8", ErrInvalid)
	}
	p := treeParser{dec: json.NewDecoder(bytes.NewReader(raw))}
	p.dec.UseNumber()
	v, err := p.value(0)
	if err == nil {
		if _, end := p.dec.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("something follows the document")
		}
	}
	switch {
	case errors.Is(err, io.EOF) && len(bytes.TrimSpace(raw)) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrInvalid)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: it ends before the document does, at byte %d", ErrInvalid, len(raw))
	case err != nil:
		return nil, fmt.Errorf("%w: byte %d: %w", ErrInvalid, p.dec.InputOffset(), err)
	}
	o, ok := v.(*object)
	if !ok {
		return nil, fmt.Errorf("%w: not a JSON object", ErrInvalid)
	}
	return o, nil
}

type treeParser struct {
	dec *json.Decoder
	n   int
}

func (p *treeParser) value(depth int) (any, error) {
	if p.n++; p.n > limits.ConditionValues {
		return nil, fmt.Errorf("more than %d values", limits.ConditionValues)
	}
	if depth > limits.JSONDepth {
		return nil, fmt.Errorf("nested deeper than %d", limits.JSONDepth)
	}
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return p.object(depth)
	case json.Delim('['):
		return p.list(depth)
	}
	return token, nil
}

func (p *treeParser) object(depth int) (*object, error) {
	o := &object{values: map[string]any{}}
	for p.dec.More() {
		token, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok {
			return nil, errors.New("a key is no text")
		}
		if _, dup := o.values[key]; dup {
			return nil, fmt.Errorf("the key %q stands there twice", key)
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.set(key, v)
	}
	_, err := p.dec.Token()
	return o, err
}

func (p *treeParser) list(depth int) ([]any, error) {
	list := []any{}
	for p.dec.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.dec.Token()
	return list, err
}

// set sets a member, at the end when it is new.
func (o *object) set(key string, v any) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

func newObject(key string, v any) *object {
	o := &object{values: map[string]any{}}
	o.set(key, v)
	return o
}

// setSome sets a member to a list, or takes it away when the list is empty.
func (o *object) setSome(key string, list []any) {
	if len(list) == 0 {
		o.remove(key)
		return
	}
	o.set(key, list)
}

func (o *object) remove(key string) {
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
	delete(o.values, key)
}

// text returns a member that is a text, else "". A nil object has none.
func (o *object) text(key string) string {
	if o == nil {
		return ""
	}
	s, _ := o.values[key].(string)
	return s
}

// object returns a member that is an object, else nil. A nil object has none.
func (o *object) object(key string) *object {
	if o == nil {
		return nil
	}
	child, _ := o.values[key].(*object)
	return child
}

// list returns a member that is a list, else nil.
func (o *object) list(key string) []any {
	if o == nil {
		return nil
	}
	list, _ := o.values[key].([]any)
	return list
}

// objects returns the objects in a member that is a list.
func (o *object) objects(key string) []*object {
	var out []*object
	for _, v := range o.list(key) {
		if child, ok := v.(*object); ok {
			out = append(out, child)
		}
	}
	return out
}

// add appends to a member that is a list, or is to be one.
func (o *object) add(key string, items ...any) {
	o.set(key, append(slices.Clip(o.list(key)), items...))
}

// MarshalJSON writes the members in their order.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encodeValue(&b, k); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := encodeValue(&b, o.values[k]); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encodeValue writes without the escapes of HTML, which json.Marshal adds.
func encodeValue(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
