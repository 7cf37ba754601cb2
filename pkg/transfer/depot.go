package transfer

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/remote"
)

// Depot lets several destinations have the blobs of one read of the source. A blob
// comes into the spool when the first of them wants it, and is gone from there when
// all of them have it or have given up. None waits for another: each takes what is
// there and goes on by itself.
//
// A nil *Depot is none: every destination has a spool of its own.
type Depot struct {
	spool *spool

	mu       sync.Mutex
	changed  chan struct{} // closed, and made anew, when room may have become free
	berths   map[*Berth]bool
	entries  map[digest.Digest]*deposit
	used     int64 // bytes that blobs in the spool may take
	fetchers map[*remote.Repository]*Fetcher
}

// OpenDepot returns a depot in the directory dir, which is that of a spool:
// CopyOptions.SpoolDir. A directory that cannot be used is a *SpoolError.
func OpenDepot(dir string) (*Depot, error) {
	s, err := openSpool(dir)
	if err != nil {
		return nil, &SpoolError{Dir: dir, Err: err}
	}
	return newDepot(s), nil
}

func newDepot(s *spool) *Depot {
	return &Depot{
		spool: s, changed: make(chan struct{}), berths: map[*Berth]bool{},
		entries: map[digest.Digest]*deposit{}, fetchers: map[*remote.Repository]*Fetcher{},
	}
}

// Close gives up what is left. What is in the spool stays there for who goes on.
func (d *Depot) Close() {
	if d == nil {
		return
	}
	for _, b := range d.all() {
		b.Leave(ErrSourceChanged)
	}
	_ = d.spool.close() // nothing is lost when it fails
}

func (d *Depot) all() []*Berth {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.berths))
}

// Berth is the place of one destination at a [Depot]. It belongs into the
// CopyOptions of all that goes there.
type Berth struct {
	depot *Depot
	has   map[digest.Digest]bool
}

// Join adds a destination. All of them have to join before the first one copies.
func (d *Depot) Join() *Berth {
	if d == nil {
		return nil
	}
	b := &Berth{depot: d, has: map[digest.Digest]bool{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.berths[b] = true
	return b
}

// Leave says that the destination needs nothing more. After a failure, what is in
// the spool and did not reach it stays there, for it to go on with.
func (b *Berth) Leave(failure error) {
	if b == nil {
		return
	}
	d := b.depot
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.berths[b] {
		return
	}
	delete(d.berths, b)
	for _, e := range d.entries {
		if failure != nil && !b.has[e.desc.Digest] {
			e.stays = true
		}
		d.settle(e)
	}
}

// several says whether more than one destination may want what is fetched.
func (d *Depot) several() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.berths) > 1
}

// fetcher returns the Fetcher of a source, one for all destinations: so that they
// share what it learns of the connections.
func (d *Depot) fetcher(repo *remote.Repository) *Fetcher {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.fetchers[repo]
	if f == nil {
		f = NewFetcher(repo)
		d.fetchers[repo] = f
	}
	return f
}

// enter returns the entry of a blob, which leave gives back.
func (b *Berth) enter(name string, desc ocispec.Descriptor) *deposit {
	d := b.depot
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[desc.Digest]
	if e == nil {
		e = newDeposit(d, name, desc)
		d.entries[desc.Digest] = e
	}
	e.users[b]++
	return e
}

// leave says that b is done with an entry for now. has says that it has the blob
// at its destination.
func (b *Berth) leave(e *deposit, has bool) {
	d := b.depot
	d.mu.Lock()
	if has {
		b.has[e.desc.Digest] = true
	}
	if e.users[b]--; e.users[b] == 0 {
		delete(e.users, b)
	}
	abandoned := len(e.users) == 0 && e.bringing()
	if !abandoned {
		defer d.mu.Unlock()
		d.settle(e)
		return
	}
	// Who comes for it from now on must not share the end of this one: an entry of
	// its own waits for the lock, and goes on where this one ends.
	delete(d.entries, e.desc.Digest)
	d.mu.Unlock()
	e.cancel(context.Canceled)
	<-e.done
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release(e, false)
}

// settle lets go of an entry that nobody uses or waits for. d.mu is held.
func (d *Depot) settle(e *deposit) {
	if d.entries[e.desc.Digest] != e || len(e.users) > 0 || e.bringing() {
		return
	}
	wanted := false
	for b := range d.berths {
		wanted = wanted || !b.has[e.desc.Digest]
	}
	if wanted && e.there() {
		d.wake() // who waits for room may have nobody to wait for any more
		return
	}
	delete(d.entries, e.desc.Digest)
	d.release(e, !e.stays && !wanted)
}

// release gives back what an entry has: its lock, its room, and with gone what is
// in the spool. d.mu is held.
func (d *Depot) release(e *deposit, gone bool) {
	e.remove(gone)
	d.used -= e.room
	d.wake()
}

func (d *Depot) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// reserve waits until a blob may come into the spool. It does not wait for what lies
// there for other destinations only: that would make b as slow as they are.
func (d *Depot) reserve(ctx context.Context, b *Berth, e *deposit) error {
	for {
		d.mu.Lock()
		if d.used == 0 || d.used+e.desc.Size <= spoolBytes {
			err := d.spool.fits(e.desc)
			if err == nil {
				e.room = e.desc.Size
				d.used += e.room
			}
			d.mu.Unlock()
			return err
		}
		mine := false
		for _, other := range d.entries {
			mine = mine || other.room > 0 && other.users[b] > 0
		}
		changed := d.changed
		d.mu.Unlock()
		if !mine {
			return d.spool.full(e.desc)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}
