package numpy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/replay"
)

// maxArrays bounds the arrays in one file: numpy.save appends to an open one.
const maxArrays = 10_000

// Scan hands the pickle of an array of objects to visit, and whatever follows an array
// that is no further one. What it cannot read as an array may be one to others: it is
// reported, and what follows the header is handed to visit.
func Scan(ctx context.Context, c hazard.Content, report hazard.Report, visit hazard.Visit) error {
	r, size, err := replay.At(c)
	if err != nil {
		return err
	}
	defer r.Close()
	s := &scanner{r: r, size: size, depth: c.Depth + 1, report: report, visit: visit}
	return s.run(ctx)
}

type scanner struct {
	r      io.ReaderAt
	size   int64
	depth  int
	report hazard.Report
	visit  hazard.Visit
}

func (s *scanner) run(ctx context.Context) error {
	at := int64(0)
	for range maxArrays {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := readHeader(io.NewSectionReader(s.r, at, s.size-at), s.size-at)
		breach, ok := errors.AsType[*Error](err)
		switch {
		case ok && h != nil: // the header could not be understood; loaders may know how
			s.report(hazard.Of("numpy-malformed", "", breach.Reason).At(at + breach.Offset))
			return s.show(ctx, "objects.pkl", at+h.DataOffset)
		case ok:
			return s.noArray(ctx, at, breach)
		case err != nil:
			return err
		case h.Objects:
			s.report(hazard.Of("numpy-object-array", h.Descr, "").At(at))
			return s.show(ctx, "objects.pkl", at+h.DataOffset)
		case h.Size > s.size-at-h.DataOffset:
			s.report(hazard.Of("numpy-malformed", h.Descr, fmt.Sprintf("the data have %d bytes, %d are there", h.Size, s.size-at-h.DataOffset)).At(at))
			return nil
		}
		if at += h.DataOffset + h.Size; at == s.size {
			return nil
		}
	}
	s.report(hazard.Of("numpy-malformed", "", fmt.Sprintf("only the first %d arrays were looked at", maxArrays)).At(at))
	return nil
}

// noArray reports bytes that are not a header: at the beginning, or behind arrays.
func (s *scanner) noArray(ctx context.Context, at int64, breach *Error) error {
	if at == 0 {
		s.report(hazard.Of("numpy-malformed", "", breach.Reason).At(breach.Offset))
		return nil
	}
	s.report(hazard.Of("numpy-trailing-bytes", "", fmt.Sprintf("%d bytes follow the array", s.size-at)).At(at))
	return s.show(ctx, fmt.Sprintf("bytes-at-%d", at), at)
}

// show has everything from a place on looked at.
func (s *scanner) show(ctx context.Context, name string, from int64) error {
	c := hazard.OfFile(name, io.NewSectionReader(s.r, from, s.size-from), s.size-from)
	c.Depth, c.Hint = s.depth, hazard.InNumPy
	return s.visit(ctx, c)
}
