package jsonscan

import "math"

// maxNumberSize bounds the text of a number.
const maxNumberSize = 256

// Text reads a string of at most limit bytes.
func (s *Scanner) Text(limit int) ([]byte, error) {
	if err := s.Expect('"', "not a string"); err != nil {
		return nil, err
	}
	err := s.decode(max(limit, 0))
	return s.text, err
}

// Uint reads an unsigned integer below 2^63 that is written as one: a sign, a
// fraction and an exponent are legal JSON and not legal here. What it is the number
// of is for errors.
func (s *Scanner) Uint(what string) (uint64, error) {
	b, err := s.token()
	if err != nil {
		return 0, err
	}
	at := s.pos - 1
	if b < '0' || b > '9' {
		return 0, invalid(at, "%s: %q does not begin an unsigned integer", what, b)
	}
	v := uint64(b - '0')
	for {
		b, err := s.peek()
		if err != nil {
			return 0, err
		}
		if b < '0' || b > '9' {
			if b == '.' || b == 'e' || b == 'E' {
				return 0, invalid(s.pos, "%s: %q in a number, where only unsigned integers are allowed", what, b)
			}
			return v, nil
		}
		digit := uint64(b - '0')
		switch {
		case v == 0:
			return 0, invalid(at, "%s: number with a leading zero", what)
		case v > (math.MaxInt64-digit)/10:
			return 0, invalid(at, "%s: number above 2^63-1", what)
		}
		v = v*10 + digit
		_, _ = s.read() // it was seen
	}
}

// Uints reads an array of at most len(dst) unsigned integers, see [Scanner.Uint].
func (s *Scanner) Uints(dst []uint64, what string) (n int, err error) {
	if err := s.Expect('[', "not an array"); err != nil {
		return 0, err
	}
	b, err := s.Next()
	if err != nil {
		return 0, err
	}
	if b == ']' {
		_, err = s.read()
		return 0, err
	}
	for {
		if n == len(dst) {
			return 0, invalid(s.pos, "%s holds more than %d numbers", what, len(dst))
		}
		if dst[n], err = s.Uint(what); err != nil {
			return 0, err
		}
		n++
		if b, err = s.token(); err != nil || b == ']' {
			return n, err
		}
		if b != ',' {
			return 0, invalid(s.pos-1, "%s: %q where ',' or ']' should be", what, b)
		}
		if _, err = s.Next(); err != nil {
			return 0, err
		}
	}
}

// Number reads a number as it is written.
func (s *Scanner) Number() ([]byte, error) {
	b, err := s.Next()
	if err != nil {
		return nil, err
	}
	at := s.pos
	s.text = s.text[:0]
	if b != '-' && (b < '0' || b > '9') {
		return nil, invalid(at, "%q where a value should begin", b)
	}
	for isNumeric(b) {
		if s.text = append(s.text, b); len(s.text) > maxNumberSize {
			return nil, invalid(at, "number of more than %d digits", maxNumberSize)
		}
		if _, err = s.read(); err != nil {
			return nil, err
		}
		if b, err = s.peek(); err != nil {
			return nil, err
		}
	}
	if !validNumber(s.text) {
		return nil, invalid(at, "%q is no number", s.text)
	}
	return s.text, nil
}

func isNumeric(b byte) bool {
	return '0' <= b && b <= '9' || b == '-' || b == '+' || b == '.' || b == 'e' || b == 'E'
}

// validNumber follows the grammar of RFC 8259, section 6.
func validNumber(b []byte) bool {
	digits := func() int {
		n := 0
		for n < len(b) && '0' <= b[n] && b[n] <= '9' {
			n++
		}
		return n
	}
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	n := digits()
	if n == 0 || n > 1 && b[0] == '0' {
		return false
	}
	if b = b[n:]; len(b) > 0 && b[0] == '.' {
		b = b[1:]
		if n = digits(); n == 0 {
			return false
		}
		b = b[n:]
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		if n = digits(); n == 0 {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

// Literal reads true, false or null.
func (s *Scanner) Literal() (string, error) {
	b, err := s.Next()
	if err != nil {
		return "", err
	}
	at := s.pos
	word := map[byte]string{'t': "true", 'f': "false", 'n': "null"}[b]
	if word == "" {
		return "", invalid(at, "%q where a literal should begin", b)
	}
	for _, want := range []byte(word) {
		if b, err := s.read(); err != nil {
			return "", err
		} else if b != want {
			return "", invalid(at, "no literal but true, false and null")
		}
	}
	return word, nil
}
