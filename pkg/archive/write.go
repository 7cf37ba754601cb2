package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/disk"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/progress"
)

// MinPartSize is the least size of a part of a split archive.
const MinPartSize = 1 << 20

// WriteOptions change how [Write] writes. The zero value writes one file, and
// replaces none.
type WriteOptions struct {
	// PartSize is the size of each part but the last, in bytes; 0 means one file.
	PartSize int64
	// Concurrency is how many blobs come at once: 4 when zero, 8 at most.
	Concurrency int
	// Overwrite replaces an archive that is there.
	Overwrite bool
	// Progress is told what comes; nil means nobody.
	Progress progress.Reporter
}

const (
	defaultConcurrency = 4
	maxConcurrency     = 8
)

// Written says what [Write] did.
type Written struct {
	File   string        `json:"file"`             // that opens the archive: the list of parts of a split one
	Digest digest.Digest `json:"digest,omitempty"` // of the archive's own manifest
	Size   int64         `json:"size"`             // bytes, of all parts together
	Parts  []Part        `json:"parts,omitempty"`
	// Resumed is how many bytes of blobs an earlier call had brought. They were
	// proven again.
	Resumed int64 `json:"resumed,omitempty"`
	// Reused is how many bytes of blobs came from an archive that was there under this
	// name: split otherwise, or with other contents.
	Reused int64 `json:"reused,omitempty"`
	// Changed says that an earlier call had begun another archive: a tag has moved, or
	// something else was asked for. What both have was kept.
	Changed bool `json:"changed,omitempty"`
	// StartedOver says that nothing of what an earlier call had left could be used.
	StartedOver bool `json:"startedOver,omitempty"`
	// Existed says that the archive was there, and was proven by reading it.
	Existed bool `json:"existed,omitempty"`
}

// Write writes the archive p to file, or with WriteOptions.PartSize to parts beside
// file.parts.json. Until all of it is proven and on disk, it is under other names:
// file.partial, with file.partial.journal. A call that was killed at any moment is
// gone on with by the next one, whose result has the same bytes as one that nothing
// came before; when the plan is another one by then, with what both plans have. What
// is there under the final name is left alone when it is this archive, which
// is proven by reading it.
//
// Errors are a *ExistsError, a *BusyError, a *SpaceError, a *integrity.Error of a
// blob that is not what its digest says, and what blobs failed with when they were
// brought; when something is kept, in a *InterruptedError.
func Write(ctx context.Context, p *Plan, file string, o WriteOptions) (*Written, error) {
	w, err := newWriter(p, file, o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if done, err := w.existing(ctx); done != nil || err != nil {
		return done, err
	}
	if err := w.open(ctx); err != nil {
		return nil, err
	}
	if err := w.fill(ctx); err != nil {
		return nil, w.suspend(ctx, err)
	}
	if err := w.finish(); err != nil {
		return nil, w.suspend(ctx, err)
	}
	return w.result(), nil
}

// writer writes one archive.
type writer struct {
	plan     *Plan
	o        WriteOptions
	progress progress.Reporter
	dir      string
	base     string // name of the file in dir
	root     *os.Root
	lock     *partial.Lock
	parts    []partial.Part // under their final names
	area     *partial.Area
	sums     *sums  // nil when there are no parts
	list     *Parts // likewise, and before they are hashed
	stands   bool   // another file has the name of the set, and goes when that is written
	changed  bool   // what an earlier call left was of another plan
	reused   atomic.Int64
}

const unfinished = ".partial"

// freeBytes is disk.Free; tests have other disks.
var freeBytes = disk.Free

func newWriter(p *Plan, file string, o WriteOptions) (*writer, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	w := &writer{plan: p, o: o, progress: progress.OrNone(o.Progress), dir: filepath.Dir(abs), base: filepath.Base(abs)}
	if w.parts, err = w.split(o.PartSize); err != nil {
		return nil, err
	}
	if o.Concurrency <= 0 {
		w.o.Concurrency = defaultConcurrency
	}
	w.o.Concurrency = min(w.o.Concurrency, maxConcurrency)
	if w.root, err = os.OpenRoot(w.dir); err != nil {
		return nil, err
	}
	if err := w.noDirectories(); err != nil {
		_ = w.root.Close()
		return nil, err
	}
	w.lock, err = partial.TryAcquire(w.root, w.base+unfinished)
	if err != nil {
		_ = w.root.Close()
		if errors.Is(err, partial.ErrLocked) {
			err = &BusyError{File: abs}
		}
		return nil, err
	}
	return w, nil
}

// noDirectories refuses names that are those of directories: nobody wants a whole
// one replaced, and what is unfinished is thrown away when it is of no use.
func (w *writer) noDirectories() error {
	names := []string{w.target(), w.base + journalName, w.base + journalName + ".new"}
	for _, p := range w.parts {
		names = append(names, p.Name, p.Name+unfinished)
	}
	for _, name := range names {
		if info, err := w.root.Lstat(name); err == nil && info.IsDir() {
			return fmt.Errorf("%s: it is a directory: move it away, or write to another file", w.path(name))
		}
	}
	return nil
}

func (w *writer) close() {
	w.lock.Release()
	_ = w.root.Close()
}

// split says of which files the archive will be.
func (w *writer) split(partSize int64) ([]partial.Part, error) {
	size := w.plan.Size()
	if partSize == 0 {
		return []partial.Part{{Name: w.base, Size: size}}, nil
	}
	if partSize < MinPartSize {
		return nil, fmt.Errorf("parts of %d bytes are too small: %d is the least", partSize, MinPartSize)
	}
	n := (size + partSize - 1) / partSize
	if n > limits.ArchiveParts {
		return nil, fmt.Errorf("parts of %d bytes would be %d, and %d is the most: they must be larger", partSize, n, limits.ArchiveParts)
	}
	var parts []partial.Part
	for i := range int(n) {
		parts = append(parts, partial.Part{Name: PartName(w.base, i), Size: min(partSize, size-int64(i)*partSize)})
	}
	return parts, nil
}

// target is the name that opens the archive.
func (w *writer) target() string {
	if w.o.PartSize == 0 {
		return w.base
	}
	return PartsName(w.base)
}

func (w *writer) path(name string) string { return filepath.Join(w.dir, name) }

// open opens what an earlier call left, or begins, and writes all that is known.
func (w *writer) open(ctx context.Context) error {
	if err := w.takeBack(); err != nil {
		return err
	}
	var parts []partial.Part
	for _, p := range w.parts {
		parts = append(parts, partial.Part{Name: p.Name + unfinished, Size: p.Size})
	}
	if err := w.rearrange(ctx, parts); err != nil {
		return err
	}
	var err error
	if w.area, err = partial.OpenArea(w.root, w.base+unfinished, parts, w.plan.tape.key(w.o.PartSize), w.base); err != nil {
		return err
	}
	if w.area.Taken() == 0 {
		w.removeOthers(parts)
	}
	if err := w.checkRoom(); err != nil {
		return errors.Join(err, w.area.Suspend())
	}
	for _, f := range w.plan.tape.fixed {
		if _, err := w.area.WriteAt(f.raw, f.at); err != nil {
			return errors.Join(err, w.area.Suspend())
		}
	}
	return nil
}

// checkRoom refuses to begin with what does not fit on the disk.
func (w *writer) checkRoom() error {
	need, err := w.area.Lacking()
	if err != nil {
		return err
	}
	if free, known := freeBytes(w.dir); known && need > free {
		return &SpaceError{Dir: w.dir, Need: need, Free: free}
	}
	return nil
}

// suspend ends a call that failed because of err.
func (w *writer) suspend(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	kept := w.area.Kept()
	if w.area.Suspend() != nil || kept == 0 {
		return err
	}
	return &InterruptedError{File: w.path(w.base), Kept: kept, Err: err}
}

// finish gives everything its final name, the list of parts last.
func (w *writer) finish() error {
	last := func() error { return nil }
	if w.list != nil {
		last = w.writeList
		if err := w.removeSet(); err != nil {
			return err
		}
	}
	var names []string
	for _, p := range w.parts {
		if err := w.mayTake(p.Name); err != nil {
			return err
		}
		names = append(names, p.Name)
	}
	if err := w.area.Finish(fs.FileMode(artifacttypes.ModeRegular), names, last); err != nil || !w.stands {
		return err
	}
	return w.root.Remove(w.base)
}

// mayTake refuses a name that somebody took meanwhile.
func (w *writer) mayTake(name string) error {
	if _, err := w.root.Lstat(name); w.o.Overwrite || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return &ExistsError{File: w.path(name)}
}

func (w *writer) result() *Written {
	r := &Written{File: w.path(w.target()), Digest: w.plan.digest, Size: w.plan.Size()}
	if w.list != nil {
		r.Parts = w.list.Parts
	}
	if w.area != nil {
		r.Reused = w.reused.Load()
		r.Resumed, r.Changed, r.StartedOver = w.area.Taken(), w.changed, w.area.Stale()
	}
	return r
}
