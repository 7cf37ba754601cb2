package render

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// heartbeat is how often a plain log says how far all is.
	heartbeat = 30 * time.Second
	// waitEvery is how often it says that something waits.
	waitEvery = 10 * time.Second
	// mostSmall and mostOwn bound how many finished files get a line: of those
	// that are counted in the total only, the first few, so that a small model is
	// seen whole; and of the others, as many as people read.
	mostSmall, mostOwn = 20, 200
	// lineWidth bounds plain lines, which nobody breaks.
	lineWidth = 200
)

// budget bounds how many finished files get a line.
type budget struct{ small, own int }

// take reports whether a file of that size gets a line, and whether it is the
// first that gets none.
func (b *budget) take(size int64) (ok, first bool) {
	n, most := &b.small, mostSmall
	if size >= ownFrom {
		n, most = &b.own, mostOwn
	}
	*n++
	return *n <= most, *n == most+1
}

// andMore is said once in place of the first line that is left out.
func andMore(size int64) string {
	if size >= ownFrom {
		return fmt.Sprintf("...     further files are counted, not listed (%d were)", mostOwn)
	}
	return fmt.Sprintf("...     further files below %s are counted, not listed (%d were)", Bytes(ownFrom), mostSmall)
}

// lines is the plain log.
type lines struct {
	w     io.Writer
	state *state

	mu      sync.Mutex
	budget  budget
	beat    time.Time // of the last heartbeat
	waitLog time.Time
}

func (l *lines) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beat = l.state.now()
}

func (l *lines) planned()           {}
func (l *lines) started(item)       {}
func (l *lines) reused(item, int64) {}

func (l *lines) finished(it item, reused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch ok, first := l.budget.take(it.size); {
	case ok:
		fmt.Fprintln(l.w, it.outcome(reused, lineWidth))
	case first:
		fmt.Fprintln(l.w, andMore(it.size))
	}
}

func (l *lines) waiting(w wait) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.state.now()
	if !l.waitLog.IsZero() && now.Sub(l.waitLog) < waitEvery {
		return
	}
	l.waitLog = now
	fmt.Fprintln(l.w, w.line(now, lineWidth))
}

func (l *lines) tick() {
	s := l.state.snapshot() // always: the rate is taken from what it sees
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.at.Sub(l.beat) < heartbeat {
		return
	}
	l.beat = s.at
	fmt.Fprintln(l.w, "        "+s.standing())
}

func (l *lines) close(complete bool) {
	if s := l.state.snapshot(); s.totalFiles > 0 {
		fmt.Fprintln(l.w, s.totals(complete))
	}
}
