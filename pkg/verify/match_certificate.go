package verify

import (
	"crypto/x509"
	"errors"
	"slices"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
)

// certificate decides whether s is signed by the holder of a certificate that
// chains to the roots of signer. The chain is verified whole, at the trusted
// times of the signature and else now.
func (x *matcher) certificate(s *signedStatement, signer policy.Signer, w policy.Witness) (signerMatch, *miss) {
	switch {
	case s.form == formKey:
		return signerMatch{}, missf(causeNoCertificate, "signed with a key, not with a certificate")
	case s.isOMS() && s.form != formChain:
		// OMS tells its methods apart by this.
		return signerMatch{}, missf(causeUnusable, "signed keyless, as the form of its certificate says, and not with a certificate of an authority")
	}
	if err := x.byCertificate(s); err != nil {
		return signerMatch{}, missf(causeWrong, "signed in the name of %s, but its signature is wrong", claimedBy(s.leaf))
	}
	const by = "signed with a certificate"
	o, m := x.see(s, x.observers(w, signer), nil)
	if m == nil {
		m = o.enough(w, policy.Witness{})
	}
	if m != nil {
		return signerMatch{}, m.but(by)
	}
	times := x.times(o)
	for _, t := range times {
		if m := chain(s, x.trust.Authorities[signer.Name], t); m != nil {
			return signerMatch{}, m.but(by)
		}
	}
	identity, m := identityOf(s.leaf, *signer.Certificate)
	if m != nil {
		return signerMatch{}, m
	}
	if m := x.inTime(times, signer, w); m != nil {
		return signerMatch{}, m.but("signed by " + quoted(identity))
	}
	key, err := trust.NewKey(signer.Name, s.leaf.PublicKey)
	if err != nil {
		return signerMatch{}, missf(causeUnusable, "signed with a certificate of a key that is not accepted (%s)", errorText(err))
	}
	return signerMatch{signer: signer, key: key, identity: identity, names: holders(s.leaf), when: times[0]}, nil
}

// chain verifies the certificate of s at the time t by the roots of a. What came
// with the bundle helps to find the way to a root and is none.
func chain(s *signedStatement, a trust.Authority, t observed) *miss {
	if m := mayCodeSign(s.leaf); m != nil {
		return m
	}
	options := x509.VerifyOptions{
		CurrentTime: t.at, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		// Without extended usages the key usage says what it is for.
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	if len(s.leaf.ExtKeyUsage)+len(s.leaf.UnknownExtKeyUsage) > 0 {
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}
	for _, cert := range a.Roots {
		options.Roots.AddCert(cert)
	}
	for _, cert := range slices.Concat(a.Intermediates, s.intermediates) {
		options.Intermediates.AddCert(cert)
	}
	_, err := s.leaf.Verify(options)
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return otherChain(s.leaf, err)
	}
	if invalid.Cert != nil && invalid.Cert.Equal(s.leaf) {
		// Whether it was right at any time decides what is told.
		options.CurrentTime = s.leaf.NotAfter
		var unknown x509.UnknownAuthorityError
		if _, err := s.leaf.Verify(options); errors.As(err, &unknown) {
			return otherChain(s.leaf, err)
		}
	}
	return expired(s.leaf, invalid.Cert, t)
}

func otherChain(leaf *x509.Certificate, err error) *miss {
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return missf(causeOtherAuthority, "it does not chain to a trusted root; it was issued by %s", quoted(leaf.Issuer.String()))
	}
	return missf(causeOtherAuthority, "it is not valid (%s)", errorText(err))
}

func expired(leaf, cert *x509.Certificate, t observed) *miss {
	what := "it"
	if cert == nil {
		cert = leaf
	} else if !cert.Equal(leaf) {
		what = "the certificate of its issuer " + quoted(cert.Subject.String())
	}
	valid := "is valid from " + stamp(cert.NotBefore) + " to " + stamp(cert.NotAfter)
	if t.source == sourceClock {
		return missf(causeExpired, "%s %s, and no trusted timestamp says that it was signed then; now it is %s", what, valid, stamp(t.at))
	}
	return missf(causeExpired, "%s %s, and it was signed at %s", what, valid, stamp(t.at))
}

// mayCodeSign reports whether the certificate is meant for signatures: OMS 1.0
// wants the key usage for digital signatures or the extended one for code
// signing. A certificate with extended usages is for those alone (RFC 5280
// section 4.2.1.12), so that one for servers or mail does not sign models.
func mayCodeSign(cert *x509.Certificate) *miss {
	extended := slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch any := len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0; {
	case any && !extended:
		return missf(causeOtherAuthority, "its extended key usages do not include code signing")
	case !any && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return missf(causeOtherAuthority, "it has neither the key usage for digital signatures nor the one for code signing")
	}
	return nil
}

// identityOf returns the name in cert that want asks for; where any will do, the
// first, and the whole subject of a certificate without names.
func identityOf(cert *x509.Certificate, want policy.Certificate) (string, *miss) {
	have := holders(cert)
	switch {
	case want.AnyIdentity && len(have) == 0:
		return cert.Subject.String(), nil
	case want.AnyIdentity:
		return have[0], nil
	}
	for _, name := range have {
		if want.Identity.Matches(name) {
			return name, nil
		}
	}
	return "", missf(causeOtherIdentity, "signed by %s, not by %s", claimedBy(cert), want.Identity)
}

// holders are the names of the holder of a certificate: the subject alternative
// names, or that of the subject when there are none.
func holders(cert *x509.Certificate) []string {
	have := sans(cert)
	if len(have) == 0 && cert.Subject.CommonName != "" {
		have = []string{cert.Subject.CommonName}
	}
	return have
}

// claimedBy names the holder of a certificate.
func claimedBy(cert *x509.Certificate) string {
	have := sans(cert)
	if len(have) == 0 {
		have = []string{cert.Subject.CommonName}
	}
	for i, name := range have {
		have[i] = quoted(name)
	}
	return listing(have)
}
