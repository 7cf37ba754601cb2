package modelfile

import (
	"context"
	"errors"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// index is an index of sharded weights, and what of it was found.
type index struct {
	file  *File
	dir   string
	files map[string]*indexed // by full path
	paths []string            // of files, by number
	// tensors has the number of the file of each tensor, -1-number once it was found
	// there.
	tensors map[uint64]int32
	total   uint64 // bytes that it announces
	size    uint64 // of its tensors that were found
	extra   some   // tensors of the file that is read now which it does not name
}

// indexed is a file that an index names.
type indexed struct {
	number       int32
	named, found int
	missing      some
}

// errNames ends the reading of an index that names too many tensors.
var errNames = errors.New("it names more tensors than are compared")

// readIndex also checks that the files which an index names are there.
func (x *inspector) readIndex(f *File, r io.Reader) error {
	idx := &index{file: f, dir: path.Dir(f.Path), files: map[string]*indexed{}, tensors: map[uint64]int32{}}
	total, err := hf.ReadIndex(r, idx.add)
	if err != nil {
		return err
	}
	idx.total = total
	var missing some
	for file := range idx.files {
		if x.files[file] == nil {
			missing.add(file)
		}
	}
	x.indexes = append(x.indexes, idx)
	if missing.n > 0 {
		x.problem(f.Path, "files that it names are missing: %s", &missing)
	}
	return nil
}

func (idx *index) add(tensor, file string) error {
	if len(idx.tensors) == maxNames {
		return errNames
	}
	file = path.Join(idx.dir, file)
	f := idx.files[file]
	if f == nil {
		f = &indexed{number: int32(len(idx.paths))}
		idx.files[file] = f
		idx.paths = append(idx.paths, file)
	}
	f.named++
	idx.tensors[nameKey("", tensor)] = f.number
	return nil
}

// compare notes that a file holds a tensor of so many bytes.
func (idx *index) compare(file, tensor string, size uint64) {
	key := nameKey("", tensor)
	f := idx.files[file]
	if n, ok := idx.tensors[key]; !ok || n != f.number {
		idx.extra.add(tensor)
		return
	}
	idx.tensors[key] = -1 - f.number
	f.found++
	idx.size += size
}

// compared notes that all tensors of a file were compared.
func (idx *index) compared(x *inspector, file string) {
	if idx.extra.n > 0 {
		x.problem(idx.file.Path, "tensors of %q that it does not name: %s", file, &idx.extra)
	}
	idx.extra = some{}
}

// checkIndexes tells what indexes announce and files do not hold, once all shards
// are read.
func (x *inspector) checkIndexes(ctx context.Context) error {
	for _, idx := range x.indexes {
		if err := x.findMissing(ctx, idx); err != nil {
			return err
		}
		for _, file := range slices.Sorted(maps.Keys(idx.files)) {
			if f := idx.files[file]; f.missing.n > 0 {
				x.problem(idx.file.Path, "tensors that %q should hold and does not: %s", file, &f.missing)
			}
		}
		if idx.total > 0 && idx.size > 0 && idx.total != idx.size {
			x.problem(idx.file.Path, "announces %d bytes of tensors, the files hold %d", idx.total, idx.size)
		}
	}
	return nil
}

// findMissing reads an index once more for the names of tensors that are not in the
// files that were read; most have none.
func (x *inspector) findMissing(ctx context.Context, idx *index) error {
	whole := true
	for file, f := range idx.files {
		whole = whole && (f.found == f.named || !x.counted(file))
	}
	if whole {
		return nil
	}
	return x.readStream(ctx, idx.file, func(r io.Reader) error {
		_, err := hf.ReadIndex(r, func(tensor, file string) error {
			file = path.Join(idx.dir, file)
			f := idx.files[file]
			if f == nil {
				return errors.New("it changed while it was read")
			}
			if x.counted(file) && idx.tensors[nameKey("", tensor)] >= 0 {
				f.missing.add(tensor)
			}
			return nil
		})
		return err
	})
}

// counted reports whether the tensors of that file were read.
func (x *inspector) counted(file string) bool {
	return x.files[file] != nil && x.weight(file).Format == formatSafetensors && !x.broken[file]
}

// readStream hands the bytes of f to read. What read does not understand is a
// warning; a file that cannot be read is an error.
func (x *inspector) readStream(ctx context.Context, f *File, read func(io.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := f.Open()
	if x.missing(f, err) {
		return nil
	}
	if err != nil {
		return reading(f, err)
	}
	defer r.Close()
	content := &failingReader{r: io.NewSectionReader(r, 0, f.Size)}
	err = read(content)
	if x.missing(f, content.err) {
		return nil
	}
	if content.err != nil {
		return reading(f, content.err)
	}
	if err != nil {
		x.warn("%q: %v", f.Path, err)
	}
	return nil
}

// failingReader keeps what went wrong in reading, which says nothing of what is read.
type failingReader struct {
	r   io.Reader
	err error
}

func (f *failingReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}
