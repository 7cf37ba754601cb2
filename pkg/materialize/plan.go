package materialize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/fileid"
)

// plan is what has to be done, decided before anything is changed.
type plan struct {
	files  []*file               // wanted files whose bytes are known by digest
	unpack []artifacttypes.Layer // tar layers to fetch; their members join files
	// leaving are files of an earlier version, unchanged since, that go unless
	// they turn out to be members of a tar layer of this version.
	leaving map[string]recordFile
	kept    []recordFile // files that this call does not touch and the record keeps
	// counts says how many files the tar layers of the model hold, as far as it
	// is known.
	counts map[digest.Digest]int

	mu    sync.Mutex
	paths *artifacttypes.PathSet // of all raw layers, and of every known member
}

// stale returns the files to be removed, in order.
func (p *plan) stale() []string {
	wanted := make(map[string]bool, len(p.files))
	for _, f := range p.files {
		wanted[f.path] = true
	}
	var names []string
	for name := range p.leaving {
		if !wanted[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// idle reports whether everything is as it should be.
func (p *plan) idle() bool {
	return len(p.unpack) == 0 && len(p.stale()) == 0 &&
		!slices.ContainsFunc(p.files, func(f *file) bool { return f.outcome != Reused })
}

func (j *job) makePlan(ctx context.Context) error {
	j.record = readRecord(j.options.StateFile, j.dir)
	p := &plan{paths: artifacttypes.NewPathSet(), counts: map[digest.Digest]int{}}
	for d, n := range j.record.Layers {
		if j.sel.hasTar(d) {
			p.counts[d] = n
		}
	}
	j.plan = p
	for _, l := range j.sel.all {
		// Also what is not selected: the paths of a model are judged whole.
		if err := p.paths.Add(l.Path); err != nil {
			return err
		}
	}
	for _, l := range j.sel.raw {
		mode := fs.FileMode(artifacttypes.ModeRegular)
		if l.Executable {
			mode = fs.FileMode(artifacttypes.ModeExecutable)
		}
		f := &file{path: l.Path, digest: l.Descriptor.Digest, size: l.Descriptor.Size, mode: mode}
		if f.size == 0 {
			if err := checkEmpty(f); err != nil {
				return err
			}
		}
		p.files = append(p.files, f)
	}
	if err := j.sortOutRecord(ctx, p); err != nil {
		return err
	}
	if err := j.inspectAll(ctx, p.files); err != nil {
		return err
	}
	return j.planTars(ctx)
}

// planTars finds out which tar layers need not be fetched, because all their
// files are there.
func (j *job) planTars(ctx context.Context) error {
	if len(j.sel.tars) == 0 {
		return nil
	}
	if j.members != nil {
		files, there, err := j.membersInPlace(ctx)
		if err != nil {
			return err
		}
		if there {
			return j.addPresent(files)
		}
		j.plan.unpack = j.sel.tars
		return nil
	}
	for _, l := range j.sel.tars {
		files, there, err := j.recordedInPlace(ctx, l)
		if err != nil {
			return err
		}
		if !there {
			j.plan.unpack = append(j.plan.unpack, l)
		} else if err := j.addPresent(files); err != nil {
			return err
		}
	}
	return nil
}

// addPresent takes members that are in place into the plan.
func (j *job) addPresent(files []*file) error {
	for _, f := range files {
		if err := j.plan.paths.Add(f.path); err != nil {
			return err
		}
	}
	j.plan.files = append(j.plan.files, files...)
	return nil
}

// membersInPlace compares the directory with the signed members of the tar
// layers. With roles it cannot tell whose layer a member is in, so the layers
// are fetched.
func (j *job) membersInPlace(ctx context.Context) (files []*file, there bool, err error) {
	if len(j.options.Roles) > 0 {
		return nil, false, nil
	}
	for _, p := range slices.Sorted(maps.Keys(j.members)) {
		if !j.sel.includes(p) {
			continue
		}
		if err := checkMemberPath(p); err != nil {
			return nil, false, err
		}
		f := &file{path: p, digest: j.members[p], size: -1}
		if r, ok := j.record.files[p]; ok && r.Digest == f.digest {
			f.mode, f.layer = fs.FileMode(r.Mode), r.Layer
		}
		files = append(files, f)
	}
	return j.allInPlace(ctx, files)
}

// recordedInPlace compares the directory with what the record says that the tar
// layer l held. With Check the record is not asked, and without the record of
// every file that the layer holds it decides nothing: an earlier call may have
// wanted some of them only, or a version in between had no more.
func (j *job) recordedInPlace(ctx context.Context, l artifacttypes.Layer) (files []*file, there bool, err error) {
	if j.options.Check {
		return nil, false, nil
	}
	count, known := j.record.Layers[l.Descriptor.Digest]
	if !known {
		return nil, false, nil
	}
	for _, p := range slices.Sorted(maps.Keys(j.record.files)) {
		r := j.record.files[p]
		if r.Layer != l.Descriptor.Digest {
			continue
		}
		count--
		if j.sel.includes(p) {
			files = append(files, &file{path: p, digest: r.Digest, size: r.Size, mode: fs.FileMode(r.Mode), layer: r.Layer})
		}
	}
	if count != 0 {
		return nil, false, nil
	}
	return j.allInPlace(ctx, files)
}

// allInPlace reports whether every file can be used again. That one cannot is
// no error here: the layer is fetched, and its files are judged one by one.
func (j *job) allInPlace(ctx context.Context, files []*file) ([]*file, bool, error) {
	if err := j.inspectAll(ctx, files); err != nil {
		if errors.Is(err, ErrForeignFile) || errors.Is(err, artifacttypes.ErrUnsafePath) {
			return nil, false, nil
		}
		return nil, false, err
	}
	for _, f := range files {
		if f.outcome != Reused {
			return nil, false, nil
		}
	}
	return files, true, nil
}

// inspectAll decides the outcome of every file, several at a time since it may
// read them. Of several errors it returns that of the first path.
func (j *job) inspectAll(ctx context.Context, files []*file) error {
	errs := make([]error, len(files))
	var group errgroup.Group
	group.SetLimit(j.options.Concurrency)
	for i, f := range files {
		group.Go(func() error {
			errs[i] = j.inspect(ctx, f)
			return nil
		})
	}
	_ = group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// inspect decides what is to be done with f by what is in its place.
func (j *job) inspect(ctx context.Context, f *file) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	info, blocked, err := j.lstat(f.path)
	if err != nil {
		return err
	}
	f.outcome, f.at, f.loose = Written, nil, false
	switch {
	case blocked != "":
		return j.checkStaleFile(blocked)
	case info == nil:
		return nil
	case info.IsDir():
		return j.checkStaleDir(f.path)
	}
	at, trusted := fileid.Of(info)
	known, recorded := j.record.files[f.path]
	same := trusted && recorded && !j.options.Check && known.Digest == f.digest && known.ID == at
	if !same && (f.size < 0 || info.Size() == f.size) {
		got, err := j.hash(ctx, f.path, info, f.digest.Algorithm())
		if err != nil {
			return err
		}
		same = got == f.digest
	}
	switch {
	case same && sameMode(info.Mode(), f.mode):
		f.outcome, f.size, f.at = Reused, info.Size(), &at
		// A change within the same tick of the clock would not show.
		f.loose = !trusted || !at.Settled()
	case same || recorded && known.Digest == f.digest:
		f.outcome = Repaired
	case !recorded && !j.options.Overwrite:
		return fmt.Errorf("%s: %w; move it away, or let modseal overwrite", path.Join(j.dir, f.path), ErrForeignFile)
	}
	return nil
}

// sameMode compares what modseal sets of a mode: that no special bit is there,
// and whether the owner may execute the file. A want of 0 asks for either.
func sameMode(got, want fs.FileMode) bool {
	const special = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	return !modesMatter || got&special == 0 && (want == 0 || got&0o100 == want&0o100)
}

// checkStaleFile allows a file in the place of a parent directory when it goes
// away because it belonged to an earlier version.
func (j *job) checkStaleFile(p string) error {
	if _, leaves := j.plan.leaving[p]; leaves {
		return nil
	}
	return fmt.Errorf("%s: %w, where a directory must be", path.Join(j.dir, p), ErrForeignFile)
}

// checkStaleDir allows a directory in the place of a file when all that is in it
// goes away.
func (j *job) checkStaleDir(dir string) error {
	return fs.WalkDir(j.root.FS(), dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if _, leaves := j.plan.leaving[p]; leaves || e.IsDir() {
			return nil
		}
		return fmt.Errorf("%s: %w, in a directory where a file must be", path.Join(j.dir, p), ErrForeignFile)
	})
}

// sortOutRecord decides what becomes of the files that an earlier call wrote:
// those of this version stay, the others leave unless they were changed since,
// for then they are not modseal's any more.
func (j *job) sortOutRecord(ctx context.Context, p *plan) error {
	raw := make(map[string]digest.Digest, len(j.sel.all))
	for _, l := range j.sel.all {
		raw[l.Path] = l.Descriptor.Digest
	}
	selected := make(map[string]bool, len(p.files))
	for _, f := range p.files {
		selected[f.path] = true
	}
	p.leaving = map[string]recordFile{}
	for name, r := range j.record.files {
		switch {
		case selected[name]:
		case j.isOfThisVersion(r, raw):
			p.kept = append(p.kept, r)
		case !j.options.KeepStale:
			unchanged, err := j.unchanged(ctx, r)
			if err != nil {
				return err
			}
			if unchanged {
				p.leaving[name] = r
			}
		}
	}
	return nil
}

// isOfThisVersion reports whether a recorded file that is no selected layer
// belongs to the model all the same: left out by this call, or in a tar layer.
func (j *job) isOfThisVersion(r recordFile, raw map[string]digest.Digest) bool {
	if d, ok := raw[r.Path]; ok {
		return d == r.Digest
	}
	if j.members != nil {
		return j.members[r.Path] == r.Digest
	}
	if r.Layer != "" && j.sel.hasTar(r.Layer) {
		return true
	}
	return j.record.Digest == j.digest
}

// unchanged reports whether a recorded file is there as it was written.
func (j *job) unchanged(ctx context.Context, r recordFile) (bool, error) {
	info, blocked, err := j.lstat(r.Path)
	if errors.Is(err, ErrUnsafeDestination) {
		return false, nil // whoever put a link there owns it now
	}
	if err != nil || blocked != "" || info == nil || info.IsDir() {
		return false, err
	}
	if at, trusted := fileid.Of(info); trusted && at == r.ID {
		return true, nil
	}
	if info.Size() != r.Size {
		return false, nil
	}
	got, err := j.hash(ctx, r.Path, info, r.Digest.Algorithm())
	return got == r.Digest, err
}
