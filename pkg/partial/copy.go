package partial

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/clone"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// CopyFrom takes what is missing from src, a file that holds the whole blob or
// claims to: where the file is the blob's own, without reading it when the file
// system shares blocks, or inside the kernel. moved, which may be nil, is told how
// many bytes more are there. A src of another size is a *integrity.Error.
func (f *File) CopyFrom(ctx context.Context, src *os.File, moved func(int64)) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.desc.Size {
		return f.wrongSize(info.Size())
	}
	if missing := f.Missing(); f.own && len(missing) == 1 && missing[0].Len() == f.desc.Size {
		return f.clone(ctx, src, moved)
	}
	return f.TakeAt(ctx, src, moved)
}

// TakeAt takes what is missing from src, which has the whole blob or claims to.
// moved, which may be nil, is told of bytes as they come. A src that ends before is
// a *integrity.Error.
func (f *File) TakeAt(ctx context.Context, src io.ReaderAt, moved func(int64)) error {
	if moved == nil {
		moved = func(int64) {}
	}
	for _, s := range f.Missing() {
		r := ingest.ContextReader(ctx, io.NewSectionReader(src, s.Start, s.Len()))
		n, err := f.WriteFrom(&countingReader{r, moved}, s.Start)
		if err != nil {
			return err
		}
		if n < s.Len() { // somebody made it shorter
			return f.wrongSize(s.Start + n)
		}
	}
	return nil
}

// clone copies all of src into a file that has nothing yet. The hash follows
// behind, and reads what the file has: it must not take the word of src, or of
// the kernel, for that.
func (f *File) clone(ctx context.Context, src *os.File, moved func(int64)) error {
	if moved == nil {
		moved = func(int64) {}
	}
	data := f.area.data.First()
	if err := data.Truncate(0); err != nil {
		return err
	}
	f.clean = false
	done := int64(0)
	_, err := clone.File(ctx, data, src, f.desc.Size, func(n int64) {
		if n == done {
			return
		}
		moved(n - done)
		f.note(Span{done, n})
		done = n
	})
	if err != nil {
		// Whatever it left: what is noted is good, and the size is right again.
		err = errors.Join(err, data.Truncate(f.desc.Size))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return f.wrongSize(done)
	}
	return err
}

func (f *File) wrongSize(got int64) error {
	return &integrity.Error{What: f.o.What, Want: f.desc.Digest, WantSize: f.desc.Size, GotSize: got, Incomplete: got < f.desc.Size}
}

type countingReader struct {
	r     io.Reader
	moved func(int64)
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.moved(int64(n))
	return n, err
}
