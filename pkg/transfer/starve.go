package transfer

import (
	"slices"
	"time"
)

// When a connection starves beside its siblings (registries.md §2).
const (
	starvedFor  = 5 * time.Second
	silentFor   = 15 * time.Second
	starvedPart = 4 // of the median of the siblings, in bytes/s
	// mostStarved bounds how often one lane is given a new connection for it.
	mostStarved = 16
)

// cancelStarved gives connections that are far behind their siblings up; their
// lanes go on from where they are on new ones. d.mu is held.
func (d *download) cancelStarved(now time.Time) {
	var rates []int64
	for _, l := range d.lanes {
		if now.Sub(l.sampled) >= time.Second {
			copy(l.samples[1:], l.samples[:])
			l.samples[0], l.count, l.sampled = l.count, 0, now
			l.full = min(l.full+1, len(l.samples))
		}
		rates = append(rates, l.total())
	}
	if len(d.lanes) < 2 {
		return
	}
	for i, l := range d.lanes {
		if l.cancel == nil {
			continue
		}
		siblings := slices.Delete(slices.Clone(rates), i, i+1)
		slices.Sort(siblings)
		median := siblings[len(siblings)/2]
		slow := l.seg != nil && now.Sub(l.asked) > starvedFor && l.full == len(l.samples) && len(siblings) > 1 && l.total() < median/starvedPart
		silent := now.Sub(l.last) > silentFor && median > 0
		if slow || silent {
			l.full, l.count, l.sampled, l.last = 0, 0, now, now
			l.cancel(errStarved)
		}
	}
}

// total is how many bytes came in the last seconds. download.mu is held.
func (l *lane) total() int64 {
	var n int64
	for _, s := range l.samples[:l.full] {
		n += s
	}
	return n
}
