package store

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/partial"
)

// KeepPartials is how long [Layout.Collect] keeps a blob that is not whole after
// it was last written to: whoever began it may go on with it.
const KeepPartials = 7 * 24 * time.Hour

// Partial is a blob on its way into a layout, as a partial.File: its bytes come in
// any order, and what is there outlives the process until [KeepPartials]. Commit
// ends it in the place of Finish.
type Partial struct {
	*partial.File
	l    *Layout
	desc ocispec.Descriptor
}

// Partial takes up what an earlier process left of a blob, or begins it. It waits
// while another process has the same blob; [Layout.Exists] then says whether that
// one brought it to its end. what names the blob in errors.
func (l *Layout) Partial(ctx context.Context, desc ocispec.Descriptor, what string) (*Partial, error) {
	if err := artifacttypes.ValidateDescriptor(desc); err != nil {
		return nil, err
	}
	if err := l.lease(ctx); err != nil {
		return nil, err
	}
	if err := l.makePartialDir(); err != nil {
		return nil, err
	}
	f, err := partial.Open(ctx, l.root, partialPath(desc), desc, partial.Options{What: what})
	if err != nil {
		return nil, err
	}
	return &Partial{File: f, l: l, desc: desc}, nil
}

// makePartialDir makes the directory for blobs that are not whole, unless it is there.
func (l *Layout) makePartialDir() error {
	if err := l.root.Mkdir(partialName, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := l.root.Lstat(partialName); err != nil || !info.IsDir() {
		return errors.Join(err, ErrCorrupt)
	}
	return nil
}

// Kept returns how many bytes of a blob an earlier process left, that Partial would
// go on from.
func (l *Layout) Kept(desc ocispec.Descriptor) int64 {
	if artifacttypes.ValidateDescriptor(desc) != nil {
		return 0
	}
	return partial.Kept(l.root, partialPath(desc), desc)
}

// partialPath returns where a valid digest is kept while its blob is not whole.
func partialPath(desc ocispec.Descriptor) string {
	return path.Join(partialName, desc.Digest.Algorithm().String()+"-"+desc.Digest.Encoded())
}

// Commit gives the blob its name when all of it is there and hashes to its digest:
// it is on disk then. Otherwise it fails as partial.File.Finish does, and what
// remains is Reset, Suspend or Discard.
func (p *Partial) Commit(ctx context.Context) error {
	name, err := blobPath(p.desc.Digest)
	if err != nil {
		return err
	}
	if err := p.l.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	_, err = p.Finish(ctx, name)
	return err
}

// removeOldPartials removes what nobody has gone on with for KeepPartials. The
// caller holds the lease alone, and so knows that nobody does now.
func (l *Layout) removeOldPartials(dryRun bool) (files int, bytes int64) {
	return l.eachOwn(partialName, func(name string) (int64, bool) {
		info, err := l.statRegular(name)
		if err != nil || time.Since(info.ModTime()) <= KeepPartials {
			return 0, false
		}
		return info.Size(), dryRun || l.root.Remove(name) == nil
	})
}
