package render

import (
	"io"
	"sync"
	"time"

	"github.com/modseal/modseal/pkg/progress"
)

// ProgressOptions say how to draw.
type ProgressOptions struct {
	Quiet    bool // nothing at all
	JSON     bool // one event a line
	Terminal bool // bars, when not JSON; otherwise plain lines
}

// Progress tells what is moved: bars on a terminal, otherwise plain lines that
// are bounded in number, or events for machines, and nothing when quiet. It
// implements progress.Reporter and progress.Waiter.
type Progress struct {
	state *state
	view  view // nil when quiet

	begin sync.Once
	stop  chan struct{}
	ended sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// view shows what happens. Its methods are called from many goroutines at once,
// but tick only from one, and close once and last.
type view interface {
	begin()
	planned()
	started(it item)
	reused(it item, n int64)
	finished(it item, reused bool)
	waiting(w wait)
	tick()
	close(complete bool)
}

// tickEvery is how often a view may write of its own accord; bars have a clock
// of their own.
const tickEvery = 500 * time.Millisecond

// NewProgress returns a Progress that draws to w. Close ends it.
func NewProgress(w io.Writer, o ProgressOptions) *Progress {
	p := newProgress(w, o, time.Now)
	if p.view != nil {
		p.stop = make(chan struct{})
	}
	return p
}

// newProgress returns a Progress that does not tick by itself.
func newProgress(w io.Writer, o ProgressOptions, now func() time.Time) *Progress {
	p := &Progress{state: newState(now)}
	switch {
	case o.Quiet:
	case o.JSON:
		p.view = &events{w: w, state: p.state}
	case o.Terminal:
		p.view = newBars(w, p.state)
	default:
		p.view = &lines{w: w, state: p.state}
	}
	return p
}

// live reports whether there is anything to show to, and begins to.
func (p *Progress) live() bool {
	if p.view == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.begin.Do(func() {
		p.view.begin()
		if p.stop != nil {
			p.ended.Add(1)
			go p.run()
		}
	})
	return true
}

func (p *Progress) run() {
	defer p.ended.Done()
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.view.tick()
		}
	}
}

// Plan implements progress.Reporter.
func (p *Progress) Plan(files int, bytes int64) {
	if p.live() {
		p.state.plan(files, bytes)
		p.view.planned()
	}
}

// Start implements progress.Reporter.
func (p *Progress) Start(name string, size int64) {
	if p.live() {
		p.view.started(p.state.start(name, size))
	}
}

// Advance implements progress.Reporter.
func (p *Progress) Advance(name string, n int64) { p.state.advance(name, n) }

// Reuse implements progress.Reporter.
func (p *Progress) Reuse(name string, n int64) {
	if !p.live() {
		return
	}
	if it, ok := p.state.reuse(name, n); ok {
		p.view.reused(it, n)
	}
}

// Finish implements progress.Reporter.
func (p *Progress) Finish(name string, reused bool) {
	if p.live() {
		it := p.state.finish(name, reused)
		p.view.finished(it, reused || it.size > 0 && it.old() == it.size)
	}
}

// Wait implements progress.Waiter.
func (p *Progress) Wait(name string, d time.Duration, reason error) {
	if p.live() {
		p.view.waiting(p.state.wait(name, d, reason))
	}
}

// Close ends the drawing and says what was moved in all, when anything was; err
// is what the work ended with. What is told later is ignored.
func (p *Progress) Close(err error) {
	p.mu.Lock()
	was := p.closed
	p.closed = true
	p.mu.Unlock()
	began := true
	p.begin.Do(func() { began = false })
	if p.view == nil || was || !began {
		return
	}
	if p.stop != nil {
		close(p.stop)
		p.ended.Wait()
	}
	p.view.close(err == nil)
}

var (
	_ progress.Reporter = (*Progress)(nil)
	_ progress.Waiter   = (*Progress)(nil)
)
