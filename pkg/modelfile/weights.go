package modelfile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
)

// lfsPointer begins the file that Git LFS leaves where content was not fetched.
var lfsPointer = []byte("version https://git-lfs.github.com/spec/")

// readWeights reads the headers of weights. GGUF files come last, the largest
// model first: it is the one that speaks for all.
func (x *inspector) readWeights(ctx context.Context) error {
	var ggufs ggufModels
	x.findHubForms()
	x.findCheckpoints()
	for _, f := range x.sorted {
		if f.Role != roleWeight {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		format, err := x.readWeight(ctx, f)
		if x.missing(f, err) {
			continue
		}
		if err != nil {
			return err
		}
		if format == formatGGUF {
			ggufs.add(f)
		}
	}
	x.countTorches()
	return x.readGGUFs(ctx, ggufs)
}

// readWeight finds out the format of f, and reads it unless it is GGUF.
func (x *inspector) readWeight(ctx context.Context, f *File) (format string, err error) {
	r, err := f.Open()
	if err != nil {
		return "", fmt.Errorf("%q: %w", f.Path, err)
	}
	defer r.Close()
	prefix, err := readPrefix(f, r, SniffSize)
	if err != nil {
		return "", err
	}
	format, proven := Sniff(f.Path, prefix)
	x.weightAt[f.Path] = len(x.facts.Weights)
	x.facts.Weights = append(x.facts.Weights, Weight{Path: f.Path, Format: format, Proven: proven, LeftOut: x.leftOut(f, format)})
	x.current = x.weight(f.Path)
	if bytes.HasPrefix(prefix, lfsPointer) {
		return "", x.invalid(f, cmp.Or(format, "weight"), errors.New("it is a Git LFS pointer, not the file itself"))
	}
	if format == "" {
		return "", nil
	}
	t := newTally() // of what does not count, or does only when all were read
	if x.current.LeftOut == "" && format != formatPT {
		t = x.tally(format)
	}
	if proven {
		t.proven += uint64(f.Size)
	} else {
		t.unproven += uint64(f.Size)
	}
	switch format {
	case formatSafetensors:
		err = x.readSafetensors(f, r)
	case formatONNX:
		err = x.readONNX(f, r)
	case formatPT, formatNumpy, formatJoblib, formatHDF5, formatKeras:
		err = x.readArrays(ctx, format, f, r, t)
	}
	return format, err
}

// ReadsTensors reports whether the tensors of weight files of a format are read at all.
func ReadsTensors(format string) bool {
	switch format {
	case formatSafetensors, formatGGUF, formatONNX, formatPT, formatNumpy, formatJoblib, formatHDF5, formatKeras:
		return true
	}
	return false
}

// invalid is what becomes of a file that breaks the rules of its format.
func (x *inspector) invalid(f *File, format string, err error) error {
	if !x.options.Tolerant {
		return &InvalidFileError{f.Path, format, err}
	}
	x.broken[f.Path] = true
	x.problem(f.Path, "not a valid %s file: %v", format, err)
	return nil
}

// tell hands on a tensor, and counts it as one of the file that is read.
func (x *inspector) tell(t *Tensor) error {
	x.current.Tensors++
	if x.options.Tensor == nil {
		return nil
	}
	return x.options.Tensor(*t)
}

// weight returns what is said of a weight file.
func (x *inspector) weight(file string) *Weight {
	if i, ok := x.weightAt[file]; ok {
		return &x.facts.Weights[i]
	}
	return &Weight{}
}

// reading makes an error of one that is no breach of the format.
func reading(f *File, err error) error { return fmt.Errorf("%q: %w", f.Path, err) }
