package materialize

import (
	"cmp"
	"io/fs"
	"slices"
)

// Bounds on looking for files that are not of the model: somebody may pull into
// a home directory.
const (
	unknownListed = 1_000
	unknownWalked = 200_000
)

func (j *job) result() *Result {
	r := &Result{Dir: j.dir, Digest: j.digest, BytesFetched: j.fetched.Load(), Warnings: j.warnings, Files: []FileResult{}}
	for _, f := range j.plan.files {
		r.Files = append(r.Files, FileResult{Path: f.path, Size: f.size, Outcome: f.outcome})
	}
	for _, name := range j.plan.stale() {
		r.Files = append(r.Files, FileResult{Path: name, Size: j.plan.leaving[name].Size, Outcome: Removed})
	}
	slices.SortFunc(r.Files, func(a, b FileResult) int { return cmp.Compare(a.Path, b.Path) })
	j.findUnknown(r)
	return r
}

// findUnknown lists what is in the directory and not of the model. A directory
// that cannot be read is left out.
func (j *job) findUnknown(r *Result) {
	known := map[string]bool{}
	for _, l := range j.sel.all {
		known[l.Path] = true
	}
	for _, f := range j.plan.files {
		known[f.path] = true
	}
	for _, f := range j.plan.kept {
		known[f.Path] = true
	}
	walked := 0
	_ = fs.WalkDir(j.root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		walked++
		switch {
		case walked > unknownWalked:
			r.MoreUnknown = true
			return fs.SkipAll
		case err != nil:
			return fs.SkipDir
		case e.IsDir():
			if p == StagingName {
				return fs.SkipDir
			}
			return nil
		case known[p]:
			return nil
		case len(r.Unknown) == unknownListed:
			r.MoreUnknown = true
			return fs.SkipAll
		}
		r.Unknown = append(r.Unknown, p)
		return nil
	})
}
