package scan

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// jsonValue is a scalar, or the begin or the end of an object or array.
type jsonValue struct {
	// Path is the keys that lead to it; an array adds an empty one. It is valid until
	// the visitor returns.
	Path []string
	// Kind is one of " (a text), w (a number or a bare word), and { } [ ].
	Kind   byte
	Text   string // decoded
	Cut    bool   // Text is the beginning of one longer than limits.ScanTextBytes
	Offset int64  // of its first byte; -1 in UTF-16 and UTF-32
}

// key is the last of the path.
func (v *jsonValue) key() string {
	if len(v.Path) == 0 {
		return ""
	}
	return v.Path[len(v.Path)-1]
}

// jsonError says where something is no JSON.
type jsonError struct {
	Offset int64
	Reason string
}

func (e *jsonError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

// walkJSON visits the values of a JSON text, or of several behind each other, in the
// order of their bytes. It takes what Python's json module takes: NaN, a doubled key,
// which is visited twice, and UTF-16 or UTF-32 without being told; a text that a
// loader reads and this does not would be a place to hide in. Memory is bounded
// whatever comes.
//
// Errors are a *jsonError, that of visit, or one of reading.
func walkJSON(r io.Reader, visit func(*jsonValue) error) error {
	in := jsonReaders.Get().(*bufio.Reader)
	defer func() {
		in.Reset(nil) // the file is not kept
		jsonReaders.Put(in)
	}()
	in.Reset(r)
	w := &jsonWalker{in: in, visit: visit}
	if e := jsonEncoding(in); e != nil {
		w.in, w.recoded = bufio.NewReaderSize(e.NewDecoder().Reader(in), 32<<10), true
	}
	return w.run()
}

// jsonReaders are used again: of ten thousand small files they would be most of the
// garbage.
var jsonReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 32<<10) }}

// jsonEncoding finds UTF-16 and UTF-32 as Python's json.detect_encoding does
// (https://github.com/python/cpython/blob/v3.13.0/Lib/json/__init__.py).
func jsonEncoding(in *bufio.Reader) encoding.Encoding {
	b, _ := in.Peek(4) // fewer bytes are UTF-8
	switch {
	case len(b) < 4:
		return nil
	case bytes.Equal(b, []byte{0, 0, 0xfe, 0xff}), b[0] == 0 && b[1] == 0 && b[2] == 0:
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case bytes.Equal(b, []byte{0xff, 0xfe, 0, 0}), b[1] == 0 && b[2] == 0 && b[3] == 0:
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
	case b[0] == 0xfe && b[1] == 0xff, b[0] == 0:
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case b[0] == 0xff && b[1] == 0xfe, b[1] == 0:
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf:
		_, _ = in.Discard(3) // they were peeked
	}
	return nil
}

type jsonWalker struct {
	in      *bufio.Reader
	pos     int64
	recoded bool // so that pos is no place in the file
	visit   func(*jsonValue) error
	path    []string
	open    []byte // of the values around, { or [
	cut     bool   // the last text was
	value   jsonValue
}

func (w *jsonWalker) run() error {
	for {
		c, err := w.skipSpace()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.any(c); err != nil {
			return unexpectedEnd(err, w.pos)
		}
	}
}

func unexpectedEnd(err error, at int64) error {
	if errors.Is(err, io.EOF) {
		return &jsonError{at, "it ends within a value"}
	}
	return err
}

func (w *jsonWalker) bad(format string, args ...any) error {
	return &jsonError{max(w.pos-1, 0), fmt.Sprintf(format, args...)}
}

func (w *jsonWalker) next() (byte, error) {
	c, err := w.in.ReadByte()
	if err == nil {
		w.pos++
	}
	return c, err
}

func (w *jsonWalker) back() {
	_ = w.in.UnreadByte() // one was read
	w.pos--
}

func (w *jsonWalker) skipSpace() (byte, error) {
	for {
		c, err := w.next()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, nil
		}
	}
}

func (w *jsonWalker) tell(kind byte, text string, offset int64) error {
	if w.recoded {
		offset = -1
	}
	w.value = jsonValue{Path: w.path, Kind: kind, Text: text, Cut: kind == '"' && w.cut, Offset: offset}
	return w.visit(&w.value)
}

// any reads the value that begins with c, and what is within it.
func (w *jsonWalker) any(c byte) error {
	depth := len(w.open)
	if err := w.begin(c); err != nil {
		return err
	}
	for len(w.open) > depth {
		if err := w.step(); err != nil {
			return err
		}
	}
	return nil
}

// begin reads a scalar, or opens an object or array.
func (w *jsonWalker) begin(c byte) error {
	at := w.pos - 1
	switch {
	case c == '{' || c == '[':
		if len(w.open) == limits.ScanJSONDepth {
			return w.bad("values lie deeper than %d", limits.ScanJSONDepth)
		}
		if err := w.tell(c, "", at); err != nil {
			return err
		}
		w.open = append(w.open, c)
		w.path = append(w.path, "")
		return nil
	case c == '"':
		text, err := w.text(limits.ScanTextBytes)
		if err != nil {
			return err
		}
		return w.tell('"', text, at)
	case c == '-' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z':
		text, err := w.word(c)
		if err != nil {
			return err
		}
		return w.tell('w', text, at)
	}
	return w.bad("%q begins no value", c)
}

// step reads one member of the innermost object or array, or its end.
func (w *jsonWalker) step() error {
	inside := w.open[len(w.open)-1]
	c, err := w.skipSpace()
	if err != nil {
		return err
	}
	if c == inside+2 { // } and ] come two after { and [
		w.open, w.path = w.open[:len(w.open)-1], w.path[:len(w.path)-1]
		return w.tell(c, "", w.pos-1)
	}
	if c == ',' { // more of them than needed hide nothing
		return nil
	}
	if inside == '{' {
		if c != '"' {
			return w.bad("%q begins no key", c)
		}
		if w.path[len(w.path)-1], err = w.text(maxJSONKey); err != nil {
			return err
		}
		if c, err = w.skipSpace(); err != nil {
			return err
		}
		if c != ':' {
			return w.bad("%q follows a key", c)
		}
		if c, err = w.skipSpace(); err != nil {
			return err
		}
	}
	return w.begin(c)
}
