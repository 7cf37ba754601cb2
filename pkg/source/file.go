package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/fileid"
)

// File is one regular file of a model.
type File struct {
	Path       string // relative, /-separated, safe by [artifacttypes.ValidatePath]
	Size       int64
	Executable bool // by its owner
	Role       artifacttypes.Role
	Proven     bool   // the content proved the role, not only the name
	Format     string // of a weight: safetensors, gguf, onnx, …; empty when unknown

	info fs.FileInfo // as listed, to notice another file under the same name
	from opener
}

// opener opens a file below a directory without leaving it.
type opener struct {
	dir  string
	name string
	open func(root *os.Root, name string) (*os.File, error)
	// root is dir, held open for all files below it, until none of them is referred to
	// any more; nil where dir is opened for the file alone.
	root *os.Root
}

// opened opens the file in root.
func (o opener) opened(root *os.Root) (*os.File, error) {
	if o.open != nil {
		return o.open(root, o.name)
	}
	return root.Open(o.name)
}

func newFile(as string, info fs.FileInfo, from opener) File {
	return File{Path: as, Size: info.Size(), Executable: info.Mode()&0o100 != 0, info: info, from: from}
}

// Open opens the file for reading from its beginning. It fails with
// [ErrChanged] when the file is not the one that was listed. Of a directory that was
// moved and replaced after it was listed, it opens what was listed; [File.Unchanged]
// notices.
func (f *File) Open() (*os.File, error) {
	root := f.from.root
	if root == nil {
		var err error
		if root, err = os.OpenRoot(f.from.dir); err != nil {
			return nil, err
		}
		defer root.Close()
	}
	file, err := f.from.opened(root)
	if err != nil {
		return nil, err
	}
	now, err := file.Stat()
	if err == nil {
		err = f.same(now)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Unchanged reports whether the file is still the one that was listed. Whoever
// read it asks afterwards: bytes that changed under the reader are a mix of two
// files that nobody meant.
func (f *File) Unchanged() error {
	root, err := os.OpenRoot(f.from.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	now, err := root.Stat(f.from.name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q: %w: it is gone", f.Path, ErrChanged)
	}
	if err != nil {
		return fmt.Errorf("%q: %w: %w", f.Path, ErrChanged, err)
	}
	return f.same(now)
}

// Identity tells the file, in the state in which it was listed, from everything
// else. trusted says whether any change of it shows, see [fileid.Of].
func (f *File) Identity() (id fileid.ID, trusted bool) { return fileid.Of(f.info) }

// Untouched reports whether nothing was done to the file since it was listed. It is
// stricter than [File.Unchanged]: a time of modification can be set back, that of
// the last change of any kind cannot. Where no such time is kept, it is the same.
func (f *File) Untouched() error {
	root, err := os.OpenRoot(f.from.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	now, err := root.Stat(f.from.name)
	if err != nil {
		return fmt.Errorf("%q: %w: %w", f.Path, ErrChanged, err)
	}
	if err := f.same(now); err != nil {
		return err
	}
	then, trusted := fileid.Of(f.info)
	if id, _ := fileid.Of(now); trusted && id != then {
		return fmt.Errorf("%q: %w: something was done to it, and its time of modification set back", f.Path, ErrChanged)
	}
	return nil
}

func (f *File) same(now fs.FileInfo) error {
	if !os.SameFile(f.info, now) || f.info.Size() != now.Size() || !f.info.ModTime().Equal(now.ModTime()) {
		return fmt.Errorf("%q: %w: listed with %d bytes of %s, now %d bytes of %s", f.Path, ErrChanged,
			f.info.Size(), f.info.ModTime().UTC().Format(time.RFC3339Nano), now.Size(), now.ModTime().UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// sniffBytes is what a look at the beginning of a file takes; every magic and
// the start of every text format fit.
const sniffBytes = 512

func (f *File) prefix() ([]byte, error) {
	file, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	buf := make([]byte, sniffBytes)
	n, err := io.ReadFull(file, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return buf[:n], nil
}
