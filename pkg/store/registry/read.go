package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"cuelabs.dev/go/oci/ociregistry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/registry"
)

// unknown gives an error of a layout the code of what was asked for.
func unknown(err error, code ociregistry.Error) error {
	if errors.Is(err, errdef.ErrNotFound) {
		return code
	}
	return err
}

// GetBlob implements ociregistry.Reader.
func (r *Registry) GetBlob(ctx context.Context, name string, d ociregistry.Digest) (ociregistry.BlobReader, error) {
	var content *registry.Content
	err := r.read(ctx, name, func(repo *repository) error {
		desc := ocispec.Descriptor{MediaType: octets, Digest: d}
		rc, err := repo.Fetch(ctx, desc)
		if err != nil {
			return unknown(err, ociregistry.ErrBlobUnknown)
		}
		file, ok := rc.(io.ReadSeekCloser)
		if !ok {
			return errors.Join(fmt.Errorf("blob %s can be read from its beginning only", d), rc.Close())
		}
		content = registry.NewContent(file, desc)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

const octets = "application/octet-stream"

// ResolveBlob implements ociregistry.Reader. Who asks may rely on the answer: what is
// there is not collected before the client had time to refer to it.
func (r *Registry) ResolveBlob(ctx context.Context, name string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: octets, Digest: d}
	err := r.read(ctx, name, func(repo *repository) error {
		var err error
		if desc.Size, err = sizeOf(ctx, repo, desc); err != nil || r.readOnly {
			return err
		}
		there, err := repo.Exists(ctx, desc)
		if err == nil && !there {
			err = ociregistry.ErrBlobUnknown
		}
		return err
	})
	return desc, err
}

func sizeOf(ctx context.Context, repo *repository, desc ocispec.Descriptor) (int64, error) {
	rc, err := repo.Fetch(ctx, desc)
	if err != nil {
		return 0, unknown(err, ociregistry.ErrBlobUnknown)
	}
	defer rc.Close()
	file, ok := rc.(io.Seeker)
	if !ok {
		return 0, fmt.Errorf("blob %s can be read from its beginning only", desc.Digest)
	}
	return file.Seek(0, io.SeekEnd)
}

// GetManifest implements ociregistry.Reader.
func (r *Registry) GetManifest(ctx context.Context, name string, d ociregistry.Digest) (ociregistry.BlobReader, error) {
	return r.manifest(ctx, name, d.String())
}

// GetTag implements ociregistry.Reader.
func (r *Registry) GetTag(ctx context.Context, name, tag string) (ociregistry.BlobReader, error) {
	return r.manifest(ctx, name, tag)
}

// manifest reads a manifest whole: one that is damaged is not served.
func (r *Registry) manifest(ctx context.Context, name, reference string) (ociregistry.BlobReader, error) {
	var content *registry.Content
	err := r.read(ctx, name, func(repo *repository) error {
		desc, err := repo.Resolve(ctx, reference)
		if err != nil {
			return unknown(err, ociregistry.ErrManifestUnknown)
		}
		rc, err := repo.Fetch(ctx, desc)
		if err != nil {
			return unknown(err, ociregistry.ErrManifestUnknown)
		}
		defer rc.Close()
		raw, err := integrity.ReadAll(rc, desc, artifacttypes.MaxManifestBytes, "manifest")
		if err != nil {
			return err
		}
		content = registry.NewContent(registry.InMemory(raw), desc)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

// ResolveManifest implements ociregistry.Reader.
func (r *Registry) ResolveManifest(ctx context.Context, name string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	return r.resolve(ctx, name, d.String())
}

// ResolveTag implements ociregistry.Reader.
func (r *Registry) ResolveTag(ctx context.Context, name, tag string) (ociregistry.Descriptor, error) {
	return r.resolve(ctx, name, tag)
}

func (r *Registry) resolve(ctx context.Context, name, reference string) (desc ociregistry.Descriptor, err error) {
	err = r.read(ctx, name, func(repo *repository) error {
		desc, err = repo.Resolve(ctx, reference)
		return unknown(err, ociregistry.ErrManifestUnknown)
	})
	return desc, err
}

// Tags implements ociregistry.Lister.
func (r *Registry) Tags(ctx context.Context, name, last string) iter.Seq2[string, error] {
	var tags []string
	err := r.read(ctx, name, func(repo *repository) error {
		return repo.Tags(ctx, last, func(page []string) error {
			tags = append(tags, page...)
			return nil
		})
	})
	return registry.Sequence(tags, err)
}

// Referrers implements ociregistry.Lister. A repository that is not there has none:
// who is about to push the first artifact learns that this registry has the API.
func (r *Registry) Referrers(ctx context.Context, name string, d ociregistry.Digest, artifactType string) iter.Seq2[ociregistry.Descriptor, error] {
	var found []ocispec.Descriptor
	err := r.read(ctx, name, func(repo *repository) error {
		return repo.Referrers(ctx, ocispec.Descriptor{Digest: d}, artifactType, func(page []ocispec.Descriptor) error {
			found = append(found, page...)
			return nil
		})
	})
	if errors.Is(err, ociregistry.ErrNameUnknown) {
		err = nil
	}
	return registry.Sequence(found, err)
}
