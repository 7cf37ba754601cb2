// Package render draws results for people and for machines, and what is being
// moved while it moves. It knows terminals and nothing of registries.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// JSON writes v as indented JSON, in which texts of strangers drive no terminal.
func JSON(w io.Writer, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(Visible(buf.Bytes()))
	return err
}

// Bytes returns n as people read it, in decimal units as disks and networks are
// sold.
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, suffix := float64(n), ""
	for _, s := range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if v, suffix = v/unit, s; v < unit-0.05 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", v, suffix)
}

// Count returns "1 file", "2 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Number returns n with a comma before each group of three digits.
func Number(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// noBreakSpace is what protobuf puts into its messages at random, so that nobody
// compares them.
const noBreakSpace = '\u00a0'

// Clean returns foreign text without what would drive a terminal: control
// characters become visible.
func Clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case r == noBreakSpace:
			return ' '
		}
		return '�'
	}, s)
}

// Short returns the beginning of a digest, enough to tell it from others.
func Short(digest string) string {
	const keep = len("sha256:") + 12
	if len(digest) <= keep {
		return digest
	}
	return digest[:keep]
}

// Fields writes aligned pairs of name and value; pairs without a value are left
// out.
type Fields struct{ w *tabwriter.Writer }

// NewFields returns a writer of pairs. Flush ends it.
func NewFields(w io.Writer) *Fields { return &Fields{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// Add writes one pair.
func (f *Fields) Add(name, value string) {
	if value != "" {
		fmt.Fprintf(f.w, "%s\t%s\n", name, Clean(value))
	}
}

// Row writes aligned cells.
func (f *Fields) Row(cells ...string) {
	for i, c := range cells {
		cells[i] = Clean(c)
	}
	fmt.Fprintln(f.w, strings.Join(cells, "\t"))
}

// Flush writes what is aligned now.
func (f *Fields) Flush() { _ = f.w.Flush() } // an error shows at the next write to the same place
