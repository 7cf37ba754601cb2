package materialize

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/verify"
)

// Source gives the blobs of a model. Its bytes are not trusted.
type Source interface {
	Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error)
}

// Options of [Materialize]. The zero value takes every file.
type Options struct {
	// StateFile is the path of the record about this directory. Without one
	// every present file is read to be used again, and files of an earlier
	// version are not recognised.
	StateFile string
	// Check compares the content of every present file, whatever the record
	// says about it.
	Check bool
	// Overwrite lets files be replaced that modseal did not write.
	Overwrite bool
	// KeepStale keeps files of an earlier version that are not in this one.
	KeepStale bool
	// Include selects files by globs in which ** matches directories too
	// (github.com/bmatcuk/doublestar); none means all.
	Include []string
	// Roles selects layers by role; none means all.
	Roles []artifacttypes.Role
	// NoResume throws away what an interrupted call left in the staging directory.
	NoResume bool
	// Concurrency is the number of layers fetched at a time; 0 means 4.
	Concurrency int
	// Progress is told what moves; nil means nobody.
	Progress progress.Reporter
}

// Outcome says what became of a file.
type Outcome string

// The outcomes.
const (
	Written  Outcome = "written"  // it was not there, or as another version
	Reused   Outcome = "reused"   // it was there with the right bytes
	Repaired Outcome = "repaired" // modseal had written it and it was changed since
	Removed  Outcome = "removed"  // it belonged to an earlier version
)

// FileResult is one file.
type FileResult struct {
	Path    string  `json:"path"`
	Size    int64   `json:"size"`
	Outcome Outcome `json:"outcome"`
}

// Result says what was done.
type Result struct {
	Dir    string        `json:"dir"`
	Digest digest.Digest `json:"digest"`
	Files  []FileResult  `json:"files"` // by path
	// Unknown are files in the directory that are not of the model, by path;
	// not more than 1,000 are listed, and MoreUnknown says that there are more.
	Unknown      []string `json:"unknown,omitempty"`
	MoreUnknown  bool     `json:"moreUnknown,omitempty"`
	BytesFetched int64    `json:"bytesFetched"`
	Warnings     []string `json:"warnings,omitempty"`
}

// Materialize makes the selected files of v be in dir, which is made when it is
// missing, and fetches only what is not there. See the package comment for what
// holds when it fails.
//
// Calls on one directory, of any processes, wait for each other.
func Materialize(ctx context.Context, v verify.Verified, src Source, dir string, o Options) (*Result, error) {
	if !v.Valid() {
		return nil, ErrNotVerified
	}
	sel, err := newSelection(v, o)
	if err != nil {
		return nil, err
	}
	j, err := newJob(v, src, dir, o, sel)
	if err != nil {
		return nil, err
	}
	defer j.root.Close()
	if err := j.run(ctx); err != nil {
		return nil, err
	}
	return j.result(), nil
}

// job is one call of Materialize.
type job struct {
	dir      string
	root     *os.Root
	src      Source
	options  Options
	progress progress.Reporter
	sel      *selection
	digest   digest.Digest
	manifest ocispec.Manifest
	members  map[string]digest.Digest // signed content of tar layers; nil when unknown
	record   *record                  // what an earlier call did here

	hashes  sync.Map // path → hashed, of files that were read
	fetched atomic.Int64

	plan  *plan
	stage *staging // nil while nothing has to be written
	// clock is a time of the file system after the last rename: what changes
	// later has a later time. It is 0 when that is not sure.
	clock int64

	mu       sync.Mutex
	warnings []string
}

func newJob(v verify.Verified, src Source, dir string, o Options, sel *selection) (*job, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	j := &job{
		dir: abs, root: root, src: src, options: o, progress: progress.OrNone(o.Progress),
		sel: sel, digest: v.Descriptor().Digest, manifest: v.Model().Manifest,
	}
	if j.options.Concurrency <= 0 {
		j.options.Concurrency = 4
	}
	if members, known := v.Members(); known {
		j.members = members
	}
	return j, nil
}

// run plans without touching anything, and when there is something to write it
// plans again under the lock: another process may have done it meanwhile.
func (j *job) run(ctx context.Context) error {
	if err := j.makePlan(ctx); err != nil {
		return err
	}
	if !j.plan.idle() {
		if err := j.write(ctx); err != nil {
			return err
		}
	} else if err := j.checkSelection(); err != nil {
		return err
	} else {
		j.announce()
	}
	j.finishPresent()
	if err := j.saveRecord(); err != nil {
		j.warn("the record of this directory was not written, so the next pull reads every file: %v", err)
	}
	return nil
}

func (j *job) write(ctx context.Context) (err error) {
	j.stage, err = openStaging(ctx, j.root, j.dir, j.options.NoResume)
	if err != nil {
		return err
	}
	defer func() { err = j.stage.close(err) }()
	if err := j.makePlan(ctx); err != nil {
		return err
	}
	if err := j.checkSpace(); err != nil {
		return err
	}
	j.announce()
	if err := j.fetchAll(ctx); err != nil {
		return err
	}
	if err := j.checkSelection(); err != nil {
		return err
	}
	return j.commit(ctx)
}

// checkSelection refuses a selection that matches nothing: a mistyped glob must
// not look like a model that is there.
func (j *job) checkSelection() error {
	if len(j.plan.files) == 0 {
		return fmt.Errorf("%s: %w", j.digest, ErrNothingSelected)
	}
	return nil
}

func (j *job) warn(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.warnings = append(j.warnings, fmt.Sprintf(format, args...))
}

// file is one file of the model that is wanted in the directory.
type file struct {
	path   string
	digest digest.Digest
	size   int64         // -1 when only the digest is known
	mode   fs.FileMode   // 0 when it is not known
	layer  digest.Digest // of the tar layer that holds it; empty for a raw layer

	outcome Outcome
	staged  *staged // until it is committed
	at      *fileid.ID
	loose   bool // at must not be recorded: it may not notice the next change
}
