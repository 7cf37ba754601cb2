package inventory

import (
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// SmallBlob is the size in bytes below which a blob always travels: an inventory
// does not list it.
const SmallBlob = 64 << 10

// prefixBytes is how much of a digest the text has: nobody finds a blob whose
// digest begins with 80 given bits.
const prefixBytes = 10

// prefix is the beginning of a digest.
type prefix [prefixBytes]byte

// Artifact is an artifact that a site has, by its name there.
type Artifact struct {
	Name      string        `json:"name,omitempty"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType,omitempty"`
	Size      int64         `json:"size,omitempty"` // of the manifest, in bytes
}

// Blob is a blob that a site has.
type Blob struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // in bytes
}

// Inventory is what a site has. One that was read from text knows beginnings of
// digests only: then Artifacts and Blobs are empty, and [Inventory.Has] answers.
type Inventory struct {
	Artifacts []Artifact
	Blobs     []Blob

	short map[prefix]bool // from text
	lines []record        // from text, in their order
}

// New returns the inventory of a site that has these, sorted, each digest of a
// blob and each name of an artifact once, and without small blobs.
func New(artifacts []Artifact, blobs []Blob) *Inventory {
	inv := &Inventory{Artifacts: slices.Clone(artifacts), Blobs: slices.Clone(blobs)}
	slices.SortFunc(inv.Artifacts, func(a, b Artifact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	inv.Artifacts = slices.CompactFunc(inv.Artifacts, func(a, b Artifact) bool { return a.Name == b.Name && a.Digest == b.Digest })
	inv.Blobs = slices.DeleteFunc(inv.Blobs, func(b Blob) bool { return b.Size < SmallBlob })
	slices.SortFunc(inv.Blobs, func(a, b Blob) int { return cmp.Compare(a.Digest, b.Digest) })
	inv.Blobs = slices.CompactFunc(inv.Blobs, func(a, b Blob) bool { return a.Digest == b.Digest })
	return inv
}

// Len returns how many artifacts and blobs are listed.
func (inv *Inventory) Len() int {
	if inv.lines != nil {
		return len(inv.lines)
	}
	return len(inv.Artifacts) + len(inv.Blobs)
}

// Size returns the bytes of all blobs that are listed; 0 for an inventory that was
// read from text, which has no sizes.
func (inv *Inventory) Size() int64 {
	var n int64
	for _, b := range inv.Blobs {
		n += b.Size
	}
	return n
}

// Set is an inventory made ready for many questions.
type Set struct {
	digests map[digest.Digest]bool
	short   map[prefix]bool
}

// Set returns what the inventory lists.
func (inv *Inventory) Set() *Set {
	s := &Set{digests: map[digest.Digest]bool{}, short: inv.short}
	for _, a := range inv.Artifacts {
		s.digests[a.Digest] = true
	}
	for _, b := range inv.Blobs {
		s.digests[b.Digest] = true
	}
	return s
}

// Has reports whether the site says that it has what desc names.
func (s *Set) Has(desc ocispec.Descriptor) bool {
	if s.digests[desc.Digest] {
		return true
	}
	if len(s.short) == 0 {
		return false
	}
	p, ok := prefixOf(desc.Digest)
	return ok && s.short[p]
}

// prefixOf returns the beginning of a digest, and false for one that is malformed.
func prefixOf(d digest.Digest) (prefix, bool) {
	var p prefix
	if d.Validate() != nil || len(d.Encoded()) < hex.EncodedLen(prefixBytes) {
		return p, false
	}
	_, err := hex.Decode(p[:], []byte(d.Encoded()[:hex.EncodedLen(prefixBytes)]))
	return p, err == nil
}
