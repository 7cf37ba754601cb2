package hf

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// maxResultSize bounds a result of model-index that is read by itself, in bytes. One has
// a task, a data set, and up to 150 metrics of 50 bytes.
const maxResultSize = 32 << 10

// results takes the results of model-index out of the lines of a front matter that is
// too long to be parsed whole. They are lists in block style, as programs write them:
//
//	model-index:
//	- name: m
//	  results:
//	  - task:
//
// All that has another form stays where it is, so that the parser has the last word on
// what is YAML and where a field ends. In the place of the results it finds a mark that
// nobody can have written before: lines that only look like results, such as those of a
// text in quotes, have it elsewhere, see [indexReader.checkMarks].
type results struct {
	card  *excerpt
	index *indexReader

	state       resultsState
	models      int // their number, and the columns of the list and of their fields
	list, field int
	result      excerpt // the result that is being read
	number      int     // of it in its list
	dash        int     // the column of its list; -1 when no item was seen
	tooLong     bool
}

type resultsState int

const (
	outside   resultsState = iota
	inIndex                // below model-index
	inResults              // below results
)

var (
	indexKey   = regexp.MustCompile(`^model-index:[ \t]*(?:#.*)?\r?\n?$`)
	resultsKey = regexp.MustCompile(`^results:[ \t]*(?:#.*)?\r?\n?$`)
)

// readResults reads a front matter of which card has the first lines. It leaves in card
// all but the results, which go to index.
func readResults(lines *cardLines, card *excerpt, index *indexReader) error {
	first := *card
	*card = excerpt{}
	r := &results{card: card, index: index}
	for i := range first.lines {
		end := bytes.IndexByte(first.text, '\n') + 1
		if err := r.line(cardLine{first.text[:end], first.lines[i]}); err != nil {
			return err
		}
		first.text = first.text[end:]
	}
	for {
		l, ok, err := lines.next()
		if err != nil {
			return err
		}
		if !ok {
			return r.endResult()
		}
		if err := r.line(l); err != nil {
			return err
		}
	}
}

// line takes the next line.
func (r *results) line(l cardLine) error {
	if r.state == inResults {
		switch taken, err := r.inResults(l); {
		case err != nil:
			return err
		case taken:
			return nil
		}
		r.state = inIndex
	}
	r.follow(l)
	if err := r.checkSize(l.number, len(l.text)); err != nil {
		return err
	}
	r.card.add(l)
	return nil
}

// follow finds out where a line is that stays in the card.
func (r *results) follow(l cardLine) {
	indent := l.indent()
	text := l.text[indent:]
	switch {
	case l.isBlank():
		return
	case indent == 0 && text[0] != '-':
		r.state = outside
		if indexKey.Match(text) {
			r.state, r.models, r.list = inIndex, 0, -1
		}
		return
	case r.state == outside:
		return
	}
	if isItem(text) && (r.list < 0 || r.list == indent) {
		r.list = indent
		r.models++
		inner := bytes.TrimLeft(text[1:], " ")
		indent += len(text) - len(inner)
		text, r.field = inner, indent
	}
	if r.list >= 0 && indent == r.field && resultsKey.Match(text) {
		r.state, r.number, r.dash = inResults, -1, -1
	}
}

// isItem reports whether a text begins an item of a list.
func isItem(text []byte) bool {
	return len(text) > 1 && text[0] == '-' && (text[1] == ' ' || text[1] == '\n' || text[1] == '\r')
}

// inResults takes a line of a result; any other ends the list.
func (r *results) inResults(l cardLine) (taken bool, err error) {
	indent := l.indent()
	switch {
	case l.isBlank():
		if r.number >= 0 {
			r.take(l) // a text of several lines may have it
		}
		return true, nil
	case isItem(l.text[indent:]) && (indent == r.dash || r.dash < 0 && indent >= r.field):
		if err := r.endResult(); err != nil {
			return false, err
		}
		if r.dash < 0 {
			if err := r.mark(l.number); err != nil {
				return false, err
			}
		}
		r.dash = indent
		r.number++
		r.take(l)
		r.result.text[indent] = ' ' // a document of its own
		return true, nil
	case r.dash >= 0 && indent > r.dash:
		r.take(l)
		return true, nil
	}
	return false, r.endResult()
}

// mark puts a mark into the card, whose last line has the key of the results that begin.
func (r *results) mark(line int32) error {
	if r.index.marks == nil {
		r.index.marks, r.index.anchors = map[string]int32{}, map[uint64]bool{}
	}
	mark := "results-" + rand.Text()
	r.index.marks[mark] = line
	key := []byte("results:")
	at := bytes.LastIndex(r.card.text, key) + len(key)
	r.card.text = slices.Insert(r.card.text, at, []byte(" "+mark)...)
	return r.checkSize(line, 0)
}

// checkSize bounds what the parser gets at once, with n bytes more.
func (r *results) checkSize(line int32, n int) error {
	if len(r.card.text)+n > MaxParsedSize {
		return fmt.Errorf("line %d: the front matter is longer than %d bytes without the results of model-index", line, MaxParsedSize)
	}
	return nil
}

// take adds a line to the result.
func (r *results) take(l cardLine) {
	if r.tooLong = r.tooLong || len(r.result.text)+len(l.text) > maxResultSize; !r.tooLong {
		r.result.add(l)
	}
}

// endResult reads the result whose lines have come.
func (r *results) endResult() error {
	if len(r.result.lines) == 0 {
		return nil
	}
	x, tooLong := r.result, r.tooLong
	r.result, r.tooLong = excerpt{x.text[:0], x.lines[:0]}, false
	place := fmt.Sprintf("model-index[%d].results[%d]", r.models-1, r.number)
	switch {
	case r.index.full:
		r.index.unread = true
		return nil
	case tooLong:
		r.index.unread = true
		r.index.leave("%s is longer than %d bytes: it is left out", place, maxResultSize)
		return nil
	}
	doc, err := parseYAML(x)
	r.index.noteAnchors(doc)
	if alias, ok := errors.AsType[*aliasError](err); ok {
		r.index.leave("%s: %v: no metric of this result is taken", place, alias)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	r.index.doc = doc
	r.index.result(place, doc.body)
	return nil
}
