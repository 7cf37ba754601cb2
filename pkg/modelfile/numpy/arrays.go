package numpy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/replay"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// Array is an array in a file. Text in it comes from the file.
type Array struct {
	// Name is that of the member without .npy in an archive, and empty in a file of
	// one array.
	Name   string
	Member string
	*Header
	// Offset is where the data begin in the file; -1 in compressed members.
	Offset int64
}

// Arrays calls visit for the array that a .npy file is, or for those in an .npz
// archive, in their order. It reads the headers alone. Members that are no arrays are
// left out, as numpy.load does until they are asked for.
func Arrays(ctx context.Context, r io.ReaderAt, size int64, visit func(Array) error) error {
	first := make([]byte, min(max(size, 0), int64(len(magic))))
	if err := readAt(r, first, 0); err != nil {
		return err
	}
	if string(first) == magic {
		h, err := Read(r, size)
		if err != nil {
			return err
		}
		return visit(Array{Header: h, Offset: h.DataOffset})
	}
	a, err := zipfile.Read(r, size)
	if breach, ok := errors.AsType[*zipfile.Error](err); ok {
		return invalid(breach.Offset, "neither an array nor an archive of arrays: %s", breach.Reason)
	}
	if err != nil {
		return err
	}
	for i := range a.Members {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := member(a, &a.Members[i], visit); err != nil {
			return err
		}
	}
	return nil
}

// member tells of one member of an archive.
func member(a *zipfile.Archive, m *zipfile.Member, visit func(Array) error) error {
	name, ok := strings.CutSuffix(m.Name, ".npy")
	if !ok {
		return nil
	}
	c, err := a.Content(m)
	if errors.Is(err, zipfile.ErrMethod) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", m.Name, err)
	}
	c.Size = m.Size // so that a compressed member is not read to its end
	r, size, err := replay.At(c)
	if err != nil {
		return err
	}
	defer r.Close()
	h, err := readHeader(r, size)
	if err != nil {
		return fmt.Errorf("%q: %w", m.Name, err)
	}
	offset := int64(-1)
	if m.Method == zipfile.Stored {
		data, err := a.DataOffset(m)
		if err != nil {
			return err
		}
		offset = data + h.DataOffset
	}
	return visit(Array{Name: name, Member: m.Name, Header: h, Offset: offset})
}
