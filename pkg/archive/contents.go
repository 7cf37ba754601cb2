package archive

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
)

// Contents is what an archive says of itself: layer 0 of its own manifest. Whoever
// reads it takes it for claims.
type Contents struct {
	MediaType string             `json:"mediaType"` // artifacttypes.MediaTypeArchiveContents
	Tool      Tool               `json:"tool"`
	Artifacts []ContentsArtifact `json:"artifacts"`         // in order of their names
	Omitted   []Omitted          `json:"omitted,omitempty"` // in order of digest, artifact and path
	Bases     []Base             `json:"bases,omitempty"`   // what Omitted relies on, in order
}

// Tool is the program that wrote an archive.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// ContentsArtifact is an artifact that an archive was made to carry.
type ContentsArtifact struct {
	Name      string        `json:"name"` // host/repository:tag, or host/repository@digest
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"` // bytes of the manifest
	// Referrers are the manifests that are attached to it, to its children, and to
	// these again, in order.
	Referrers []digest.Digest `json:"referrers,omitempty"`
}

// OmittedReason says why a blob is not in an archive.
type OmittedReason string

// The reasons.
const (
	OmittedBase OmittedReason = "base" // the other side has it
	OmittedRole OmittedReason = "role" // it was not wanted
)

// Omitted is a blob that a manifest of an archive names and that is not there.
type Omitted struct {
	Digest    digest.Digest      `json:"digest"`
	Size      int64              `json:"size"`
	MediaType string             `json:"mediaType"`
	Path      string             `json:"path,omitempty"` // of the file of the model
	Artifact  digest.Digest      `json:"artifact"`       // the manifest that names it
	Reason    OmittedReason      `json:"reason"`
	Role      artifacttypes.Role `json:"role,omitempty"`
	From      string             `json:"from,omitempty"` // a reference where it may be had
}

// Base is what the other side was said to have.
type Base struct {
	Kind   string        `json:"kind"` // archive, inventory or reference
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

// Encode returns the JSON of c: the same contents give the same bytes, in whatever
// order they were collected.
func (c *Contents) Encode() ([]byte, error) {
	n := *c
	n.MediaType = artifacttypes.MediaTypeArchiveContents
	n.Artifacts = append([]ContentsArtifact{}, c.Artifacts...)
	slices.SortFunc(n.Artifacts, func(a, b ContentsArtifact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	n.Omitted = slices.Clone(c.Omitted)
	slices.SortFunc(n.Omitted, func(a, b Omitted) int {
		return cmp.Or(cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Artifact, b.Artifact), cmp.Compare(a.Path, b.Path))
	})
	n.Bases = slices.Clone(c.Bases)
	slices.SortFunc(n.Bases, func(a, b Base) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	return artifacttypes.Marshal(n)
}
