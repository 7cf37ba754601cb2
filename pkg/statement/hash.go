package statement

import (
	"crypto/sha256"
	"hash"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/blake2b"
)

// Hash types of OMS v1.0.
const (
	HashSHA256  = "sha256"
	HashBLAKE2b = "blake2b" // BLAKE2b-512, unkeyed
	HashBLAKE3  = "blake3"  // 32 bytes, unkeyed
)

// HashTypes returns the hash types, the default first.
func HashTypes() []string { return []string{HashSHA256, HashBLAKE2b, HashBLAKE3} }

// NewHash returns a hash of a type
// (https://github.com/ossf/model-signing-spec/blob/main/algorithm-registry.md).
func NewHash(hashType string) (hash.Hash, error) {
	switch hashType {
	case HashSHA256:
		return sha256.New(), nil
	case HashBLAKE2b:
		return blake2b.New512(nil)
	case HashBLAKE3:
		return blake3.New(), nil
	}
	return nil, invalid("hash type %q is unknown", shorten(hashType))
}
