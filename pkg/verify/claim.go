package verify

import (
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/modseal/modseal/pkg/trust"
)

// Claim is what a bundle says about itself. Nothing of it is verified: it tells
// people what they might want to trust, and decides nothing.
type Claim struct {
	PredicateType string
	// Fingerprint of the key, for the method key, when the bundle has a hint
	// that gives it.
	Fingerprint digest.Digest
	// Hint is that hint as it stands, whatever it is: it tells claims apart of keys
	// that nobody knows.
	Hint string
	// Identity and Issuer of the certificate; Issuer is empty for a certificate
	// that no Fulcio issued.
	Identity, Issuer string
	// Certificate means that a certificate came with the bundle and not the name
	// of a key.
	Certificate bool
	// Logged and Timestamped tell what the bundle carries, whoever made it.
	Logged, Timestamped bool
}

// ReadClaim reads what a bundle says about itself. The error says why it is not
// usable.
func ReadClaim(bundle []byte) (Claim, error) {
	s, err := parseBundle(bundle)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{PredicateType: s.header.PredicateType, Certificate: s.form != formKey}
	if entries, err := s.entity.TlogEntries(); err == nil {
		c.Logged = len(entries) > 0
	}
	if stamps, err := s.entity.Timestamps(); err == nil {
		c.Timestamped = len(stamps) > 0
	}
	if s.leaf == nil {
		c.Hint = s.hint
		c.Fingerprint, _ = trust.FingerprintOfHint(s.hint)
		return c, nil
	}
	if summary, err := certificate.SummarizeCertificate(s.leaf); err == nil {
		c.Identity, c.Issuer = summary.SubjectAlternativeName, summary.Issuer
	}
	if c.Identity == "" {
		c.Identity = s.leaf.Subject.CommonName
	}
	return c, nil
}
