package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/progress"
)

// CheckOptions change what [Check] reads. The zero value reads everything.
type CheckOptions struct {
	OpenOptions

	// PartsOnly reads the parts of a set and not the blobs once more: enough to know
	// that what arrived is what was written. Of an archive in one file it reads all.
	PartsOnly bool
	// Concurrency is how many parts or blobs are read at once; as many as there are
	// processors when it is 0.
	Concurrency int
	// Progress is told what is read; nil means nobody.
	Progress progress.Reporter
}

// checkBuffer is how much of a part or a blob is read at once.
const checkBuffer = 1 << 20

// checker reads parts and blobs to hash them.
type checker struct {
	progress progress.Reporter
	limit    int
}

func newChecker(o CheckOptions) *checker {
	c := &checker{progress: progress.OrNone(o.Progress), limit: o.Concurrency}
	if c.limit <= 0 {
		c.limit = runtime.GOMAXPROCS(0)
	}
	return c
}

// CheckParts compares the parts with the sums of their list. The error is a
// *PartsError that names all that are not right. An archive in one file has no
// parts, and nothing is read.
func (a *Archive) CheckParts(ctx context.Context, o CheckOptions) error {
	if a.parts == nil {
		return nil
	}
	files := make([]partFile, len(a.parts.Parts))
	for i, p := range a.parts.Parts {
		files[i] = partFile{part: p, file: a.files.files[i], size: p.Size}
	}
	reports, err := newChecker(o).parts(ctx, a.path, a.parts, files)
	if err != nil {
		return err
	}
	return partsError(a.path, a.parts, reports)
}

// partsError returns a *PartsError of the parts that are not good, or nil.
func partsError(path string, set *Parts, reports []PartProblem) error {
	e := &PartsError{Path: path, Set: set.Set, Parts: len(set.Parts)}
	for _, r := range reports {
		if r.Kind != PartGood {
			e.Bad = append(e.Bad, r)
		}
	}
	if len(e.Bad) == 0 {
		return nil
	}
	return e
}

// partFile is the file of a part, whatever it holds.
type partFile struct {
	part    Part
	file    *os.File // nil when it cannot be read
	size    int64
	problem *PartProblem // what is known without reading it
}

// openAll opens the files of all parts, those of a wrong size too.
func openAll(path string, set *Parts, beside []string) []partFile {
	dirs := append([]string{filepath.Dir(path)}, beside...)
	files := make([]partFile, len(set.Parts))
	for i, part := range set.Parts {
		file, problem := openPart(part, dirs)
		files[i] = partFile{part: part, file: file, size: part.Size, problem: problem}
		if problem == nil || problem.Kind != PartShort && problem.Kind != PartLong {
			continue
		}
		for _, dir := range dirs {
			if f, size, err := openRegular(filepath.Join(dir, part.Name)); err == nil {
				files[i].file, files[i].size = f, size
				break
			}
		}
	}
	return files
}

// parts hashes the files of a set and says what each of them is. The error is that
// of ctx.
func (c *checker) parts(ctx context.Context, path string, set *Parts, files []partFile) ([]PartProblem, error) {
	sizes := map[int64]bool{}
	for _, p := range set.Parts {
		sizes[p.Size] = true
	}
	var total int64
	count := 0
	for _, f := range files {
		if f.file != nil && sizes[f.size] {
			count, total = count+1, total+f.size
		}
	}
	c.progress.Plan(count, total)
	sums := make([]string, len(files))
	errs := make([]error, len(files))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.limit)
	for i, f := range files {
		if f.file == nil || !sizes[f.size] {
			continue // no part of this set has this size
		}
		group.Go(func() error {
			sums[i], errs[i] = c.sum(groupCtx, f.part.Name, io.NewSectionReader(f.file, 0, f.size))
			return context.Cause(groupCtx)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, context.Cause(ctx)
	}
	reports := make([]PartProblem, len(files))
	owners := ownersOf(path, set)
	for i, f := range files {
		reports[i] = f.judge(sums[i], errs[i], owners)
	}
	return reports, nil
}

// sum returns the SHA-256 of what r gives, in hex.
func (c *checker) sum(ctx context.Context, name string, r *io.SectionReader) (string, error) {
	c.progress.Start(name, r.Size())
	h := sha256.New()
	buf := make([]byte, checkBuffer)
	n, err := io.CopyBuffer(onlyWriter{h}, ingest.ContextReader(ctx, &reported{r: r, progress: c.progress, name: name}), buf)
	if err == nil && n < r.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", err
	}
	c.progress.Finish(name, false)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// judge says what the file of a part is.
func (f partFile) judge(sum string, err error, owners sumOwners) PartProblem {
	p := PartProblem{Name: f.part.Name, Kind: PartGood, Size: f.size, Want: f.part.Size}
	if f.problem != nil {
		p = *f.problem
	}
	switch holds, set := owners.find(sum); {
	case err != nil:
		p.Kind, p.Err = PartUnreadable, err.Error()
	case sum == f.part.SHA256 || sum == "":
	case holds != "" && set == "":
		p.Kind, p.Holds = PartOther, holds
	case holds != "":
		p.Kind, p.Holds, p.Set = PartForeign, holds, set
	case p.Kind == PartGood:
		p.Kind = PartChanged
	}
	return p
}

// sumOwners knows to which part the bytes of a sum belong.
type sumOwners struct {
	path   string
	own    map[string]string // sum → name
	others map[string]foreignPart
	loaded *bool
}

type foreignPart struct {
	name string
	set  digest.Digest
}

func ownersOf(path string, set *Parts) sumOwners {
	o := sumOwners{path: path, own: map[string]string{}, others: map[string]foreignPart{}, loaded: new(bool)}
	for _, p := range set.Parts {
		if _, there := o.own[p.SHA256]; !there {
			o.own[p.SHA256] = p.Name
		}
	}
	return o
}

// find returns the name of the part with this sum, and its set where that is
// another one, whose list lies in the same directory.
func (o sumOwners) find(sum string) (name string, set digest.Digest) {
	if name, ok := o.own[sum]; ok || sum == "" {
		return name, ""
	}
	if !*o.loaded {
		*o.loaded = true
		o.load()
	}
	f := o.others[sum]
	return f.name, f.set
}

// load reads the other lists of parts in the directory.
func (o sumOwners) load() {
	dir, err := os.Open(filepath.Dir(o.path))
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(limits.ArchiveParts) // what is not seen is not named
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, partsSuffix) })
	slices.Sort(names)
	for _, name := range names[:min(len(names), limits.ArchiveSets)] {
		set, err := readParts(filepath.Join(filepath.Dir(o.path), name))
		if err != nil {
			continue
		}
		for _, p := range set.Parts {
			o.others[p.SHA256] = foreignPart{name: p.Name, set: set.Set}
		}
	}
}

// onlyWriter hides that a hash could read by itself, so that the buffer is used.
type onlyWriter struct{ io.Writer }

// reported tells a Reporter what is read.
type reported struct {
	r        io.Reader
	progress progress.Reporter
	name     string
}

func (r *reported) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 {
		r.progress.Advance(r.name, int64(n))
	}
	return n, err
}
