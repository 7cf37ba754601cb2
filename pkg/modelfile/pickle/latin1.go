package pickle

import (
	"bufio"
	"io"
	"unicode/utf8"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// isEncoded tells whether a text is in UTF-8. The strings of Python 2 are bytes as they
// are, and pickles of protocol 2 and up begin with one that no text in UTF-8 begins
// with.
func isEncoded(text []byte, kind uint64) bool {
	r, size := utf8.DecodeRune(text)
	return kind == isText && (r != utf8.RuneError || size != 1)
}

// latin1 undoes how Python 2 and protocols below 3 write bytes: as text, a character
// for each. Other characters become question marks.
func latin1(text []byte) []byte {
	if isASCII(text) {
		return text
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		out = append(out, latin1Byte(r, size, text[0]))
		text = text[size:]
	}
	return out
}

func isASCII(text []byte) bool {
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func latin1Byte(r rune, size int, raw byte) byte {
	switch {
	case r == utf8.RuneError && size == 1:
		return raw
	case r > 0xff:
		return '?'
	}
	return byte(r)
}

// decoded is text as the bytes it was made of.
func decoded(c hazard.Content) hazard.Content {
	text := c.Open
	c.At, c.Size = nil, -1
	c.Open = func() (io.ReadCloser, error) {
		r, err := text()
		if err != nil {
			return nil, err
		}
		return &latin1Reader{bufio.NewReader(r), r}, nil
	}
	return c
}

type latin1Reader struct {
	r *bufio.Reader
	io.Closer
}

func (l *latin1Reader) Read(b []byte) (int, error) {
	for n := range b {
		next, err := l.r.Peek(1)
		if err != nil {
			return n, err
		}
		raw := next[0]
		r, size, err := l.r.ReadRune()
		if err != nil {
			return n, err
		}
		b[n] = latin1Byte(r, size, raw)
	}
	return len(b), nil
}
