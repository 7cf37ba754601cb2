package modelfile

import (
	"errors"
	"io"
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

func (x *inspector) readSafetensors(f *File, r io.ReaderAt) error {
	indexes, stray := x.indexesOf(f)
	leftOut := x.current.LeftOut != ""
	t := x.tally(formatSafetensors)
	var dup duplicates
	var told error
	_, err := safetensors.Walk(r, f.Size, func(tensor *safetensors.Tensor) error {
		told = x.tell(&Tensor{
			Name: tensor.Name, Type: string(tensor.DType), Shape: tensor.Shape, File: f.Path,
			Offset: tensor.At, Size: int64(tensor.End - tensor.Begin),
		})
		if told != nil || stray {
			return told
		}
		for _, idx := range indexes {
			idx.compare(f.Path, tensor.Name, tensor.End-tensor.Begin)
		}
		if leftOut {
			return nil
		}
		if other, ok := x.tensors.add(f.Path, tensor.Name); !ok {
			dup.add(other)
			return nil
		}
		x.countSafetensors(t, tensor)
		return nil
	})
	if told != nil {
		return told
	}
	if _, breach := errors.AsType[*safetensors.Error](err); breach {
		return x.invalid(f, formatSafetensors, err)
	}
	if err != nil {
		return reading(f, err)
	}
	if stray && !leftOut {
		x.problem(f.Path, "no index beside it names it: not counted")
	}
	for _, idx := range indexes {
		idx.compared(x, f.Path)
	}
	dup.warn(x, f.Path)
	return nil
}

func (x *inspector) countSafetensors(t *tally, tensor *safetensors.Tensor) {
	t.countType(string(tensor.DType), 1, tensor.Elements())
	n, packed, ok := unpack(x.quantization(), *tensor)
	switch {
	case !ok:
		t.unknown = true
		t.count(safetensors.PrecisionName(tensor.DType), tensor.Elements())
	case packed:
		t.count("", n)
	default:
		t.count(safetensors.PrecisionName(tensor.DType), n)
	}
}

// indexesOf returns the indexes that name f. It is a stray when there are indexes of
// safetensors in its directory and none names it.
func (x *inspector) indexesOf(f *File) (named []*index, stray bool) {
	for _, idx := range x.indexes {
		if idx.files[f.Path] != nil {
			named = append(named, idx)
			continue
		}
		stray = stray || idx.dir == path.Dir(f.Path) && strings.HasSuffix(idx.file.Path, ".safetensors.index.json")
	}
	return named, stray && len(named) == 0
}
