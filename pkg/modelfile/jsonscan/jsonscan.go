// Package jsonscan reads JSON of strangers value by value, as the caller asks for
// it, and keeps nothing that the caller does not keep.
//
// It is stricter than encoding/json where two readers could understand one text
// differently: text must be valid UTF-8, a lone surrogate has no such form, and a
// key may be in an object once ([Scanner.Object]). And it holds neither a document
// nor a value: a string of any length is skipped in little memory, which is why no
// library serves, since all of them hold a token.
package jsonscan

import (
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
)

// Bounds on a document.
const (
	MaxDepth = 64
	// MaxKeySize bounds a key, in bytes.
	MaxKeySize = 4 << 10
	// MaxMembers bounds the members of all objects that are open at one time and
	// whose keys are compared: the largest vocabularies have 260,000.
	MaxMembers = 500_000
)

// Error is a text that is no JSON, or not what was asked for. Errors of another
// type mean that it could not be read.
type Error struct {
	Offset int64 // see New
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

func invalid(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Scanner reads one document. What it returns as bytes is valid until the next
// call.
type Scanner struct {
	r     *bufio.Reader
	what  string
	pos   int64 // of the next byte
	end   int64
	sized bool

	text    []byte // the string or number being decoded
	depth   int
	seed    maphash.Seed
	hashes  []uint64 // of the keys of small objects that are open
	members int      // of all objects that are open
}

// New reads a document of exactly size bytes, of which the first has the offset
// begin. What it is called is for errors: header, document.
func New(what string, r io.Reader, begin, size int64) *Scanner {
	s := NewDocument(what, r, size)
	s.pos, s.end, s.sized = begin, begin+size, true
	return s
}

// NewDocument reads a document that ends where r does, and has at most limit bytes.
func NewDocument(what string, r io.Reader, limit int64) *Scanner {
	return &Scanner{
		r:    bufio.NewReaderSize(r, int(min(max(limit, 16), 64<<10))),
		what: what, end: limit, seed: maphash.MakeSeed(),
	}
}

// Offset returns the offset of the next byte.
func (s *Scanner) Offset() int64 { return s.pos }

// ReadByte reads the next byte, whatever it is.
func (s *Scanner) ReadByte() (byte, error) { return s.read() }

// Next returns the first byte of what comes next, behind white space, and leaves
// it there: '{', '[', '"', and what begins a number or a literal.
func (s *Scanner) Next() (byte, error) {
	for {
		b, err := s.peek()
		if err != nil || !isSpace(b) {
			return b, err
		}
		if _, err := s.read(); err != nil {
			return 0, err
		}
	}
}

// Expect reads the next byte that is not white space and requires it to be want,
// else the breach is the error.
func (s *Scanner) Expect(want byte, breach string) error {
	b, err := s.token()
	if err == nil && b != want {
		return invalid(s.pos-1, "%s", breach)
	}
	return err
}

// Members reads an object, and calls f before each value with the key and the
// key's offset. f reads the value. Whether a key comes twice is for f to find out.
func (s *Scanner) Members(f func(key []byte, at int64) error) error {
	if err := s.open('{', "not an object"); err != nil {
		return err
	}
	defer s.close()
	b, err := s.token()
	if err != nil || b == '}' {
		return err
	}
	for {
		at := s.pos - 1
		if b != '"' {
			return invalid(at, "%q where a key should begin", b)
		}
		if err := s.decode(MaxKeySize); err != nil {
			return err
		}
		if err := s.Expect(':', "no colon after a key"); err != nil {
			return err
		}
		if err := f(s.text, at); err != nil {
			return err
		}
		if b, err = s.token(); err != nil || b == '}' {
			return err
		}
		if b != ',' {
			return invalid(s.pos-1, "%q after a value, where ',' or '}' should be", b)
		}
		if b, err = s.token(); err != nil {
			return err
		}
	}
}

// Object is [Scanner.Members], and refuses a key that comes twice.
func (s *Scanner) Object(f func(key []byte, at int64) error) error {
	o := object{s: s, begin: len(s.hashes), before: s.members}
	defer o.done()
	return s.Members(func(key []byte, at int64) error {
		if err := o.add(key, at); err != nil {
			return err
		}
		return f(key, at)
	})
}

// Array reads an array, and calls f before each value, which f reads.
func (s *Scanner) Array(f func() error) error {
	if err := s.open('[', "not an array"); err != nil {
		return err
	}
	defer s.close()
	b, err := s.Next()
	if err != nil {
		return err
	}
	if b == ']' {
		_, err = s.read()
		return err
	}
	for {
		if err := f(); err != nil {
			return err
		}
		if b, err = s.token(); err != nil || b == ']' {
			return err
		}
		if b != ',' {
			return invalid(s.pos-1, "%q after a value, where ',' or ']' should be", b)
		}
	}
}

func (s *Scanner) open(bracket byte, breach string) error {
	if err := s.Expect(bracket, breach); err != nil {
		return err
	}
	if s.depth++; s.depth > MaxDepth {
		return invalid(s.pos-1, "nested deeper than %d", MaxDepth)
	}
	return nil
}

func (s *Scanner) close() { s.depth-- }

// Skip reads one value of any kind.
func (s *Scanner) Skip() error {
	b, err := s.Next()
	if err != nil {
		return err
	}
	switch b {
	case '{':
		return s.Object(func([]byte, int64) error { return s.Skip() })
	case '[':
		return s.Array(s.Skip)
	case '"':
		_, _ = s.read()
		return s.decode(-1)
	case 't', 'f', 'n':
		_, err := s.Literal()
		return err
	}
	_, err = s.Number()
	return err
}

// End reads what is left, which is white space.
func (s *Scanner) End() error {
	for s.pos < s.end || !s.sized {
		b, err := s.r.ReadByte()
		switch {
		case !s.sized && errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return s.ended(err)
		case !isSpace(b):
			return invalid(s.pos, "%q after the end of the %s", b, s.what)
		}
		s.pos++
		if s.pos > s.end {
			return s.long()
		}
	}
	return nil
}

// token reads the next byte that is not white space.
func (s *Scanner) token() (byte, error) {
	for {
		b, err := s.read()
		if err != nil || !isSpace(b) {
			return b, err
		}
	}
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

// read reads a byte, of which there must be one.
func (s *Scanner) read() (byte, error) {
	if s.pos >= s.end {
		return 0, s.ended(io.EOF)
	}
	b, err := s.r.ReadByte()
	if err != nil {
		return 0, s.ended(err)
	}
	s.pos++
	return b, nil
}

func (s *Scanner) peek() (byte, error) {
	if s.pos >= s.end {
		return 0, s.ended(io.EOF)
	}
	b, err := s.r.Peek(1)
	if err != nil {
		return 0, s.ended(err)
	}
	return b[0], nil
}

// ended tells a document that stops in the middle, a breach, from a reader that
// stops before the document does.
func (s *Scanner) ended(err error) error {
	if errors.Is(err, io.EOF) {
		switch {
		case s.pos < s.end && s.sized:
			err = io.ErrUnexpectedEOF
		case s.pos < s.end || s.sized:
			return invalid(s.pos, "%s ends inside a value", s.what)
		default:
			return s.long()
		}
	}
	return fmt.Errorf("read %s at byte %d: %w", s.what, s.pos, err)
}

func (s *Scanner) long() error {
	return invalid(s.end, "%s of more than %d bytes", s.what, s.end)
}
