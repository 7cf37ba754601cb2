package transfer

import (
	"encoding/json"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/remote"
)

// links is what a manifest names.
type links struct {
	blobs    []ocispec.Descriptor
	children []ocispec.Descriptor // manifests
}

// decode reads what a manifest of any kind names: OCI and Docker manifests and
// indexes have the same fields for it.
func decode(desc ocispec.Descriptor, raw []byte) (*links, error) {
	if !remote.IsManifest(desc.MediaType) {
		return nil, fmt.Errorf("media type %q is that of no manifest", desc.MediaType)
	}
	var m struct {
		MediaType string               `json:"mediaType"`
		Config    *ocispec.Descriptor  `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", artifacttypes.ErrInvalidManifest, err)
	}
	if m.MediaType != "" && m.MediaType != desc.MediaType {
		return nil, fmt.Errorf("%w: media type %q is not %q", artifacttypes.ErrInvalidManifest, m.MediaType, desc.MediaType)
	}
	// Which of the two it is decides what others see in it: a manifest that is
	// both would be copied by halves (GHSA-77vh-xpmg-72qh).
	if m.Manifests != nil && (m.Config != nil || m.Layers != nil) {
		return nil, fmt.Errorf("%w: it is an image and an index at once", artifacttypes.ErrInvalidManifest)
	}
	l := &links{blobs: m.Layers, children: m.Manifests}
	if m.Config != nil {
		l.blobs = append([]ocispec.Descriptor{*m.Config}, l.blobs...)
	}
	for i, b := range l.blobs {
		if err := artifacttypes.ValidateDescriptor(b); err != nil {
			return nil, fmt.Errorf("%w: %w", artifacttypes.ErrInvalidManifest, err)
		}
		if remote.IsManifest(b.MediaType) {
			// What is named as a layer is kept as a blob, whatever it is.
			l.blobs[i].MediaType = "application/octet-stream"
		}
	}
	for _, child := range l.children {
		if err := artifacttypes.ValidateDescriptor(child); err != nil {
			return nil, fmt.Errorf("%w: %w", artifacttypes.ErrInvalidManifest, err)
		}
	}
	return l, nil
}
