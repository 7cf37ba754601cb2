package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/keras"
	"github.com/modseal/modseal/pkg/modelfile/numpy"
	"github.com/modseal/modseal/pkg/modelfile/torch"
)

// failingAt keeps what went wrong in reading, which says nothing of what is read.
type failingAt struct {
	r   io.ReaderAt
	err error
}

func (f *failingAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// arrays counts the arrays of a file.
type arrays struct {
	*tally
	x      *inspector
	format string
	file   *File
	torch  *torchFile // nil of other formats
	told   error
}

// add counts an array, unless it is what an optimizer keeps beside the weights.
func (a *arrays) add(t Tensor, counts bool) error {
	t.File = a.file.Path
	if a.told = a.x.tell(&t); a.told != nil {
		return a.told
	}
	n, ok := elements(t.Shape)
	precision := configPrecisions[t.Type]
	switch {
	case !counts || strings.HasPrefix(t.Name, "optimizer"):
		return nil
	case !ok:
		a.unknown = true
		return nil
	}
	a.countType(t.Type, 1, n)
	a.count(precision, n)
	if a.torch != nil {
		a.torch.note(a.x, &t)
	}
	return nil
}

// elements is the product of a shape, unless that is no number.
func elements(shape []uint64) (uint64, bool) {
	n := uint64(1)
	for _, d := range shape {
		if d != 0 && n > 1<<63/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// readArrays reads the arrays of a file of PyTorch, NumPy, joblib or Keras. Of these formats
// many files are none that their programs would read, and few of their rules can be
// checked without the data: what is wrong is a problem and no error.
func (x *inspector) readArrays(ctx context.Context, format string, f *File, r io.ReaderAt, t *tally) error {
	content := &failingAt{r: r}
	a := &arrays{tally: t, x: x, format: format, file: f}
	var err error
	switch format {
	case formatPT:
		a.torch = &torchFile{path: f.Path, tally: t, alike: true}
		if x.current.LeftOut == "" {
			x.torches = append(x.torches, a.torch)
		}
		err = a.readTorch(ctx, content)
	case formatNumpy:
		err = a.numpy(ctx, content)
	case formatJoblib:
		err = a.joblib(ctx, content)
	default:
		err = a.keras(ctx, content)
	}
	switch {
	case a.told != nil:
		return a.told
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case content.err != nil:
		return reading(f, content.err)
	case errors.Is(err, torch.ErrUnknown), errors.Is(err, keras.ErrUnknown):
		return nil // another program's, which has the same ending
	case err != nil:
		a.unknown = true
		x.problem(f.Path, "not a valid %s file: %v", format, err)
	}
	return nil
}

func (a *arrays) numpy(ctx context.Context, r io.ReaderAt) error {
	return numpy.Arrays(ctx, r, a.file.Size, func(t numpy.Array) error {
		return a.add(Tensor{Name: t.Name, Type: t.TypeName(), Shape: t.Shape, Member: t.Member, Offset: t.Offset, Size: t.Size}, !t.Objects)
	})
}

func (a *arrays) keras(ctx context.Context, r io.ReaderAt) error {
	m, err := keras.Read(ctx, r, a.file.Size)
	if err == nil && a.x.layerClass == "" {
		a.x.layerClass = m.Class
	}
	return keras.Tensors(ctx, r, a.file.Size, a.leftOut(), func(t keras.Tensor) error {
		counts := configPrecisions[t.Type] != ""
		return a.add(Tensor{Name: t.Name, Type: t.Type, Shape: t.Shape, Member: t.Member, Offset: t.Offset, Size: t.Size}, counts)
	})
}

// leftOut notes the first few parts of an HDF5 file that could not be read. What else they
// hold is not known.
func (a *arrays) leftOut() hazard.Report {
	const few = 3
	return hazard.Bounded(func(f hazard.Finding) {
		if !hazard.RuleOf(f.Rule).Incomplete {
			return
		}
		a.unknown = true
		place := fmt.Sprintf("byte %d", f.Offset)
		if f.Member != "" {
			place = fmt.Sprintf("%q: %s", f.Member, place)
		}
		a.x.problem(a.file.Path, "a part of it was not understood: %s: %s", place, f.Message)
	}, few)
}
