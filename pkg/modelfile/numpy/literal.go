package numpy

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// value is a Python literal: string, bool, uint64, []value (a list or a tuple), or
// map[string]value; nil for None. It knows where it stands in the text.
type value struct {
	data     any
	tuple    bool
	from, to int
}

// literalParser reads the literals that headers are made of: dictionaries with keys of
// text, lists, tuples, numbers without sign, text, True, False and None.
type literalParser struct {
	text  []byte
	pos   int
	items int // of all containers
}

var errEnd = errors.New("it ends in the middle")

// whole reads the one literal that the text is.
func (p *literalParser) whole() (value, error) {
	v, err := p.value(0)
	if err != nil {
		return v, err
	}
	p.space()
	if p.pos < len(p.text) {
		return v, errors.New("something follows the literal")
	}
	return v, nil
}

func (p *literalParser) space() {
	for p.pos < len(p.text) && bytes.IndexByte([]byte(" \t\r\n\x00"), p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// next returns the next byte that is no space, 0 at the end.
func (p *literalParser) next() byte {
	p.space()
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

// accept steps over b when it is next.
func (p *literalParser) accept(b byte) bool {
	if p.next() != b {
		return false
	}
	p.pos++
	return true
}

func (p *literalParser) value(depth int) (v value, err error) {
	if depth > maxDepth {
		return v, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	if p.items++; p.items > 4*MaxFields {
		return v, fmt.Errorf("it has more than %d values", 4*MaxFields)
	}
	b := p.next()
	from := p.pos
	switch {
	case b == 0:
		return v, errEnd
	case b == '{':
		v.data, err = p.dict(depth)
	case b == '[':
		p.pos++
		v.data, _, err = p.sequence(']', depth)
	case b == '(':
		p.pos++
		v, err = p.parenthesised(depth)
	case b == '\'' || b == '"':
		v.data, err = p.str()
	case '0' <= b && b <= '9':
		v.data, err = p.number()
	default:
		v.data, err = p.word()
	}
	v.from, v.to = from, p.pos
	return v, err
}

// parenthesised reads a tuple, or a value in parentheses that is none.
func (p *literalParser) parenthesised(depth int) (value, error) {
	items, commas, err := p.sequence(')', depth)
	if err == nil && len(items) == 1 && commas == 0 {
		return items[0], nil
	}
	return value{data: items, tuple: true}, err
}

func (p *literalParser) sequence(end byte, depth int) (items []value, commas int, err error) {
	for !p.accept(end) {
		if len(items) > commas {
			return nil, 0, errors.New("values without a comma between them")
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, 0, err
		}
		items = append(items, v)
		if p.accept(',') {
			commas++
		}
	}
	return items, commas, nil
}

func (p *literalParser) dict(depth int) (map[string]value, error) {
	p.pos++
	out := map[string]value{}
	for more := true; !p.accept('}'); more = p.accept(',') {
		if !more {
			return nil, errors.New("entries without a comma between them")
		}
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name, ok := key.data.(string)
		if !ok {
			return nil, errors.New("a key is no text")
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("key %q appears twice", name)
		}
		if !p.accept(':') {
			return nil, fmt.Errorf("no colon follows key %q", name)
		}
		if out[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// str reads text in quotes. Headers have no escapes: type names and fields are written
// by repr, which needs one for what a field is not called.
func (p *literalParser) str() (string, error) {
	quote := p.text[p.pos]
	p.pos++
	n := bytes.IndexByte(p.text[p.pos:], quote)
	if n < 0 {
		return "", errEnd
	}
	s := p.text[p.pos : p.pos+n]
	if i := bytes.IndexByte(s, '\\'); i >= 0 {
		return p.escaped(quote)
	}
	p.pos += n + 1
	return string(s), nil
}

// escaped reads text with escapes to its end and keeps them as they are: only where it
// ends matters.
func (p *literalParser) escaped(quote byte) (string, error) {
	from := p.pos
	for ; p.pos < len(p.text); p.pos++ {
		switch p.text[p.pos] {
		case '\\':
			p.pos++
		case quote:
			p.pos++
			return string(p.text[from : p.pos-1]), nil
		}
	}
	p.pos = min(p.pos, len(p.text))
	return "", errEnd
}

// number reads a decimal number. Python 2 wrote an L behind those that are long.
func (p *literalParser) number() (uint64, error) {
	from := p.pos
	for p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9' {
		p.pos++
	}
	n, err := strconv.ParseUint(string(p.text[from:p.pos]), 10, 64)
	if err != nil {
		return 0, errors.New("a number beyond 2^64")
	}
	if p.pos < len(p.text) && p.text[p.pos] == 'L' {
		p.pos++
	}
	return n, nil
}

func (p *literalParser) word() (any, error) {
	for word, v := range map[string]any{"True": true, "False": false, "None": nil} {
		if bytes.HasPrefix(p.text[p.pos:], []byte(word)) {
			p.pos += len(word)
			return v, nil
		}
	}
	return nil, fmt.Errorf("%q begins no literal of a header", p.text[p.pos])
}
