package render

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

const (
	// barAfter is how long a file moves before it gets a bar: what is gone at
	// once would only flicker.
	barAfter = 300 * time.Millisecond
	// mostBars and mostWaits bound the rows.
	mostBars, mostWaits = 8, 2
	// widest bounds the rows of a wide terminal: longer ones are no easier to
	// read, and break when it is made narrower.
	widest = 100
	// From so many columns on a row has these parts, besides name and percent.
	withBar, withSize, withRate = 70, 50, 24
	leastName                   = 3
)

// bars is what people see on a terminal: a row per large file that moves, and
// two for the total. All rows are drawn in one go from one snapshot, so that ten
// thousand files cost no more than four.
type bars struct {
	w      io.Writer
	frames *frames
	state  *state
	mpb    *mpb.Progress
	total  *mpb.Bar
	style  mpb.BarFiller

	mu     sync.Mutex
	budget budget

	// Touched by the drawing only, which is one at a time.
	rows []string
}

func newBars(w io.Writer, s *state) *bars {
	b := &bars{w: w, state: s, style: mpb.BarStyle().Build()}
	b.frames = &frames{w: w, width: func() int {
		width, _ := b.size()
		return width + 1
	}}
	return b
}

func (b *bars) begin() {
	b.mpb = mpb.New(mpb.WithOutput(b.frames), mpb.WithAutoRefresh())
	// The first row is that of the bar itself, the others extend it.
	b.total = b.mpb.MustAdd(0, mpb.BarFillerFunc(b.first), mpb.BarFillerTrim(),
		mpb.BarExtender(mpb.BarFillerFunc(b.others), false))
}

// first draws all rows and writes the first of them.
func (b *bars) first(w io.Writer, _ decor.Statistics) error {
	s := b.state.snapshot()
	width, height := b.size()
	b.rows = b.draw(&s, min(width, widest), height-2)
	_, err := io.WriteString(w, b.rows[0])
	return err
}

func (b *bars) others(w io.Writer, _ decor.Statistics) error {
	for _, r := range b.rows[1:] {
		if _, err := io.WriteString(w, r+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// size returns how many columns and rows there are to draw in. The last column
// stays free: some terminals go to the next row there.
func (b *bars) size() (width, height int) {
	if f, ok := b.w.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			return w - 1, h
		}
	}
	return 79, 24
}

// draw returns the rows, at least one and at most as many as fit.
func (b *bars) draw(s *snapshot, width, height int) []string {
	var rows []string
	for _, r := range s.active {
		if r.done() == r.size || s.at.Sub(r.begun) < barAfter || len(rows) == mostBars {
			continue
		}
		rows = append(rows, b.row(r.name, r.done(), r.size, r.rate, width))
	}
	for i := range s.waits[:min(len(s.waits), mostWaits)] {
		rows = append(rows, s.waits[i].line(s.at, width))
	}
	rows = append(rows, b.totalRows(s, width)...)
	// What is at the end says most.
	return rows[max(len(rows)-max(height, 1), 0):]
}

func (b *bars) totalRows(s *snapshot, width int) []string {
	brief := width < withSize
	if !s.planned {
		parts := append([]string{"total " + Bytes(s.bytes), Count(s.files, "file"), perSecond(s.rate)}, s.outlook(brief)...)
		return []string{fit(strings.Join(parts, ", "), width)}
	}
	parts := []string{fmt.Sprintf("%d of %s", s.files, Count(s.totalFiles, "file"))}
	if brief {
		parts[0] = fmt.Sprintf("%d/%s", s.files, Count(s.totalFiles, "file"))
	}
	return []string{
		b.row("total", s.bytes, s.totalBytes, s.rate, width),
		fit(strings.Join(append(parts, s.outlook(brief)...), ", "), width),
	}
}

// row is one file, or all of them: with a bar where there is room for one.
func (b *bars) row(name string, done, total int64, rate float64, width int) string {
	right := fmt.Sprintf(" %3d %%", percent(done, total))
	if width >= withSize {
		right += fmt.Sprintf(" %18s", bytesOf(done, total))
	}
	if width >= withRate {
		right += fmt.Sprintf(" %11s", perSecond(rate))
	}
	room := max(width-len(right), leastName)
	if width < withBar {
		return fit(pad(name, room)+right, width)
	}
	named := room * 6 / 10
	var bar bytes.Buffer
	_ = b.style.Fill(&bar, decor.Statistics{AvailableWidth: room - named - 1, Total: max(total, 1), Current: done}) // a buffer takes all
	return fit(pad(name, named)+" "+bar.String()+right, width)
}

func (b *bars) planned()           {}
func (b *bars) started(item)       {}
func (b *bars) reused(item, int64) {}
func (b *bars) waiting(wait)       {}
func (b *bars) tick()              {}

// finished writes a line above the bars, within the same bounds as a plain log.
func (b *bars) finished(it item, reused bool) {
	b.mu.Lock()
	ok, first := b.budget.take(it.size)
	b.mu.Unlock()
	switch {
	case ok:
		b.above(it.outcome(reused, b.columns()))
	case first:
		b.above(fit(andMore(it.size), b.columns()))
	}
}

func (b *bars) above(line string) { _, _ = b.mpb.Write([]byte(line + "\n")) } // after the end nobody looks

func (b *bars) columns() int {
	width, _ := b.size()
	return width
}

// close takes the bars away and leaves the total.
func (b *bars) close(complete bool) {
	s := b.state.snapshot()
	b.total.Abort(true)
	b.mpb.Wait()
	if s.totalFiles > 0 {
		_, _ = b.frames.Write([]byte(s.totals(complete) + "\n")) // nobody looks
	}
}
