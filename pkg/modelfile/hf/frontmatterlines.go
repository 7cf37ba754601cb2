package hf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// excerpt is YAML that was taken out of a README.
type excerpt struct {
	text  []byte
	lines []int32 // which line of the README each of it is, from 1
}

// add adds a line with its end.
func (x *excerpt) add(l cardLine) {
	x.text = append(x.text, l.text...)
	x.lines = append(x.lines, l.number)
}

// line returns which line of the README a line of the excerpt is, both from 1.
func (x excerpt) line(n int) int {
	switch {
	case len(x.lines) == 0:
		return n
	case n > len(x.lines): // the parser may say that it broke off after the last
		return int(x.lines[len(x.lines)-1])
	}
	return int(x.lines[max(n, 1)-1])
}

// cleanMessage returns the first line of what the parser says, with lines of the README
// in it: a key that is there twice has its first place in the message.
func (x excerpt) cleanMessage(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	before, place, ok := strings.Cut(s, " already defined at [")
	var line, column int
	if ok {
		if n, err := fmt.Sscanf(place, "%d:%d]", &line, &column); err == nil && n == 2 {
			s = fmt.Sprintf("%s already defined at [%d:%d]", before, x.line(line), column)
		}
	}
	return CleanText(s, MaxTextSize)
}

// cardLine is a line of a README with its end. The text holds until the next is read.
type cardLine struct {
	text   []byte
	number int32
}

// indent returns how many blanks a line begins with.
func (l cardLine) indent() int { return len(l.text) - len(bytes.TrimLeft(l.text, " ")) }

// isBlank reports whether there is nothing in a line but a comment.
func (l cardLine) isBlank() bool {
	text := bytes.TrimLeft(l.text, " \t\r\n")
	return len(text) == 0 || text[0] == '#'
}

// cardLines reads the lines of a front matter.
type cardLines struct {
	r      *bufio.Reader
	size   int
	number int32
	kept   *cardLine // the line that is read again
}

// openFrontMatter returns nil for a README that has none.
func openFrontMatter(readme io.Reader) (*cardLines, error) {
	c := &cardLines{r: bufio.NewReaderSize(readme, MaxParsedSize), number: 1}
	first, err := c.r.ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	if !isFence(bytes.TrimPrefix(first, []byte("\xef\xbb\xbf"))) {
		return nil, nil //nolint:nilnil // there is no front matter, which is no error
	}
	return c, nil
}

// next returns a line, and false when the front matter ends.
func (c *cardLines) next() (cardLine, bool, error) {
	if l := c.kept; l != nil {
		c.kept = nil
		return *l, true, nil
	}
	text, err := c.r.ReadSlice('\n')
	c.number++
	c.size += len(text)
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case errors.Is(err, bufio.ErrBufferFull):
		return cardLine{}, false, fmt.Errorf("line %d: longer than %d bytes", c.number, MaxParsedSize)
	default:
		return cardLine{}, false, err
	}
	switch {
	case isFence(text):
		return cardLine{}, false, nil
	case err != nil:
		return cardLine{}, false, errors.New(`front matter has no end: no line "---" follows`)
	case c.size > MaxFrontMatterSize:
		return cardLine{}, false, fmt.Errorf("front matter does not end within %d bytes", MaxFrontMatterSize)
	}
	return cardLine{text, c.number}, true, nil
}

// upTo adds lines to x as long as they have no more than limit bytes, and reports
// whether these are all.
func (c *cardLines) upTo(limit int, x *excerpt) (whole bool, err error) {
	for {
		l, ok, err := c.next()
		switch {
		case err != nil:
			return false, err
		case !ok:
			return true, nil
		case len(x.text)+len(l.text) > limit:
			c.kept = &l
			return false, nil
		}
		x.add(l)
	}
}

func isFence(line []byte) bool { return string(bytes.TrimRight(line, " \t\r\n")) == "---" }
