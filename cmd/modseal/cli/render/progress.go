package render

import (
	"fmt"
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Progress draws what is moved: bars on a terminal, otherwise a plain line when
// a file is whole, and nothing when quiet. It implements progress.Reporter.
type Progress struct {
	w     io.Writer
	quiet bool
	bars  *mpb.Progress // nil when w is no terminal

	mu     sync.Mutex
	active map[string]*item
}

type item struct {
	size int64
	bar  *mpb.Bar
}

// NewProgress returns a Progress that draws to w.
func NewProgress(w io.Writer, quiet, terminal bool) *Progress {
	p := &Progress{w: w, quiet: quiet, active: map[string]*item{}}
	if terminal && !quiet {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh())
	}
	return p
}

// Plan implements progress.Reporter.
func (p *Progress) Plan(int, int64) {}

// Reuse implements progress.Reporter.
func (p *Progress) Reuse(name string, n int64) { p.Advance(name, n) }

// Start implements progress.Reporter.
func (p *Progress) Start(name string, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it := &item{size: size}
	if p.bars != nil && size > 0 {
		it.bar = p.bars.AddBar(size,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(Clean(name), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKiloByte("% .1f / % .1f", decor.WCSyncSpace), decor.AverageSpeed(decor.SizeB1000(0), "% .1f", decor.WCSyncSpace)),
		)
	}
	p.active[name] = it
}

// Advance implements progress.Reporter.
func (p *Progress) Advance(name string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if it := p.active[name]; it != nil && it.bar != nil {
		it.bar.IncrInt64(n)
	}
}

// Finish implements progress.Reporter.
func (p *Progress) Finish(name string, reused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it := p.active[name]
	delete(p.active, name)
	if it == nil {
		it = &item{}
	}
	if it.bar != nil {
		it.bar.SetTotal(-1, true)
	}
	if p.quiet {
		return
	}
	what := "done  "
	if reused {
		what = "reused"
	}
	line := fmt.Sprintf("%s  %s  %s\n", what, Clean(name), Bytes(it.size))
	if p.bars != nil {
		// Through the bars, so that the line does not tear them.
		_, _ = p.bars.Write([]byte(line))
		return
	}
	fmt.Fprint(p.w, line)
}

// Close ends the drawing; bars of what did not become whole are removed.
func (p *Progress) Close() {
	if p.bars == nil {
		return
	}
	p.mu.Lock()
	for _, it := range p.active {
		if it.bar != nil {
			it.bar.Abort(true)
		}
	}
	p.mu.Unlock()
	p.bars.Wait()
}
