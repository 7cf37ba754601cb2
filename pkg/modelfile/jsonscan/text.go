package jsonscan

import (
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// decode reads a string behind its opening quote into s.text. A negative limit
// drops it: text is then only looked at, a piece at a time.
func (s *Scanner) decode(limit int) error {
	const piece = 4 << 10
	at := s.pos - 1
	s.text = s.text[:0]
	for {
		b, err := s.read()
		switch {
		case err != nil:
			return err
		case b == '"':
			if !utf8.Valid(s.text) {
				return invalid(at, "string is not valid UTF-8")
			}
			return nil
		case b < ' ':
			return invalid(s.pos-1, "control character %#02x in a string", b)
		case b == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		default:
			s.text = append(s.text, b)
			s.run(max(limit, piece) - len(s.text))
		}
		switch {
		case limit >= 0 && len(s.text) > limit:
			return invalid(at, "string longer than %d bytes", limit)
		case limit < 0 && len(s.text) > piece:
			if s.text, err = s.drop(s.text, at); err != nil {
				return err
			}
		}
	}
}

// run reads what is buffered of a string up to the next byte that means something,
// at most n bytes.
func (s *Scanner) run(n int) {
	b, _ := s.r.Peek(max(0, min(n, s.r.Buffered(), int(min(s.end-s.pos, math.MaxInt32)))))
	for i, c := range b {
		if c == '"' || c == '\\' || c < ' ' {
			b = b[:i]
			break
		}
	}
	s.text = append(s.text, b...)
	n, _ = s.r.Discard(len(b))
	s.pos += int64(n)
}

// drop checks text and returns the character at its end that may go on.
func (s *Scanner) drop(text []byte, at int64) ([]byte, error) {
	whole := len(text)
	for n := 1; n < utf8.UTFMax && n < len(text); n++ {
		if c := text[len(text)-n]; utf8.RuneStart(c) {
			if !utf8.FullRune(text[len(text)-n:]) {
				whole -= n
			}
			break
		}
	}
	if !utf8.Valid(text[:whole]) {
		return nil, invalid(at, "string is not valid UTF-8")
	}
	return text[:copy(text, text[whole:])], nil
}

func (s *Scanner) escape() error {
	at := s.pos - 1
	b, err := s.read()
	if err != nil {
		return err
	}
	switch b {
	case '"', '\\', '/':
	case 'b':
		b = '\b'
	case 'f':
		b = '\f'
	case 'n':
		b = '\n'
	case 'r':
		b = '\r'
	case 't':
		b = '\t'
	case 'u':
		return s.unicode(at)
	default:
		return invalid(at, "unknown escape \\%c", b)
	}
	s.text = append(s.text, b)
	return nil
}

func (s *Scanner) unicode(at int64) error {
	r, err := s.hex4(at)
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if r, err = s.lowSurrogate(r, at); err != nil {
			return err
		}
	}
	s.text = utf8.AppendRune(s.text, r)
	return nil
}

// lowSurrogate completes the pair that high began. A lone surrogate has no
// UTF-8 form; readers that replace it turn different keys into equal ones.
func (s *Scanner) lowSurrogate(high rune, at int64) (rune, error) {
	for _, want := range [...]byte{'\\', 'u'} {
		if b, err := s.read(); err != nil {
			return 0, err
		} else if b != want {
			return 0, invalid(at, "lone surrogate")
		}
	}
	low, err := s.hex4(at)
	if err != nil {
		return 0, err
	}
	r := utf16.DecodeRune(high, low)
	if r == utf8.RuneError {
		return 0, invalid(at, "lone surrogate")
	}
	return r, nil
}

func (s *Scanner) hex4(at int64) (rune, error) {
	var r rune
	for range 4 {
		b, err := s.read()
		if err != nil {
			return 0, err
		}
		switch {
		case '0' <= b && b <= '9':
			b -= '0'
		case 'a' <= b && b <= 'f':
			b -= 'a' - 10
		case 'A' <= b && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, invalid(at, "\\u without four hex digits")
		}
		r = r<<4 | rune(b)
	}
	return r, nil
}
