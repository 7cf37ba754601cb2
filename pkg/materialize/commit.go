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

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
)

// commit gives the staged files their names. Everything is good by now; only the
// disk can still fail, or somebody interfere, and then the next call goes on:
// what is in place is found by its bytes.
func (j *job) commit(ctx context.Context) error {
	// What is at the destination may have changed while the bytes came, and the
	// members of tar layers meet it for the first time.
	if err := j.inspectAll(ctx, j.plan.files); err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, f := range j.plan.files {
		if f.staged == nil && f.outcome != Reused {
			return fmt.Errorf("%s: it was right and changed during this call; stop what writes to it", path.Join(j.dir, f.path))
		}
		if f.staged != nil && f.outcome != Reused {
			needed[f.staged.name] = true
		}
	}
	if err := j.stage.sync(j.root, needed); err != nil {
		return err
	}
	if err := j.checkAllStaged(ctx); err != nil {
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
		if f.staged == nil || f.outcome == Reused {
			continue
		}
		if err := j.place(ctx, f, dirs); err != nil {
			return fmt.Errorf("%s: %w", path.Join(j.dir, f.path), err)
		}
	}
	if err := j.syncDirs(dirs); err != nil {
		return err
	}
	if j.options.StateFile != "" {
		j.clock = j.stage.nextTick()
	}
	return nil
}

// checkAllStaged makes sure, before any file gets its name, that nobody wrote to
// those that were waiting for the others.
func (j *job) checkAllStaged(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(j.options.Concurrency)
	for _, f := range j.plan.files {
		if f.staged == nil || f.outcome == Reused {
			continue
		}
		group.Go(func() error {
			if groupCtx.Err() != nil {
				return context.Cause(groupCtx)
			}
			return j.checkStaged(groupCtx, f)
		})
	}
	return group.Wait()
}

// checkStaged compares a staged file with how it looked when its bytes were
// hashed. Where looks do not say enough, the bytes decide.
func (j *job) checkStaged(ctx context.Context, f *file) error {
	named, err := j.root.Lstat(f.staged.name)
	if err != nil {
		return err
	}
	if at, _ := fileid.Of(named); named.Mode().IsRegular() && f.staged.trusted && at == f.staged.at {
		return nil
	}
	w, err := partial.Check(ctx, j.root, f.staged.name, ocispec.Descriptor{Digest: f.digest, Size: f.size}, f.mode)
	var bad *integrity.Error
	switch {
	case errors.As(err, &bad):
		return j.tampered(f, bad.Got)
	case errors.Is(err, fs.ErrInvalid):
		return j.tampered(f, "")
	case err != nil:
		return err
	}
	f.staged = ofWhole(w)
	return nil
}

func (j *job) tampered(f *file, got digest.Digest) error {
	return fmt.Errorf("something else wrote to %s; stop it: %w", path.Join(j.dir, StagingName),
		&integrity.Error{What: f.path, Want: f.digest, Got: got, WantSize: f.size, GotSize: f.size})
}

// place renames a staged file to its name and notes the directories to sync.
func (j *job) place(ctx context.Context, f *file, dirs map[string]bool) error {
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
	info, err := j.root.Lstat(f.staged.name)
	if err != nil {
		return err
	}
	if at, _ := fileid.Of(info); at != f.staged.at || !info.Mode().IsRegular() {
		if err := j.checkStaged(ctx, f); err != nil {
			return err
		}
	}
	f.at = &f.staged.at
	if err := j.root.Rename(f.staged.name, f.path); err != nil {
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
