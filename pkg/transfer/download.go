package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/remote"
)

const (
	// partSize is what one connection of several is asked for at a time.
	partSize = 32 << 20
	// leastSplit is how much a connection must have before it to share it with
	// another.
	leastSplit = 2 << 20
	// leastLead is how far ahead of a connection another one begins: farther than
	// what the first may be reading in this moment.
	leastLead = 1 << 20
	// leastAdaptive is the size from which a blob may get further connections.
	leastAdaptive = 32 << 20
	// tickEvery is how often the number of connections, and each of them, is
	// looked at.
	tickEvery = 50 * time.Millisecond
)

// verdict is what is remembered of the ways in which a blob came, for when its
// digest is wrong.
type verdict struct {
	mirrors map[string]*remote.Endpoint // that brought bytes of it
	pieces  bool                        // it came otherwise than as one stream from the registry
	plain   bool                        // it is to come as one stream from the registry
}

func (f *Fetcher) verdict(d digest.Digest) *verdict {
	v := f.verdicts[d]
	if v == nil {
		v = &verdict{mirrors: map[string]*remote.Endpoint{}}
		f.verdicts[d] = v
	}
	return v
}

// Download brings what to lacks of target: from the mirrors of the registry in
// their order, and from the registry last; over one connection first, and over
// several ranges while that is faster. moved is told of bytes as they come. They
// are not checked here: to is. When they turn out wrong, see [Fetcher.Reject].
//
// An error of to, a full disk for one, is returned as it is. An *integrity.Error
// says that the registry has another number of bytes than target.
func (f *Fetcher) Download(ctx context.Context, target ocispec.Descriptor, to partial.Sink, moved func(int64)) error {
	if err := artifacttypes.ValidateDescriptor(target); err != nil {
		return err
	}
	if moved == nil {
		moved = func(int64) {}
	}
	if len(to.Missing()) == 0 {
		return nil
	}
	endpoints, plain := f.sources(target.Digest)
	var (
		err   error
		wrong *integrity.Error
	)
	for i, e := range endpoints {
		d := &download{fetcher: f, origin: origin{e, target}, to: to, moved: moved, patient: !e.IsMirror() || i == len(endpoints)-1}
		if plain {
			d.ranges = refused
		}
		err = d.run(ctx)
		var own *sinkError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &own):
			return own.err
		case ctx.Err() != nil:
			return f.repo.Explain(ctx, "fetch "+target.Digest.String(), err)
		case errors.As(err, &wrong) && e.IsMirror():
			e.Blame(err)
		}
	}
	if errors.As(err, &wrong) {
		return err
	}
	return f.repo.Explain(ctx, "fetch "+target.Digest.String(), err)
}

// sources returns where a blob is asked for, in order, and whether only as one
// stream.
func (f *Fetcher) sources(d digest.Digest) (list []*remote.Endpoint, plain bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.verdict(d).plain {
		return []*remote.Endpoint{f.home()}, true
	}
	return slices.DeleteFunc(f.repo.Endpoints(), func(e *remote.Endpoint) bool { return e.IsMirror() && f.liars[e.Host()] }), false
}

// home returns where to ask when only one can be: the registry itself, or what
// stands in its place.
func (f *Fetcher) home() *remote.Endpoint {
	all := f.repo.Endpoints()
	for _, e := range all {
		if !e.IsMirror() {
			return e
		}
	}
	return all[len(all)-1]
}

// Reject says that what Download brought of desc is not what its digest says:
// mirrors that had a part in it are not asked again for anything. It reports
// whether it may come right when everything is fetched again: from the next
// source, or in the end as one plain stream from the registry, which tells a
// server that is bad at ranges from a blob that is bad.
func (f *Fetcher) Reject(desc ocispec.Descriptor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.verdict(desc.Digest)
	again := len(v.mirrors) > 0
	for host, e := range v.mirrors {
		f.liars[host] = true
		e.Blame(fmt.Errorf("bytes of %s that do not hash to it", desc.Digest))
	}
	if !again && v.pieces && !v.plain {
		v.plain, again = true, true
	}
	v.mirrors, v.pieces = map[string]*remote.Endpoint{}, false
	return again
}

// sinkError is an error of the sink, not of the registry.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// rangeState is what is known of how an endpoint answers to ranges of a blob.
type rangeState int

const (
	unknown rangeState = iota
	proven             // a 206 with the right Content-Range came
	refused            // it gives the whole blob or nothing
)

// download is one blob from one endpoint.
type download struct {
	origin

	fetcher *Fetcher
	to      partial.Sink
	moved   func(int64)
	patient bool // it is the registry, which is waited for, or there is no other

	adaptive bool // it may get further connections

	ctx    context.Context //nolint:containedctx // a download lives as long as the call that made it
	cancel context.CancelCauseFunc
	group  sync.WaitGroup

	mu       sync.Mutex
	free     []partial.Span // that no connection has
	lanes    []*lane
	ranges   rangeState
	most     int // connections
	rejected int // times that the storage behind the endpoint refused an address
	err      error
}

// run returns when all is there, or nothing more can be done.
func (d *download) run(ctx context.Context) error {
	d.ctx, d.cancel = context.WithCancelCause(ctx)
	defer d.cancel(nil)
	d.free, d.most = d.to.Missing(), mostOfBlob
	d.adaptive = d.desc.Size >= leastAdaptive
	if d.adaptive {
		d.fetcher.governor.join(time.Now())
		defer func() { d.fetcher.governor.leave(time.Now()) }()
	}
	d.mu.Lock()
	d.start(&lane{d: d})
	d.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		d.group.Wait()
		close(ended)
	}()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			if d.err == nil && len(d.to.Missing()) > 0 && ctx.Err() == nil {
				return fmt.Errorf("the download ended with bytes missing: %v", d.to.Missing())
			}
			return d.err
		case now := <-tick.C:
			if d.adaptive {
				d.lookAfter(now)
			}
		}
	}
}

// start begins the work of a lane. d.mu is held.
func (d *download) start(l *lane) {
	d.lanes = append(d.lanes, l)
	d.group.Go(l.work)
}

// lookAfter replaces connections that starve and adds some where that is due.
func (d *download) lookAfter(now time.Time) {
	d.mu.Lock()
	d.cancelStarved(now)
	d.mu.Unlock()
	for d.ctx.Err() == nil && d.mayGrow() && d.fetcher.governor.reserve(now) {
		if !d.grow(now) {
			d.fetcher.governor.none()
			return
		}
	}
}

func (d *download) mayGrow() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err == nil && d.ranges != refused && len(d.lanes) > 0 && len(d.lanes) < d.most &&
		(d.ranges == proven || len(d.lanes) == 1 && d.lanes[0].seg != nil)
}

// grow adds a connection, when there is something that it can do.
func (d *download) grow(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil || d.ranges == refused || len(d.lanes) == 0 {
		return false
	}
	l := &lane{d: d, extra: true}
	if !d.takeFree(l) && !d.share(l, now) {
		return false
	}
	d.start(l)
	return true
}

// takeFree gives l a part of what no connection has. d.mu is held.
func (d *download) takeFree(l *lane) bool {
	if len(d.free) == 0 {
		return false
	}
	s := &d.free[0]
	end := s.End
	if !d.isAlone(l) {
		end = min(end, s.Start+partSize)
	}
	l.pos, l.end = s.Start, end
	if s.Start = end; s.Start == s.End {
		d.free = d.free[1:]
	}
	return true
}

func (d *download) isAlone(l *lane) bool {
	return len(d.lanes) == 0 || len(d.lanes) == 1 && d.lanes[0] == l
}

// share gives l a part of what the connection that has most before it was to
// bring. d.mu is held.
func (d *download) share(l *lane, now time.Time) bool {
	var most *lane
	for _, v := range d.lanes {
		if v != l && (most == nil || v.end-v.pos > most.end-most.pos) {
			most = v
		}
	}
	if most == nil || most.claimed() {
		return false
	}
	left := most.end - most.pos
	keep := left / 2
	if lead := most.lead(now); left > 2*partSize || keep < lead {
		keep = max(partSize, lead)
	}
	if left-keep < leastSplit {
		return false
	}
	end := most.end
	l.pos, l.end = most.pos+keep, min(end, most.pos+keep+partSize)
	most.end = l.pos
	if d.ranges == unknown {
		// Until the first range is answered, the connection that has brought
		// everything so far must be able to go on alone.
		l.from, l.end = most, end
	} else if l.end < end {
		d.giveBack(partial.Span{Start: l.end, End: end})
	}
	return true
}

// giveBack puts a span to those that no connection has. d.mu is held.
func (d *download) giveBack(s partial.Span) {
	if s.Start >= s.End {
		return
	}
	i, _ := slices.BinarySearchFunc(d.free, s, func(a, b partial.Span) int { return int(min(max(a.Start-b.Start, -1), 1)) })
	d.free = slices.Insert(d.free, i, s)
}

// next gives a lane that is done what it does next, or takes it out.
func (d *download) next(l *lane) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.err != nil || d.ctx.Err() != nil:
	case l.pos < l.end:
		return true // it was made with something to do
	case len(d.lanes) > 1 && (d.ranges == refused || l.extra && d.fetcher.governor.over()):
		// Another one does the rest.
	case d.takeFree(l):
		return true
	case d.ranges == proven && d.share(l, time.Now()):
		return true
	}
	d.remove(l)
	return false
}

// remove takes a lane out; what it was to bring goes back. d.mu is held.
func (d *download) remove(l *lane) {
	d.giveBack(partial.Span{Start: l.pos, End: l.end})
	l.end = l.pos
	d.lanes = slices.DeleteFunc(d.lanes, func(o *lane) bool { return o == l })
}

// fail ends the download.
func (d *download) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
		d.cancel(errEnded)
	}
}

var errEnded = errors.New("the download has ended")
