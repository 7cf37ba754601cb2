//go:build linux

package main

import (
	"fmt"
	"strings"
)

// A target is what modseal wants to reach.
type target struct {
	work, wanted string
	// measured is the number as text, and whether it is enough; false when
	// there is nothing to compare with.
	measured func(r *report) (text string, met, known bool)
}

var peersThatCopy = []string{"oras", "crane", "regctl", "skopeo"}

// little is what a tool may keep for itself on disk, such as digests, without
// it counting as the disk that models take.
const little = 1 << 20

func targets() []target {
	return []target{
		{"push of a new model", "≤ 0.80 × oras", ratio(push, push, "oras", 0.80)},
		{"", "≤ 0.50 × modctl build + push", ratio(push, push, "modctl", 0.50)},
		{"", "≤ 1.10 × the floor", ratio(push, push, floorName, 1.10)},
		{"re-push, nothing changed", "≤ 0.05 × oras push", ratio(repush, push, "oras", 0.05)},
		{"", "no model byte read", nothingRead},
		{"pull and verify", "≤ 0.55 × oras", ratio(pull, pull, "oras", 0.55)},
		{"", "≤ 0.75 × modctl pull with extraction", ratio(pull, pull, "modctl", 0.75)},
		{"", "≤ 1.10 × the floor", ratio(pull, pull, floorName, 1.10)},
		{"many small files", "push ≤ 0.50 × oras", ratio(smallPush, smallPush, "oras", 0.50)},
		{"", "pull ≤ 0.10 × oras", ratio(smallPull, smallPull, "oras", 0.10)},
		{"copy registry to registry", "≤ 0.90 × the fastest of " + strings.Join(peersThatCopy, ", "), fastest(copying, 0.90)},
		{"save into an archive", "not slower than any that can", fastest(saving, 1)},
		{"", "disk ≤ 1.1 × the model", archiveDisk(saving)},
		{"load from an archive", "not slower than any that can", fastest(loading, 1)},
		{"", "disk ≤ 1.1 × the model", archiveDisk(loading)},
		{"one huge file, slow connections", "≥ 6 × oras's rate", hugeRate},
		{"signature and policy part of a pull", "≤ 2 % of its wall time", signaturePart},
		{"peak memory, any work", "≤ 128 MiB", peakOfAll},
		{"disk beyond the files", "push: none", disk(push, repush, changed, smallPush)},
		{"", "pull: none", disk(pull, hugePull, smallPull)},
	}
}

// ratio compares the wall time of modseal at mine with that of a peer at its.
func ratio(mine, its work, peer string, most float64) func(r *report) (string, bool, bool) {
	return func(r *report) (string, bool, bool) {
		a, okA := r.figure("modseal", mine)
		b, okB := r.figure(peer, its)
		if !okA || !okB {
			return "", false, false
		}
		q := a.wall.Seconds() / b.wall.Seconds()
		return fmt.Sprintf("%.2f × (%s against %s)", q, seconds(a.wall), seconds(b.wall)), q <= most, true
	}
}

func nothingRead(r *report) (string, bool, bool) {
	f, ok := r.figure("modseal", repush)
	if !ok || f.filesRead < 0 {
		return "", false, false
	}
	return fmt.Sprintf("%d files of the model were read from", f.filesRead), f.filesRead == 0, true
}

// fastest compares modseal with the fastest of its peers.
func fastest(w work, most float64) func(r *report) (string, bool, bool) {
	return func(r *report) (string, bool, bool) {
		name := ""
		var best figure
		for _, peer := range peersThatCopy {
			if f, ok := r.figure(peer, w); ok && (name == "" || f.wall < best.wall) {
				name, best = peer, f
			}
		}
		mine, ok := r.figure("modseal", w)
		if !ok || name == "" {
			return "", false, false
		}
		q := mine.wall.Seconds() / best.wall.Seconds()
		return fmt.Sprintf("%.2f × %s (%s against %s)", q, name, seconds(mine.wall), seconds(best.wall)), q <= most, true
	}
}

// archiveDisk is what a work took on disk at most, the archive itself included.
func archiveDisk(w work) func(r *report) (string, bool, bool) {
	return func(r *report) (string, bool, bool) {
		f, ok := r.figure("modseal", w)
		if !ok || f.diskPeak < 0 {
			return "", false, false
		}
		q := float64(r.Size+f.diskPeak) / float64(r.Size)
		return fmt.Sprintf("%.3f × (%s beyond it)", q, bytesText(f.diskPeak)), q <= 1.1, true
	}
}

func hugeRate(r *report) (string, bool, bool) {
	a, okA := r.figure("modseal", hugePull)
	b, okB := r.figure("oras", hugePull)
	if !okA || !okB {
		return "", false, false
	}
	q := b.wall.Seconds() / a.wall.Seconds()
	return fmt.Sprintf("%.1f × (%.0f against %.0f MB/s)", q,
		float64(r.Huge)/1e6/a.wall.Seconds(), float64(r.Huge)/1e6/b.wall.Seconds()), q >= 6, true
}

// signaturePart takes "modseal verify" for it, which is more than the part: it
// starts a process and resolves the reference as well.
func signaturePart(r *report) (string, bool, bool) {
	whole, okA := r.figure("modseal", pull)
	part, okB := r.figure("modseal", verifyOnly)
	if !okA || !okB {
		return "", false, false
	}
	q := 100 * part.wall.Seconds() / whole.wall.Seconds()
	return fmt.Sprintf("%.1f %% (verify alone takes %s of %s)", q, seconds(part.wall), seconds(whole.wall)), q <= 2, true
}

func peakOfAll(r *report) (string, bool, bool) {
	var peak int64
	var at work
	for _, run := range r.Runs {
		if run.Tool == "modseal" && run.Peak > peak {
			peak, at = run.Peak, run.Work
		}
	}
	return fmt.Sprintf("%d MiB (%s)", peak>>20, at), peak <= 128<<20, peak > 0
}

func disk(works ...work) func(r *report) (string, bool, bool) {
	return func(r *report) (string, bool, bool) {
		peak, at := int64(-1), work("")
		for _, w := range works {
			if f, ok := r.figure("modseal", w); ok && f.diskPeak > peak {
				peak, at = f.diskPeak, w
			}
		}
		return fmt.Sprintf("%s (%s)", bytesText(peak), at), peak <= little, peak >= 0
	}
}

// markdownTargets is the table of all targets.
func (r *report) markdownTargets() string {
	var s strings.Builder
	s.WriteString("| work | wanted | measured | |\n|---|---|---|---|\n")
	for _, t := range targets() {
		text, met, known := t.measured(r)
		verdict := "met"
		switch {
		case !known:
			text, verdict = "–", "not measured"
		case !met:
			verdict = "**missed**"
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", t.work, t.wanted, text, verdict)
	}
	return s.String()
}
