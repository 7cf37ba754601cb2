package referrer

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
)

// MergeIndex reads a fallback index, adds an entry and returns the bytes that
// would be written. It is how fuzzing reaches the parser of foreign lists.
func MergeIndex(subject digest.Digest, raw []byte, entry ocispec.Descriptor) (before []ocispec.Descriptor, after []byte, err error) {
	index, err := parseFallback(subject, raw)
	if err != nil {
		return nil, nil, err
	}
	before = index.descriptors()
	if err := index.add(entry); err != nil {
		return nil, nil, err
	}
	after, err = artifacttypes.Marshal(index)
	return before, after, err
}

// LegacyLayers is how fuzzing reaches the parser of images of cosign's.
var LegacyLayers = legacyLayers
