package transfer

import (
	"context"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/progress"
)

// deposit is a blob in the spool of a [Depot], or on its way there.
type deposit struct {
	depot *Depot
	desc  ocispec.Descriptor

	// Under the lock of the depot.
	users   map[*Berth]int
	stays   bool  // in the spool, for who goes on later
	room    int64 // that it takes there
	started bool

	begin  chan struct{} // held by who takes the lock, or starts
	lock   *partial.Lock // nil before anybody has it
	told   chorus
	cancel context.CancelCauseFunc

	opened chan struct{} // closed when file is there to be followed, or will not be
	file   *partial.File
	done   chan struct{} // closed when it is whole, or has failed
	whole  partial.Whole
	err    error
}

func newDeposit(d *Depot, name string, desc ocispec.Descriptor) *deposit {
	return &deposit{
		depot: d, desc: desc, users: map[*Berth]int{}, begin: make(chan struct{}, 1),
		told: chorus{name: name}, opened: make(chan struct{}), done: make(chan struct{}),
	}
}

// bringing says whether the blob is on its way. The depot is locked.
func (e *deposit) bringing() bool { return e.started && !e.ended() }

// there says whether the blob is in the spool. The depot is locked.
func (e *deposit) there() bool { return e.started && e.ended() && e.err == nil }

func (e *deposit) ended() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// acquire keeps other processes away: another one may be bringing the blob to the
// same place.
func (e *deposit) acquire(ctx context.Context) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	defer e.give()
	if e.lock != nil {
		return nil
	}
	lock, err := partial.Acquire(ctx, e.depot.spool.root, spoolName(e.desc.Digest))
	if err == nil {
		e.lock = lock
	}
	return err
}

func (e *deposit) take(ctx context.Context) error {
	select {
	case e.begin <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *deposit) give() { <-e.begin }

// start has m bring the blob, unless somebody does. An error that wraps errNoRoom
// means that it does not fit.
func (e *deposit) start(ctx context.Context, m *mover) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	defer e.give()
	if e.started {
		return nil
	}
	if err := e.depot.reserve(ctx, m.berth, e); err != nil {
		return err
	}
	// Whoever began it may give up while others wait for it.
	ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	e.depot.mu.Lock()
	e.started = true
	e.depot.mu.Unlock()
	go func() {
		defer e.cancel(nil)
		e.err = e.bring(ctx, m)
		if e.file == nil {
			close(e.opened)
		}
		close(e.done)
	}()
	return nil
}

// bring brings the blob into the spool.
func (e *deposit) bring(ctx context.Context, m *mover) error {
	root, to := e.depot.spool.root, spoolName(e.desc.Digest)
	f, err := partial.Open(ctx, root, to+unfinished, e.desc, partial.Options{What: e.told.name, Mode: 0o600, SyncLater: true, Locked: true})
	if err != nil {
		return err
	}
	// An earlier process may have got as far as this, and not farther.
	if e.whole, err = partial.Check(ctx, root, to, e.desc, 0o600); err == nil {
		e.told.Reuse("", e.desc.Size)
		m.kept.Add(e.desc.Size)
		return f.Discard()
	}
	_ = root.Remove(to)
	m.kept.Add(f.Taken())
	e.file = f
	close(e.opened)
	err = f.Complete(ctx, partial.Way{
		Progress: &e.told,
		Bring:    func(ctx context.Context, moved func(int64)) error { return m.fill(ctx, f, e.desc, moved) },
		Rejected: func() bool { return m.fetcher.Reject(e.desc) },
		Finish: func(ctx context.Context) (err error) {
			e.whole, err = f.Finish(ctx, to)
			return err
		},
	})
	if err != nil {
		return f.GiveUp(err)
	}
	return nil
}

// wait waits until the blob is in the spool.
func (e *deposit) wait(ctx context.Context) error {
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// remove lets other processes have the blob, and with gone takes it out of the
// spool.
func (e *deposit) remove(gone bool) {
	if gone && e.lock != nil {
		e.depot.spool.clear(e.desc)
	}
	e.lock.Release()
	e.lock = nil
}

// chorus tells all destinations of what comes for them.
type chorus struct {
	name string // of the blob, in errors

	mu     sync.Mutex
	voices map[*voice]bool
	moved  int64
	reused int64
}

type voice struct {
	progress.Reporter

	name string
}

// join tells p of what comes, and of what came, until leave is called.
func (c *chorus) join(p progress.Reporter, name string) (leave func()) {
	v := &voice{p, name}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.voices == nil {
		c.voices = map[*voice]bool{}
	}
	c.voices[v] = true
	if c.reused > 0 {
		p.Reuse(name, c.reused)
	}
	if c.moved > 0 {
		p.Advance(name, c.moved)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.voices, v)
	}
}

// Plan implements progress.Reporter.
func (*chorus) Plan(int, int64) {}

// Start implements progress.Reporter.
func (*chorus) Start(string, int64) {}

// Finish implements progress.Reporter.
func (*chorus) Finish(string, bool) {}

// Advance implements progress.Reporter.
func (c *chorus) Advance(_ string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += n
	for v := range c.voices {
		v.Advance(v.name, n)
	}
}

// Reuse implements progress.Reporter.
func (c *chorus) Reuse(_ string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reused += n
	for v := range c.voices {
		v.Reuse(v.name, n)
	}
}

// Wait implements progress.Waiter.
func (c *chorus) Wait(_ string, d time.Duration, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for v := range c.voices {
		progress.Wait(v.Reporter, v.name, d, reason)
	}
}
