package store

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/clone"
	"github.com/modseal/modseal/pkg/internal/holes"
	"github.com/modseal/modseal/pkg/progress"
)

// Ingest implements ingest.Ingester: b is read once, hashed while it is written,
// and not at all when its digest is known and that blob is there.
// The digest is that of the bytes in the layout, whatever happens to the source
// meanwhile. A blob that is there already stays as it is.
//
// A file is copied the cheapest way that the file system has, on some by sharing
// its blocks, and always becomes a file of its own: no hard link leads into a
// layout or out of it, since an edit under one name would change the blob under
// the other.
func (l *Layout) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	desc, _, err := l.ingest(ctx, b, func(int64) {})
	return desc, err
}

// Reporting returns an Ingester that does what the layout does and tells p of it.
func (l *Layout) Reporting(p progress.Reporter) ingest.Ingester {
	return &reporting{l, progress.OrNone(p)}
}

type reporting struct {
	l *Layout
	p progress.Reporter
}

// Ingest implements ingest.Ingester.
func (r *reporting) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	r.p.Start(b.Name, b.Size)
	desc, unread, err := r.l.ingest(ctx, b, func(n int64) { r.p.Advance(b.Name, n) })
	if err == nil {
		r.p.Finish(b.Name, unread)
	}
	return desc, err
}

// ingest reports whether the blob was there and not even read. moved is told of
// bytes that were.
func (l *Layout) ingest(ctx context.Context, b ingest.Blob, moved func(int64)) (desc ocispec.Descriptor, unread bool, err error) {
	if err := l.lease(ctx); err != nil {
		return desc, false, err
	}
	if b.Known != "" {
		desc = ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Known, Size: b.Size}
		if there, err := l.has(desc); there || err != nil {
			return desc, there, err
		}
	}
	r, err := b.Open()
	if err != nil {
		return desc, false, err
	}
	defer r.Close()
	t, err := l.createTemp()
	if err != nil {
		return desc, false, err
	}
	defer t.discard()
	if desc, err = t.ingest(ctx, r, b, moved); err != nil {
		return desc, false, err
	}
	if there, err := l.has(desc); there || err != nil {
		return desc, false, err
	}
	return desc, false, t.commitBlob(desc.Digest)
}

func (t *temp) ingest(ctx context.Context, r io.Reader, b ingest.Blob, moved func(int64)) (ocispec.Descriptor, error) {
	if src, ok := r.(*os.File); ok && b.Size >= cloneFrom {
		if info, err := src.Stat(); err == nil && info.Mode().IsRegular() {
			return t.ingestFile(ctx, src, b, moved)
		}
	}
	w := holes.NewWriter(t.file)
	desc, err := ingest.Copy(ctx, w, &movedReader{r, moved}, b)
	if err == nil {
		err = w.Finish()
	}
	return desc, err
}

// movedReader tells what is read.
type movedReader struct {
	r     io.Reader
	moved func(int64)
}

func (m *movedReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.moved(int64(n))
	return n, err
}

// cloneFrom is the size from which a second goroutine is worth its while.
const cloneFrom = 1 << 20

// ingestFile lets the kernel copy, and hashes behind it what the layout now
// holds.
func (t *temp) ingestFile(ctx context.Context, src *os.File, b ingest.Blob, moved func(int64)) (ocispec.Descriptor, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var front front
	front.changed.L = &front.mu
	copied := make(chan error, 1)
	var res clone.Result
	go func() {
		var err error
		res, err = clone.File(ctx, t.file, src, b.Size, front.advance)
		front.end(err)
		copied <- err
	}()
	d, hashErr := t.hashBehind(&front, moved)
	cancel(hashErr) // of no effect on a copy that has ended
	err := <-copied
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ocispec.Descriptor{}, &ingest.SizeError{Name: b.Name, Want: b.Size, Got: res.Bytes}
	case err != nil:
		return ocispec.Descriptor{}, err
	case hashErr != nil:
		return ocispec.Descriptor{}, hashErr
	}
	// A byte more than announced is a file that grew.
	if info, err := src.Stat(); err != nil || info.Size() > b.Size {
		if err == nil {
			err = &ingest.SizeError{Name: b.Name, Want: b.Size, Got: info.Size()}
		}
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: b.MediaType, Digest: d, Size: b.Size}, nil
}

// hashBehind hashes the file as far as front goes, until it ends.
func (t *temp) hashBehind(front *front, moved func(int64)) (digest.Digest, error) {
	h := digest.SHA256.Hash()
	buf := make([]byte, copyBuffer)
	for off := int64(0); ; {
		to, more := front.beyond(off)
		if !more {
			return digest.NewDigest(digest.SHA256, h), nil
		}
		for off < to {
			n, err := t.file.ReadAt(buf[:min(copyBuffer, to-off)], off)
			h.Write(buf[:n])
			moved(int64(n))
			off += int64(n)
			if off < to && err != nil {
				return "", err
			}
		}
	}
}

// front is how far a copy has come.
type front struct {
	mu      sync.Mutex
	changed sync.Cond
	at      int64
	ended   bool
	failed  bool
}

func (f *front) advance(to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = to
	f.changed.Broadcast()
}

func (f *front) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.failed = true, err != nil
	f.changed.Broadcast()
}

// beyond waits until there is more than off. more is false when there never will
// be, or when it is of no use.
func (f *front) beyond(off int64) (at int64, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.at <= off && !f.ended {
		f.changed.Wait()
	}
	return f.at, f.at > off && !f.failed
}
