package materialize

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/artifacttypes"
)

// Entry is a file in an uncompressed tar layer, and where in the layer it lies.
type Entry struct {
	Path       string
	Size       int64
	Offset     int64 // of its first byte, from the start of the layer
	Executable bool
}

// ErrCompressed means that no part of a tar layer can be read without all that
// lies before it.
var ErrCompressed = errors.New("it is compressed: no part of it can be read alone")

// Listing lists the files of the tar layers of one model by their headers alone:
// what lies between is not read. It refuses what [Members] refuses, as far as
// headers show it. Nothing is compared with a digest, which is that of all bytes.
type Listing struct{ gathering }

// NewListing returns a Listing of a model with these layers.
func NewListing(layers []artifacttypes.Layer) (*Listing, error) {
	l := &Listing{gathering{paths: artifacttypes.NewPathSet()}}
	for _, layer := range layers {
		if layer.Encoding != artifacttypes.EncodingRaw {
			continue
		}
		if err := l.addPath(layer.Path); err != nil {
			return nil, err
		}
		if err := l.count(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Layer lists the files of l, whose bytes r has. It fails with [ErrCompressed] for
// what is no plain tar.
func (g *Listing) Layer(ctx context.Context, l artifacttypes.Layer, r io.ReaderAt) ([]Entry, error) {
	if l.Encoding != artifacttypes.EncodingTar {
		return nil, ErrCompressed
	}
	var out []Entry
	// The tar reader seeks over content, and reads no further than the header.
	blob := &failing{r: r}
	at := io.NewSectionReader(blob, 0, l.Descriptor.Size)
	for reader := tar.NewReader(at); ; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if blob.err != nil {
			return nil, blob.err
		}
		if err != nil {
			return nil, damaged(err)
		}
		if err := g.count(); err != nil {
			return nil, err
		}
		isFile, err := checkEntry(h)
		if err != nil {
			return nil, err
		}
		if !isFile {
			continue
		}
		if err := g.addPath(h.Name); err != nil {
			return nil, err
		}
		offset, err := at.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if h.Size > l.Descriptor.Size-offset {
			return nil, fmt.Errorf("%w: member %q has %d bytes, more than there are", ErrUnsafeArchive, h.Name, h.Size)
		}
		out = append(out, Entry{Path: h.Name, Size: h.Size, Offset: offset, Executable: h.Mode&0o100 != 0})
	}
}

// failing keeps what went wrong in reading, which says nothing of what is read.
type failing struct {
	r   io.ReaderAt
	err error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}
