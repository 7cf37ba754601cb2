package partial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// ErrGivenUp means that the rest of what is being followed will not come.
var ErrGivenUp = errors.New("the blob did not become whole")

// Follower gives the bytes of a [File] in order while they come, to somebody who
// sends them on. It waits where they are not there yet. What it gives is not
// proven, and so it keeps the last byte back until all of it is: nobody who
// follows to the end has got anything but the blob.
//
// It implements io.Reader, io.Seeker and io.Closer, and stays good over Finish. It
// is not safe for concurrent use, except that Close ends a Read that waits.
type Follower struct {
	ctx  context.Context //nolint:containedctx // a reader lives as long as the call that made it
	f    *File
	data *os.File // of its own
	pos  int64

	once   sync.Once
	closed chan struct{}
	stop   func() bool
}

// Follow returns a Follower that begins at the first byte and gives up with ctx. A
// window has none.
func (f *File) Follow(ctx context.Context) (*Follower, error) {
	if !f.own {
		return nil, fmt.Errorf("%s: %w: a window is not followed", f.label(), errors.ErrUnsupported)
	}
	data, err := f.area.root.Open(f.area.name)
	if err != nil {
		return nil, err
	}
	r := &Follower{ctx: ctx, f: f, data: data, closed: make(chan struct{})}
	r.stop = context.AfterFunc(ctx, f.wake)
	return r, nil
}

// wake has everybody who waits look again.
func (f *File) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed.Broadcast()
}

// Read implements io.Reader.
func (r *Follower) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	end, err := r.await(r.pos)
	if err != nil {
		return 0, err
	}
	if r.pos == end {
		return 0, io.EOF
	}
	n, err := r.data.ReadAt(p[:min(int64(len(p)), end-r.pos)], r.pos)
	r.pos += int64(n)
	if n > 0 {
		err = nil // a wrong end shows at the next call
	} else if err == io.EOF { //nolint:errorlint // an end is never wrapped
		err = io.ErrUnexpectedEOF // somebody made the file shorter
	}
	return n, err
}

// Await waits until more than n bytes are there, or all.
func (r *Follower) Await(n int64) error {
	_, err := r.await(n)
	return err
}

// await waits for bytes behind at and returns up to where they are there.
func (r *Follower) await(at int64) (int64, error) {
	f := r.f
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		select {
		case <-r.closed:
			return 0, os.ErrClosed
		default:
		}
		switch {
		case f.whole:
			return f.desc.Size, nil
		case f.gone:
			return 0, fmt.Errorf("%s: %w", f.label(), ErrGivenUp)
		case r.ctx.Err() != nil:
			return 0, context.Cause(r.ctx)
		}
		if end := min(f.hashed, f.desc.Size-1); at < end {
			return end, nil
		}
		f.changed.Wait()
	}
}

// Seek implements io.Seeker.
func (r *Follower) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.f.desc.Size
	}
	if offset < 0 || offset > r.f.desc.Size {
		return r.pos, fmt.Errorf("%s: seek to %d of %d bytes", r.f.label(), offset, r.f.desc.Size)
	}
	r.pos = offset
	return r.pos, nil
}

// Close implements io.Closer.
func (r *Follower) Close() error {
	err := os.ErrClosed
	r.once.Do(func() {
		r.stop()
		close(r.closed)
		r.f.wake()
		err = r.data.Close()
	})
	return err
}
