package modseal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/transfer"
)

// open opens the file of that path to read parts of it.
func (v *modelView) open(ctx context.Context, path string) (modelfile.ReaderAtCloser, error) {
	e := v.find(path)
	if e == nil {
		return nil, fmt.Errorf("%q is not in the model", path)
	}
	return v.openEntry(ctx, e)
}

// readFile returns a file of at most limit bytes, whole. A raw layer is compared
// with its digest.
func (v *modelView) readFile(ctx context.Context, path string, limit int64) ([]byte, error) {
	e := v.find(path)
	switch {
	case e == nil:
		return nil, fmt.Errorf("%q is not in the model", path)
	case e.Size > limit:
		return nil, &integrity.TooLargeError{What: path, Size: e.Size, Limit: limit}
	case e.Layer.Encoding == artifacttypes.EncodingRaw:
		return v.readWhole(ctx, e)
	}
	r, err := v.openEntry(ctx, e)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, e.Size)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return b, nil
}

// readWhole reads a raw layer and compares it with its digest.
func (v *modelView) readWhole(ctx context.Context, e *viewEntry) ([]byte, error) {
	if err := v.meter.add(e.Size); err != nil {
		return nil, err
	}
	rc, err := v.location.blobs.Fetch(ctx, e.Layer.Descriptor)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return integrity.ReadAll(rc, e.Layer.Descriptor, e.Size, e.Path)
}

func (v *modelView) openEntry(ctx context.Context, e *viewEntry) (modelfile.ReaderAtCloser, error) {
	if e.local != nil {
		f, err := e.local.Open()
		if err != nil {
			return nil, err
		}
		return &viewReader{r: &meteredAt{f, v.meter}, closer: f}, nil
	}
	if e.Layer.Encoding == artifacttypes.EncodingRaw && e.Size <= limits.ViewWholeBytes {
		return v.openSmall(ctx, e)
	}
	r, err := v.openLayer(ctx, e.Layer)
	if err != nil || e.Layer.Encoding == artifacttypes.EncodingRaw {
		return r, err
	}
	return &viewReader{r: io.NewSectionReader(r, e.offset, e.Size), closer: r}, nil
}

// openSmall reads a small file whole, compares it with its digest, and keeps it:
// more than one reader asks for it.
func (v *modelView) openSmall(ctx context.Context, e *viewEntry) (modelfile.ReaderAtCloser, error) {
	b := v.small.get(e.Digest)
	if b == nil {
		var err error
		if b, err = v.readWhole(ctx, e); err != nil {
			return nil, err
		}
		v.small.put(e.Digest, b)
	}
	return &viewReader{r: bytes.NewReader(b)}, nil
}

// openLayer opens a layer to read parts of it.
func (v *modelView) openLayer(ctx context.Context, l artifacttypes.Layer) (modelfile.ReaderAtCloser, error) {
	r, err := v.location.openRanges(ctx, l.Descriptor)
	if err != nil {
		return nil, err
	}
	var at io.ReaderAt = &meteredAt{r, v.meter}
	if v.cache != nil {
		at = v.cache.Reader(l.Descriptor.Digest.String(), at, l.Descriptor.Size)
	}
	return &viewReader{r: at, closer: r}, nil
}

// openRanges opens a blob to read parts of it.
func (l *location) openRanges(ctx context.Context, desc ocispec.Descriptor) (modelfile.ReaderAtCloser, error) {
	if f, ok := l.blobs.(*transfer.Fetcher); ok {
		return f.Ranges(ctx, desc)
	}
	rc, err := l.blobs.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	if r, ok := rc.(modelfile.ReaderAtCloser); ok {
		return r, nil
	}
	_ = rc.Close()
	return nil, fmt.Errorf("%s: no part of a file can be read", l.Target)
}

// viewReader reads through r what closer closes; nil closes nothing.
type viewReader struct {
	r      io.ReaderAt
	closer io.Closer
}

func (r *viewReader) ReadAt(p []byte, off int64) (int, error) { return r.r.ReadAt(p, off) }

func (r *viewReader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// viewMeter counts what is read of a model, and ends it where it gets out of
// proportion to what can be learned from it.
type viewMeter struct {
	n      atomic.Int64
	budget int64
}

func newViewMeter() *viewMeter { return &viewMeter{budget: limits.ViewBytes} }

func (m *viewMeter) add(n int64) error {
	if m.n.Add(n) > m.budget {
		return fmt.Errorf("more than %d bytes of the model would have to be read", m.budget)
	}
	return nil
}

// meteredAt counts what is read of r.
type meteredAt struct {
	r io.ReaderAt
	m *viewMeter
}

func (r *meteredAt) ReadAt(p []byte, off int64) (int, error) {
	if err := r.m.add(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := r.r.ReadAt(p, off)
	r.m.n.Add(int64(n - len(p))) // what did not come was not read
	return n, err
}

// smallFiles keeps small files by their digests.
type smallFiles struct {
	mu    sync.Mutex
	files map[digest.Digest][]byte
	bytes int64
}

func (s *smallFiles) get(d digest.Digest) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[d]
}

func (s *smallFiles) put(d digest.Digest, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[digest.Digest][]byte{}
	}
	if s.files[d] == nil && s.bytes+int64(len(b)) <= limits.ViewKeptBytes {
		s.files[d] = b
		s.bytes += int64(len(b))
	}
}
