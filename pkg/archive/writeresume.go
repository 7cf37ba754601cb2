package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"regexp"
	"runtime"
	"slices"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/filerow"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
)

const journalName = unfinished + ".journal"

func (w *writer) has(name string) bool {
	_, err := w.root.Lstat(name)
	return err == nil
}

// existing returns the result when the archive is there, which is proven. A call
// that was killed at its end may have got as far.
func (w *writer) existing(ctx context.Context) (*Written, error) {
	if w.stands = w.standsInTheWay(); w.stands && !w.o.Overwrite {
		return nil, &ExistsError{File: w.path(w.base)}
	}
	if !w.has(w.target()) {
		if !w.o.Overwrite && !w.has(w.base+journalName) && w.o.PartSize > 0 && w.has(w.parts[0].Name) {
			return nil, &ExistsError{File: w.path(w.parts[0].Name)} // a part of who knows what
		}
		return nil, nil
	}
	err := w.prove(ctx)
	var bad *integrity.Error
	switch {
	case err == nil:
		w.removeOthers(nil)
		r := w.result()
		r.Existed = true
		return r, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case w.o.Overwrite:
		return nil, nil
	case errors.Is(err, errOther):
		return nil, &ExistsError{File: w.path(w.target())}
	case errors.As(err, &bad):
		return nil, &ExistsError{File: w.path(w.target()), Err: err}
	}
	return nil, err
}

// standsInTheWay reports whether there is a file that goes by the name of the set, and is not
// the archive that is written in parts: who opens that name would get it.
func (w *writer) standsInTheWay() bool {
	if w.o.PartSize == 0 || !w.has(w.base) {
		return false
	}
	f, err := w.root.Open(w.base)
	if err != nil {
		return true
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != w.plan.Size() {
		return true
	}
	return w.proveFixed(f) != nil
}

// proveFixed compares what is known of the archive: with the headers all digests.
func (w *writer) proveFixed(r io.ReaderAt) error {
	for _, f := range w.plan.tape.fixed {
		got := make([]byte, len(f.raw))
		if _, err := r.ReadAt(got, f.at); err != nil {
			return err
		}
		if !bytes.Equal(got, f.raw) {
			return errOther
		}
	}
	return nil
}

// errOther says that a file is not the archive that was to be written.
var errOther = errors.New("it is another file")

// prove reads what is under the final names, and compares it with the plan: first
// what is known of it.
func (w *writer) prove(ctx context.Context) error {
	row := &filerow.Row{}
	defer row.Close()
	if err := w.openFinal(row); err != nil {
		return err
	}
	if err := w.proveFixed(row); err != nil {
		return err
	}
	err := each(ctx, w.plan.tape.blobs, runtime.GOMAXPROCS(0), func(ctx context.Context, b placed) error {
		r := ingest.ContextReader(ctx, io.NewSectionReader(row, b.at, b.Descriptor.Size))
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, integrity.NewReader(r, b.Descriptor, b.Name), make([]byte, readSize))
		return err
	})
	if err != nil || w.o.PartSize == 0 {
		return err
	}
	return w.proveList(ctx, row)
}

// openFinal opens what is under the final names.
func (w *writer) openFinal(row *filerow.Row) error {
	for _, p := range w.parts {
		info, err := w.root.Lstat(p.Name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() != p.Size) {
			return errOther
		}
		if err != nil {
			return err
		}
		f, err := w.root.Open(p.Name)
		if err != nil {
			return err
		}
		row.Add(f, p.Size)
	}
	return nil
}

// proveList compares the list of the parts with them.
func (w *writer) proveList(ctx context.Context, row *filerow.Row) error {
	s := newSums(ctx, w.parts, w.o.PartSize, row, func(partial.Span) bool { return true })
	s.look(partial.Span{End: row.Size()})
	list, err := s.wait()
	if err != nil {
		return err
	}
	raw, err := list.Encode()
	if err != nil {
		return err
	}
	f, err := w.root.Open(PartsName(w.base))
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(io.LimitReader(f, int64(len(raw))+1))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, raw) {
		return errOther
	}
	w.list = list
	return nil
}

// takeBack gives parts their former names that a call gave their final ones, and
// that was killed before all had them.
func (w *writer) takeBack() error {
	if w.o.PartSize == 0 || !w.has(w.base+journalName) || w.has(PartsName(w.base)) {
		return nil
	}
	var took []string
	now := slices.Clone(w.parts)
	for i, p := range w.parts {
		if !w.has(p.Name) || w.has(p.Name+unfinished) {
			now[i].Name += unfinished
			continue
		}
		took = append(took, p.Name)
	}
	if len(took) == 0 {
		return nil
	}
	if !w.o.Overwrite && !partial.CanTakeUp(w.root, w.base+unfinished, now, w.plan.tape.key(w.o.PartSize)) {
		return &ExistsError{File: w.path(took[0])} // it is of another set, or somebody else's
	}
	for _, name := range took {
		if err := w.root.Rename(name, name+unfinished); err != nil {
			return err
		}
	}
	return nil
}

// removeOthers removes what earlier calls of this name left, but not keep: all of
// it when nothing is kept. The lock makes sure that nobody is at work on it.
func (w *writer) removeOthers(keep []partial.Part) {
	names := []string{PartsName(w.base) + unfinished}
	if keep == nil {
		names = append(names, w.base+journalName, w.base+journalName+".new")
	}
	for _, name := range append(names, w.owned(unfinished)...) {
		if !slices.ContainsFunc(keep, func(p partial.Part) bool { return p.Name == name }) {
			_ = w.root.Remove(name)
		}
	}
}

// removeSet removes the set that is being replaced, but not the parts that others
// take the names of: they may be what an earlier call had as good as finished.
func (w *writer) removeSet() error {
	if !w.o.Overwrite || !w.has(PartsName(w.base)) {
		return nil
	}
	for _, name := range w.owned("") {
		if name != w.base && !slices.ContainsFunc(w.parts, func(p partial.Part) bool { return p.Name == name }) {
			if err := w.root.Remove(name); err != nil {
				return err
			}
		}
	}
	return w.root.Remove(PartsName(w.base))
}

// owned returns the names that an archive of this name has, or its parts, with
// suffix added.
func (w *writer) owned(suffix string) []string {
	entries, err := fs.ReadDir(w.root.FS(), ".")
	if err != nil {
		return nil
	}
	mine := regexp.MustCompile(`^` + regexp.QuoteMeta(w.base) + `(\.[0-9]{3})?` + regexp.QuoteMeta(suffix) + `$`)
	var names []string
	for _, e := range entries {
		if mine.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}
