package verify

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
)

// What model_signing 0.2.0 signed with keys and certificates was meant to be the
// DSSE encoding of the statement and is not: its prefix is spelt otherwise, the
// payload is the text that Python prints for bytes, and the hash is SHA-256
// whatever the curve
// (https://github.com/sigstore/model-transparency/blob/v0.2.0/src/model_signing/signature/encoding.py).
// Nothing else in modseal accepts it. No two payloads have the same encoding:
// the length comes first, and the printing can be undone.

// legacy reports whether the statement is of that version.
func (d *DirectorySignature) legacy() bool {
	return d.oms.PredicateType == statement.PredicateOMSLegacy
}

// directorySignedBy is [matcher.signedBy], and knows how version 0.2.0 signed.
// Whether the rules allow that is decided by [formAgainst].
func (x *matcher) directorySignedBy(ctx context.Context, d *DirectorySignature, demand directoryDemand) (signerMatch, *miss, error) {
	m, no, err := x.signedBy(ctx, d.signed, demand.signers, demand.witness)
	if err != nil || no == nil || !d.legacy() || d.signed.form == formLeaf {
		return m, no, err
	}
	// Nobody but the signer has seen such a signature.
	if demand.witness.TransparencyLogs > 0 || demand.witness.Timestamps > 0 || demand.witness.MaxAge > 0 {
		return m, no, nil
	}
	for _, signer := range demand.signers {
		if m, ok := x.legacySigner(d.signed, signer); ok {
			return m, nil, nil
		}
	}
	return m, no, nil
}

// legacySigner reports whether s is signed in that way by signer, which is a key
// or has a certificate that chains to its roots now.
func (x *matcher) legacySigner(s *signedStatement, signer policy.Signer) (signerMatch, bool) {
	now := observed{x.now, sourceClock}
	m := signerMatch{signer: signer, when: now}
	switch {
	case signer.Keyless != nil:
		return m, false
	case signer.Certificate != nil:
		if s.form != formChain || chain(s, x.trust.Authorities[signer.Name], now) != nil {
			return m, false
		}
		var no *miss
		if m.identity, no = identityOf(s.leaf, *signer.Certificate); no != nil {
			return m, false
		}
		m.names = holders(s.leaf)
		var err error
		if m.key, err = trust.NewKey(signer.Name, s.leaf.PublicKey); err != nil {
			return m, false
		}
	default:
		if s.form != formKey {
			return m, false
		}
		m.key = x.trust.Keys[signer.Name]
		m.key.Name = signer.Name
		m.fingerprint = m.key.Fingerprint().String()
	}
	return m, legacySignature(s, m.key) && x.inTime([]observed{now}, signer, policy.Witness{}) == nil
}

func legacySignature(s *signedStatement, key trust.Key) bool {
	public, ok := key.Public.(*ecdsa.PublicKey)
	if !ok {
		return false
	}
	content, err := s.entity.SignatureContent()
	if err != nil {
		return false
	}
	digest := sha256.Sum256(legacyEncoding(s.payload))
	return ecdsa.VerifyASN1(public, digest[:], content.Signature())
}

// legacyEncoding is what was hashed instead of the DSSE encoding of a payload.
func legacyEncoding(payload []byte) []byte {
	const payloadType = "application/vnd.in-toto+json"
	return fmt.Appendf(nil, "DSSEV1 %d %s %d %s", len(payloadType), payloadType, len(payload), pythonBytes(payload))
}

// pythonBytes is what Python prints for bytes: in single quotes, unless the bytes
// have single quotes and no double ones
// (https://docs.python.org/3/reference/lexical_analysis.html#string-and-bytes-literals).
func pythonBytes(b []byte) string {
	quote := byte('\'')
	if strings.IndexByte(string(b), '\'') >= 0 && strings.IndexByte(string(b), '"') < 0 {
		quote = '"'
	}
	var out strings.Builder
	out.WriteByte('b')
	out.WriteByte(quote)
	for _, c := range b {
		switch {
		case c == quote || c == '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		case c == '\t':
			out.WriteString(`\t`)
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\r':
			out.WriteString(`\r`)
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(&out, `\x%02x`, c)
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte(quote)
	return out.String()
}
