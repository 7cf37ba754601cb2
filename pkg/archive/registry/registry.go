package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"

	"cuelabs.dev/go/oci/ociregistry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	protocol "github.com/modseal/modseal/pkg/registry"
)

// Source holds what is served: an archive, or a layout.
type Source interface {
	// Resolve describes the manifest of a digest. The error wraps
	// errdef.ErrNotFound when there is none.
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	// Fetch opens a manifest or a blob by its digest alone. What it returns is an
	// io.Seeker too.
	Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error)
	// Referrers lists what is attached to desc.
	Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error
}

// Names are the repositories, and what each of their tags names.
type Names map[string]map[string]ocispec.Descriptor

// New returns a handler that answers for the repositories in names. All of them
// give everything that source holds, asked for by digest: it came in one file, to
// one reader.
func New(source Source, names Names) http.Handler {
	return protocol.New(&backend{source: source, names: names}, protocol.Options{
		ReadOnly: "this registry serves an archive, and an archive cannot be changed: load it into a registry to write there",
	})
}

// backend is what the library asks; what it does not do is writing.
type backend struct {
	*ociregistry.Funcs
	source Source
	names  Names
}

// repository returns the tags of a repository.
func (b *backend) repository(name string) (map[string]ocispec.Descriptor, error) {
	tags, ok := b.names[name]
	if !ok {
		return nil, fmt.Errorf("the archive has no such repository: %w", ociregistry.ErrNameUnknown)
	}
	return tags, nil
}

// absent gives an error of the source the code of what was asked for.
func absent(err error, code ociregistry.Error) error {
	if errors.Is(err, errdef.ErrNotFound) {
		return fmt.Errorf("the archive does not hold it: %w", code)
	}
	return err
}

// content opens a manifest or a blob.
func (b *backend) content(ctx context.Context, desc ocispec.Descriptor, code ociregistry.Error) (io.ReadSeekCloser, error) {
	rc, err := b.source.Fetch(ctx, desc)
	if err != nil {
		return nil, absent(err, code)
	}
	content, ok := rc.(io.ReadSeekCloser)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s can be read from its beginning only", desc.Digest), rc.Close())
	}
	return content, nil
}

// GetBlob implements ociregistry.Reader.
func (b *backend) GetBlob(ctx context.Context, name string, d ociregistry.Digest) (ociregistry.BlobReader, error) {
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d}
	if _, err := b.repository(name); err != nil {
		return nil, err
	}
	content, err := b.content(ctx, desc, ociregistry.ErrBlobUnknown)
	if err != nil {
		return nil, err
	}
	return protocol.NewContent(content, desc), nil
}

// ResolveBlob implements ociregistry.Reader.
func (b *backend) ResolveBlob(ctx context.Context, name string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	blob, err := b.GetBlob(ctx, name, d)
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	defer blob.Close()
	desc := blob.Descriptor()
	if seeker, ok := blob.(io.Seeker); ok {
		desc.Size, err = seeker.Seek(0, io.SeekEnd)
	}
	return desc, err
}

// GetTag implements ociregistry.Reader.
func (b *backend) GetTag(ctx context.Context, name, tag string) (ociregistry.BlobReader, error) {
	tags, err := b.repository(name)
	if err != nil {
		return nil, err
	}
	desc, ok := tags[tag]
	if !ok {
		return nil, fmt.Errorf("the archive has no such tag: %w", ociregistry.ErrManifestUnknown)
	}
	return b.manifest(ctx, desc)
}

// GetManifest implements ociregistry.Reader.
func (b *backend) GetManifest(ctx context.Context, name string, d ociregistry.Digest) (ociregistry.BlobReader, error) {
	if _, err := b.repository(name); err != nil {
		return nil, err
	}
	desc, err := b.source.Resolve(ctx, d.String())
	if err != nil {
		return nil, absent(err, ociregistry.ErrManifestUnknown)
	}
	return b.manifest(ctx, desc)
}

// manifest reads a manifest whole: one that is damaged is not served.
func (b *backend) manifest(ctx context.Context, desc ocispec.Descriptor) (ociregistry.BlobReader, error) {
	rc, err := b.source.Fetch(ctx, desc)
	if err != nil {
		return nil, absent(err, ociregistry.ErrManifestUnknown)
	}
	defer rc.Close()
	raw, err := integrity.ReadAll(rc, desc, artifacttypes.MaxManifestBytes, "manifest")
	if err != nil {
		return nil, err
	}
	return protocol.NewContent(protocol.InMemory(raw), desc), nil
}

// ResolveTag implements ociregistry.Reader.
func (b *backend) ResolveTag(ctx context.Context, name, tag string) (ociregistry.Descriptor, error) {
	return described(b.GetTag(ctx, name, tag))
}

// ResolveManifest implements ociregistry.Reader.
func (b *backend) ResolveManifest(ctx context.Context, name string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	return described(b.GetManifest(ctx, name, d))
}

func described(content ociregistry.BlobReader, err error) (ociregistry.Descriptor, error) {
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	return content.Descriptor(), content.Close()
}

// Tags implements ociregistry.Lister.
func (b *backend) Tags(_ context.Context, name, last string) iter.Seq2[string, error] {
	tags, err := b.repository(name)
	list := slices.Sorted(maps.Keys(tags))
	list = slices.DeleteFunc(list, func(tag string) bool { return tag <= last })
	return protocol.Sequence(list, err)
}

// Referrers implements ociregistry.Lister. An archive that does not hold the subject
// may hold what is attached to it. The source's order is its own.
func (b *backend) Referrers(ctx context.Context, name string, d ociregistry.Digest, artifactType string) iter.Seq2[ociregistry.Descriptor, error] {
	if _, err := b.repository(name); err != nil {
		return protocol.Sequence[ocispec.Descriptor](nil, err)
	}
	var all []ocispec.Descriptor
	err := b.source.Referrers(ctx, ocispec.Descriptor{Digest: d}, artifactType, func(page []ocispec.Descriptor) error {
		all = append(all, page...)
		return nil
	})
	slices.SortFunc(all, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return protocol.Sequence(all, err)
}
