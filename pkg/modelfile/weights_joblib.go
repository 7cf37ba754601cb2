package modelfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/compressed"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/joblib"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

const (
	// maxPickleBytes bounds what is read of a pickle with arrays, which are stepped over.
	// Each takes a read of 64 KiB behind it, so that this is enough for a thousand large
	// arrays; a compressed file has to be read as it is.
	maxPickleBytes = 64 << 20
	// maxUnpackedBytes bounds what comes out of a compressed one: some seconds.
	maxUnpackedBytes = 1 << 30
)

// errTooMuch is what is met at the bounds.
var errTooMuch = errors.New("so much of a pickle is not read")

// joblib reads the arrays of a file that joblib wrote, or Python's pickle, compressed or
// not. What is no such file has none.
func (a *arrays) joblib(ctx context.Context, r io.ReaderAt) error {
	size := a.file.Size
	prefix, err := readPrefix(a.file, r, sniff.Size)
	if err != nil {
		return err
	}
	c := hazard.OfFile(a.file.Path, &boundedAt{r, maxPickleBytes}, size)
	switch kind := sniff.Of(prefix); {
	case kind.Compressed():
		broken := func(f hazard.Finding) {
			if a.format == formatJoblib {
				a.incomplete(f.Message)
			}
		}
		return compressed.Scan(ctx, kind, c, broken, func(ctx context.Context, member hazard.Content) error {
			return a.pickle(ctx, unpacked(member), true)
		})
	case kind == sniff.Pickle, kind == "" && beginsLikePickle(prefix):
		return a.pickle(ctx, c, false)
	case a.format == formatJoblib:
		return fmt.Errorf("it begins with %q, as neither a pickle nor a compressed file does", prefix[:min(len(prefix), 4)])
	}
	return nil // another program's
}

// beginsLikePickle reports whether a pickle of protocol 0 or 1, which have no mark, may
// begin so: with a mark for a dictionary, list or tuple, an empty list or dictionary, or
// the name of a class.
func beginsLikePickle(prefix []byte) bool {
	return len(prefix) > 0 && bytes.IndexByte([]byte("(]}c"), prefix[0]) >= 0
}

// pickle tells of the arrays in c. Places in what came out of a compressed file are none
// in the file.
func (a *arrays) pickle(ctx context.Context, c hazard.Content, packed bool) error {
	why, within := "", ""
	if packed {
		within = " of what comes out of it"
	}
	result, err := joblib.Read(ctx, c, pickle.Options{Visit: ignoreContent}, func(f hazard.Finding) {
		if hazard.RuleOf(f.Rule).Incomplete && why == "" {
			why = fmt.Sprintf("byte %d%s: %s", f.Offset, within, f.Message)
		}
	})
	switch {
	case errors.Is(err, errTooMuch):
		a.incomplete(fmt.Sprintf("more than %d bytes would have to be read, or more than %d come out of it", maxPickleBytes, maxUnpackedBytes))
		return nil
	case err != nil:
		return err
	case !result.Listed && (len(result.Arrays) > 0 || a.format == formatJoblib):
		a.incomplete(why)
	}
	for i := range result.Arrays {
		if err := a.addPickled(i, &result.Arrays[i], packed); err != nil {
			return err
		}
	}
	return nil
}

// incomplete notes that there may be more arrays than are told.
func (a *arrays) incomplete(why string) {
	if a.unknown = true; why == "" {
		why = "it has more values than are looked at"
	}
	a.x.problem(a.file.Path, "not all of its arrays are known: %s", why)
}

// addPickled counts numbers and records of numbers: texts and times, such as the names of
// classes, are no parameters.
func (a *arrays) addPickled(i int, x *joblib.Array, packed bool) error {
	t := Tensor{Name: x.Name, Type: x.TypeName(), Shape: x.Shape, Offset: x.Offset, Size: x.Size}
	if t.Name == "" {
		t.Name = fmt.Sprintf("#%d", i) // nothing but its place in the file tells it
	}
	if packed {
		t.Offset = -1
	}
	records := x.Kind() == 'V'
	return a.add(t, !x.Objects && (records || t.Type != x.DType))
}

func ignoreContent(context.Context, hazard.Content) error { return nil }

// unpacked is what came out of a compressed file, up to the bound.
func unpacked(c hazard.Content) hazard.Content {
	open := c.Open
	c.Open = func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		return &boundedReader{r, maxUnpackedBytes}, nil
	}
	return c
}

type boundedReader struct {
	io.ReadCloser
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

type boundedAt struct {
	r    io.ReaderAt
	left int64
}

func (b *boundedAt) ReadAt(p []byte, off int64) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.r.ReadAt(p, off)
	b.left -= int64(n)
	return n, err
}
