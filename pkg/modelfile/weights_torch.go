package modelfile

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/torch"
)

// torchFile is a PyTorch file that was read. It counts when all were, unless another
// holds the same weights: which of two is left out is no matter of their order.
type torchFile struct {
	path string
	*tally
	names []uint64 // of its tensors that count
	// content is the sum of the names and shapes of these, in whatever order.
	content uint64
	// alike: names and content are all of it, and can be compared.
	alike bool
}

// readTorch reads the tensors of a PyTorch file.
func (a *arrays) readTorch(ctx context.Context, r io.ReaderAt) error {
	type place struct {
		storage string
		within  int64
	}
	seen := map[place]bool{}
	m, err := torch.Tensors(ctx, r, a.file.Size, a.x.options.Tensor != nil, func(t torch.Tensor) error {
		at := place{t.Storage, t.Within}
		first := !seen[at] // weights that are used twice are there once
		seen[at] = true
		return a.add(Tensor{Name: t.Name, Type: t.Type, Shape: t.Shape, Member: t.Member, Offset: t.Offset, Size: t.Size}, first)
	})
	switch {
	case errors.Is(err, torch.ErrUnknown):
		a.torch.alike = false   // arrays of a pickle may have no names to compare
		return a.joblib(ctx, r) // other pickles have the same endings
	case err == nil && !m.Whole:
		a.unknown = true
	}
	return err
}

// note keeps what a file is compared by. Names are few enough by the bound of all
// files together; beyond it files are not compared, and count.
func (f *torchFile) note(x *inspector, t *Tensor) {
	if x.torchNames == maxNames {
		f.alike = false
		return
	}
	x.torchNames++
	f.names = append(f.names, nameKey(path.Dir(f.path), t.Name))
	var h maphash.Hash
	h.SetSeed(namesSeed)
	_, _ = fmt.Fprintf(&h, "%d %s %d", len(t.Name), t.Name, t.Shape)
	f.content += h.Sum64()
}

// countTorches counts the PyTorch files that hold weights of their own.
func (x *inspector) countTorches() {
	counted := map[sameTensors]*torchFile{}
	for _, f := range x.torches {
		if f.alike && len(f.names) > 0 && !f.unknown {
			if other := x.sameWeights(f, counted); other != "" {
				x.weight(f.path).LeftOut = fmt.Sprintf("%q has the same tensors", other)
				continue
			}
			if counted[f.same()] == nil {
				counted[f.same()] = f
			}
		}
		x.tally(formatPT).merge(f.tally)
	}
}

// sameTensors is equal of files of one directory that hold the same. Those of a key that
// count are parts of one model, so that the first stands for all: a directory can have
// many thousands of them.
type sameTensors struct {
	dir     string
	content uint64
	names   int
}

func (f *torchFile) same() sameTensors {
	return sameTensors{path.Dir(f.path), f.content, len(f.names)}
}

// sameWeights returns the file that holds what f does: one of safetensors in the same
// directory with most of its tensors, by name, since a conversion leaves out those
// that are used twice, and buffers; or another of PyTorch with tensors of the same
// names and shapes. Parts of a model that ran on several machines are such, too, and
// none of them is left out.
func (x *inspector) sameWeights(f *torchFile, others map[sameTensors]*torchFile) string {
	// So far all names are of safetensors: those of GGUF files come later.
	in := map[int32]int{}
	found := 0
	for _, key := range f.names {
		if n, ok := x.tensors.first[key]; ok {
			in[n]++
			found++
		}
	}
	if found > len(f.names)/2 {
		files := slices.Sorted(maps.Keys(in))
		return x.tensors.files[slices.MaxFunc(files, func(a, b int32) int { return in[a] - in[b] })]
	}
	if o := others[f.same()]; o != nil && !areParts(o.path, f.path) {
		return o.path
	}
	return ""
}

// Numbers that tell the parts of one model apart: of a count (-00001-of-00002); of the
// process that wrote it (mp_rank_00, zero_pp_rank_3); and as Llama (consolidated.00),
// fairseq (model_part-1, shard0) and DeepSpeed (layer_03-model_00) write them. All other
// numbers tell states apart: a checkpoint has that of a step, and is one model earlier
// or later.
var (
	countedPart = regexp.MustCompile(`\d+([-_.]of[-_.]\d+)`)
	namedPart   = regexp.MustCompile(`((?:^|[^a-z])(?:consolidated|[a-z]*rank|part|shard)[-_.]?)\d+`)
	layerPart   = regexp.MustCompile(`layer_\d+-model_\d+`)
)

// areParts reports whether two names differ, and only in the number of a part.
func areParts(a, b string) bool { return a != b && wholeOf(a) == wholeOf(b) }

// wholeOf is the name of a file with 0 for the numbers of parts.
func wholeOf(file string) string {
	name := countedPart.ReplaceAllString(strings.ToLower(path.Base(file)), "0$1")
	name = namedPart.ReplaceAllString(name, "${1}0")
	return layerPart.ReplaceAllString(name, "layer_0-model_0")
}
