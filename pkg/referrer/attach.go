package referrer

import (
	"bytes"
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Target is where referrers are found and written: a registry or a layout.
type Target interface {
	Source
	Exists(ctx context.Context, target ocispec.Descriptor) (bool, error)
	Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error
	Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error
}

// Attachment is what becomes a referrer with one layer.
type Attachment struct {
	ArtifactType string
	MediaType    string // of the layer; ArtifactType when empty
	Blob         []byte
	Annotations  map[string]string // of the manifest
}

// Attach stores a as a referrer of subject and returns its descriptor, once the
// target lists it. When the same blob is attached already, that referrer is
// returned and nothing is written.
//
// A list that clients keep, and the list of some registries, loses an entry
// when two change it at once. Within the process such changes are made one
// after another; against other processes the list is read again, and changed
// again when the entry got lost. What others wrote is never dropped.
func Attach(ctx context.Context, t Target, subject ocispec.Descriptor, a Attachment) (ocispec.Descriptor, error) {
	if a.MediaType == "" {
		a.MediaType = a.ArtifactType
	}
	manifest, err := build(subject, a)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	unlock, err := lockSubject(ctx, t, subject)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer func() { unlock() }()
	existing, err := List(ctx, t, subject)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, n := range existing {
		if n.holds(manifest.layer) && n.Descriptor.ArtifactType == a.ArtifactType {
			return n.Descriptor, nil
		}
	}
	// The subject may be pushed later, the blobs may not (image specification
	// v1.1.1, "subject").
	for _, b := range []struct {
		desc ocispec.Descriptor
		raw  []byte
	}{
		{manifest.config, emptyJSON}, {manifest.layer, a.Blob}, {manifest.desc, manifest.raw},
	} {
		if err := t.Push(ctx, b.desc, bytes.NewReader(b.raw)); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	release := unlock
	unlock = func() {}
	return manifest.desc, update(ctx, t, subject, []Entry{{manifest.desc, manifest.raw}}, release)
}

func (n *Node) holds(layer ocispec.Descriptor) bool {
	return n.Manifest != nil && len(n.Manifest.Layers) == 1 &&
		n.Manifest.Layers[0].Digest == layer.Digest && n.Manifest.Layers[0].MediaType == layer.MediaType
}

// emptyJSON is the config of a manifest that needs none (image specification
// v1.1.1, "Guidance for an Empty Descriptor").
var emptyJSON = []byte("{}")

type built struct {
	config, layer, desc ocispec.Descriptor
	raw                 []byte
}

// build makes the manifest in the shape of signing.md §3.1.
func build(subject ocispec.Descriptor, a Attachment) (*built, error) {
	if len(a.Blob) > limits.PushBytes {
		return nil, &integrity.TooLargeError{What: "attachment", Size: int64(len(a.Blob)), Limit: limits.PushBytes}
	}
	b := &built{
		config: describe(ocispec.MediaTypeEmptyJSON, emptyJSON),
		layer:  describe(a.MediaType, a.Blob),
	}
	var err error
	b.raw, err = artifacttypes.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: a.ArtifactType,
		Config:       b.config,
		Layers:       []ocispec.Descriptor{b.layer},
		Subject:      &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations:  a.Annotations,
	})
	if err != nil {
		return nil, err
	}
	b.desc = describe(ocispec.MediaTypeImageManifest, b.raw)
	b.desc.ArtifactType, b.desc.Annotations = a.ArtifactType, a.Annotations
	return b, nil
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}
