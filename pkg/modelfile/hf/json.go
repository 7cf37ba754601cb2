package hf

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/modseal/modseal/pkg/modelfile/jsonscan"
)

// Bounds on a JSON document.
const (
	MaxJSONSize      = 16 << 20
	MaxTokenizerSize = 64 << 20 // of tokenizer.json and tokenizer_config.json
	MaxJSONDepth     = jsonscan.MaxDepth
	// maxValueSize bounds the text of a field that is kept, before it is cleaned.
	maxValueSize = 64 << 10
	// maxListed bounds the items of a list that is kept.
	maxListed = 1_000
)

// document reads a JSON object of the hub field by field, and holds no more than
// one of them. A key matches as it is written: encoding/json would let two
// spellings name one field.
type document struct {
	*jsonscan.Scanner
	path  string // of the object that is read: "" or "a.b."
	field string // that is read
}

// fields are the readers of the fields that count. All others are skipped.
type fields map[string]func() error

// readDocument reads a document that is one object.
func readDocument(r io.Reader, limit int64, f func(d *document) fields) error {
	d := &document{Scanner: jsonscan.NewDocument("document", r, limit)}
	b, err := d.Next()
	if err != nil {
		return err
	}
	switch b {
	case '{':
	case 0xef, 0xff, 0xfe: // the first byte of a mark of UTF-8 and of UTF-16
		return errors.New("not a JSON object: it begins with a byte order mark, and JSON is UTF-8 without one (RFC 8259, section 8.1)")
	default:
		return errors.New("not a JSON object")
	}
	if err := d.members(f(d)); err != nil {
		return err
	}
	return d.End()
}

func (d *document) members(fs fields) error {
	return d.Object(func(key []byte, _ int64) error { return d.member(fs[string(key)], key) })
}

// member reads one value with f. null is what writers use for "not set".
func (d *document) member(f func() error, key []byte) error {
	if f == nil {
		return d.Skip()
	}
	d.field = d.path + string(key)
	b, err := d.Next()
	switch {
	case err != nil:
		return err
	case b == 'n':
		return d.Skip()
	}
	return f()
}

// object reads a nested object.
func (d *document) object(fs fields) func() error {
	return func() error {
		return d.inside(func() error { return d.members(fs) })
	}
}

// inside reads an object with f. Its fields are below the present one.
func (d *document) inside(f func() error) error {
	if err := d.begins('{', "an object"); err != nil {
		return err
	}
	outer := d.path
	d.path = d.field + "."
	err := f()
	d.path = outer
	return err
}

func (d *document) begins(first byte, want string) error {
	b, err := d.Next()
	if err == nil && b != first {
		err = d.wrong(want)
	}
	return err
}

// absent is the error of a field that there has to be.
func absent(field string) error { return fmt.Errorf("field %q is not there", field) }

func (d *document) wrong(want string) error { return fmt.Errorf("field %q is not %s", d.field, want) }

// text reads a string that somebody may be shown.
func (d *document) text(s *string) func() error {
	return func() error {
		if err := d.begins('"', "a string"); err != nil {
			return err
		}
		b, err := d.Text(maxValueSize)
		*s = CleanText(string(b), MaxTextSize)
		return err
	}
}

// texts reads a list of strings, or a string as a list of one.
func (d *document) texts(list *[]string) func() error {
	return func() error {
		b, err := d.Next()
		if err != nil {
			return err
		}
		var s string
		if b == '"' {
			err = d.text(&s)()
			*list = []string{s}
			return err
		}
		const want = "a list of strings"
		if err := d.begins('[', want); err != nil {
			return err
		}
		return d.Array(func() error {
			if err := d.begins('"', want); err != nil {
				return err
			}
			if len(*list) == maxListed {
				return d.wrong(fmt.Sprintf("%s of at most %d", want, maxListed))
			}
			err := d.text(&s)()
			*list = append(*list, s)
			return err
		})
	}
}

// uint reads an unsigned integer.
func (d *document) uint(n *uint64) func() error {
	return func() error { return d.number(n, "an unsigned integer") }
}

func (d *document) number(n *uint64, want string) error {
	b, err := d.Next()
	if err != nil {
		return err
	}
	if b < '0' || b > '9' {
		return d.wrong(want)
	}
	text, err := d.Number()
	if err != nil {
		return err
	}
	if *n, err = strconv.ParseUint(string(text), 10, 64); err != nil {
		return d.wrong(want)
	}
	return nil
}

// maxUint reads an unsigned integer, or the largest of a list of them: models with
// stages have one value for each.
func (d *document) maxUint(n *uint64) func() error {
	return func() error {
		b, err := d.Next()
		if err != nil || b != '[' {
			return d.uint(n)()
		}
		return d.Array(func() error {
			var item uint64
			err := d.number(&item, "a list of unsigned integers")
			*n = max(*n, item)
			return err
		})
	}
}

func (d *document) bool(on *bool) func() error {
	return func() error {
		if b, err := d.Next(); err != nil {
			return err
		} else if b != 't' && b != 'f' {
			return d.wrong("true or false")
		}
		word, err := d.Literal()
		*on = word == "true"
		return err
	}
}

// there notes that a field is set.
func (d *document) there(yes *bool) func() error {
	return func() error {
		*yes = true
		return d.Skip()
	}
}
