package transfer

import (
	"sync"
	"sync/atomic"
	"time"
)

// Connections. Each blob begins with one; more are for links where a connection
// is slow and several together are not (registries.md §2).
const (
	mostLanes    = 24 // of all blobs of a registry
	mostOfBlob   = 8
	measureFor   = 200 * time.Millisecond
	leastProbe   = 150 * time.Millisecond
	longestProbe = 1500 * time.Millisecond
	// openFor bounds the wait for added connections to bring their first byte.
	openFor = 5 * time.Second
	// gain is by how much of the former rate each added connection must raise it,
	// as a share of what one brought before. It is 1.1 for the first.
	gain = 0.10
	// waits is the share of their time that connections must have waited for bytes, if
	// more of them are to be tried: otherwise it is this side that is slow.
	waits = 0.5
	// settledFor is how long the number of connections is left alone once more of
	// them did not help.
	settledFor = 30 * time.Second
)

type phase int

const (
	measuring phase = iota // the rate with what there is
	opening                // more connections were allowed and are being opened
	probing                // the rate with them
)

// governor decides how many connections the downloads of a Fetcher may have
// beyond one each: it doubles them while the bytes of all downloads together come
// faster for it, and goes back when they do not. While the connections seldom wait
// for bytes, since to hash them or the disk takes longer, as on loopback, it tries
// nothing: what does not come in order has to be read again to be hashed.
type governor struct {
	moved  atomic.Int64 // bytes of all downloads
	waited atomic.Int64 // for those that may get more connections, by all of theirs, in nanoseconds

	mu      sync.Mutex
	active  int // downloads
	extra   int // connections beyond one each that are open
	waiting int // of these, without a first byte
	allowed int // of these, that may be open
	added   int // of these, that are on probation
	phase   phase
	since   time.Time
	from    int64         // moved when the phase began
	idle    int64         // waited then
	before  float64       // bytes/s before the last connections were added
	settled time.Time     // no more before
	lanes   int           // connections when that was decided
	answer  time.Duration // the longest that an added connection took to its first byte
}

func (g *governor) enter(p phase, now time.Time) {
	g.phase, g.since, g.from, g.idle = p, now, g.moved.Load(), g.waited.Load()
}

// join and leave tell of a download. What is measured across is worth nothing.
func (g *governor) join(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active++
	g.restart(now)
}

func (g *governor) leave(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	if 2*(g.active+g.allowed) <= g.lanes {
		g.settled = time.Time{} // it was decided about many more
	}
	g.restart(now)
}

func (g *governor) restart(now time.Time) {
	if g.phase == opening || g.phase == probing {
		g.allowed -= g.added
	}
	g.added = 0
	g.enter(measuring, now)
}

// reserve reports whether one more connection may be opened; who gets it must
// call open when the first byte came, and drop at the end.
func (g *governor) reserve(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step(now)
	if g.extra >= g.allowed {
		return false
	}
	g.extra++
	g.waiting++
	return true
}

func (g *governor) open(took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting--
	g.answer = max(g.answer, took)
}

func (g *governor) drop(opened bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.extra--
	if !opened {
		g.waiting--
	}
}

// none says that a reserved connection had nothing to do: no download has room
// for more.
func (g *governor) none() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.extra--
	g.waiting--
	if g.phase == opening {
		// Judge what could be opened.
		unused := min(g.added, g.allowed-g.extra)
		g.allowed -= unused
		g.added -= unused
	}
}

// over reports whether there are more connections than allowed: then who is done
// with a part ends, and calls drop.
func (g *governor) over() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.extra > g.allowed
}

// step goes from one phase to the next. g.mu is held.
func (g *governor) step(now time.Time) {
	took := now.Sub(g.since)
	moved := g.moved.Load() - g.from
	rate := float64(moved) / took.Seconds()
	switch g.phase {
	case measuring:
		if moved == 0 {
			g.enter(measuring, now) // nothing to measure yet
			return
		}
		if took < measureFor || now.Before(g.settled) {
			return
		}
		if idle := g.waited.Load() - g.idle; float64(idle) < waits*float64(took)*float64(g.active+g.extra) {
			g.enter(measuring, now)
			return
		}
		g.grow(rate, now)
	case opening:
		switch {
		case g.added == 0:
			g.settle(now)
		case g.waiting == 0 && g.extra >= g.allowed || took > openFor:
			g.enter(probing, now)
		}
	case probing:
		if took < leastProbe {
			return
		}
		had := g.active + g.allowed - g.added
		if rate >= g.before*(1+gain*float64(g.added)/float64(had)) {
			g.added = 0
			g.grow(rate, now)
			return
		}
		// The first round trips of a connection are slow: the farther, the longer.
		if took >= min(max(20*g.answer, leastProbe), longestProbe) {
			g.allowed -= g.added
			g.added = 0
			g.settle(now)
		}
	}
}

// settle leaves the number of connections alone for a while.
func (g *governor) settle(now time.Time) {
	g.settled, g.lanes = now.Add(settledFor), g.active+g.allowed
	g.enter(measuring, now)
}

// grow allows as many connections again as there are.
func (g *governor) grow(rate float64, now time.Time) {
	had := g.active + g.allowed
	g.added = min(had, mostLanes-had)
	if g.added <= 0 {
		g.added = 0
		g.settle(now)
		return
	}
	g.allowed += g.added
	g.before, g.answer = rate, 0
	g.enter(opening, now)
}
