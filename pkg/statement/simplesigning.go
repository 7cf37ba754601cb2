package statement

import (
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// simpleSigningType is what makes a simple-signing payload a signature of
// cosign's.
const simpleSigningType = "cosign container image signature"

// SimpleSigning is what cosign signed before it signed statements
// (https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md, "Simple Signing").
type SimpleSigning struct {
	Digest    digest.Digest // of the manifest
	Reference string        // what the signer called it; often the repository, sometimes empty
}

// ParseSimpleSigning reads the payload of such a signature. Keys are taken in
// their exact case and only once; what the signer added beside the critical part
// is passed over. A payload of another type than cosign's is refused: the same
// form has signatures of other tools in it, which say other things.
func ParseSimpleSigning(payload []byte) (*SimpleSigning, error) {
	if len(payload) > limits.SimpleSigningBytes {
		return nil, invalid("%d bytes, more than %d", len(payload), limits.SimpleSigningBytes)
	}
	r, err := newReader(payload)
	if err != nil {
		return nil, err
	}
	s := &SimpleSigning{}
	var kind, digestText string
	err = r.object("the payload", func(key string) error {
		if key != "critical" {
			return r.skip()
		}
		return r.object(key, func(key string) error {
			var err error
			switch key {
			case "type":
				kind, err = r.string(key)
			case "identity":
				s.Reference, err = r.memberOf(key, "docker-reference")
			case "image":
				digestText, err = r.memberOf(key, "docker-manifest-digest")
			default:
				// What is critical must be understood by whoever goes by it.
				err = invalid("critical: key %q is unknown", shorten(key))
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if kind != simpleSigningType {
		return nil, invalid("its critical.type is %q, not %q", shorten(kind), simpleSigningType)
	}
	s.Digest = digest.Digest(digestText)
	if err := artifacttypes.ValidateDigest(s.Digest); err != nil {
		return nil, invalid("docker-manifest-digest: %w", err)
	}
	return s, nil
}

// memberOf reads the object that comes next and returns the text of one of its
// members; others are unknown.
func (r *reader) memberOf(what, name string) (string, error) {
	var text string
	err := r.object(what, func(key string) error {
		if key != name {
			return invalid("%s: key %q is unknown", what, shorten(key))
		}
		var err error
		text, err = r.string(key)
		return err
	})
	return text, err
}
