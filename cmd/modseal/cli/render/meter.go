package render

import "time"

const (
	meterWindow = 10 * time.Second       // over what time a rate is taken
	meterStep   = 500 * time.Millisecond // how far apart samples are
)

// meter tells how fast total has grown lately.
type meter struct {
	total   int64
	samples []sample // the first is at most one step older than the window
}

type sample struct {
	at    time.Time
	total int64
}

// observe notes the time and returns bytes a second. It must be called about
// once a second or more often.
func (m *meter) observe(now time.Time) float64 {
	if n := len(m.samples); n == 0 || now.Sub(m.samples[n-1].at) >= meterStep {
		// Copied, since items are handed out by value.
		kept := m.samples
		for len(kept) > 1 && now.Sub(kept[1].at) >= meterWindow {
			kept = kept[1:]
		}
		m.samples = append(append(make([]sample, 0, len(kept)+1), kept...), sample{now, m.total})
	}
	first := m.samples[0]
	span := now.Sub(first.at)
	if span < meterStep || m.total <= first.total {
		return 0
	}
	return float64(m.total-first.total) / span.Seconds()
}
