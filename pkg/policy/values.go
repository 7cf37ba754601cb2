package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

// The functions below read the value of a key, when it is there, into the field
// that to points to.

func (d *document) readText(m mapping, name string, to *string) error {
	n := m.values[name]
	if n == nil {
		return nil
	}
	text, err := d.text(n, name)
	if err != nil {
		return err
	}
	*to = text
	return d.checkText(n, m.field(name), text)
}

// checkText holds a text against what its field says. A value that takes more to
// explain is checked by whoever reads it.
func (d *document) checkText(n ast.Node, f Field, text string) error {
	if strings.TrimSpace(text) == "" {
		return d.errorf(line(n), "%s is empty; leave the key out, or write what is meant", f.Name)
	}
	if len(f.Values) > 0 && !slices.Contains(f.Values, text) {
		return d.errorf(line(n), "%s %q is unknown; it must be %s", f.Name, text, alternatives(f.Values))
	}
	return nil
}

func (d *document) text(n ast.Node, what string) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	}
	return "", d.wrong(n, what, "text (in quotes when it looks like something else)")
}

func (d *document) readTexts(m mapping, name string, to *[]string) error {
	n := m.values[name]
	if n == nil {
		return nil
	}
	items, err := d.list(n, m.field(name))
	if err != nil {
		return err
	}
	for _, item := range items {
		text, err := d.text(item, "an entry of "+name)
		if err != nil {
			return err
		}
		if err := d.checkText(item, m.field(name), text); err != nil {
			return err
		}
		if slices.Contains(*to, text) {
			return d.errorf(line(item), "%s has %q twice; once is enough", name, text)
		}
		*to = append(*to, text)
	}
	return nil
}

// list returns the entries of a list that is neither too short nor too long.
func (d *document) list(n ast.Node, f Field) ([]ast.Node, error) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, d.wrong(n, f.Name, "a list")
	}
	if len(s.Values) < f.Min || len(s.Values) > f.Max {
		return nil, d.errorf(line(n), "%d %s; there must be between %d and %d", len(s.Values), f.Name, f.Min, f.Max)
	}
	return s.Values, nil
}

func (d *document) readInteger(m mapping, name string, to *int) error {
	n := m.values[name]
	if n == nil {
		return nil
	}
	i, err := d.integer(n, name)
	if err != nil {
		return err
	}
	if f := m.field(name); i < f.Min || i > f.Max {
		return d.errorf(line(n), "%s %d is not between %d and %d", name, i, f.Min, f.Max)
	}
	*to = i
	return nil
}

func (d *document) integer(n ast.Node, what string) (int, error) {
	if i, ok := n.(*ast.IntegerNode); ok {
		switch v := i.Value.(type) {
		case int64:
			if v >= math.MinInt32 && v <= math.MaxInt32 {
				return int(v), nil
			}
		case uint64:
			if v <= math.MaxInt32 {
				return int(v), nil
			}
		}
	}
	return 0, d.wrong(n, what, "a whole number")
}

func (d *document) readBoolean(m mapping, name string, to *bool) error {
	n := m.values[name]
	if n == nil {
		return nil
	}
	b, ok := n.(*ast.BoolNode)
	if !ok {
		return d.wrong(n, name, "true or false")
	}
	*to = b.Value
	return nil
}

var (
	durationPattern = lazyregexp.New(patternDuration)
	timePattern     = lazyregexp.New(patternTime)
	sizePattern     = lazyregexp.New(patternSize)
)

const day = 24 * time.Hour

// readDuration reads a whole number of days, hours or minutes.
func (d *document) readDuration(m mapping, name string, to *time.Duration) error {
	n := m.values[name]
	if n == nil {
		return nil
	}
	const want = "a duration of days, hours or minutes, such as 90d, 12h or 30m"
	text, ok := n.(*ast.StringNode)
	if !ok {
		return d.wrong(n, name, want)
	}
	if !durationPattern.MatchString(text.Value) {
		return d.errorf(line(n), "%s %q must be %s", name, text.Value, want)
	}
	last := len(text.Value) - 1
	count, err := strconv.Atoi(text.Value[:last])
	if err != nil {
		return d.errorf(line(n), "%s %q must be %s", name, text.Value, want)
	}
	*to = time.Duration(count) * map[byte]time.Duration{'d': day, 'h': time.Hour, 'm': time.Minute}[text.Value[last]]
	return nil
}

func (d *document) readTime(m mapping, name string, to *time.Time) error {
	n := m.values[name]
	if n == nil {
		return nil
	}
	const want = "a date, such as 2026-01-31, which begins at midnight UTC, or a time, such as 2026-01-31T12:00:00Z"
	text, ok := n.(*ast.StringNode)
	if !ok {
		return d.wrong(n, name, want)
	}
	layout := time.RFC3339
	if len(text.Value) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	t, err := time.Parse(layout, strings.ToUpper(text.Value))
	if err != nil || t.IsZero() || !timePattern.MatchString(text.Value) {
		return d.errorf(line(n), "%s %q must be %s", name, text.Value, want)
	}
	*to = t.UTC()
	return nil
}

// readSize reads a number of bytes, with or without a unit.
func (d *document) readSize(m mapping, name string, to *int64) error {
	n := m.values[name]
	if n == nil {
		return nil
	}
	const want = "a number of bytes, such as 16MiB, 512KiB or 1000000"
	var text string
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.IntegerNode:
		text = fmt.Sprint(n.Value)
	default:
		return d.wrong(n, name, want)
	}
	if !sizePattern.MatchString(text) {
		return d.errorf(line(n), "%s %q must be %s", name, text, want)
	}
	digits := strings.TrimRight(text, "BGiKM")
	size, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return d.errorf(line(n), "%s %q must be %s", name, text, want)
	}
	unit := map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[text[len(digits):]]
	if highest := int64(m.field(name).Max); size > highest/unit {
		return d.errorf(line(n), "%s %s is more than modseal's own limit, %d", name, text, highest)
	}
	*to = size * unit
	return nil
}
