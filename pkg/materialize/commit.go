package materialize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// commit gives the staged files their names. Everything is good by now; only the
// disk can still fail, and then the next call goes on: what is in place is found
// by its bytes.
func (j *job) commit(ctx context.Context) error {
	// What is at the destination may have changed while the bytes came, and the
	// members of tar layers meet it for the first time.
	if err := j.inspectAll(ctx, j.plan.files); err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, f := range j.plan.files {
		if f.staged != "" && f.outcome != Reused {
			needed[f.staged] = true
		}
	}
	if err := j.stage.sync(j.root, needed); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx) // from here on stopping half-way helps nobody
	dirs := map[string]bool{}
	for _, name := range j.plan.stale() {
		if err := j.removeStale(ctx, name, dirs); err != nil {
			return fmt.Errorf("%s: %w", path.Join(j.dir, name), err)
		}
	}
	for _, f := range j.plan.files {
		if f.staged == "" || f.outcome == Reused {
			continue
		}
		if err := j.place(f, dirs); err != nil {
			return fmt.Errorf("%s: %w", path.Join(j.dir, f.path), err)
		}
	}
	return j.syncDirs(dirs)
}

// place renames a staged file to its name and notes the directories to sync.
func (j *job) place(f *file, dirs map[string]bool) error {
	if err := j.removeEmptyDirs(f.path); err != nil {
		return err
	}
	parent := path.Dir(f.path)
	if err := j.root.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	for d := parent; ; d = path.Dir(d) {
		dirs[d] = true
		if d == "." {
			break
		}
	}
	if err := j.root.Chmod(f.staged, f.mode); err != nil {
		return err
	}
	info, err := j.root.Lstat(f.staged)
	if err != nil {
		return err
	}
	at, _ := identify(info)
	f.at = &at
	if err := j.root.Rename(f.staged, f.path); err != nil {
		return err
	}
	if f.layer == "" { // of a tar layer, the layer is what moves
		j.progress.Finish(f.path, false)
	}
	return nil
}

// removeEmptyDirs makes way for a file where an earlier version had a directory;
// the plan made sure that nothing else is in it.
func (j *job) removeEmptyDirs(name string) error {
	info, err := j.root.Lstat(name)
	if missing(err) || err == nil && !info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	var below []string
	err = fs.WalkDir(j.root.FS(), name, func(p string, _ fs.DirEntry, err error) error {
		below = append(below, p)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range slices.Backward(below) {
		// Not RemoveAll: what is not empty is not ours.
		if err := j.root.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

// removeStale removes a file of an earlier version, and the directories that it
// leaves empty.
func (j *job) removeStale(ctx context.Context, name string, dirs map[string]bool) error {
	r := j.plan.leaving[name]
	unchanged, err := j.unchanged(ctx, r)
	if err != nil {
		return err
	}
	if !unchanged || j.isWantedFile(name) {
		delete(j.plan.leaving, name)
		return nil
	}
	if err := j.root.Remove(name); err != nil {
		return err
	}
	parent := path.Dir(name)
	for parent != "." && j.root.Remove(parent) == nil {
		parent = path.Dir(parent)
	}
	dirs[parent] = true
	return nil
}

// isWantedFile reports whether the file system takes the stale name for that of
// a file of this version, because it folds case or normalises Unicode.
func (j *job) isWantedFile(stale string) bool {
	info, err := j.root.Lstat(stale)
	if err != nil {
		return false
	}
	for _, f := range j.plan.files {
		if f.outcome != Reused || !strings.EqualFold(path.Base(f.path), path.Base(stale)) {
			continue
		}
		if other, err := j.root.Lstat(f.path); err == nil && os.SameFile(info, other) {
			return true
		}
	}
	return false
}

// syncDirs puts the names on disk.
func (j *job) syncDirs(dirs map[string]bool) error {
	if len(dirs) > manyFiles {
		if done, err := syncFileSystem(j.root); done {
			return err
		}
	}
	for name := range dirs {
		// A directory may be gone with the last stale file that was in it.
		if err := syncDir(j.root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
