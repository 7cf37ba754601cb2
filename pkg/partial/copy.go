package partial

import (
	"context"
	"io"
	"os"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// CopyFrom takes what is missing from src, a file that holds the whole blob or
// claims to. moved, which may be nil, is told how many bytes more are there. A src
// of another size is a *integrity.Error.
func (f *File) CopyFrom(ctx context.Context, src *os.File, moved func(int64)) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.desc.Size {
		return &integrity.Error{What: f.o.What, Want: f.desc.Digest, WantSize: f.desc.Size, GotSize: info.Size(), Incomplete: info.Size() < f.desc.Size}
	}
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
			return &integrity.Error{What: f.o.What, Want: f.desc.Digest, WantSize: f.desc.Size, GotSize: s.Start + n, Incomplete: true}
		}
	}
	return nil
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
