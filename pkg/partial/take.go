package partial

import (
	"context"
	"errors"
	"io"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// TakeFrom takes what is missing from a reader that gives the whole blob, or
// claims to. moved, which may be nil, is told of bytes as they come. A reader that
// gives more or less is a *integrity.Error.
func (f *File) TakeFrom(ctx context.Context, src io.Reader, moved func(int64)) error {
	if moved == nil {
		moved = func(int64) {}
	}
	r := &positioned{r: ingest.ContextReader(ctx, src)}
	for _, s := range f.Missing() {
		if _, err := io.CopyN(io.Discard, r, s.Start-r.at); err != nil {
			return f.ended(r, err)
		}
		n, err := f.WriteFrom(io.LimitReader(&countingReader{r, moved}, s.Len()), s.Start)
		if err != nil {
			return err
		}
		if n < s.Len() {
			return f.ended(r, io.EOF)
		}
	}
	if _, err := io.CopyN(io.Discard, r, f.desc.Size-r.at); err != nil {
		return f.ended(r, err)
	}
	if _, err := io.CopyN(io.Discard, r, 1); !errors.Is(err, io.EOF) {
		if err == nil {
			err = &integrity.Error{What: f.o.What, Want: f.desc.Digest, WantSize: f.desc.Size, GotSize: r.at}
		}
		return err
	}
	return nil
}

// ended makes an end that came too soon the error that it is.
func (f *File) ended(r *positioned, err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	return &integrity.Error{What: f.o.What, Want: f.desc.Digest, WantSize: f.desc.Size, GotSize: r.at, Incomplete: true}
}

// positioned knows how much was read.
type positioned struct {
	r  io.Reader
	at int64
}

func (p *positioned) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.at += int64(n)
	return n, err
}
