package archive

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// place is where the bytes of an entry lie.
type place struct{ offset, size int64 }

// index is what a tar holds, by what its headers say.
type index struct {
	blobs  blobMap
	layout place // oci-layout
	index  place // index.json
	found  map[string]bool
}

// add takes a file.
func (x *index) add(name string, at place) *fault {
	d, isBlob, f := blobName(name)
	switch {
	case f != nil:
		return f
	case isBlob:
		if !x.blobs.add(d, at) {
			return refused("it is there twice")
		}
		return nil
	case name != ocispec.ImageLayoutFile && name != ocispec.ImageIndexFile && !ignoredFiles[name]:
		return refused("an OCI layout has no such file")
	case x.found[name]:
		return refused("it is there twice")
	}
	x.found[name] = true
	limit := int64(limits.LayoutFileBytes)
	switch name {
	case ocispec.ImageLayoutFile:
		x.layout = at
	case ocispec.ImageIndexFile:
		limit, x.index = limits.LayoutIndexBytes, at
	default:
		return nil
	}
	if at.size > limit {
		return refused("it has %d bytes, more than %d", at.size, limit)
	}
	return nil
}

// blobMap holds where blobs lie, by the bytes of their digests: half a million
// of them fit into 64 MiB.
type blobMap struct {
	sha256 map[[32]byte]place
	sha512 map[[64]byte]place
}

func (m *blobMap) len() int { return len(m.sha256) + len(m.sha512) }

func (m *blobMap) add(d digest.Digest, at place) bool {
	if _, there := m.get(d); there {
		return false
	}
	raw := rawDigest(d)
	if len(raw) == 32 {
		if m.sha256 == nil {
			m.sha256 = map[[32]byte]place{}
		}
		m.sha256[[32]byte(raw)] = at
		return true
	}
	if m.sha512 == nil {
		m.sha512 = map[[64]byte]place{}
	}
	m.sha512[[64]byte(raw)] = at
	return true
}

// get finds a blob. d must be valid.
func (m *blobMap) get(d digest.Digest) (place, bool) {
	var at place
	var ok bool
	if raw := rawDigest(d); len(raw) == 32 {
		at, ok = m.sha256[[32]byte(raw)]
	} else {
		at, ok = m.sha512[[64]byte(raw)]
	}
	return at, ok
}
