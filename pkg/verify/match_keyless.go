package verify

import (
	"crypto/x509"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
)

// keyless decides whether s is signed by an identity that signer names, with a
// certificate of the authorities in its trusted root. The steps are those of the
// Sigstore client specification: log entry, time, path of the certificate at each
// time, certificate timestamps, signature, identity
// (https://github.com/sigstore/architecture-docs/blob/main/client-spec.md#4-verification).
func (x *matcher) keyless(s *signedStatement, signer policy.Signer, w policy.Witness) (signerMatch, *miss) {
	const by = "signed keyless"
	switch s.form {
	case formKey:
		return signerMatch{}, missf(causeNoCertificate, "signed with a key, not keyless")
	case formChain:
		return signerMatch{}, missf(causeOtherAuthority, "signed with a certificate of an authority of its own, not keyless")
	}
	if err := x.byCertificate(s); err != nil {
		return signerMatch{}, missf(causeWrong, "signed in the name of %s, but its signature is wrong", claimedBy(s.leaf))
	}
	authorities := x.root(signer.Keyless.TrustedRoot)
	o, m := x.see(s, x.observers(w, signer), nil)
	if m == nil {
		least := policy.Witness{TransparencyLogs: 1, Timestamps: 1}
		if signer.Keyless.Unlogged {
			least.TransparencyLogs = 0
		}
		m = o.enough(w, least)
	}
	if m == nil {
		m = x.fulcio(issuedKey{watchedKey{s, x.observers(w, signer)}, authorities, signer.Keyless.SCTs}, o.times)
	}
	if m != nil {
		return signerMatch{}, m.but(by)
	}
	summary, err := certificate.SummarizeCertificate(s.leaf)
	if err != nil {
		return signerMatch{}, missf(causeOtherIdentity, "its certificate names nobody (%s)", errorText(err)).but(by)
	}
	carried, err := extensions(summary.Extensions)
	if err != nil {
		return signerMatch{}, missf(causeUnusable, "its certificate cannot be read (%s)", errorText(err)).but(by)
	}
	identity, issuer := summary.SubjectAlternativeName, summary.Issuer
	who := "signed by " + quoted(identity) + " of issuer " + quoted(issuer)
	switch k := signer.Keyless; {
	case issuer == "" || !k.Issuer.Matches(issuer):
		m = missf(causeOtherIssuer, "the issuer must be %s%s", k.Issuer, whole(k.Issuer))
	case !k.Identity.Matches(identity):
		m = missf(causeOtherIdentity, "the identity must be %s%s", k.Identity, whole(k.Identity))
	default:
		m = otherExtension(k.Extensions, carried)
	}
	if m == nil {
		m = x.inTime(o.times, signer, w)
	}
	if m != nil {
		return signerMatch{}, m.but(who)
	}
	return signerMatch{signer: signer, identity: identity, issuer: issuer, extensions: carried, when: o.times[0]}, nil
}

// fulcio is [issuedBy], once for each key.
func (x *matcher) fulcio(key issuedKey, times []observed) *miss {
	m, known := x.issued[key]
	if !known {
		m = issuedBy(key.s.leaf, key.authorities, times, key.scts)
		x.issued[key] = m
	}
	return m
}

// issuedBy verifies the path of a certificate to the authorities in r at each of
// the times, and its signed certificate timestamps.
func issuedBy(leaf *x509.Certificate, r *trust.Root, times []observed, scts int) *miss {
	// Go knows no names of the kind otherName; the identity in it is read by
	// sigstore-go, and the extension is handled by that.
	path := *leaf
	path.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), cryptoutils.SANOID.Equal)
	material := r.Material()
	var chains [][]*x509.Certificate
	for _, t := range times {
		if !validAt(leaf.NotBefore, leaf.NotAfter, t.at) {
			return missf(causeExpired, "its certificate is valid from %s to %s, and it was signed at %s", stamp(leaf.NotBefore), stamp(leaf.NotAfter), stamp(t.at))
		}
		var err error
		if chains, err = verify.VerifyLeafCertificate(t.at, &path, material); err != nil {
			return missf(causeOtherAuthority, "its certificate is of no authority that the trusted root had at %s", stamp(t.at))
		}
	}
	if scts < 0 {
		scts = min(len(material.CTLogs()), 1)
	}
	if scts == 0 {
		return nil
	}
	if err := verify.VerifySignedCertificateTimestamp(chains, scts, material); err != nil {
		return missf(causeNoSCT, "its certificate has not the %s of certificate transparency logs that are needed (%s)", plural(scts, "signed timestamp"), errorText(err))
	}
	return nil
}

// whole says of an expression what whoever wrote it for a part has to know.
func whole(m policy.Match) string {
	if m.Regexp == "" {
		return ""
	}
	return ", from its beginning to its end"
}
