package partial

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/modseal/modseal/pkg/internal/filerow"
)

// startOver makes new, empty data files. Nothing of an old one is written to: it
// might be a link to somebody's file.
func (a *Area) startOver() (err error) {
	if err := a.remove(); err != nil {
		return err
	}
	a.data = &filerow.Row{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.data.Close(), a.remove())
		}
	}()
	for _, p := range a.parts {
		data, err := a.root.OpenFile(p.Name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		a.data.Add(data, p.Size)
		// A file of its full size takes no room before it is written to.
		if err := data.Truncate(p.Size); err != nil {
			return err
		}
	}
	a.clean, a.taken, a.written = true, 0, nil
	a.keeper = keeper{}
	return nil
}

// remove takes the journal and the data files away, whatever they are.
func (a *Area) remove() error {
	names := []string{a.name + journalSuffix, a.name + journalSuffix + newSuffix}
	for _, p := range a.parts {
		names = append(names, p.Name)
	}
	for _, name := range names {
		if _, err := a.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := a.root.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// takeUp opens what an earlier process left and returns what the journal says of
// it, or nil when there is nothing to go on with.
func (a *Area) takeUp() *journal {
	infos := make([]fs.FileInfo, len(a.parts))
	for i, p := range a.parts {
		info, err := a.root.Lstat(p.Name)
		if err != nil || !info.Mode().IsRegular() || info.Size() != p.Size || isLinked(info) || !isOwn(a.root, a.name, info) {
			return nil
		}
		infos[i] = info
	}
	j := readJournal(a.root, a.name, infos, a.about)
	if j == nil || len(j.believed) == 0 {
		return nil
	}
	if !a.openParts(infos) {
		return nil
	}
	a.clean, a.written, a.taken = false, slices.Clone(j.believed), j.believed.total()
	a.keeper = keeper{durable: j.Durable}
	return j
}

// openParts opens the files that infos are of.
func (a *Area) openParts(infos []fs.FileInfo) bool {
	a.data = &filerow.Row{}
	for i, p := range a.parts {
		data, err := a.root.OpenFile(p.Name, os.O_RDWR, 0)
		if err != nil {
			_ = a.data.Close()
			return false
		}
		a.data.Add(data, p.Size)
		if opened, err := data.Stat(); err != nil || !os.SameFile(infos[i], opened) {
			_ = a.data.Close()
			return false
		}
	}
	return true
}

// removeJournal removes what no process needs any more.
func (a *Area) removeJournal() {
	_ = a.root.Remove(a.name + journalSuffix)
	_ = a.root.Remove(a.name + journalSuffix + newSuffix)
}
