package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

// Types of manifests of before OCI, which registries and layouts still hold.
const (
	mediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// isManifest reports whether a descriptor of this type is a manifest, which has
// an entry in index.json, and no blob.
func isManifest(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, mediaTypeDockerManifest, mediaTypeDockerManifestList:
		return true
	}
	return false
}

// header is what the store must know of any kind of manifest.
type header struct {
	SchemaVersion int                 `json:"schemaVersion"`
	MediaType     string              `json:"mediaType"`
	ArtifactType  string              `json:"artifactType"`
	Config        *ocispec.Descriptor `json:"config"`
	Layers        json.RawMessage     `json:"layers"`
	Manifests     json.RawMessage     `json:"manifests"`
	Subject       *ocispec.Descriptor `json:"subject"`
	Annotations   map[string]string   `json:"annotations"`
}

func parseHeader(raw []byte) (*header, error) {
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, err
	}
	if h.Subject != nil {
		if err := artifacttypes.ValidateDescriptor(*h.Subject); err != nil {
			return nil, fmt.Errorf("subject: %w", err)
		}
	}
	return &h, nil
}

// kind returns the media type of the manifest: the one it declares, or, since
// OCI lets it be silent, the one that its fields allow no doubt about. It is
// empty for what is no manifest.
func (h *header) kind() string {
	switch {
	case isManifest(h.MediaType):
		return h.MediaType
	case h.MediaType != "" || h.SchemaVersion != 2:
		return ""
	case h.Config != nil && h.Layers != nil && h.Manifests == nil:
		return ocispec.MediaTypeImageManifest
	case h.Manifests != nil && h.Config == nil && h.Layers == nil:
		return ocispec.MediaTypeImageIndex
	}
	return ""
}

// asReferrer describes the manifest d as lists of referrers do (OCI distribution
// specification v1.1.1, "listing referrers").
func (h *header) asReferrer(d ocispec.Descriptor) ocispec.Descriptor {
	r := plain(d)
	r.ArtifactType = h.ArtifactType
	if r.ArtifactType == "" && h.Config != nil {
		r.ArtifactType = h.Config.MediaType
	}
	r.Annotations = h.Annotations
	return r
}

func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// pushManifest reads the manifest whole, since index.json depends on what is in
// it, and stores it unless it is there undamaged.
func (l *Layout) pushManifest(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error {
	raw, err := integrity.ReadAll(ingest.ContextReader(ctx, content), expected, artifacttypes.MaxManifestBytes, "manifest")
	if err != nil {
		return err
	}
	h, err := parseHeader(raw)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", expected.Digest, err)
	}
	// One content with two types is how a manifest passes for an index
	// (GHSA-77vh-xpmg-72qh).
	if h.MediaType != "" && h.MediaType != expected.MediaType {
		return fmt.Errorf("manifest %s: it says that it is %q and not %q", expected.Digest, h.MediaType, expected.MediaType)
	}
	if err := l.storeSmall(expected, raw); err != nil {
		return err
	}
	return l.updateIndex(ctx, func(ix *layoutIndex) error {
		entry := plain(expected)
		entry.ArtifactType = h.ArtifactType
		ix.add(entry)
		if h.Subject == nil {
			return nil
		}
		return l.listReferrer(ctx, ix, h.Subject.Digest)
	})
}

// storeSmall stores the bytes of a manifest. One that is there is read and
// replaced when it is damaged, so that pushing again repairs it.
func (l *Layout) storeSmall(desc ocispec.Descriptor, raw []byte) error {
	old, err := l.reading.verified(plain(desc), int64(len(raw)))
	if err == nil && bytes.Equal(old, raw) {
		return nil
	}
	if errors.Is(err, ErrCorrupt) {
		return err // no file: renaming over it is not for us to decide
	}
	return l.writeBlob(desc.Digest, raw)
}

// Resolve finds a manifest by its tag or digest. The error wraps
// errdef.ErrNotFound when there is none.
func (l *Layout) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	ix, err := l.readIndex()
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", l.path, err)
	}
	return l.reading.resolve(ix, reference)
}

// tagForm is a tag by the distribution specification; what a registry could not
// serve is not written.
var tagForm = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// Tag names a manifest that is in the layout. A manifest that had the tag before
// stays, without it. Tagging with the manifest's own digest changes nothing.
func (l *Layout) Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error {
	if err := artifacttypes.ValidateDescriptor(desc); err != nil {
		return err
	}
	if err := l.lease(ctx); err != nil {
		return err
	}
	there, err := l.has(desc)
	if err != nil {
		return err
	}
	if !there || !isManifest(desc.MediaType) {
		return fmt.Errorf("%s: no manifest %s to tag: %w", l.path, desc.Digest, errdef.ErrNotFound)
	}
	if reference == desc.Digest.String() {
		return nil
	}
	if !tagForm.MatchString(reference) {
		return fmt.Errorf("tag %q: %w", reference, errdef.ErrInvalidReference)
	}
	return l.updateIndex(ctx, func(ix *layoutIndex) error {
		entry, ok := ix.entry(desc.Digest)
		if !ok {
			entry = plain(desc)
		}
		if entry.MediaType != desc.MediaType || entry.Size != desc.Size {
			return fmt.Errorf("%s: %s is there as %q with %d bytes, not as %q with %d", l.path, desc.Digest,
				entry.MediaType, entry.Size, desc.MediaType, desc.Size)
		}
		entry = withAnnotation(entry, annotationReferrersOf, "")
		ix.setLabel(entry, ocispec.AnnotationRefName, reference, false)
		return nil
	})
}

// Tags calls fn with the tags after last, in order. Lists of referrers under the
// fallback tag are no tags that anybody gave, and are left out.
func (l *Layout) Tags(ctx context.Context, last string, fn func(tags []string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ix, err := l.readIndex()
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	return ix.tags(last, fn)
}
