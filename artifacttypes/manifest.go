package artifacttypes

import (
	// Digests are known by the hashes that a program links.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds on a manifest.
const (
	// MaxBlobBytes bounds the size that a descriptor may name, 64 TiB: more than a
	// registry takes, and so little that the sizes of all files of a model add up to
	// a number, and so do the times that are counted from them.
	MaxBlobBytes = 1 << 46
	// MaxManifestBytes bounds a manifest that is read: registries cap them at
	// 4 MiB (distribution v3, zot v2.1), so a larger one is an attack or a
	// mistake.
	MaxManifestBytes = 4 << 20
	// MaxManifestBytesWritten is the largest manifest that modseal writes: below
	// that cap, with room for registries that count headers too.
	MaxManifestBytesWritten = 3584 << 10
	// MaxLayers bounds the layers of one model: what fits into a manifest.
	MaxLayers = 20_000
)

// The sizes of all layers of a model add up without an overflow, or this does not
// compile.
const _ int64 = MaxLayers * MaxBlobBytes

// ErrNotAModel is wrapped when a manifest is well formed but no model.
var ErrNotAModel = errors.New("not a model artifact")

// ErrInvalidManifest is wrapped when a manifest is not what the OCI or the
// ModelPack specification allow.
var ErrInvalidManifest = errors.New("invalid manifest")

// Model is a model manifest that was read and found safe to act on: its
// digests are well formed, its sizes are not negative, and its paths can live
// beside each other below one directory.
type Model struct {
	Manifest ocispec.Manifest
	Layers   []Layer
}

// Layer is one layer of a model.
type Layer struct {
	Descriptor ocispec.Descriptor
	Role       Role     // empty when the layer does not say it
	Encoding   Encoding // raw: the layer is the file Path
	Path       string   // raw: path of the file; tar: a label, of no meaning to the content
	Executable bool     // raw: the file is executable by its owner
	Untested   bool     // the role was guessed from the name, not proven by the content
}

// Size returns the number of bytes of all layers; a blob that is named by two
// layers counts twice.
func (m *Model) Size() int64 {
	var n int64
	for _, l := range m.Layers {
		n += l.Descriptor.Size
	}
	return n
}

// ParseManifest reads a model manifest. raw must be the bytes that the
// manifest's digest was checked against.
//
// It accepts ModelPack (also in its name space of before 2026) and artifacts in
// the style of ORAS, where every layer has a title. What breaks the rules of
// [ValidatePath] or [PathSet] is refused, never repaired.
func ParseManifest(raw []byte) (*Model, error) {
	m, err := DecodeManifest(raw)
	if err != nil {
		return nil, err
	}
	if len(m.Layers) == 0 {
		return nil, fmt.Errorf("%w: it has no layers", ErrNotAModel)
	}
	if len(m.Layers) > MaxLayers {
		return nil, fmt.Errorf("%w: %d layers, more than %d", ErrInvalidManifest, len(m.Layers), MaxLayers)
	}
	model := &Model{Manifest: *m, Layers: make([]Layer, 0, len(m.Layers))}
	paths := NewPathSet()
	for i, d := range m.Layers {
		layer, err := parseLayer(d)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		if layer.Encoding == EncodingRaw {
			if err := paths.Add(layer.Path); err != nil {
				return nil, fmt.Errorf("layer %d: %w", i, err)
			}
		}
		model.Layers = append(model.Layers, layer)
	}
	return model, nil
}

// DecodeManifest reads any OCI image manifest strictly enough to follow its
// descriptors: bounded size, right media type, well-formed digests, no negative
// sizes.
func DecodeManifest(raw []byte) (*ocispec.Manifest, error) {
	if len(raw) > MaxManifestBytes {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrInvalidManifest, len(raw), MaxManifestBytes)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidManifest, err)
	}
	if m.SchemaVersion != 2 {
		return nil, fmt.Errorf("%w: schemaVersion is %d, not 2", ErrInvalidManifest, m.SchemaVersion)
	}
	// An absent mediaType is allowed by the OCI specification, a wrong one is
	// how a manifest passes for an index (GHSA-77vh-xpmg-72qh).
	if m.MediaType != "" && m.MediaType != ocispec.MediaTypeImageManifest {
		return nil, fmt.Errorf("%w: media type %q is not %q", ErrInvalidManifest, m.MediaType, ocispec.MediaTypeImageManifest)
	}
	descriptors := append([]ocispec.Descriptor{m.Config}, m.Layers...)
	if m.Subject != nil {
		descriptors = append(descriptors, *m.Subject)
	}
	for _, d := range descriptors {
		if err := ValidateDescriptor(d); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalidManifest, err)
		}
	}
	return &m, nil
}

// ValidateDescriptor checks that d can be followed: a digest of a known
// algorithm and form, so that it may become a path or a URL, and a size that is
// not negative.
func ValidateDescriptor(d ocispec.Descriptor) error {
	if err := ValidateDigest(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 {
		return fmt.Errorf("%s: negative size %d", d.Digest, d.Size)
	}
	if d.Size > MaxBlobBytes {
		return fmt.Errorf("%s: size %d is more than %d bytes, which no blob has", d.Digest, d.Size, int64(MaxBlobBytes))
	}
	return nil
}

// ValidateDigest checks that d is a well-formed sha256 or sha512 digest.
func ValidateDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", d, err)
	}
	if a := d.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fmt.Errorf("digest %q: algorithm %q is not supported", d, a)
	}
	return nil
}

func parseLayer(d ocispec.Descriptor) (Layer, error) {
	l := Layer{Descriptor: d, Encoding: EncodingRaw, Untested: true}
	role, encoding, known := ParseLayerType(d.MediaType)
	if known {
		l.Role, l.Encoding = role, encoding
		l.Untested = d.Annotations[AnnotationUntested] != "false"
	}
	l.Path = first(d.Annotations, AnnotationFilePath, annotationFilePathOld, ocispec.AnnotationTitle)
	if l.Path == "" && !known {
		return Layer{}, fmt.Errorf("%w: media type %q and no annotation %s or %s", ErrNotAModel, d.MediaType, AnnotationFilePath, ocispec.AnnotationTitle)
	}
	text := first(d.Annotations, AnnotationFileMetadata, annotationFileMetadataOld)
	if text == "" {
		return l, nil
	}
	meta, err := parseFileMetadata(text)
	if err != nil {
		return Layer{}, fmt.Errorf("%w: %w", ErrInvalidManifest, err)
	}
	if l.Encoding != EncodingRaw {
		return l, nil
	}
	switch {
	case !regularTypeflag(meta.Typeflag):
		return Layer{}, fmt.Errorf("%w: %q has typeflag %d, which is no regular file", ErrInvalidManifest, l.Path, meta.Typeflag)
	case meta.Size >= 0 && meta.Size != d.Size:
		return Layer{}, fmt.Errorf("%w: %q has %d bytes by its metadata and %d by its descriptor", ErrInvalidManifest, l.Path, meta.Size, d.Size)
	case l.Path == "":
		l.Path = meta.Name
	}
	l.Executable = meta.Mode&0o100 != 0
	return l, nil
}

func first(annotations map[string]string, keys ...string) string {
	for _, k := range keys {
		if v := annotations[k]; v != "" {
			return v
		}
	}
	return ""
}
