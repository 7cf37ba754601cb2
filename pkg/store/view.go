package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
)

// View reads an OCI image layout that nobody changes and that lies anywhere, such
// as in an archive, by the same rules as [Layout]. It is safe for concurrent use.
type View struct {
	index   *layoutIndex
	reading *reading
}

// NewView returns a View of the layout with this index.json. where names it in
// errors. The error wraps [ErrCorrupt] when the index cannot be read.
func NewView(where string, index []byte, blobs Blobs) (*View, error) {
	ix, err := parseIndex(index)
	if err != nil {
		return nil, err
	}
	return &View{index: ix, reading: newReading(where, blobs)}, nil
}

// Entries returns the entries of index.json. They are shared: they must not be
// changed.
func (v *View) Entries() []ocispec.Descriptor { return v.index.Manifests }

// Resolve finds a manifest by its tag, its digest, or, where no tag has this
// form, by the full name that containerd and others note. The bytes of the manifest are
// read: they are whole, and of the media type that index.json says. The error wraps
// errdef.ErrNotFound when there is none.
func (v *View) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := v.lookup(reference)
	if err != nil || !isManifest(desc.MediaType) {
		return desc, err
	}
	_, err = v.Links(ctx, desc)
	return desc, err
}

func (v *View) lookup(reference string) (ocispec.Descriptor, error) {
	desc, err := v.reading.resolve(v.index, reference)
	if !errors.Is(err, errdef.ErrNotFound) {
		return desc, err
	}
	named, nameErr := v.index.named(artifacttypes.AnnotationImageName, reference)
	if errors.Is(nameErr, errdef.ErrNotFound) {
		named, nameErr = v.index.tagged(reference)
	}
	switch {
	case nameErr == nil:
		return plain(named), nil
	case errors.Is(nameErr, errdef.ErrNotFound):
		return desc, err
	}
	return desc, fmt.Errorf("%s: %q: %w", v.reading.where, reference, nameErr)
}

// AmbiguousError says that a tag is that of several artifacts.
type AmbiguousError struct{ Names []string }

func (e *AmbiguousError) Error() string {
	return "several have this tag: " + strings.Join(e.Names, ", ")
}

// tagged finds the entry whose full name has the tag, where several repositories
// lie in one layout and their tags are no names by themselves.
func (ix *layoutIndex) tagged(tag string) (ocispec.Descriptor, error) {
	if !tagForm.MatchString(tag) {
		return ocispec.Descriptor{}, errdef.ErrNotFound
	}
	var found ocispec.Descriptor
	var names []string
	for _, e := range ix.Manifests {
		name := e.Annotations[artifacttypes.AnnotationImageName]
		if !strings.HasSuffix(name, ":"+tag) {
			continue
		}
		if names = append(names, name); len(names) > 1 && e.Digest != found.Digest {
			return found, &AmbiguousError{Names: names}
		}
		found = e
	}
	if len(names) == 0 {
		return found, errdef.ErrNotFound
	}
	return found, nil
}

// Tags calls fn with the tags after last, in order, as [Layout.Tags] does.
func (v *View) Tags(ctx context.Context, last string, fn func(tags []string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return v.index.tags(last, fn)
}

// Referrers calls fn with the manifests whose subject is desc, as
// [Layout.Referrers] does.
func (v *View) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error {
	if err := artifacttypes.ValidateDigest(desc.Digest); err != nil {
		return err
	}
	return v.reading.referrers(ctx, v.index, desc.Digest, artifactType, fn)
}

// IsManifest reports whether a descriptor of this type is a manifest and no blob.
func IsManifest(mediaType string) bool { return isManifest(mediaType) }

// IsReferrersList reports whether an entry of index.json is the list of the
// referrers of a subject: no artifact that anybody stored.
func IsReferrersList(e ocispec.Descriptor) bool {
	return isReferrersList(e) || e.Annotations[annotationReferrersOf] != ""
}

// Links are the descriptors in a manifest.
type Links struct {
	Blobs    []ocispec.Descriptor // the config, and the layers in their order
	Children []ocispec.Descriptor // of an index
	Subject  *ocispec.Descriptor
}

// MediaTypeError says that a manifest is of another kind than who names it says,
// which is how one passes for the other (GHSA-77vh-xpmg-72qh).
type MediaTypeError struct {
	Descriptor ocispec.Descriptor
	Found      string // what its bytes say; empty when they are an image and an index at once
}

func (e *MediaTypeError) Error() string {
	if e.Found == "" {
		return fmt.Sprintf("manifest %s is an image and an index at once", e.Descriptor.Digest)
	}
	return fmt.Sprintf("manifest %s says that it is %q and not %q", e.Descriptor.Digest, e.Found, e.Descriptor.MediaType)
}

// Links reads a manifest, compares its bytes with its digest and with its media
// type, and returns what it names.
func (v *View) Links(ctx context.Context, desc ocispec.Descriptor) (*Links, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	raw, err := v.reading.manifest(desc)
	if err != nil {
		return nil, err
	}
	return ReadLinks(desc, raw)
}

// ReadLinks reads the bytes of a manifest, compares them with the media type of desc,
// and returns what they name. The error wraps artifacttypes.ErrInvalidManifest, or is
// a [MediaTypeError].
func ReadLinks(desc ocispec.Descriptor, raw []byte) (*Links, error) {
	h, err := parseHeader(raw)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %w", desc.Digest, artifacttypes.ErrInvalidManifest, err)
	}
	isIndex := desc.MediaType == ocispec.MediaTypeImageIndex || desc.MediaType == mediaTypeDockerManifestList
	switch {
	case h.MediaType != "" && h.MediaType != desc.MediaType:
		return nil, &MediaTypeError{Descriptor: desc, Found: h.MediaType}
	case h.Manifests != nil && (h.Config != nil || h.Layers != nil):
		return nil, &MediaTypeError{Descriptor: desc}
	case isIndex && h.Manifests == nil && h.Config != nil:
		return nil, &MediaTypeError{Descriptor: desc, Found: ocispec.MediaTypeImageManifest}
	case !isIndex && h.Manifests != nil:
		return nil, &MediaTypeError{Descriptor: desc, Found: ocispec.MediaTypeImageIndex}
	}
	links := &Links{Subject: h.Subject}
	if h.Config != nil {
		links.Blobs = append(links.Blobs, *h.Config)
	}
	for field, list := range map[string]json.RawMessage{"layers": h.Layers, "manifests": h.Manifests} {
		if list == nil {
			continue
		}
		into := &links.Blobs
		if field == "manifests" {
			into = &links.Children
		}
		var found []ocispec.Descriptor
		if err := json.Unmarshal(list, &found); err != nil {
			return nil, fmt.Errorf("manifest %s: %w: %s: %w", desc.Digest, artifacttypes.ErrInvalidManifest, field, err)
		}
		*into = append(*into, found...)
	}
	for _, list := range [][]ocispec.Descriptor{links.Blobs, links.Children} {
		for _, d := range list {
			if err := artifacttypes.ValidateDescriptor(d); err != nil {
				return nil, fmt.Errorf("manifest %s: %w: %w", desc.Digest, artifacttypes.ErrInvalidManifest, err)
			}
		}
	}
	return links, nil
}
