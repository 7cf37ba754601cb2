package modelfile

import (
	"errors"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/onnx"
)

type onnxFile struct {
	path string
	*onnx.Model
	tensors uint64
}

// readONNX reads what it can: a file with the name of an ONNX model that is
// none is a warning, since protobuf has no magic to prove what it should be.
func (x *inspector) readONNX(f *File, r io.ReaderAt) error {
	var count uint64
	m, err := onnx.Walk(r, f.Size, func(*onnx.Tensor) error {
		count++
		return nil
	})
	if _, breach := errors.AsType[*onnx.Error](err); breach {
		x.problem(f.Path, "not a valid onnx file: %v", err)
		return nil
	}
	if err != nil {
		return reading(f, err)
	}
	for _, e := range m.Escapes {
		x.problem(f.Path, "its weights are in %.100q, which is outside the model", e.Location)
	}
	for _, finding := range m.Findings {
		x.problem(f.Path, "%s", finding)
	}
	x.onnxes = append(x.onnxes, onnxFile{f.Path, m, count})
	return x.tellONNX(f, r, count)
}

// tellONNX tells the tensors of a file that was read to its end without a breach.
func (x *inspector) tellONNX(f *File, r io.ReaderAt, count uint64) error {
	if x.options.Tensor == nil {
		x.current.Tensors = count
		return nil
	}
	_, err := onnx.Walk(r, f.Size, func(t *onnx.Tensor) error {
		told := Tensor{Name: t.Name, Type: t.Type.String(), Shape: t.Shape, File: f.Path, Offset: t.Offset, Size: t.Size}
		if t.External {
			// A path that leaves the model is a problem already, and no place.
			if told.File = path.Join(path.Dir(f.Path), t.Location); x.files[told.File] == nil {
				told.File, told.Offset = f.Path, -1
			}
		}
		return x.tell(&told)
	})
	return err
}

// onnxVariant is what exporters put at the end of a name for another type of
// the same weights.
var onnxVariant = regexp.MustCompile(`_(fp16|fp32|int8|uint8|int4|uint4|q4|q4f16|q8|bnb4|quantized|optimized|O[1-4])$`)

// tallyONNX counts the weights of the one model there is. Several files may be
// parts of one model or forms of one part, which nothing in them tells apart;
// then nothing is counted.
func (x *inspector) tallyONNX() {
	t := x.tally(formatONNX)
	stems := map[string]onnxFile{}
	external := map[string]bool{}
	for _, m := range x.onnxes {
		stem := onnxVariant.ReplaceAllString(strings.TrimSuffix(m.path, path.Ext(m.path)), "")
		if best, ok := stems[stem]; !ok || m.Parameters > best.Parameters {
			stems[stem] = m
		}
		for _, e := range m.External {
			file := path.Join(path.Dir(m.path), e.Location)
			if x.checkExternal(m.path, file, e.MinSize) && !external[file] {
				external[file] = true
				t.proven += uint64(x.files[file].Size)
			}
		}
	}
	if len(stems) > 1 {
		x.warn("%d onnx models: their weights are not counted, since one may be a form of another", len(stems))
		return
	}
	for _, m := range stems {
		t.tensors += m.tensors
		for _, dtype := range slices.Sorted(maps.Keys(m.Elements)) {
			t.countType(dtype.String(), 0, m.Elements[dtype])
			t.count(onnx.PrecisionName(dtype), m.Elements[dtype])
		}
	}
}

// checkExternal warns of a file of weights that is missing or too short.
func (x *inspector) checkExternal(model, file string, size uint64) bool {
	f := x.files[file]
	switch {
	case f == nil:
		x.problem(model, "its weights are in %q, which is missing", file)
		return false
	case uint64(f.Size) < size:
		x.problem(model, "its weights need %d bytes of %q, which has %d", size, file, f.Size)
	}
	return true
}
