//go:build linux

package main

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// The block that the README shows stands between these lines.
const (
	blockBegin = "<!-- bench: written by make bench, up to the end -->"
	blockEnd   = "<!-- bench: end -->"
)

// shown are the works in the order of the tables.
func (r *report) shown() []struct {
	work  work
	title string
} {
	return []struct {
		work  work
		title string
	}{
		{push, "push of a new model"},
		{repush, "push again, nothing changed"},
		{changed, fmt.Sprintf("push with one of %d shards changed", r.Shards)},
		{pull, "pull and verify"},
		{copying, "copy registry to registry"},
		{saving, "save into an archive"},
		{loading, "load from that archive"},
		{hugePull, fmt.Sprintf("pull of one file of %s, %.0f MB/s per connection", bytesText(r.Huge), float64(r.Rate)/1e6)},
		{smallPush, fmt.Sprintf("push of %d small files", r.Small)},
		{smallPull, fmt.Sprintf("pull of %d small files", r.Small)},
	}
}

func (r *report) markdown() string {
	var s strings.Builder
	s.WriteString("# Benchmarks\n\n")
	s.WriteString("Written by `make bench`; do not edit. [bench.json](bench.json) has every run.\n\n")
	if r.Quick {
		s.WriteString("**This was a quick run, which tells whether the benchmark works. Its numbers say nothing.**\n\n")
	}
	s.WriteString(r.block("bench.svg"))
	s.WriteString("\n## What was wanted\n\n" + r.markdownTargets())
	s.WriteString("\n" + howMeasured)
	s.WriteString(r.notes())
	s.WriteString("\n## In full\n\n")
	s.WriteString("Wall time is the median of the runs, with the shortest and the longest. The ratio is modseal's median over that of the tool in\nthe row: below 1, modseal is faster.\n")
	for _, w := range r.shown() {
		s.WriteString(r.detail(w.work, w.title))
	}
	s.WriteString(r.detail(verifyOnly, "modseal verify alone"))
	s.WriteString(r.detail(pullUnverified, "modseal pull --no-verify"))
	return s.String()
}

// block is the plot, the medians of all and what they depend on.
func (r *report) block(plot string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n\n![Wall time of modseal and its peers](%s)\n\n", blockBegin, plot)
	s.WriteString("| median wall time |")
	for _, t := range r.names() {
		fmt.Fprintf(&s, " %s |", t)
	}
	s.WriteString("\n|---|" + strings.Repeat("---:|", len(r.names())) + "\n")
	for _, w := range r.shown() {
		if _, ok := r.figure("modseal", w.work); !ok {
			continue
		}
		fmt.Fprintf(&s, "| %s |", w.title)
		for _, t := range r.names() {
			if f, ok := r.figure(t, w.work); ok {
				fmt.Fprintf(&s, " %s |", seconds(f.wall))
			} else {
				s.WriteString(" – |")
			}
		}
		s.WriteByte('\n')
	}
	fmt.Fprintf(&s, "\n%s\n\n%s\n", r.circumstances(), blockEnd)
	return s.String()
}

func (r *report) names() []string {
	var names []string
	for _, t := range r.tools {
		names = append(names, t.name)
	}
	return names
}

// circumstances are what all numbers depend on, in one paragraph.
func (r *report) circumstances() string {
	var versions []string
	for _, t := range r.names() {
		if v := r.Versions[t]; v != "" {
			versions = append(versions, t+" "+v)
		}
	}
	return fmt.Sprintf("%s in %d shards; registry %s, a process of its own on the same machine; everything on %s over loopback. "+
		"%d cores, %s, SHA-256 at %.2f GB/s per core; %s; %s. %s. modseal signs at every push and verifies at every pull; the others do neither. "+
		"The floor is the least code that moves the bytes and hashes them. %s, %s.",
		bytesText(r.Size), r.Shards, r.Registry, r.Storage,
		r.Machine.Cores, r.Machine.CPU, float64(r.Machine.Hash)/1e9, r.Machine.Kernel, r.Machine.Go,
		strings.Join(versions, ", "), r.Date.Format(time.DateOnly), plural(r.Repeat, "run"))
}

const howMeasured = `## How it is measured

- One run measures all: one tool after the other, round after round, beginning with another tool each time. A first round, which is in no
  median, warms up and counts.
- Every push goes to a registry that was just started on empty storage, and comes from a user whose home directory is empty, so that every
  layer is new to both. A pull is by another user with an empty home, into an empty directory.
- Wall time, CPU time (user and system) and peak memory are those of the tool's processes: of all of them together where a tool takes two
  commands, for memory of the largest. A small process of its own starts them, since Linux counts the memory of who starts a program.
- Read bytes are ` + "`rchar`" + ` of ` + "`/proc/PID/io`" + `: all that read calls returned, from files whether cached or not, with sendfile, and from
  sockets. For a push that is how often the model was read; for a pull it contains what came over the wire.
- Bytes over the wire are counted in the first round by a TCP proxy, headers included. In that round the disk is watched too: what home and
  destination take at most, and at the end, beyond the files of the model.
- A save goes into an empty directory, and the load takes the archive that the same tool has saved into a registry that was just
  started. modseal verifies before both.
- The huge file comes through a proxy that gives each connection its rate; that work has no first round.
- After the first pull of a tool, bytes are changed in the registry's storage: a tool that takes them compares no digests, and its pulls
  have no number.
- Signature and policy are measured as ` + "`modseal verify`" + `, which is more than their part of a pull: it starts a process as well.
- A peer that would take longer than -patience for its rounds is measured less often; n says how often.
`

// notes says what the tools do and why a cell is empty.
func (r *report) notes() string {
	var s strings.Builder
	s.WriteString("\n## The tools\n\n")
	for _, t := range r.tools {
		fmt.Fprintf(&s, "- **%s** %s", t.name, r.Versions[t.name])
		if t.note != "" {
			fmt.Fprintf(&s, ": %s", t.note)
		}
		s.WriteString(".\n")
		for reason, works := range r.reasons(t.name) {
			fmt.Fprintf(&s, "  – No %s: %s.\n", strings.Join(works, ", "), reason)
		}
	}
	if len(r.Absent) > 0 {
		fmt.Fprintf(&s, "\nNot found on this machine, so not measured: %s.\n", strings.Join(r.Absent, ", "))
	}
	return s.String()
}

// reasons goes through why a tool has no numbers, with the works that each is for.
func (r *report) reasons(name string) iter.Seq2[string, []string] {
	var order []string
	works := map[string][]string{}
	for _, w := range slices.Sorted(maps.Keys(r.Why[name])) {
		reason := shortened(r.Why[name][w])
		if works[reason] == nil {
			order = append(order, reason)
		}
		works[reason] = append(works[reason], string(w))
	}
	return func(yield func(string, []string) bool) {
		for _, reason := range order {
			if !yield(reason, works[reason]) {
				return
			}
		}
	}
}

// shortened is the line of what a program said that has the reason.
func shortened(s string) string {
	for _, line := range strings.Split(s, "\n") {
		if _, reason, ok := strings.Cut(line, "Error: "); ok {
			return strings.TrimSuffix(reason, ".")
		}
	}
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSuffix(line, ".")
}

// detail is the table of one work.
func (r *report) detail(w work, title string) string {
	mine, ok := r.figure("modseal", w)
	if !ok {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "\n### %s\n\n", strings.ToUpper(title[:1])+title[1:])
	s.WriteString("| tool | n | wall | shortest–longest | ratio | CPU | registry CPU | memory | read | sent | received | disk, peak | disk, end |\n")
	s.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, t := range r.names() {
		f, ok := r.figure(t, w)
		if !ok {
			if r.Why[t][w] != "" {
				fmt.Fprintf(&s, "| %s | – | – | – | – | – | – | – | – | – | – | – | – |\n", t)
			}
			continue
		}
		fmt.Fprintf(&s, "| %s | %d | %s | %s–%s | %.2f | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			t, f.n, seconds(f.wall), seconds(f.shortest), seconds(f.most), mine.wall.Seconds()/f.wall.Seconds(),
			seconds(f.cpu), seconds(f.registry), bytesText(f.peak), bytesText(f.read),
			bytesText(f.up), bytesText(f.down), bytesText(f.diskPeak), bytesText(f.diskAfter))
	}
	return s.String()
}

func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func bytesText(n int64) string {
	switch {
	case n < 0:
		return "–"
	case n == 0:
		return "0"
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
