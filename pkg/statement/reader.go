package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrInvalid is wrapped by every refusal of a payload that is no well-formed
// statement.
var ErrInvalid = errors.New("invalid statement")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// reader walks JSON value by value. encoding/json alone would match keys
// whatever their letter case and let the last of two equal keys win, so that two
// readers of one signed payload could see two different statements.
type reader struct {
	dec   *json.Decoder
	depth int
}

func newReader(data []byte) (*reader, error) {
	if len(data) > limits.BundleBytes {
		return nil, invalid("%d bytes, more than %d", len(data), limits.BundleBytes)
	}
	if !utf8.Valid(data) {
		return nil, invalid("it is not valid UTF-8")
	}
	// The token reader below sees well-formed JSON only, with nothing behind it.
	if !json.Valid(data) {
		return nil, invalid("it is not JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return &reader{dec: dec}, nil
}

// object calls fn for every key of the object that comes next; fn consumes the
// value.
func (r *reader) object(what string, fn func(key string) error) error {
	if err := r.open(what, '{', "an object"); err != nil {
		return err
	}
	return r.members(what, fn)
}

func (r *reader) members(what string, fn func(key string) error) error {
	seen := map[string]struct{}{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return invalid("%s: %w", what, err)
		}
		key, _ := token.(string)
		if _, twice := seen[key]; twice {
			return invalid("%s: key %q stands there twice", what, key)
		}
		seen[key] = struct{}{}
		if err := fn(key); err != nil {
			return err
		}
	}
	return r.close()
}

// array calls fn for every element of the array that comes next; fn consumes
// the element.
func (r *reader) array(what string, fn func(i int) error) error {
	if err := r.open(what, '[', "an array"); err != nil {
		return err
	}
	return r.elements(fn)
}

func (r *reader) elements(fn func(i int) error) error {
	for i := 0; r.dec.More(); i++ {
		if err := fn(i); err != nil {
			return err
		}
	}
	return r.close()
}

func (r *reader) open(what string, delim json.Delim, name string) error {
	token, err := r.dec.Token()
	if err != nil {
		return invalid("%s: %w", what, err)
	}
	if token != delim {
		return invalid("%s is not %s", what, name)
	}
	return r.deeper()
}

func (r *reader) deeper() error {
	if r.depth++; r.depth > limits.JSONDepth {
		return invalid("it is nested more than %d deep", limits.JSONDepth)
	}
	return nil
}

func (r *reader) close() error {
	r.depth--
	if _, err := r.dec.Token(); err != nil {
		return invalid("%w", err)
	}
	return nil
}

func (r *reader) string(what string) (string, error) {
	token, err := r.dec.Token()
	if err != nil {
		return "", invalid("%s: %w", what, err)
	}
	s, ok := token.(string)
	if !ok {
		return "", invalid("%s is not a string", what)
	}
	return s, nil
}

func (r *reader) bool(what string) (bool, error) {
	token, err := r.dec.Token()
	if err != nil {
		return false, invalid("%s: %w", what, err)
	}
	b, ok := token.(bool)
	if !ok {
		return false, invalid("%s is not true or false", what)
	}
	return b, nil
}

func (r *reader) number(what string) (json.Number, error) {
	token, err := r.dec.Token()
	if err != nil {
		return "", invalid("%s: %w", what, err)
	}
	n, ok := token.(json.Number)
	if !ok {
		return "", invalid("%s is not a number", what)
	}
	return n, nil
}

// skip passes over a value that nobody needs, and still refuses duplicate keys
// in it.
func (r *reader) skip() error {
	token, err := r.dec.Token()
	if err != nil {
		return invalid("%w", err)
	}
	switch token {
	case json.Delim('{'):
		if err := r.deeper(); err != nil {
			return err
		}
		return r.members("a value", func(string) error { return r.skip() })
	case json.Delim('['):
		if err := r.deeper(); err != nil {
			return err
		}
		return r.elements(func(int) error { return r.skip() })
	}
	return nil
}
