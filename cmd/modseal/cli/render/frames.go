package render

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
)

// frames draws what mpb writes without clearing it first. mpb goes up over the
// rows of the last frame and erases all from there to the end of the screen,
// which flickers, and which some terminals (tmux) take for clearing the screen
// when it happens at its top: they keep what was there, a frame each time, in
// their history. So each row is written over the old one, and what is left of
// that is erased.
type frames struct {
	w     io.Writer
	width func() int
	last  []string // rows of the last frame, with what was above them
	wide  int      // how wide the terminal was then
}

// up is how mpb begins all frames but the first (cwriter.Writer.Flush, mpb 8.9).
var up = regexp.MustCompile(`^\x1b\[(\d+)A\x1b\[J`)

const eraseLine = "\x1b[K"

// Write writes one frame.
func (f *frames) Write(p []byte) (int, error) {
	frame, old := p, 0
	if m := up.FindSubmatch(p); m != nil {
		old, _ = strconv.Atoi(string(m[1])) // digits
		frame = p[len(m[0]):]
	}
	width := f.width()
	old += f.broken(old, width)
	var out bytes.Buffer
	// From the first column: the terminal's echo of ^C moves the cursor.
	out.WriteByte('\r')
	if old > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", old)
	}
	f.last, f.wide = f.last[:0], width
	for line := range strings.Lines(string(frame)) {
		line = strings.TrimSuffix(line, "\n")
		f.last = append(f.last, line)
		out.WriteString(line + eraseLine + "\n")
	}
	// Rows of the last frame that have none in their place now, and the row of
	// the cursor, which has nothing but an echo.
	fewer := max(old-len(f.last), 0)
	out.WriteString(strings.Repeat(eraseLine+"\n", fewer) + eraseLine)
	if fewer > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", fewer)
	}
	if _, err := f.w.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// broken returns how many rows more the last n became when the terminal was made
// narrower and broke them.
func (f *frames) broken(n, width int) int {
	more := 0
	if width > 0 && width < f.wide {
		for _, row := range f.last[max(len(f.last)-n, 0):] {
			more += max(runewidth.StringWidth(row)-1, 0) / width
		}
	}
	return more
}
