package modelfile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/gguf"
	"github.com/modseal/modseal/pkg/modelfile/onnx"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

// tally counts what the files of one format hold.
type tally struct {
	proven, unproven uint64 // bytes of files whose content, or only name, shows the format
	elements         map[string]uint64
	total            uint64
	// unknown: some tensors stand for a number of weights that nobody told.
	unknown bool
}

func (x *inspector) tally(format string) *tally {
	t := x.tallies[format]
	if t == nil {
		t = &tally{elements: map[string]uint64{}}
		x.tallies[format] = t
	}
	return t
}

// count adds n elements of a precision, which is "" when ModelPack has no name
// for it.
func (t *tally) count(precision string, n uint64) {
	sum, carry := bits.Add64(t.total, n, 0)
	if carry != 0 {
		t.unknown = true
		return
	}
	t.total = sum
	if n > 0 {
		t.elements[precision] += n
	}
}

// tensorNames remembers which file of a directory was first to hold a tensor.
// Two files with tensors of one name are two forms of the same weights.
type tensorNames map[string]string

// add reports whether the tensor is new, else it returns the file that has it.
func (t *tensorNames) add(file, tensor string) (other string, ok bool) {
	if *t == nil {
		*t = tensorNames{}
	}
	key := path.Dir(file) + "\x00" + tensor
	if other, dup := (*t)[key]; dup {
		return other, false
	}
	(*t)[key] = file
	return "", true
}

// lfsPointer begins the file that Git LFS leaves where content was not fetched.
var lfsPointer = []byte("version https://git-lfs.github.com/spec/")

func (x *inspector) readWeights(ctx context.Context) error {
	for _, f := range x.sorted {
		if f.Role != roleWeight {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.readWeight(f); err != nil {
			return err
		}
	}
	return nil
}

func (x *inspector) readWeight(f *File) error {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%q: %w", f.Path, err)
	}
	defer r.Close()
	prefix, err := readPrefix(f, r, SniffSize)
	if err != nil {
		return err
	}
	format, proven := Sniff(f.Path, prefix)
	if bytes.HasPrefix(prefix, lfsPointer) {
		return &InvalidFileError{f.Path, cmp.Or(format, "weight"), errors.New("it is a Git LFS pointer, not the file itself")}
	}
	if format == "" {
		return nil
	}
	if t := x.tally(format); proven {
		t.proven += uint64(f.Size)
	} else {
		t.unproven += uint64(f.Size)
	}
	switch format {
	case formatSafetensors:
		return x.readSafetensors(f, r)
	case formatGGUF:
		return x.readGGUF(f, r)
	case formatONNX:
		return x.readONNX(f, r)
	}
	return nil
}

func (x *inspector) readSafetensors(f *File, r io.ReaderAt) error {
	h, err := safetensors.Read(r, f.Size)
	if _, breach := errors.AsType[*safetensors.Error](err); breach {
		return &InvalidFileError{f.Path, formatSafetensors, err}
	}
	if err != nil {
		return fmt.Errorf("%q: %w", f.Path, err)
	}
	if x.compareIndexes(f, h) {
		x.warn("%q: no index beside it names it: not counted", f.Path)
		return nil
	}
	x.countSafetensors(f, h)
	return nil
}

func (x *inspector) countSafetensors(f *File, h *safetensors.Header) {
	t := x.tally(formatSafetensors)
	var dup duplicates
	for _, tensor := range h.Tensors {
		if other, ok := x.tensors.add(f.Path, tensor.Name); !ok {
			dup.add(other)
			continue
		}
		n, packed, ok := unpack(x.quantization(), tensor)
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
	dup.warn(x, f.Path)
}

// duplicates counts tensors that another file has too.
type duplicates struct {
	n     int
	other string
}

func (d *duplicates) add(other string) { d.n, d.other = d.n+1, other }

func (d *duplicates) warn(x *inspector, file string) {
	if d.n > 0 {
		x.warn("%q: %d tensors are also in %q: counted once", file, d.n, d.other)
	}
}

// compareIndexes compares the tensors of f with the indexes that name f. It
// reports whether there are indexes of safetensors in the directory of f and
// none names it.
func (x *inspector) compareIndexes(f *File, h *safetensors.Header) (stray bool) {
	named := false
	for _, idx := range x.indexes {
		dir := path.Dir(idx.path)
		if idx.files[f.Path] > 0 {
			named = true
			x.compareIndex(idx, dir, f, h)
			continue
		}
		stray = stray || dir == path.Dir(f.Path) && strings.HasSuffix(idx.path, ".safetensors.index.json")
	}
	return stray && !named
}

func (x *inspector) compareIndex(idx *index, dir string, f *File, h *safetensors.Header) {
	var extra, missing []string
	found := make(map[string]bool, len(h.Tensors))
	for _, tensor := range h.Tensors {
		if shard, ok := idx.WeightMap[tensor.Name]; !ok || path.Join(dir, shard) != f.Path {
			extra = append(extra, tensor.Name)
			continue
		}
		found[tensor.Name] = true
		idx.size += tensor.End - tensor.Begin
	}
	if len(found) < idx.files[f.Path] {
		for tensor, shard := range idx.WeightMap {
			if path.Join(dir, shard) == f.Path && !found[tensor] {
				missing = append(missing, tensor)
			}
		}
	}
	if len(extra) > 0 {
		x.warn("%q: tensors of %q that it does not name: %s", idx.path, f.Path, someOf(extra))
	}
	if len(missing) > 0 {
		x.warn("%q: tensors that %q should hold and does not: %s", idx.path, f.Path, someOf(missing))
	}
}

// checkIndexes compares the size that an index announces, once all shards are
// read.
func (x *inspector) checkIndexes() {
	for _, idx := range x.indexes {
		if idx.TotalSize > 0 && idx.size > 0 && idx.TotalSize != idx.size {
			x.warn("%q: announces %d bytes of tensors, the files hold %d", idx.path, idx.TotalSize, idx.size)
		}
	}
}

// shardName is the name of one of a set of files: model-00001-of-00003.gguf.
var shardName = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})(\.[^/]+)?$`)

// checkShards warns of sets of which a file is missing.
func (x *inspector) checkShards() {
	sets := map[string]*shardSet{}
	for _, f := range x.sorted {
		m := shardName.FindStringSubmatch(f.Path)
		if m == nil || f.Role != roleWeight {
			continue
		}
		key := m[1] + "-*-of-" + m[3] + m[4]
		if sets[key] == nil {
			sets[key] = &shardSet{numbers: map[int]bool{}}
		}
		// Both have five digits.
		n, _ := strconv.Atoi(m[2])
		sets[key].numbers[n] = true
		sets[key].count, _ = strconv.Atoi(m[3])
	}
	for _, key := range slices.Sorted(maps.Keys(sets)) {
		set := sets[key]
		if missing := set.missing(); len(missing) > 0 {
			x.warn("%q: parts are missing: %s", key, someOf(missing))
		} else if len(set.numbers) > set.count {
			x.warn("%q: there are parts with numbers outside 1 to %d", key, set.count)
		}
	}
}

type shardSet struct {
	numbers map[int]bool
	count   int
}

func (s *shardSet) missing() []string {
	var missing []string
	for n := 1; n <= s.count; n++ {
		if !s.numbers[n] {
			missing = append(missing, fmt.Sprintf("%05d", n))
		}
	}
	return missing
}

// someOf sorts names and joins the first of them.
func someOf(names []string) string {
	const some = 3
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names[:min(len(names), some)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", name)
	}
	if len(names) > some {
		fmt.Fprintf(&b, " and %d more", len(names)-some)
	}
	return b.String()
}

// ggufModel is a GGUF file or a set of shards.
type ggufModel struct {
	key    string
	size   uint64
	shards []ggufShard // by name
}

type ggufShard struct {
	path string
	*gguf.Header
}

func (x *inspector) readGGUF(f *File, r io.ReaderAt) error {
	h, err := gguf.Read(r, f.Size)
	if _, breach := errors.AsType[*gguf.Error](err); breach {
		return &InvalidFileError{f.Path, formatGGUF, err}
	}
	if err != nil {
		return fmt.Errorf("%q: %w", f.Path, err)
	}
	for _, finding := range h.Findings {
		x.warn("%q: %s", f.Path, finding)
	}
	key := f.Path
	if m := shardName.FindStringSubmatch(f.Path); m != nil {
		key = m[1] + "-of-" + m[3]
	}
	i := slices.IndexFunc(x.ggufs, func(m *ggufModel) bool { return m.key == key })
	if i < 0 {
		i = len(x.ggufs)
		x.ggufs = append(x.ggufs, &ggufModel{key: key})
	}
	x.ggufs[i].size += uint64(f.Size)
	x.ggufs[i].shards = append(x.ggufs[i].shards, ggufShard{f.Path, h})
	return nil
}

// tallyGGUF counts the tensors of all files. The largest model comes first: it
// is the one that speaks, and others with the same tensors (another
// quantisation of the same weights) do not count.
func (x *inspector) tallyGGUF() {
	slices.SortFunc(x.ggufs, func(a, b *ggufModel) int {
		return cmp.Or(cmp.Compare(b.size, a.size), strings.Compare(a.key, b.key))
	})
	for _, m := range x.ggufs {
		x.checkSplit(m)
		for _, s := range m.shards {
			x.countGGUF(s)
		}
	}
}

func (x *inspector) countGGUF(s ggufShard) {
	t := x.tally(formatGGUF)
	var dup duplicates
	for _, tensor := range s.Tensors {
		if other, ok := x.tensors.add(s.path, tensor.Name); !ok {
			dup.add(other)
			continue
		}
		t.count(gguf.PrecisionName(tensor.Type), tensor.Elements())
	}
	dup.warn(x, s.path)
}

// checkSplit compares what the shards of a model say about the set they belong
// to, and moves the one with the metadata to the front.
func (x *inspector) checkSplit(m *ggufModel) {
	var tensors uint64
	numbers := map[uint64]bool{}
	first := m.shards[0]
	count, ok := first.Uint("split.count")
	if !ok || count <= 1 {
		return
	}
	for i, s := range m.shards {
		tensors += s.TensorCount
		n, _ := s.Uint("split.count")
		number, ok := s.Uint("split.no")
		if !ok || n != count || number >= count || numbers[number] {
			x.warn("%q: shard %d of %d, in a set of %d", s.path, number, n, count)
		}
		numbers[number] = true
		if number == 0 {
			m.shards[0], m.shards[i] = m.shards[i], m.shards[0]
		}
	}
	if uint64(len(m.shards)) != count {
		x.warn("%q: %d shards of a set of %d", first.path, len(m.shards), count)
		return
	}
	if want, ok := first.Uint("split.tensors.count"); ok && want != tensors {
		x.warn("%q: announces %d tensors, the shards hold %d", first.path, want, tensors)
	}
}

// spokesman returns the header that speaks for all GGUF files, nil when there
// is none.
func (x *inspector) spokesman() (h *gguf.Header, place string) {
	if len(x.ggufs) == 0 {
		return nil, ""
	}
	s := x.ggufs[0].shards[0]
	return s.Header, s.path
}

type onnxFile struct {
	path string
	*onnx.Model
}

// readONNX reads what it can: a file with the name of an ONNX model that is
// none is a warning, since protobuf has no magic to prove what it should be.
func (x *inspector) readONNX(f *File, r io.ReaderAt) error {
	m, err := onnx.Read(r, f.Size)
	if _, breach := errors.AsType[*onnx.Error](err); breach {
		x.warn("%q is not a valid onnx file: %v", f.Path, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", f.Path, err)
	}
	for _, finding := range m.Findings {
		x.warn("%q: %s", f.Path, finding)
	}
	x.onnxes = append(x.onnxes, onnxFile{f.Path, m})
	return nil
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
		for _, dtype := range slices.Sorted(maps.Keys(m.Elements)) {
			t.count(onnx.PrecisionName(dtype), m.Elements[dtype])
		}
	}
}

// checkExternal warns of a file of weights that is missing or too short.
func (x *inspector) checkExternal(model, file string, size uint64) bool {
	f := x.files[file]
	switch {
	case f == nil:
		x.warn("%q: its weights are in %q, which is missing", model, file)
		return false
	case uint64(f.Size) < size:
		x.warn("%q: its weights need %d bytes of %q, which has %d", model, size, file, f.Size)
	}
	return true
}
