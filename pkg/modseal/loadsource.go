package modseal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/archive"
)

// cargo is what several archives hold together, as one source. Manifests and what
// is attached come from the archives alone; a blob that they leave out may come
// from a base.
type cargo struct {
	archives []*archive.Archive
	bases    []*location
	tags     map[string]ocispec.Descriptor // of the repository that is loaded
}

var _ repository = (*cargo)(nil)

// Resolve finds a manifest by its digest, or by a tag that cosign keeps signatures
// under.
func (c *cargo) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	if desc, ok := c.tags[reference]; ok {
		return desc, nil
	}
	if digest.Digest(reference).Validate() != nil {
		return ocispec.Descriptor{}, fmt.Errorf("tag %q: %w", reference, errdef.ErrNotFound)
	}
	for _, a := range c.archives {
		desc, err := a.Resolve(ctx, reference)
		if !errors.Is(err, errdef.ErrNotFound) {
			return desc, err
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("%s: %w", reference, errdef.ErrNotFound)
}

// holds reports whether one of the archives has a blob or manifest.
func (c *cargo) holds(ctx context.Context, target ocispec.Descriptor) (*archive.Archive, error) {
	for _, a := range c.archives {
		there, err := a.Exists(ctx, target)
		if err != nil || there {
			return a, err
		}
	}
	return nil, nil //nolint:nilnil // nobody is an answer
}

// Fetch opens a manifest or a blob, of an archive if one has it.
func (c *cargo) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	a, err := c.holds(ctx, target)
	switch {
	case err != nil:
		return nil, err
	case a != nil:
		return a.Fetch(ctx, target)
	}
	for _, base := range c.bases {
		there, err := base.Exists(ctx, plainDescriptor(target))
		switch {
		case err != nil:
			return nil, err
		case there:
			return base.blobs.Fetch(ctx, target)
		}
	}
	return nil, fmt.Errorf("%s: %w", target.Digest, errdef.ErrNotFound)
}

// Exists implements repository.
func (c *cargo) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	a, err := c.holds(ctx, target)
	return a != nil, err
}

// Referrers lists what is attached to desc in any of the archives.
func (c *cargo) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error {
	var all []ocispec.Descriptor
	for _, a := range c.archives {
		if err := a.Referrers(ctx, desc, artifactType, func(page []ocispec.Descriptor) error {
			for _, d := range page {
				if !slices.ContainsFunc(all, func(o ocispec.Descriptor) bool { return o.Digest == d.Digest }) {
					all = append(all, d)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return fn(all)
}

// Tags lists nothing: what is loaded was chosen already.
func (c *cargo) Tags(context.Context, string, func([]string) error) error { return nil }

// Push refuses: an archive is written by save.
func (c *cargo) Push(context.Context, ocispec.Descriptor, io.Reader) error {
	return archive.ErrReadOnly
}

// Tag refuses like Push.
func (c *cargo) Tag(context.Context, ocispec.Descriptor, string) error { return archive.ErrReadOnly }

// plainDescriptor is what identifies the content, without what is said about it.
func plainDescriptor(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}
