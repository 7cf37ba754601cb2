package scan

import (
	"errors"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// word reads a number or a bare word. Of a long one the beginning is kept.
func (w *jsonWalker) word(c byte) (string, error) {
	const most = 64
	text := []byte{c}
	for {
		c, err := w.next()
		if errors.Is(err, io.EOF) {
			return string(text), nil
		}
		if err != nil {
			return "", err
		}
		if c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			w.back()
			return string(text), nil
		}
		if len(text) < most {
			text = append(text, c)
		}
	}
}

// maxJSONKey bounds what is kept of a key: all around a value are.
const maxJSONKey = 4 << 10

// text reads the rest of a text, decoded, and keeps the first most bytes of it.
func (w *jsonWalker) text(most int) (string, error) {
	var out []byte
	w.cut = false
	keep := func(b ...byte) {
		if w.cut = len(out)+len(b) > most; !w.cut {
			out = append(out, b...)
		}
	}
	for {
		c, err := w.next()
		switch {
		case err != nil:
			return "", err
		case c == '"':
			return string(out), nil
		case c != '\\':
			keep(c)
			continue
		}
		if c, err = w.next(); err != nil {
			return "", err
		}
		if c != 'u' {
			keep(unescape(c))
			continue
		}
		r, err := w.escapedRune()
		if err != nil {
			return "", err
		}
		keep(utf8.AppendRune(nil, r)...)
	}
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	}
	return c
}

// escapedRune reads what follows \u, and the second half of a pair.
func (w *jsonWalker) escapedRune() (rune, error) {
	r, err := w.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if b, _ := w.in.Peek(2); string(b) != `\u` {
		return utf8.RuneError, nil
	}
	w.pos += 2
	_, _ = w.in.Discard(2) // they were peeked
	low, err := w.hex()
	return utf16.DecodeRune(r, low), err
}

func (w *jsonWalker) hex() (rune, error) {
	var digits [4]byte
	for i := range digits {
		c, err := w.next()
		if err != nil {
			return 0, err
		}
		digits[i] = c
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 32)
	if err != nil {
		return 0, w.bad("%q are no four hexadecimal digits", digits[:])
	}
	return rune(n), nil
}
