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
	if err := l.lease(ctx); err != nil {
		return ocispec.Descriptor{}, err
	}
	if b.Known != "" {
		desc := ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Known, Size: b.Size}
		if there, err := l.has(desc); there || err != nil {
			return desc, err
		}
	}
	r, err := b.Open()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer r.Close()
	t, err := l.createTemp()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer t.discard()
	desc, err := t.ingest(ctx, r, b)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	switch there, err := l.has(desc); {
	case err != nil:
		return ocispec.Descriptor{}, err
	case there:
		return desc, nil
	}
	return desc, t.commitBlob(desc.Digest)
}

func (t *temp) ingest(ctx context.Context, r io.Reader, b ingest.Blob) (ocispec.Descriptor, error) {
	if src, ok := r.(*os.File); ok && b.Size >= cloneFrom {
		if info, err := src.Stat(); err == nil && info.Mode().IsRegular() {
			return t.ingestFile(ctx, src, b)
		}
	}
	w := holes.NewWriter(t.file)
	desc, err := ingest.Copy(ctx, w, r, b)
	if err == nil {
		err = w.Finish()
	}
	return desc, err
}

// cloneFrom is the size from which a second goroutine is worth its while.
const cloneFrom = 1 << 20

// ingestFile lets the kernel copy, and hashes behind it what the layout now
// holds.
func (t *temp) ingestFile(ctx context.Context, src *os.File, b ingest.Blob) (ocispec.Descriptor, error) {
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
	d, hashErr := t.hashBehind(&front)
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
func (t *temp) hashBehind(front *front) (digest.Digest, error) {
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
