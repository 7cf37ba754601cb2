package materialize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/disk"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
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
			b = &blob{desc: ocispec.Descriptor{
				MediaType: "application/octet-stream", Digest: f.digest, Size: f.size,
				// What to call it while it is waited for.
				Annotations: map[string]string{artifacttypes.AnnotationFilePath: f.path},
			}}
			byDigest[f.digest] = b
			list = append(list, b)
		}
		b.files = append(b.files, f)
	}
	slices.SortStableFunc(list, func(a, b *blob) int { return cmp.Compare(b.desc.Size, a.desc.Size) })
	return list
}

// checkSpace refuses what would not fit, before hours of fetching. What is there
// from an earlier call is not counted, nor the content of compressed layers,
// which is not known.
func (j *job) checkSpace() error {
	var need int64
	for _, b := range j.plan.blobs() {
		need += int64(len(b.files))*b.desc.Size - j.stage.kept(b.desc)
	}
	for _, l := range j.plan.unpack {
		need += l.Descriptor.Size
		if j.stagesTar(l) {
			need += l.Descriptor.Size - j.stage.kept(l.Descriptor)
		}
	}
	free, known := disk.Free(j.dir)
	if known && need > free {
		return &DiskFullError{Dir: j.dir, Need: need, Free: free}
	}
	return nil
}

// announce says what there will be in all.
func (j *job) announce() {
	files, bytes := len(j.plan.unpack), int64(0)
	for _, l := range j.plan.unpack {
		bytes += l.Descriptor.Size
	}
	for _, f := range j.plan.files {
		if f.layer == "" { // of a tar layer, the layer is what moves
			files++
			bytes += f.size
		}
	}
	j.progress.Plan(files, bytes)
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
	first := b.files[0]
	j.progress.Start(first.path, b.desc.Size)
	w, there, err := j.stage.takeOver(ctx, b.desc, first.mode)
	if err != nil {
		return err
	}
	if there {
		j.progress.Reuse(first.path, b.desc.Size)
	} else if w, err = j.bring(ctx, b.desc, first.path, partial.Options{Mode: first.mode}); err != nil {
		return err
	}
	first.staged = ofWhole(w)
	for i, f := range b.files[1:] {
		j.progress.Start(f.path, b.desc.Size)
		if f.staged, err = j.copyStaged(ctx, w, i, f.mode); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		j.progress.Reuse(f.path, b.desc.Size)
	}
	return nil
}

// copyStaged stages the bytes of a staged layer once more. They are hashed
// again, since nothing is renamed that was not.
func (j *job) copyStaged(ctx context.Context, from partial.Whole, i int, mode fs.FileMode) (*staged, error) {
	src, err := j.root.Open(from.Name())
	if err != nil {
		return nil, err
	}
	defer src.Close()
	name := fmt.Sprintf("%s.%d", from.Name(), i+1)
	part, err := partial.Open(ctx, j.root, name, from.Descriptor(), partial.Options{
		What: from.Name(), Mode: mode, Fresh: true, Locked: true, SyncLater: true,
	})
	if err != nil {
		return nil, err
	}
	if err := part.CopyFrom(ctx, src, nil); err != nil {
		return nil, errors.Join(err, part.Discard())
	}
	w, err := part.Finish(ctx, name)
	if err != nil {
		return nil, errors.Join(err, part.Discard())
	}
	j.stage.note(w)
	return ofWhole(w), nil
}

// named puts the name of what was fetched before an error that lacks it.
func named(what string, err error) error {
	var bad *integrity.Error
	if errors.As(err, &bad) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// counted counts the bytes that come from the source for what.
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
