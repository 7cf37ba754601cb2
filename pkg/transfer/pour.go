package transfer

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// A pour sends a blob from one registry to another as it comes, which takes less of
// the processor than a spool, and less time. It is for sources that are fast: an
// upload must not be held open for a slow one (registries.md §1.3). Where the
// destination has kept what came, it goes on there, also in another process: the
// source is asked for the rest, and the hash begins with a state of before.
type pour struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the call that made it
	m    *mover
	desc ocispec.Descriptor

	mu     sync.Mutex
	states []hashState   // ascending, the newest last
	waited time.Duration // for the source
	came   int64         // meanwhile
}

// hashState is what a SHA-256 was after so many bytes.
type hashState struct {
	at  int64
	raw []byte
}

const (
	// directFrom is how many bytes a second make a source fast, for each blob: with so
	// many the largest layer that GHCR takes arrives in the ten minutes that it gives
	// an upload (registries.md §6).
	directFrom = 17_000_000
	// slowAfter is how long a source is waited for before it is judged, and how long
	// it may give nothing.
	slowAfter = 2 * time.Second
	// pouredState is after how many bytes the state of the hash is taken, and how many
	// the registry may lack of what was given to the connection.
	pouredState = 16 << 20
	// statesKept are so many of them.
	statesKept = 8
)

// errSlow says that a source is too slow for that.
var errSlow = errors.New("the source is slower than the destination should wait for")

// direct says whether a blob is sent as it comes.
func (m *mover) direct(desc ocispec.Descriptor) bool {
	if m.rate < 0 || m.uploader == nil || !m.alone || m.slow.Load() || desc.Digest.Algorithm() != digest.SHA256 {
		return false
	}
	if m.uploader.journals() == "" {
		return false // nobody could go on with it later
	}
	// What a mirror gives may be wrong, which shows when all of it has come.
	if len(m.fetcher.repo.Endpoints()) > 1 || m.berth.depot.spool.holds(desc) {
		return false
	}
	switch m.uploader.traits().Resume {
	case keepsNothing, keepsChunks:
		return false // interrupted, it would start over
	case keepsBytes:
	}
	return true
}

// pour sends a blob as it comes. done is false when the source turned out to be
// slow: then it goes through the spool.
func (m *mover) pour(ctx context.Context, name string, desc ocispec.Descriptor) (done bool, err error) {
	p := &pour{ctx: ctx, m: m, desc: desc}
	j := m.uploader.newUpload(ingest.Blob{
		Name: name, MediaType: desc.MediaType, Size: desc.Size,
		Identity: desc.Digest.String(),
		Open:     func() (io.ReadCloser, error) { return &poured{p: p}, nil },
	})
	j.desc, j.pour, j.asked = desc, p, true
	_, err = m.uploader.move(ctx, j)
	if errors.Is(err, errSlow) {
		m.slow.Store(true)
		return false, nil
	}
	return true, err
}

// note takes a state of the hash.
func (p *pour) note(at int64, h hash.Hash) {
	raw, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return // never, for SHA-256
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = slices.DeleteFunc(p.states, func(s hashState) bool { return s.at >= at })
	p.states = append(p.states, hashState{at, raw})
	if len(p.states) > statesKept {
		p.states = slices.Delete(p.states, 0, len(p.states)-statesKept)
	}
}

// noted returns the state of the hash for a journal: of bytes that the registry has
// for sure, or soon.
func (p *pour) noted() (at int64, raw []byte) {
	p.mu.Lock()
	var last int64
	if len(p.states) > 0 {
		last = p.states[len(p.states)-1].at
	}
	p.mu.Unlock()
	return p.newest(last - pouredState)
}

// restore takes a state that an earlier process noted. One that is wrong makes the
// digest wrong at the end.
func (p *pour) restore(at int64, raw []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at > 0 && at <= p.desc.Size && len(raw) > 0 && digest.SHA256.Hash().(encoding.BinaryUnmarshaler).UnmarshalBinary(raw) == nil {
		p.states = append(p.states[:0], hashState{at, slices.Clone(raw)})
	}
}

// newest returns the newest state of the hash up to n bytes.
func (p *pour) newest(n int64) (at int64, raw []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range slices.Backward(p.states) {
		if s.at <= n {
			return s.at, s.raw
		}
	}
	return 0, nil
}

// judge counts what the source gave while it was waited for.
func (p *pour) judge(n int, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came += int64(n)
	p.waited += d
	if p.waited >= slowAfter && float64(p.came) < p.waited.Seconds()*float64(p.m.rate) {
		return errSlow
	}
	return nil
}

// poured is one pass over the bytes of a pour. It gives the last of them only when
// all are those of the digest.
type poured struct {
	p    *pour
	at   int64
	hash hash.Hash
	rc   io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the request that rc is the answer to
	stop context.CancelCauseFunc
	next int64 // where the next state is taken

	opened time.Time
	asked  atomic.Int64 // when the source was asked for more, after opened
	watch  *time.Timer
}

// What asked is when nobody waits for the source, and when nobody will any more.
const (
	notAsked = -1
	closed   = -2
)

// watchSource gives up a source that gives nothing for slowAfter. It is one timer, since
// there are a hundred thousand reads.
func (r *poured) watchSource() {
	r.opened = time.Now()
	r.asked.Store(0)
	r.watch = time.AfterFunc(time.Hour, func() {
		left := slowAfter
		switch asked := r.asked.Load(); asked {
		case closed:
			return
		case notAsked:
		default:
			left -= time.Since(r.opened) - time.Duration(asked)
		}
		if left <= 0 {
			r.stop(errSlow)
			return
		}
		r.watch.Reset(left)
	})
	r.watch.Reset(slowAfter)
}

// giveUp ends the request and what watches it.
func (r *poured) giveUp() {
	r.asked.Store(closed)
	r.watch.Stop()
	r.stop(nil)
}

// Seek implements io.Seeker, before the first Read.
func (r *poured) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || r.rc != nil || offset < 0 || offset > r.p.desc.Size {
		return r.at, fmt.Errorf("seek to %d of %d bytes that come from a registry", offset, r.p.desc.Size)
	}
	r.at = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *poured) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if r.rc == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	if r.at == r.p.desc.Size {
		return 0, r.end()
	}
	n, err := r.take(b)
	if err != nil {
		return 0, err
	}
	if r.at == r.p.desc.Size {
		if err := r.end(); !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	return n, nil
}

// open asks the source for the bytes from the newest state of the hash on, and
// hashes those that are not wanted again.
func (r *poured) open() error {
	from, raw := r.p.newest(r.at)
	r.hash = digest.SHA256.Hash()
	if raw != nil {
		if err := r.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(raw); err != nil {
			return err
		}
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancelCause(r.p.ctx)
	r.watchSource()
	rc, err := r.p.m.fetcher.fetchFrom(ctx, r.p.desc, from)
	r.asked.Store(notAsked)
	if err != nil {
		err = slowOr(ctx, err)
		r.giveUp()
		return err
	}
	r.ctx, r.rc, r.next = ctx, rc, from+pouredState
	want := r.at
	r.at = from
	buf := make([]byte, min(max(want-from, 0), hashBuffer))
	for r.at < want {
		if _, err := r.take(buf[:min(int64(len(buf)), want-r.at)]); err != nil {
			return err
		}
	}
	return nil
}

// take reads from the source.
func (r *poured) take(b []byte) (int, error) {
	asked := time.Since(r.opened)
	r.asked.Store(int64(asked))
	n, err := r.rc.Read(b[:min(int64(len(b)), r.p.desc.Size-r.at)])
	took := time.Since(r.opened) - asked
	r.asked.Store(notAsked)
	r.hash.Write(b[:n])
	r.at += int64(n)
	r.p.m.fetched.Add(int64(n))
	if r.at >= r.next {
		r.p.note(r.at, r.hash)
		r.next = r.at + pouredState
	}
	switch {
	case err == io.EOF && n == 0:
		return 0, &integrity.Error{What: "blob", Want: r.p.desc.Digest, WantSize: r.p.desc.Size, GotSize: r.at, Incomplete: true}
	case err != nil && err != io.EOF:
		return n, slowOr(r.ctx, err)
	}
	return n, r.p.judge(n, took)
}

// slowOr returns errSlow when that is why a request was given up.
func slowOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		return errSlow
	}
	return err
}

// end compares the digest, and looks whether there is more than there should be. It
// returns io.EOF when all is right.
func (r *poured) end() error {
	bad := &integrity.Error{What: "blob", Want: r.p.desc.Digest, WantSize: r.p.desc.Size, GotSize: r.at}
	if bad.Got = digest.NewDigest(digest.SHA256, r.hash); bad.Got != r.p.desc.Digest {
		return bad
	}
	var one [1]byte
	if n, _ := r.rc.Read(one[:]); n > 0 {
		bad.GotSize++
		return bad
	}
	return io.EOF
}

// Close implements io.Closer.
func (r *poured) Close() error {
	if r.rc == nil {
		return nil
	}
	r.p.note(r.at, r.hash)
	r.giveUp()
	return r.rc.Close()
}
