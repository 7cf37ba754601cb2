package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/partial"
)

// sums hashes the parts of an archive, each as soon as all of it is proven, while
// others still come.
type sums struct {
	names  []partial.Part
	size   int64 // of each part but the last
	src    io.ReaderAt
	proven func(partial.Span) bool
	ctx    context.Context //nolint:containedctx // that of the call that made it
	group  *errgroup.Group
	slots  chan struct{}

	mu    sync.Mutex
	begun []bool
	parts []Part
}

func newSums(ctx context.Context, names []partial.Part, size int64, src io.ReaderAt, proven func(partial.Span) bool) *sums {
	s := &sums{
		names: names, size: size, src: src, proven: proven,
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), begun: make([]bool, len(names)), parts: make([]Part, len(names)),
	}
	s.group, s.ctx = errgroup.WithContext(ctx)
	return s
}

// look begins with the parts around a span that have become whole.
func (s *sums) look(at partial.Span) {
	for i := int(at.Start / s.size); i < len(s.names) && int64(i)*s.size <= at.End; i++ {
		if s.take(i) {
			s.group.Go(func() error { return s.hash(i) })
		}
	}
}

func (s *sums) span(i int) partial.Span {
	start := int64(i) * s.size
	return partial.Span{Start: start, End: start + s.names[i].Size}
}

// take reports whether part i is whole and nobody has begun with it.
func (s *sums) take(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun[i] || !s.proven(s.span(i)) {
		return false
	}
	s.begun[i] = true
	return true
}

func (s *sums) hash(i int) error {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	span, h := s.span(i), sha256.New()
	r := ingest.ContextReader(s.ctx, io.NewSectionReader(s.src, span.Start, span.Len()))
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, readSize)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[i] = Part{Name: s.names[i].Name, Size: span.Len(), SHA256: hex.EncodeToString(h.Sum(nil))}
	return nil
}

// wait returns the list of the parts when all are hashed. None may be looked at
// any more.
func (s *sums) wait() (*Parts, error) {
	if err := s.group.Wait(); err != nil {
		return nil, err
	}
	list := &Parts{MediaType: artifacttypes.MediaTypeArchiveParts, PartSize: s.size, Parts: s.parts}
	for i, p := range s.parts {
		if p.SHA256 == "" {
			return nil, fmt.Errorf("part %s did not become whole", s.names[i].Name)
		}
		list.Size += p.Size
	}
	list.Set = list.ID()
	return list, nil
}

// readSize is how much is read at once from a file that is hashed.
const readSize = 256 << 10

// writeList writes FILE.parts.json, all of it or nothing.
func (w *writer) writeList() error {
	raw, err := w.list.Encode()
	if err != nil {
		return err
	}
	temp := PartsName(w.base) + unfinished
	if err := w.root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := w.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(artifacttypes.ModeRegular))
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, w.root.Remove(temp))
	}
	if err := w.root.Rename(temp, PartsName(w.base)); err != nil {
		return err
	}
	return partial.SyncDir(w.root, ".")
}
