package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/store"
)

// Report says what [Check] found. What is not named in it is right.
type Report struct {
	File string        `json:"file"`          // or the list of parts
	Set  digest.Digest `json:"set,omitempty"` // of the parts
	Size int64         `json:"size"`          // of the archive, in bytes
	// Parts are all parts in their order; those that are good too.
	Parts []PartProblem `json:"parts,omitempty"`
	// Blobs is how many blobs and manifests were read, of BlobBytes together.
	Blobs     int   `json:"blobs"`
	BlobBytes int64 `json:"blobBytes"`
	// Damaged are the blobs whose bytes are not those of their digests.
	Damaged []BlobProblem `json:"damaged,omitempty"`
	// Missing are blobs that are neither there nor said to have been left out.
	Missing []BlobProblem `json:"missing,omitempty"`
	// Omitted is how many blobs the archive says that it leaves out.
	Omitted int `json:"omitted,omitempty"`
	// Unread says why no blob was read; empty when they were.
	Unread string `json:"unread,omitempty"`
	// Problem is why the archive is none that can be read, and Err the same, an
	// *Error.
	Problem string `json:"problem,omitempty"`
	Err     error  `json:"-"`
	// Rename are parts of the set that lie under the name of another one.
	Rename []Rename `json:"rename,omitempty"`
	// Again are the files that are to be brought again.
	Again []string `json:"again,omitempty"`
}

// Rename is a part that lies under the name of another one.
type Rename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// BlobProblem is a blob that is damaged or missing.
type BlobProblem struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Path   string        `json:"path,omitempty"`  // what a manifest calls it
	Files  []string      `json:"files,omitempty"` // in which it lies
	// Offset is where it begins in the archive, all parts together.
	Offset int64 `json:"offset,omitempty"`
	// Err is why it could not be read; empty when its bytes are wrong.
	Err string `json:"error,omitempty"`
}

// Good reports whether everything that was looked at is right.
func (r *Report) Good() bool {
	return r.Err == nil && len(r.Damaged) == 0 && len(r.Missing) == 0 && !slices.ContainsFunc(r.Parts, isBad)
}

func isBad(p PartProblem) bool { return p.Kind != PartGood }

// Check reads every byte of an archive: all parts, which it compares with the sums
// in their list, and then all blobs, which it compares with their digests. So a set
// is read twice. It goes on after what is wrong, and names all of it.
//
// Whatever is wrong with the bytes is in the report. The error is why nothing could
// be looked at: there is no such file, its list of parts cannot be read, ctx ended.
func Check(ctx context.Context, path string, o CheckOptions) (*Report, error) {
	l, err := locate(path)
	if err != nil {
		return nil, err
	}
	r := &Report{File: l.path}
	c := newChecker(o)
	if l.set {
		if err := r.checkParts(ctx, c, l.path, o.Beside); err != nil {
			return nil, named(l.path, err)
		}
		if o.PartsOnly {
			r.Unread = "only the parts were asked for"
			return r, nil
		}
	}
	a, err := Open(ctx, l.path, o.OpenOptions)
	if err != nil {
		return r, r.unreadable(err)
	}
	defer a.Close()
	r.Size = a.Size()
	if err := c.blobs(ctx, a, r); err != nil {
		return nil, err
	}
	r.conclude(ctx, a)
	return r, nil
}

// unreadable takes note of why an archive cannot be opened, where that is about its
// bytes.
func (r *Report) unreadable(err error) error {
	var e *Error
	var parts *PartsError
	switch {
	case errors.As(err, &parts):
		r.Unread = "parts are missing or have other sizes"
		return nil
	case errors.As(err, &e) && slices.ContainsFunc(r.Parts, isBad):
		// What the whole looks like says nothing of who made it, as long as parts are
		// not those that were written.
		r.Unread = "with the parts that are there it cannot be read as an archive: " + err.Error()
		return nil
	case errors.As(err, &e):
		r.Err, r.Problem = err, err.Error()
		r.Unread = "it cannot be read as an archive"
		if e.Damaged && len(r.Parts) == 0 {
			r.Again = []string{filepath.Base(r.File)}
		}
		return nil
	}
	return err
}

func (r *Report) checkParts(ctx context.Context, c *checker, path string, beside []string) error {
	set, err := readParts(path)
	if err != nil {
		return err
	}
	files := openAll(path, set, beside)
	defer func() {
		for _, f := range files {
			if f.file != nil {
				_ = f.file.Close()
			}
		}
	}()
	r.Set, r.Size = set.Set, set.Size
	if r.Parts, err = c.parts(ctx, path, set, files); err != nil {
		return err
	}
	r.mend()
	return nil
}

// mend finds out which parts are there under another name, and which are to be
// brought again.
func (r *Report) mend() {
	bad := map[string]bool{}
	for _, p := range r.Parts {
		bad[p.Name] = isBad(p)
	}
	there := map[string]bool{}
	for _, p := range r.Parts {
		if p.Kind == PartOther && bad[p.Holds] && !there[p.Holds] {
			there[p.Holds] = true
			r.Rename = append(r.Rename, Rename{From: p.Name, To: p.Holds})
		}
	}
	for _, p := range r.Parts {
		if isBad(p) && !there[p.Name] {
			r.Again = append(r.Again, p.Name)
		}
	}
}

// blobs compares all blobs with their digests, the largest first: what takes
// longest must not begin last.
func (c *checker) blobs(ctx context.Context, a *Archive, r *Report) error {
	list := slices.Collect(a.Blobs())
	slices.SortStableFunc(list, func(x, y ocispec.Descriptor) int { return cmp.Compare(y.Size, x.Size) })
	for _, d := range list {
		r.BlobBytes += d.Size
	}
	r.Blobs = len(list)
	c.progress.Plan(len(list), r.BlobBytes)
	paths := a.paths(ctx)
	buffers := sync.Pool{New: func() any { b := make([]byte, checkBuffer); return &b }}
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.limit)
	for _, d := range list {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			p, err := c.blob(groupCtx, a, d, nameOf(d, paths[d.Digest]), *buf)
			if p != nil {
				mu.Lock()
				defer mu.Unlock()
				r.Damaged = append(r.Damaged, *p)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil || ctx.Err() != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	slices.SortFunc(r.Damaged, func(x, y BlobProblem) int { return cmp.Compare(x.Offset, y.Offset) })
	return r.findMissing(ctx, a)
}

// nameOf is what a blob is called while it is read: what a manifest calls it, and
// enough of its digest to tell it from others that are called the same.
func nameOf(d ocispec.Descriptor, path string) string {
	const enough = 12
	if path == "" {
		return d.Digest.String()
	}
	return fmt.Sprintf("%s (%s:%s)", path, d.Digest.Algorithm(), d.Digest.Encoded()[:enough])
}

// blob compares one blob with its digest.
func (c *checker) blob(ctx context.Context, a *Archive, d ocispec.Descriptor, name string, buf []byte) (*BlobProblem, error) {
	b, err := a.Blob(d.Digest)
	if err != nil {
		return nil, err
	}
	c.progress.Start(name, d.Size)
	src := integrity.NewReader(&reported{r: ingest.ContextReader(ctx, b), progress: c.progress, name: name}, d, "blob")
	_, err = io.CopyBuffer(onlyWriter{io.Discard}, src, buf)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		c.progress.Finish(name, false)
		return nil, nil //nolint:nilnil // nothing is wrong
	}
	p := &BlobProblem{Digest: d.Digest, Size: d.Size, Offset: b.at.offset}
	for _, f := range b.Files() {
		p.Files = append(p.Files, filepath.Base(f))
	}
	var wrong *integrity.Error
	if !errors.As(err, &wrong) {
		p.Err = err.Error()
	}
	return p, nil
}

// findMissing looks for blobs that manifests name and that are not there, unless a
// manifest is damaged: what it names is not known then.
func (r *Report) findMissing(ctx context.Context, a *Archive) error {
	if contents, ok := a.Contents(); ok {
		r.Omitted = len(contents.Omitted)
	}
	missing, err := a.Missing(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && len(r.Damaged) == 0 {
		r.Err = &Error{Path: a.path, Offset: -1, What: "a manifest in it cannot be used", Next: nextForeign, Err: err}
		r.Problem = r.Err.Error()
	}
	for _, m := range missing {
		if m.Omitted == nil {
			r.Missing = append(r.Missing, BlobProblem{Digest: m.Descriptor.Digest, Size: m.Descriptor.Size, Path: pathOf(m.Descriptor)})
		}
	}
	return nil
}

// conclude names the damaged blobs, and what is to be brought again for them.
func (r *Report) conclude(ctx context.Context, a *Archive) {
	if len(r.Damaged) == 0 {
		return
	}
	paths := a.paths(ctx)
	for i := range r.Damaged {
		r.Damaged[i].Path = paths[r.Damaged[i].Digest]
	}
	if len(r.Parts) == 0 {
		r.Again = []string{filepath.Base(r.File)}
	}
}

// paths returns what manifests call their layers, as far as they can be read.
func (a *Archive) paths(ctx context.Context) map[digest.Digest]string {
	paths := map[digest.Digest]string{}
	for _, e := range a.view.Entries() {
		if !store.IsManifest(e.MediaType) || store.IsReferrersList(e) {
			continue
		}
		links, err := a.view.Links(ctx, e)
		if err != nil {
			continue
		}
		for _, b := range links.Blobs {
			if p := pathOf(b); p != "" {
				paths[b.Digest] = p
			}
		}
	}
	return paths
}

// pathOf returns the path that a layer says it has, if it may be one.
func pathOf(d ocispec.Descriptor) string {
	for _, key := range []string{artifacttypes.AnnotationFilePath, ocispec.AnnotationTitle} {
		if p := d.Annotations[key]; artifacttypes.ValidatePath(p) == nil {
			return p
		}
	}
	return ""
}
