package partial

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"
)

// chunk is bytes on their way to the hash.
type chunk struct {
	buf *buffer // nil when they must be read from the file
	n   int
}

// mostQueued bounds the chunks of one blob that wait for the hash in memory: as
// many as the cache of a processor holds.
const mostQueued = 4

// unhashed counts the blobs of this process that are on their way.
var unhashed atomic.Int64

// crowded reports whether so many blobs come at once that no processor is free for
// a hash beside: then each is hashed by who brings it, while its bytes are in the
// cache of that processor.
func crowded() bool { return unhashed.Load() >= int64(runtime.GOMAXPROCS(0)) }

// follow hashes the bytes in order as soon as they are there, unless those who
// bring them do.
func (f *File) follow() {
	var own *buffer
	defer func() {
		if own != nil {
			buffers.Put(own)
		}
	}()
	for {
		c, at, ok := f.next()
		if !ok {
			return
		}
		p := c.buf
		var err error
		if p == nil {
			if own == nil {
				own = buffers.Get().(*buffer)
			}
			p = own
			var n int
			if n, err = f.area.data.ReadAt(p[:c.n], f.at+at); n == c.n {
				err = nil // also at the end of the file
			} else if err == io.EOF { //nolint:errorlint // an end is never wrapped
				err = io.ErrUnexpectedEOF // somebody made the file shorter
			}
		}
		if err == nil {
			f.sum.Write(p[:c.n])
		}
		if c.buf != nil {
			buffers.Put(c.buf)
		}
		f.mu.Lock()
		f.hashing = false
		if err == nil {
			f.hashed += int64(c.n)
		} else {
			f.failed, f.stopped = err, true
		}
		f.changed.Broadcast()
		f.mu.Unlock()
	}
}

// hashHere hashes what is next, if nobody else does. f.mu is held, but not meanwhile.
func (f *File) hashHere(p []byte) bool {
	if f.hashing || len(f.queue) > 0 || f.hashed != f.claimed || f.stopped || !crowded() {
		return false
	}
	f.hashing = true
	f.claimed += int64(len(p))
	f.mu.Unlock()
	f.sum.Write(p)
	f.mu.Lock()
	f.hashing = false
	f.hashed += int64(len(p))
	f.changed.Broadcast()
	return true
}

// next waits for the bytes that come next. It returns false when there are no
// more, or the file is to be closed.
func (f *File) next() (c chunk, at int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.stopped || f.hashed == f.desc.Size:
			return c, 0, false
		case f.hashing:
			f.changed.Wait()
			continue
		case len(f.queue) > 0:
			f.hashing = true
			c = f.queue[0]
			f.queue = append(f.queue[:0], f.queue[1:]...)
			f.changed.Broadcast() // there is room again
			return c, f.hashed, true
		}
		if end := f.written.end(f.claimed); end > f.claimed {
			f.hashing = true
			c.n = int(min(end-f.claimed, bufferSize))
			f.claimed += int64(c.n)
			return c, f.hashed, true
		}
		f.changed.Wait()
	}
}

// await waits until everything is hashed.
func (f *File) await(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.hashed < f.desc.Size && f.failed == nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f.changed.Wait()
	}
	return f.failed
}
