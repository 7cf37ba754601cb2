package modelfile

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/gguf"
)

// ggufModel is a GGUF file or a set of shards.
type ggufModel struct {
	key   string
	size  uint64
	files []*File // by path
}

type ggufModels []*ggufModel

func (m *ggufModels) add(f *File) {
	key := f.Path
	if parts := shardName.FindStringSubmatch(f.Path); parts != nil {
		key = parts[1] + "-of-" + parts[3]
	}
	i := slices.IndexFunc(*m, func(m *ggufModel) bool { return m.key == key })
	if i < 0 {
		i = len(*m)
		*m = append(*m, &ggufModel{key: key})
	}
	(*m)[i].size += uint64(f.Size)
	(*m)[i].files = append((*m)[i].files, f)
}

// ggufShard is a header and its place.
type ggufShard struct {
	path string
	*gguf.Header
}

// readGGUFs counts the tensors of all files. Others with the tensors of the largest
// model (another quantisation of the same weights) do not count.
func (x *inspector) readGGUFs(ctx context.Context, models ggufModels) error {
	slices.SortFunc(models, func(a, b *ggufModel) int {
		return cmp.Or(cmp.Compare(b.size, a.size), strings.Compare(a.key, b.key))
	})
	for _, m := range models {
		var set ggufSet
		for _, f := range m.files {
			if err := ctx.Err(); err != nil {
				return err
			}
			h, err := x.readGGUF(f)
			if x.missing(f, err) {
				continue
			}
			if err != nil {
				return err
			}
			if h != nil {
				set.add(f.Path, h)
			}
		}
		set.check(x)
		if x.speaker.Header == nil {
			x.speaker = set.first
		}
	}
	return nil
}

// readGGUF returns no header of a file that breaks the rules, when that is no error.
func (x *inspector) readGGUF(f *File) (*gguf.Header, error) {
	r, err := f.Open()
	if err != nil {
		return nil, reading(f, err)
	}
	defer r.Close()
	x.current = x.weight(f.Path)
	t := x.tally(formatGGUF)
	var dup duplicates
	var told error
	h, err := gguf.Walk(r, f.Size, func(tensor *gguf.Tensor) error {
		size := int64(tensor.Size)
		if size == 0 && tensor.Elements() > 0 {
			size = -1 // the type is not known
		}
		told = x.tell(&Tensor{Name: tensor.Name, Type: tensor.Type.String(), Shape: tensor.Shape, File: f.Path, Offset: tensor.At, Size: size})
		if told != nil {
			return told
		}
		if other, ok := x.tensors.add(f.Path, tensor.Name); !ok {
			dup.add(other)
			return nil
		}
		t.countType(tensor.Type.String(), 1, tensor.Elements())
		t.count(gguf.PrecisionName(tensor.Type), tensor.Elements())
		return nil
	})
	if told != nil {
		return nil, told
	}
	if _, breach := errors.AsType[*gguf.Error](err); breach {
		return nil, x.invalid(f, formatGGUF, err)
	}
	if err != nil {
		return nil, reading(f, err)
	}
	for _, finding := range h.Findings {
		x.problem(f.Path, "%s", finding)
	}
	dup.warn(x, f.Path)
	return h, nil
}

// ggufSet is what the shards of a model say about the set they belong to.
type ggufSet struct {
	first   ggufShard // the one with the metadata
	count   uint64    // of shards, as the first of them by name says
	shards  int
	tensors uint64
	numbers map[uint64]bool
	odd     []ggufOdd
}

type ggufOdd struct {
	path          string
	number, count uint64
}

func (s *ggufSet) add(path string, h *gguf.Header) {
	count, _ := h.Uint("split.count")
	number, ok := h.Uint("split.no")
	s.shards++
	s.tensors += h.TensorCount
	if s.first.Header == nil {
		s.first, s.count, s.numbers = ggufShard{path, h}, count, map[uint64]bool{}
	}
	if !ok || count != s.count || number >= s.count || s.numbers[number] {
		s.odd = append(s.odd, ggufOdd{path, number, count})
	}
	if ok && number == 0 && !s.numbers[0] {
		s.first = ggufShard{path, h}
	}
	s.numbers[number] = true
}

// check compares what the shards of a model say about the set they belong to.
func (s *ggufSet) check(x *inspector) {
	if s.count <= 1 {
		return
	}
	for _, odd := range s.odd {
		x.problem(odd.path, "shard %d of %d, in a set of %d", odd.number, odd.count, s.count)
	}
	if uint64(s.shards) != s.count {
		x.problem(s.first.path, "%d shards of a set of %d", s.shards, s.count)
		return
	}
	if want, ok := s.first.Uint("split.tensors.count"); ok && want != s.tensors {
		x.problem(s.first.path, "announces %d tensors, the shards hold %d", want, s.tensors)
	}
}

// spokesman returns the header that speaks for all GGUF files, nil when there
// is none.
func (x *inspector) spokesman() (h *gguf.Header, place string) {
	return x.speaker.Header, x.speaker.path
}
