package archive

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
)

// node is a manifest of any kind: OCI and Docker manifests and indexes have the
// same fields for what they name.
type node struct {
	desc ocispec.Descriptor // media type, digest and size
	raw  []byte

	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Subject      *ocispec.Descriptor  `json:"subject"`
	Annotations  map[string]string    `json:"annotations"`
}

func parseNode(desc ocispec.Descriptor, raw []byte) (*node, error) {
	n := &node{desc: plain(desc), raw: raw}
	if err := json.Unmarshal(raw, n); err != nil {
		return nil, fmt.Errorf("%w: %w", artifacttypes.ErrInvalidManifest, err)
	}
	named := n.blobs()
	named = append(named, n.Manifests...)
	if n.Subject != nil {
		named = append(named, *n.Subject)
	}
	for _, d := range named {
		if err := artifacttypes.ValidateDescriptor(d); err != nil {
			return nil, fmt.Errorf("%w: %w", artifacttypes.ErrInvalidManifest, err)
		}
	}
	return n, nil
}

// blobs returns config and layers.
func (n *node) blobs() []ocispec.Descriptor {
	if n.Config == nil {
		return slices.Clone(n.Layers)
	}
	return append([]ocispec.Descriptor{*n.Config}, n.Layers...)
}

// entry describes a referrer as lists of referrers do (OCI distribution
// specification v1.1.1, "listing referrers").
func (n *node) entry() ocispec.Descriptor {
	d := n.desc
	d.ArtifactType = n.ArtifactType
	if d.ArtifactType == "" && n.Config != nil {
		d.ArtifactType = n.Config.MediaType
	}
	d.Annotations = n.Annotations
	return d
}

// plain is what identifies the content, without what is said about it.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// sorted returns the manifests in order of their digests.
func (b *builder) sorted() []*node {
	list := make([]*node, 0, len(b.manifests))
	for _, d := range slices.Sorted(maps.Keys(b.manifests)) {
		list = append(list, b.manifests[d])
	}
	return list
}

// checkGraph refuses an archive that lacks what its manifests name. What is there
// is not omitted.
func (b *builder) checkGraph() error {
	omitted := map[digest.Digest]int64{}
	b.in.Contents.Omitted = slices.DeleteFunc(slices.Clone(b.in.Contents.Omitted), func(o Omitted) bool {
		_, there := b.size(o.Digest)
		return there
	})
	for _, o := range b.in.Contents.Omitted {
		omitted[o.Digest] = o.Size
	}
	for _, n := range b.sorted() {
		for _, d := range n.blobs() {
			size, there := b.size(d.Digest)
			if !there {
				if size, there = omitted[d.Digest]; !there {
					return &IncompleteError{Manifest: n.desc.Digest, Names: d}
				}
			}
			if err := b.sameSize(d, size); err != nil {
				return fmt.Errorf("manifest %s: %w", n.desc.Digest, err)
			}
		}
		for _, d := range n.Manifests {
			if _, there := b.manifests[d.Digest]; !there {
				return &IncompleteError{Manifest: n.desc.Digest, Names: d}
			}
		}
	}
	return nil
}

// size returns the size of what is in the archive.
func (b *builder) size(d digest.Digest) (int64, bool) {
	if m, ok := b.manifests[d]; ok {
		return m.desc.Size, true
	}
	blob, ok := b.blobs[d]
	return blob.Descriptor.Size, ok
}

// subjects returns the referrers of each subject, in order of their digests.
func (b *builder) subjects() map[digest.Digest][]*node {
	of := map[digest.Digest][]*node{}
	for _, n := range b.sorted() {
		if n.Subject != nil {
			of[n.Subject.Digest] = append(of[n.Subject.Digest], n)
		}
	}
	return of
}

// attached returns what is attached to a manifest, its children, and what is
// attached.
func (b *builder) attached(root digest.Digest, of map[digest.Digest][]*node) []digest.Digest {
	found, seen := map[digest.Digest]bool{}, map[digest.Digest]bool{}
	for queue := []digest.Digest{root}; len(queue) > 0; queue = queue[1:] {
		d := queue[0]
		if seen[d] {
			continue
		}
		seen[d] = true
		for _, r := range of[d] {
			found[r.desc.Digest] = true
			queue = append(queue, r.desc.Digest)
		}
		if n := b.manifests[d]; n != nil {
			for _, child := range n.Manifests {
				queue = append(queue, child.Digest)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
