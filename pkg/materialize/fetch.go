package materialize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/internal/holes"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// blob is a raw layer to fetch and the files that get its bytes.
type blob struct {
	desc  ocispec.Descriptor
	files []*file
}

// blobs returns the layers to fetch, each once, the largest first: what takes
// longest must not begin last.
func (p *plan) blobs() []*blob {
	byDigest := map[digest.Digest]*blob{}
	var list []*blob
	for _, f := range p.files {
		if f.outcome == Reused || f.layer != "" {
			continue
		}
		b := byDigest[f.digest]
		if b == nil {
			b = &blob{desc: ocispec.Descriptor{MediaType: "application/octet-stream", Digest: f.digest, Size: f.size}}
			byDigest[f.digest] = b
			list = append(list, b)
		}
		b.files = append(b.files, f)
	}
	slices.SortStableFunc(list, func(a, b *blob) int { return cmp.Compare(b.desc.Size, a.desc.Size) })
	return list
}

// checkSpace refuses what would not fit, before hours of fetching. The content
// of compressed layers is not known and not counted.
func (j *job) checkSpace() error {
	var need int64
	for _, b := range j.plan.blobs() {
		copies := int64(len(b.files))
		if j.stage.has(b.desc) {
			copies--
		}
		need += copies * b.desc.Size
	}
	for _, l := range j.plan.unpack {
		need += l.Descriptor.Size
	}
	free, known := freeSpace(j.dir)
	if known && need > free {
		return &DiskFullError{Dir: j.dir, Need: need, Free: free}
	}
	return nil
}

// fetchAll brings every byte that is missing into the staging directory. The
// first error stops the others, and is the one returned.
func (j *job) fetchAll(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(j.options.Concurrency)
	for _, b := range j.plan.blobs() {
		group.Go(func() error { return j.fetchBlob(groupCtx, b) })
	}
	u, err := j.newUnpacking(ctx)
	if err != nil {
		return errors.Join(err, group.Wait())
	}
	for i, l := range j.plan.unpack {
		group.Go(func() error { return u.layer(groupCtx, l, i) })
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return u.finish()
}

// fetchBlob stages a raw layer, and a copy for each further file with its bytes.
func (j *job) fetchBlob(ctx context.Context, b *blob) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	name := b.files[0].path
	j.progress.Start(name, b.desc.Size)
	staged := path.Join(StagingName, stagedName(b.desc.Digest))
	first := b.files[0]
	at, there, err := j.stage.takeOver(ctx, b.desc, first.mode)
	if err != nil {
		return err
	}
	if there {
		j.progress.Advance(name, b.desc.Size)
	} else if at, err = j.download(ctx, b.desc, name, staged, first.mode); err != nil {
		return err
	}
	first.staged, first.stagedAt = staged, at
	for _, f := range b.files[1:] {
		if f.staged, f.stagedAt, err = j.copyStaged(ctx, staged, b.desc, f.mode); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return nil
}

// download stages the bytes of desc under the name to, where nothing is that was
// not compared with its digest.
func (j *job) download(ctx context.Context, desc ocispec.Descriptor, what, to string, mode fs.FileMode) (at fileid.ID, err error) {
	f, part, err := j.stage.create()
	if err != nil {
		return at, err
	}
	defer f.Close()
	if desc.Size > 0 { // the digest of nothing was checked by the plan
		rc, err := j.src.Fetch(ctx, desc)
		if err != nil {
			return at, fmt.Errorf("%s: %w", what, err)
		}
		defer rc.Close()
		src := integrity.NewReader(j.counted(rc, what), desc, what)
		if err := writeStaged(ctx, f, src); err != nil {
			return at, named(what, err)
		}
	}
	return j.stage.finish(f, part, to, desc.Size, mode)
}

// copyStaged stages the bytes of a staged layer once more. They are hashed
// again, since nothing is renamed that was not.
func (j *job) copyStaged(ctx context.Context, from string, desc ocispec.Descriptor, mode fs.FileMode) (name string, at fileid.ID, err error) {
	src, err := j.root.Open(from)
	if err != nil {
		return "", at, err
	}
	defer src.Close()
	dst, name, err := j.stage.create()
	if err != nil {
		return "", at, err
	}
	defer dst.Close()
	if err := writeStaged(ctx, dst, integrity.NewReader(src, desc, from)); err != nil {
		return "", at, err
	}
	at, err = j.stage.finish(dst, name, name, desc.Size, mode)
	return name, at, err
}

// writeStaged writes a new file. Runs of zeros become holes: what was sparse at
// its source takes no more room here.
func writeStaged(ctx context.Context, f *os.File, src io.Reader) error {
	w := holes.NewWriter(f)
	if err := copyBytes(ctx, w, src); err != nil {
		return err
	}
	return w.Finish()
}

// named puts the name of what was fetched before an error that lacks it.
func named(what string, err error) error {
	var bad *integrity.Error
	if errors.As(err, &bad) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// counted counts the bytes that come from the source.
func (j *job) counted(r io.Reader, what string) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		j.fetched.Add(int64(n))
		j.progress.Advance(what, int64(n))
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// label is how people call a tar layer.
func label(l artifacttypes.Layer) string {
	if l.Path != "" {
		return l.Path
	}
	return l.Descriptor.Digest.String()
}
