package statement

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
)

// CosignSign returns the payload of a signature as cosign v3 writes it: a
// statement with an empty predicate whose only subject, without a name, is the
// manifest that is signed.
func CosignSign(subject digest.Digest) ([]byte, error) {
	if err := artifacttypes.ValidateDigest(subject); err != nil {
		return nil, fmt.Errorf("signature statement: %w", err)
	}
	type descriptor struct {
		Digest map[string]string `json:"digest"`
	}
	return artifacttypes.Marshal(struct {
		Type          string       `json:"_type"`
		Subject       []descriptor `json:"subject"`
		PredicateType string       `json:"predicateType"`
		Predicate     struct{}     `json:"predicate"`
	}{
		Type:          artifacttypes.StatementTypeV1,
		Subject:       []descriptor{{Digest: map[string]string{subject.Algorithm().String(): subject.Encoded()}}},
		PredicateType: artifacttypes.PredicateCosignSign,
	})
}
