package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
)

// matcher answers which signer a bundle is by, with the trust of one ruling.
type matcher struct {
	trust Trust
	rules policy.Rules
	now   time.Time
	// What is told of a certificate does not depend on whom a signer names: a
	// policy of many identities verifies each bundle once.
	certified map[*signedStatement]error
	watched   map[watchedKey]watched
	issued    map[issuedKey]*miss
}

type watchedKey struct {
	s         *signedStatement
	observers *trust.Root
}

type watched struct {
	seen seen
	miss *miss
}

type issuedKey struct {
	watchedKey
	authorities *trust.Root
	scts        int
}

func newMatcher(r Ruling) *matcher {
	x := &matcher{
		trust: r.Trust, rules: r.Rules, now: r.Trust.Now,
		certified: map[*signedStatement]error{}, watched: map[watchedKey]watched{}, issued: map[issuedKey]*miss{},
	}
	if x.now.IsZero() {
		x.now = time.Now()
	}
	return x
}

// signerMatch is who signed a bundle, when, and who says so.
type signerMatch struct {
	signer      policy.Signer
	key         trust.Key // of a key signer, and of the certificate of others; its name is that of the signer
	fingerprint string    // of a key signer's key
	identity    string    // of a certificate
	names       []string  // all that its certificate has, of a certificate signer
	issuer      string    // that vouched for the identity; of a keyless signer
	extensions  map[string]string
	when        observed // the oldest trusted time, else the time of the decision
}

// same are the names under which a signer is counted. One of them in common
// makes two bundles those of one signer, whatever the rules call it.
func (m signerMatch) same() []string {
	switch {
	case m.signer.Keyless != nil:
		return []string{"keyless " + m.issuer + "\n" + m.identity}
	case m.signer.Certificate != nil:
		out := []string{"key " + m.key.Fingerprint().String(), "certificate " + m.identity}
		for _, name := range m.names {
			out = append(out, "certificate "+name)
		}
		return out
	}
	return []string{"key " + m.fingerprint}
}

// miss is why a bundle is not by a signer.
type miss struct {
	cause cause
	why   string // continues "a bundle that is …", or "…, but " until but has said the rest
}

func missf(c cause, format string, args ...any) *miss {
	return &miss{c, fmt.Sprintf(format, args...)}
}

// but says what is right about the bundle before what is not.
func (m *miss) but(right string) *miss { return &miss{m.cause, right + ", but " + m.why} }

// signedBy returns which of signers s is by, and whether it is seen as w asks.
// When it is by none, the miss says why; of several signers it is the one that
// came closest. An error is only that ctx has ended.
//
// The signature covers s.payload and nothing else: what the payload is about is
// for the caller to compare.
func (x *matcher) signedBy(ctx context.Context, s *signedStatement, signers []policy.Signer, w policy.Witness) (signerMatch, *miss, error) {
	var closest *miss
	for _, signer := range x.byHint(s, signers) {
		if ctx.Err() != nil {
			return signerMatch{}, nil, context.Cause(ctx)
		}
		var m signerMatch
		var no *miss
		switch {
		case signer.Keyless != nil:
			m, no = x.keyless(s, signer, w)
		case signer.Certificate != nil:
			m, no = x.certificate(s, signer, w)
		default:
			m, no = x.key(s, signer, w)
		}
		if no == nil {
			return m, nil, nil
		}
		if closest == nil || no.cause > closest.cause {
			closest = no
		}
	}
	if closest == nil {
		closest = missf(causeOtherKey, "signed, but nobody is named whose signature counts")
	}
	return signerMatch{}, closest, nil
}

// byHint puts the key that the hint names first. The hint is not signed, and
// decides nothing else.
func (x *matcher) byHint(s *signedStatement, signers []policy.Signer) []policy.Signer {
	for i, signer := range signers {
		if key, ok := x.trust.Keys[signer.Name]; ok && i > 0 && key.MatchesHint(s.hint) {
			out := append([]policy.Signer{signer}, signers[:i]...)
			return append(out, signers[i+1:]...)
		}
	}
	return signers
}

// signatureBy verifies the signature of s by the key in material, or by that of
// its certificate, and nothing else. The hash is that of the key's curve:
// sigstore-go's own verifier would try SHA-256 too for P-384 and P-521, and say
// so on the standard error.
func (s *signedStatement) signatureBy(material root.TrustedMaterial) error {
	signature, err := s.entity.SignatureContent()
	if err != nil {
		return err
	}
	signer, err := s.entity.VerificationContent()
	if err != nil {
		return err
	}
	if signature.MessageSignatureContent() != nil {
		return verify.VerifySignatureWithArtifacts(signature, signer, material, []io.Reader{bytes.NewReader(s.payload)})
	}
	return verify.VerifySignature(signature, signer, material)
}

// observers returns the trusted root whose logs and authorities are asked; nil
// when there is none and none is needed.
func (x *matcher) observers(w policy.Witness, signer policy.Signer) *trust.Root {
	name := w.TrustedRoot
	if name == "" && signer.Keyless != nil {
		name = signer.Keyless.TrustedRoot
	}
	return x.root(name)
}

// root returns a trusted root by its name, and the only one for an empty name.
func (x *matcher) root(name string) *trust.Root {
	if name != "" {
		return x.trust.Roots[name]
	}
	if len(x.trust.Roots) == 1 {
		for _, r := range x.trust.Roots {
			return r
		}
	}
	return nil
}

// see asks the observers, if there are any. signer is nil for a certificate.
func (x *matcher) see(s *signedStatement, observers *trust.Root, signer root.TrustedMaterial) (seen, *miss) {
	if observers == nil {
		return seen{}, nil
	}
	key := watchedKey{s, observers}
	if w, known := x.watched[key]; known && signer == nil {
		return w.seen, w.miss
	}
	material := root.TrustedMaterialCollection{observers.Material()}
	if signer != nil {
		material = append(material, signer)
	}
	o, err := see(s, material)
	var m *miss
	if err != nil {
		m = missf(causeUnusable, "its log entries or timestamps cannot be read (%s)", errorText(err))
	}
	if signer == nil {
		x.watched[key] = watched{o, m}
	}
	return o, m
}

// byCertificate verifies the signature of s with the key of its certificate,
// whoever that is.
func (x *matcher) byCertificate(s *signedStatement) error {
	err, known := x.certified[s]
	if !known {
		err = s.signatureBy(&root.BaseTrustedMaterial{})
		x.certified[s] = err
	}
	return err
}

// times are the trusted times of what was seen, else now.
func (x *matcher) times(o seen) []observed {
	if len(o.times) > 0 {
		return o.times
	}
	return []observed{{x.now, sourceClock}}
}
