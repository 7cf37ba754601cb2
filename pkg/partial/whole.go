package partial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/filerow"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// Whole says that the bytes of a file on disk hash to a digest. Only
// [File.Finish] and [Check] make one.
type Whole struct {
	name    string
	desc    ocispec.Descriptor
	at      fileid.ID
	trusted bool
	synced  bool
}

// Name returns the name of the file in its root.
func (w Whole) Name() string { return w.name }

// Descriptor returns what the file is, and an empty one of a zero Whole.
func (w Whole) Descriptor() ocispec.Descriptor { return w.desc }

// ID returns how the file looked when its bytes were the right ones. trusted says
// whether any later change, also one within the same step of the clock, gives it
// another look, unless whoever made it turned the modification time back within
// that step.
func (w Whole) ID() (at fileid.ID, trusted bool) { return w.at, w.trusted }

// Synced reports whether the bytes are on disk for sure. They are, except of a
// file of less than [SyncAtOnce] bytes that was opened with SyncLater.
func (w Whole) Synced() bool { return w.synced }

// SyncAtOnce is the size from which a file is synced when it is whole, while
// others are still coming; smaller ones may be synced together.
const SyncAtOnce = 1 << 20

// MissingError says that a file cannot be finished yet.
type MissingError struct {
	What    string
	Missing int64 // bytes
	Size    int64
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: %d of %d bytes did not come", e.What, e.Missing, e.Size)
}

// Finish waits until every byte is hashed, compares the digest, and gives the
// file its mode and the name to, which may be the one it has. The journal is gone
// then and the file closed.
//
// It fails with a *MissingError when bytes are missing, with the cause of ctx,
// with what the disk said, and with a *integrity.Error when the bytes are not the
// blob. The file is open then: what remains is Reset, Suspend or Discard.
func (f *File) Finish(ctx context.Context, to string) (Whole, error) {
	if !f.own {
		return Whole{}, fmt.Errorf("%s: %w: a window has no name", f.label(), errors.ErrUnsupported)
	}
	if err := f.prove(ctx); err != nil {
		return Whole{}, err
	}
	synced := f.desc.Size >= SyncAtOnce || !f.o.SyncLater
	if synced {
		if err := f.area.data.Each((*os.File).Sync); err != nil {
			f.lose(err)
			return Whole{}, err
		}
	}
	f.halt()
	if f.failed != nil { // the keeper was told, and so nobody else
		return Whole{}, f.failed
	}
	w, err := f.settle(to)
	if err != nil {
		return Whole{}, err
	}
	w.synced = synced
	f.end()
	defer f.lock.Release()
	err = f.area.data.Close()
	f.area.removeJournal()
	return w, err
}

// Prove is what Finish is, for a window: its bytes are proven, and it is closed.
// They are on disk when the area is finished.
func (f *File) Prove(ctx context.Context) error {
	if f.own {
		return fmt.Errorf("%s: %w: it is no window", f.label(), errors.ErrUnsupported)
	}
	if err := f.prove(ctx); err != nil {
		return err
	}
	f.halt()
	if f.failed != nil {
		return f.failed
	}
	f.end()
	f.area.closed(f, true)
	return nil
}

// prove waits until every byte is hashed, and compares the digest.
func (f *File) prove(ctx context.Context) error {
	var missing int64
	for _, s := range f.Missing() {
		missing += s.Len()
	}
	if missing > 0 {
		return &MissingError{What: f.label(), Missing: missing, Size: f.desc.Size}
	}
	if err := f.await(ctx); err != nil {
		return err
	}
	if got := digest.NewDigest(f.desc.Digest.Algorithm(), f.sum); got != f.desc.Digest {
		f.bad = true
		return &integrity.Error{What: f.o.What, Want: f.desc.Digest, Got: got, WantSize: f.desc.Size, GotSize: f.desc.Size}
	}
	return nil
}

// end tells those who follow that all is there and right.
func (f *File) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.whole = true
	f.changed.Broadcast()
}

// settle gives the file its mode and name, and learns how it looks.
func (f *File) settle(to string) (Whole, error) {
	a, data := f.area, f.area.data.First()
	if err := data.Chmod(f.o.Mode); err != nil {
		return Whole{}, err
	}
	if err := a.stamp(); err != nil {
		return Whole{}, err
	}
	if to != a.name {
		if err := a.root.Rename(a.name, to); err != nil {
			return Whole{}, err
		}
	}
	info, err := data.Stat()
	if err != nil {
		return Whole{}, err
	}
	if info.Size() != f.desc.Size {
		return Whole{}, &integrity.Error{What: f.o.What, Want: f.desc.Digest, WantSize: f.desc.Size, GotSize: info.Size()}
	}
	w := Whole{name: to, desc: f.desc}
	w.at, w.trusted = fileid.Of(info)
	return w, nil
}

func (f *File) label() string {
	if f.o.What != "" {
		return f.o.What
	}
	return f.desc.Digest.String()
}

// Check reads a file that is there under its name, and gives it the mode. It
// fails with a *integrity.Error when its bytes are not those of desc, and with an
// error that wraps fs.ErrInvalid when it is no plain file with one name.
func Check(ctx context.Context, root *os.Root, name string, desc ocispec.Descriptor, mode fs.FileMode) (Whole, error) {
	if err := artifacttypes.ValidateDescriptor(desc); err != nil {
		return Whole{}, err
	}
	named, err := root.Lstat(name)
	if err != nil {
		return Whole{}, err
	}
	if !named.Mode().IsRegular() || isLinked(named) {
		return Whole{}, fmt.Errorf("%s: %w: it is no plain file with one name", name, fs.ErrInvalid)
	}
	if named.Size() != desc.Size {
		return Whole{}, &integrity.Error{What: name, Want: desc.Digest, WantSize: desc.Size, GotSize: named.Size()}
	}
	in, err := root.Open(name)
	if err != nil {
		return Whole{}, err
	}
	defer in.Close()
	return check(ctx, root, name, in, named, desc, mode)
}

func check(ctx context.Context, root *os.Root, name string, in *os.File, named fs.FileInfo, desc ocispec.Descriptor, mode fs.FileMode) (Whole, error) {
	a := &Area{root: root, name: name, data: &filerow.Row{}}
	a.data.Add(in, desc.Size)
	f := newFile(a, 0, desc, Options{Mode: mode, What: name})
	if info, err := in.Stat(); err != nil || !os.SameFile(info, named) {
		return Whole{}, errors.Join(err, fmt.Errorf("%s: %w: it is not the same twice", name, fs.ErrInvalid))
	}
	// Before reading: who writes meanwhile shows.
	w, err := f.settle(name)
	if err != nil {
		return Whole{}, err
	}
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	sum := desc.Digest.Algorithm().Hash()
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, ingest.ContextReader(ctx, in), buf[:]); err != nil {
		return Whole{}, err
	}
	bad := &integrity.Error{What: name, Want: desc.Digest, Got: digest.NewDigest(desc.Digest.Algorithm(), sum), WantSize: desc.Size, GotSize: desc.Size}
	if bad.Got != desc.Digest {
		return Whole{}, bad
	}
	info, err := in.Stat()
	if err != nil {
		return Whole{}, err
	}
	if now, _ := fileid.Of(info); now != w.at {
		return Whole{}, fmt.Errorf("%s: it changed while it was read; stop what writes to it: %w", name, bad)
	}
	w.synced = true
	return w, in.Sync() // whoever wrote it may not have come so far
}
