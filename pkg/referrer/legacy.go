package referrer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

const mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

// LegacyTag returns the tag under which cosign kept what it attached to subject
// before it had bundles; suffix is artifacttypes.LegacySignatureSuffix or
// LegacyAttestationSuffix
// (https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md, "Tag-based Discovery").
func LegacyTag(subject digest.Digest, suffix string) string {
	return subject.Algorithm().String() + "-" + subject.Encoded() + suffix
}

// LegacyError says that a tag of cosign's holds no list of signatures.
type LegacyError struct {
	Tag string
	Err error
}

func (e *LegacyError) Error() string { return fmt.Sprintf("tag %s: %v", e.Tag, e.Err) }

// Unwrap returns the cause.
func (e *LegacyError) Unwrap() error { return e.Err }

// Legacy returns the layers of the image under a tag of cosign's, and the digest
// of the image: each layer is what was signed, with the signature among its
// annotations. Layers of other media types are left out. There are none when
// there is no such tag. The layers are not fetched.
//
// Nothing ties the image to the subject but the tag, which anybody may move: what
// a layer says about the subject is in the layer, and signed. most is how many
// layers may be returned; a [*TooManyError] says that there are more. A tag that
// holds something else is a [*LegacyError].
func Legacy(ctx context.Context, t Source, subject digest.Digest, suffix string, most int) (digest.Digest, []ocispec.Descriptor, error) {
	tag := LegacyTag(subject, suffix)
	desc, err := t.Resolve(ctx, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	if desc.MediaType != ocispec.MediaTypeImageManifest && desc.MediaType != mediaTypeDockerManifest {
		return "", nil, &LegacyError{tag, fmt.Errorf("it holds a %s, not an image", desc.MediaType)}
	}
	raw, err := fetchAll(ctx, t, desc, "signatures under "+tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return "", nil, nil // replaced or deleted since
	}
	if err != nil {
		return "", nil, err
	}
	layers, err := legacyLayers(desc.MediaType, raw, legacyMediaType(suffix))
	if err != nil {
		return "", nil, &LegacyError{tag, err}
	}
	if len(layers) > min(most, limits.LegacyLayers) {
		return "", nil, &TooManyError{Subject: subject, What: "signatures under " + tag, Limit: min(most, limits.LegacyLayers)}
	}
	return desc.Digest, layers, nil
}

func legacyMediaType(suffix string) string {
	if suffix == artifacttypes.LegacyAttestationSuffix {
		return artifacttypes.MediaTypeDSSE
	}
	return artifacttypes.MediaTypeSimpleSigning
}

// legacyLayers reads the layers of one media type out of an image manifest. With
// COSIGN_DOCKER_MEDIA_TYPES cosign wrote one of Docker's.
func legacyLayers(mediaType string, raw []byte, of string) ([]ocispec.Descriptor, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	if m.MediaType != "" && m.MediaType != mediaType {
		return nil, fmt.Errorf("its media type is %q, not %q", m.MediaType, mediaType)
	}
	var layers []ocispec.Descriptor
	for i, d := range m.Layers {
		if d.MediaType != of {
			continue
		}
		if err := artifacttypes.ValidateDescriptor(d); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		layers = append(layers, d)
	}
	return layers, nil
}
