package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// longest is the longest time that is written out.
const longest = 99 * time.Hour

// bytesOf returns how much of a total is done, both in the unit of the total.
func bytesOf(done, total int64) string {
	whole := Bytes(total)
	_, unit, _ := strings.Cut(whole, " ")
	per := map[string]float64{"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15, "EB": 1e18}[unit]
	if per == 0 {
		return fmt.Sprintf("%d of %s", done, whole)
	}
	return fmt.Sprintf("%.1f of %s", float64(done)/per, whole)
}

func perSecond(rate float64) string { return Bytes(int64(rate)) + "/s" }

// duration is d as people say it, in two units at most.
func duration(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d > longest:
		return fmt.Sprintf("over %dh", int(longest.Hours()))
	}
	seconds := int(d.Round(time.Second).Seconds())
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%02ds", seconds/60, seconds%60)
	default:
		return fmt.Sprintf("%dh%02dm", seconds/3600, seconds%3600/60)
	}
}

// wholeSeconds is duration in full seconds, for what is an estimate.
func wholeSeconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%ds", int(max(d, time.Second).Round(time.Second).Seconds()))
	}
	return duration(d)
}

// shorten makes foreign text safe for a terminal, and at most width columns wide.
// Of a path the last part is kept, and of that the beginning: shards differ in
// their number, which comes before the ending.
func shorten(name string, width int) string {
	name = Clean(name)
	if runewidth.StringWidth(name) <= width {
		return name
	}
	if i := strings.LastIndexByte(name, '/'); i >= 0 && i+1 < len(name) {
		if base := "…/" + name[i+1:]; runewidth.StringWidth(base) <= width {
			return base
		}
		name = name[i+1:]
	}
	return fit(name, width)
}

// fit cuts a clean line to width columns.
func fit(line string, width int) string {
	if width <= 0 {
		return ""
	}
	return runewidth.Truncate(line, width, "…")
}

// pad is shorten, filled up with blanks.
func pad(name string, width int) string { return runewidth.FillRight(shorten(name, width), width) }

// totals is the line that ends a run.
func (s *snapshot) totals(complete bool) string {
	if !complete {
		return fmt.Sprintf("stopped after %s: %d of %s done, %s", duration(s.elapsed), s.files,
			Count(s.totalFiles, "file"), bytesOf(s.bytes, s.totalBytes))
	}
	line := fmt.Sprintf("total   %s", Count(s.files, "file"))
	if moved := s.bytes - s.reused; moved > 0 || s.reused == 0 {
		line += fmt.Sprintf("; moved %s in %s", Bytes(moved), duration(s.elapsed))
		if rate := s.average(); rate >= 1 {
			line += " (" + perSecond(rate) + ")"
		}
	}
	switch {
	case s.reused > 0 && s.reused == s.bytes:
		line += ", " + Bytes(s.bytes) + "; all of it reused"
	case s.reused > 0:
		line += "; reused " + bytesOf(s.reused, s.bytes)
	}
	return line
}

// standing is how far all is, in words: for a line that nothing follows up.
func (s *snapshot) standing() string {
	var parts []string
	if s.planned {
		parts = append(parts, fmt.Sprintf("%d %%, %s", percent(s.bytes, s.totalBytes), bytesOf(s.bytes, s.totalBytes)),
			fmt.Sprintf("%d of %s", s.files, Count(s.totalFiles, "file")))
	} else {
		parts = append(parts, Bytes(s.bytes), Count(s.files, "file"))
	}
	parts = append(parts, perSecond(s.rate))
	return strings.Join(append(parts, s.outlook(false)...), ", ")
}

// outlook is what is to come, and what was skipped.
func (s *snapshot) outlook(brief bool) []string {
	var parts []string
	if d, ok := s.left(); ok {
		parts = append(parts, wholeSeconds(d)+" left")
	} else if s.unfinished > 0 && s.planned && s.bytes == s.totalBytes {
		parts = append(parts, "finishing")
	}
	switch {
	case s.reused > 0 && (brief || !s.planned):
		parts = append(parts, "reused "+Bytes(s.reused))
	case s.reused > 0:
		parts = append(parts, "reused "+bytesOf(s.reused, s.totalBytes))
	}
	return parts
}

// outcome is the line of a file that is whole.
func (it *item) outcome(reused bool, width int) string {
	what := "done  "
	if reused {
		what = "reused"
	}
	tail := "  " + Bytes(it.size)
	if old := it.old(); !reused && old > 0 {
		tail += ", " + Bytes(old) + " of it reused"
	}
	return what + "  " + shorten(it.name, max(width-len(what)-2-len(tail), 8)) + tail
}

func (w *wait) line(now time.Time, width int) string {
	line := "waiting " + wholeSeconds(w.until.Sub(now)) + "  " + shorten(w.name, max(width/3, 8))
	if w.reason != "" {
		line += ": " + Clean(w.reason)
	}
	return fit(line, width)
}

// Wrap returns text in lines of at most width columns, each behind indent. A word
// that is longer has a line of its own.
func Wrap(text, indent string, width int) string {
	var out strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		size := runewidth.StringWidth(word)
		switch {
		case out.Len() == 0:
			out.WriteString(indent)
			column = len(indent)
		case column+1+size > width:
			out.WriteString("\n" + indent)
			column = len(indent)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += size
	}
	return out.String()
}
