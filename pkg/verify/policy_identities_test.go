package verify_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

func (w *world) keylessRows() []decisionRow {
	const ci = `- signature: {signers: [$ci]}`
	const noSCT = `- signature: {signers: [{name: ci, keyless: {sct: 0, issuer: 'https://issuer.example.com', identity: 'https://ci.example.com/build@refs/heads/main'}}]}`
	const unlogged = `- signature: {signers: [{name: ci, keyless: {unlogged: true, issuer: 'https://issuer.example.com', identity: 'https://ci.example.com/build@refs/heads/main'}}]}`
	good := virtual.Claim{Log: virtual.LogV1}
	tiles := virtual.Claim{Log: virtual.LogV2, Timestamp: true}
	// Of two witnesses, only the one that is not in the root is left.
	foreignTime := w.keylessBundle(virtual.Identity{}, virtual.Claim{Log: virtual.LogV2, Timestamp: true, Witnesses: []*virtual.Sigstore{w.two}})
	stamps := foreignTime.VerificationMaterial.TimestampVerificationData
	stamps.Rfc3161Timestamps = stamps.Rfc3161Timestamps[1:]
	foreignLog := w.keylessBundle(virtual.Identity{}, virtual.Claim{Log: virtual.LogV1, Witnesses: []*virtual.Sigstore{w.two}})
	foreignLog.VerificationMaterial.TlogEntries = foreignLog.VerificationMaterial.TlogEntries[1:]
	// A certificate of the other instance, in the log of this one.
	foreignCA := w.two.Keyless(w.t, virtual.Identity{Subject: workflow, Issuer: issuer}, w.claim(virtual.Claim{Log: virtual.LogV1, Witnesses: []*virtual.Sigstore{w.one}}))
	foreignCA.VerificationMaterial.TlogEntries = foreignCA.VerificationMaterial.TlogEntries[1:]
	chained := w.keylessBundle(virtual.Identity{}, good)
	leaf := chained.VerificationMaterial.GetCertificate()
	chained.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{
		X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{leaf}},
	}
	noCTLog := w.trustedRoot(virtual.RootOptions{NoCTLog: true})
	return []decisionRow{
		{name: "keyless by Rekor v1", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{}, good)}, want: accepted, says: []string{`"identity":"` + workflow, `"issuer":"` + issuer, `"timeSource":"log https://rekor.localhost"`}},
		{name: "keyless by Rekor v2", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{}, tiles)}, want: accepted},
		{name: "keyless on P-384", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{Curve: elliptic.P384()}, tiles)}, want: accepted},
		{name: "keyless long after the certificate", policy: ci, edit: later(1000 * time.Hour), evidence: [][]byte{w.keyless(virtual.Identity{}, good)}, want: accepted},
		{name: "keyless of an instance without a log", policy: unlogged, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Timestamp: true})}, want: accepted},
		{name: "keyless without log and timestamp", policy: unlogged, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{})}, want: refused, says: []string{"nobody trusted says when it was signed"}},
		{name: "keyless without a log entry", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Timestamp: true})}, want: refused, says: []string{"signed keyless, but it has no entry of a transparency log", "sign it yourself: modseal sign registry.example.com/team/demo@sha256:", " --keyless"}},
		{name: "keyless without a time", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Log: virtual.LogV2})}, want: refused, says: []string{"nobody trusted says when it was signed"}},
		{name: "keyless with a TSA that is not in the root", policy: ci, evidence: [][]byte{foreignTime.JSON(w.t)}, want: refused, says: []string{"its timestamp is of an authority that is not in the trusted root"}},
		{name: "keyless with a log that is not in the root", policy: ci, evidence: [][]byte{foreignLog.JSON(w.t)}, want: refused, says: []string{"log that is not in the trusted root"}},
		{name: "keyless with the log entry of another artifact", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Log: virtual.LogV1, Entry: []byte(`{"_type":"other"}`)})}, want: refused, says: []string{"its log entry is not about this signature"}},
		{name: "keyless, logged after the certificate", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Log: virtual.LogV1, Logged: time.Now().Add(20 * time.Minute)})}, want: refused, says: []string{"its log entry is of", "its certificate is valid from"}},
		{name: "keyless, certificate expired before its timestamp", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{NotBefore: time.Now().Add(-90 * time.Second), NotAfter: time.Now().Add(-30 * time.Second)}, tiles)}, want: refused, says: []string{"its certificate is valid from", "it was signed at", "outlives the certificate"}},
		{name: "keyless by another authority", policy: ci, evidence: [][]byte{foreignCA.JSON(w.t)}, want: refused, says: []string{"of no authority that the trusted root had"}},
		{name: "keyless without SCT", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{NoSCT: true}, good)}, want: refused, says: []string{"1 signed timestamp of certificate transparency logs", "set sct to 0"}},
		{name: "keyless without SCT, none asked for", policy: noSCT, evidence: [][]byte{w.keyless(virtual.Identity{NoSCT: true}, good)}, want: accepted},
		{name: "keyless without SCT, no log in the root", policy: ci, edit: func(r *verify.Ruling) { r.Trust.Roots = map[string]*trust.Root{"one": noCTLog} }, evidence: [][]byte{w.keyless(virtual.Identity{NoSCT: true}, good)}, want: accepted},
		{name: "keyless in the form of a chain", policy: ci, evidence: [][]byte{chained.JSON(w.t)}, want: refused, says: []string{"not keyless"}},
		{name: "keyless with a wrong signature that was logged", policy: ci, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Log: virtual.LogV2, Timestamp: true, Forged: true})}, want: refused, says: []string{`signed in the name of "` + workflow + `", but its signature is wrong`}},
		{name: "a key for a keyless signer", policy: ci, evidence: [][]byte{w.key("release", good)}, want: refused, says: []string{"signed with a key, not keyless"}},
		{name: "keyless for a key", policy: `- signature: {signers: [$release]}`, evidence: [][]byte{w.keyless(virtual.Identity{}, good)}, want: refused, says: []string{"signed with a certificate, not with a key"}},
		{name: "keyless of a young age", policy: `- signature: {maxAge: 1d, signers: [$ci]}`, evidence: [][]byte{w.keyless(virtual.Identity{}, good)}, want: accepted},
		{name: "keyless of a signer who has left", policy: "- signature: {signers: [{name: ci, notAfter: '" + day(-1) + "', keyless: {issuer: 'https://issuer.example.com', identity: '" + workflow + "'}}]}", evidence: [][]byte{w.keyless(virtual.Identity{}, good)}, want: refused, says: []string{"ci counts for signatures until"}},
		{name: "keyless too old", policy: `- signature: {maxAge: 1d, signers: [$ci]}`, edit: later(49 * time.Hour), evidence: [][]byte{w.keyless(virtual.Identity{}, good)}, want: refused, says: []string{"must not be older than 24h"}},
	}
}

func (w *world) keylessMatchRows() []decisionRow {
	good := virtual.Claim{Log: virtual.LogV1}
	signer := func(match string) string {
		return "- signature: {signers: [{name: ci, keyless: {" + match + "}}]}"
	}
	by := func(subject string) []byte { return w.keyless(virtual.Identity{Subject: subject}, good) }
	const exact = "issuer: 'https://issuer.example.com', identity: "
	const pattern = "issuer: 'https://issuer.example.com', identityRegexp: "
	const two = `- signature: {threshold: 2, signers: [{name: a, keyless: {` + pattern + `'.*@example\.com'}}, {name: b, keyless: {` + pattern + `'[a-z]+@example\.com'}}]}`
	return []decisionRow{
		{name: "another identity", policy: `- signature: {signers: [$ci]}`, evidence: [][]byte{by("https://ci.example.com/build@refs/heads/evil")}, want: refused, says: []string{`signed by "https://ci.example.com/build@refs/heads/evil" of issuer "https://issuer.example.com", but the identity must be "` + workflow}},
		{name: "another issuer", policy: `- signature: {signers: [$ci]}`, evidence: [][]byte{w.keyless(virtual.Identity{Issuer: "https://evil.example.com"}, good)}, want: refused, says: []string{`of issuer "https://evil.example.com", but the issuer must be "https://issuer.example.com"`}},
		{name: "identity by an expression", policy: signer(pattern + `'https://ci\.example\.com/build@refs/heads/.*'`), evidence: [][]byte{by(workflow)}, want: accepted},
		{name: "an expression that matches a part only", policy: signer(pattern + `'ci\.example\.com/build'`), evidence: [][]byte{by(workflow)}, want: refused, says: []string{"the identity must be /ci", "build/, from its beginning to its end"}},
		{name: "an expression without its end", policy: signer(pattern + `'https://ci\.example\.com/build'`), evidence: [][]byte{by("https://ci.example.com/build-of-mallory")}, want: refused, says: []string{"the identity must be"}},
		{name: "an expression of lines", policy: signer(pattern + `'(?m)^dev@example\.com$'`), evidence: [][]byte{by("mallory+dev@example.com")}, want: refused, says: []string{"the identity must be"}},
		{name: "an expression that steps out of its anchors", policy: signer(pattern + `'dev@example\.com)|(?:.*'`), evidence: [][]byte{by("mallory@evil.example.com")}, want: invalid, says: []string{"identityRegexp"}},
		{name: "issuer by an expression", policy: signer(`issuerRegexp: 'https://issuer\.example\.(com|org)', identity: '` + workflow + `'`), evidence: [][]byte{by(workflow)}, want: accepted},
		{name: "issuer by an expression that matches a part", policy: signer(`issuerRegexp: 'https://issuer', identity: '` + workflow + `'`), evidence: [][]byte{by(workflow)}, want: refused, says: []string{"the issuer must be"}},
		{name: "an exact identity with the characters of expressions", policy: signer(exact + `'dev+models.v1@example.com'`), evidence: [][]byte{by("dev+models.v1@example.com")}, want: accepted},
		{name: "an exact identity is no expression", policy: signer(exact + `'dev.models@example.com'`), evidence: [][]byte{by("devXmodels@example.com")}, want: refused, says: []string{"the identity must be"}},
		{name: "a workflow with such characters", policy: signer(exact + `'https://ci.example.com/a+b.yml@v1.0$x'`), evidence: [][]byte{by("https://ci.example.com/a+b.yml@v1.0$x")}, want: accepted},
		{name: "an extension that is right", policy: signer(exact + `'` + workflow + `', extensions: {sourceRepositoryURI: 'https://git.example.com/models'}`), evidence: [][]byte{w.keyless(virtual.Identity{SourceRepository: "https://git.example.com/models"}, good)}, want: accepted},
		{name: "an extension that is wrong", policy: signer(exact + `'` + workflow + `', extensions: {sourceRepositoryURI: 'https://git.example.com/models'}`), evidence: [][]byte{w.keyless(virtual.Identity{SourceRepository: "https://git.example.com/fork"}, good)}, want: refused, says: []string{`its certificate has sourceRepositoryURI "https://git.example.com/fork", not "https://git.example.com/models"`}},
		{name: "an extension that is missing", policy: signer(exact + `'` + workflow + `', extensions: {sourceRepositoryURI: 'https://git.example.com/models'}`), evidence: [][]byte{by(workflow)}, want: refused, says: []string{"its certificate has no extension sourceRepositoryURI"}},
		{name: "the same identity twice", policy: two, evidence: [][]byte{by("dev@example.com"), by("dev@example.com")}, want: refused, says: []string{`only 1 of 2, by a ("dev@example.com"`}},
		{name: "two identities", policy: two, evidence: [][]byte{by("dev@example.com"), by("ops@example.com")}, want: accepted},
		{name: "an identity and a key", policy: `- signature: {threshold: 2, signers: [$ci, $release]}`, evidence: [][]byte{by(workflow), w.key("release", virtual.Claim{})}, want: accepted},
	}
}

func (w *world) certificateRows() []decisionRow {
	const alice = `- signature: {signers: [$alice]}`
	old := virtual.Leaf{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}
	soon := virtual.Leaf{NotAfter: time.Now().Add(10 * time.Minute)}
	none := virtual.Claim{}
	signer := func(match string) string {
		return "- signature: {signers: [{name: anybody, certificate: {roots: corp.pem, " + match + "}}]}"
	}
	return []decisionRow{
		{name: "certificate", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{}, none)}, want: accepted, says: []string{`"identity":"alice@example.com"`}},
		{name: "certificate on P-384", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{Curve: elliptic.P384()}, none)}, want: accepted},
		{name: "certificate on P-521", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{Curve: elliptic.P521()}, none)}, want: accepted},
		{name: "certificate of somebody else", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{Emails: []string{"bob@example.com"}}, none)}, want: refused, says: []string{`signed by "bob@example.com", not by "alice@example.com"`}},
		{name: "one of several names", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{Emails: []string{"a@example.com", "alice@example.com"}, DNS: []string{"host.example.com"}}, none)}, want: accepted},
		{name: "common name without other names", policy: signer("identity: release-signing"), evidence: [][]byte{w.certificate(virtual.Leaf{CommonName: "release-signing"}, none)}, want: accepted},
		{name: "common name beside other names", policy: signer("identity: release-signing"), evidence: [][]byte{w.certificate(virtual.Leaf{CommonName: "release-signing", Emails: []string{"mallory@example.com"}}, none)}, want: refused, says: []string{`signed by "mallory@example.com"`}},
		{name: "certificate by an expression", policy: signer(`identityRegexp: '[a-z]+@example\.com'`), evidence: [][]byte{w.certificate(virtual.Leaf{}, none)}, want: accepted},
		{name: "certificate by a part of its name", policy: signer(`identityRegexp: 'alice'`), evidence: [][]byte{w.certificate(virtual.Leaf{}, none)}, want: refused, says: []string{"not by /alice/"}},
		{name: "certificate with the characters of expressions", policy: signer(`identity: 'a.l+i(c)e@example.com'`), evidence: [][]byte{w.certificate(virtual.Leaf{URIs: []string{"spiffe://a"}, Emails: []string{"a.l+i(c)e@example.com"}}, none)}, want: accepted},
		{name: "certificate with a URI", policy: signer(`identity: 'spiffe://example.com/ci'`), evidence: [][]byte{w.certificate(virtual.Leaf{CommonName: "ci", URIs: []string{"spiffe://example.com/ci"}}, none)}, want: accepted},
		{name: "expired certificate without a timestamp", policy: alice, evidence: [][]byte{w.certificate(old, none)}, want: refused, says: []string{"signed with a certificate, but it is valid from", "no trusted timestamp says that it was signed then", "outlives the certificate"}},
		{name: "expired certificate with a timestamp from after", policy: alice, evidence: [][]byte{w.certificate(old, virtual.Claim{Timestamp: true})}, want: refused, says: []string{"is valid from", "and it was signed at"}},
		{name: "certificate that expired since, with a timestamp", policy: alice, edit: later(48 * time.Hour), evidence: [][]byte{w.certificate(soon, virtual.Claim{Timestamp: true})}, want: accepted, says: []string{`"timeSource":"timestamp https://tsa.one.localhost"`}},
		{name: "certificate that expired since, with a log entry", policy: alice, edit: later(48 * time.Hour), evidence: [][]byte{w.certificate(soon, virtual.Claim{Log: virtual.LogV1})}, want: accepted},
		{name: "certificate that expired since", policy: alice, edit: later(48 * time.Hour), evidence: [][]byte{w.certificate(soon, none)}, want: refused, says: []string{"no trusted timestamp"}},
		{name: "certificate not yet valid", policy: alice, edit: later(-24 * time.Hour), evidence: [][]byte{w.certificate(virtual.Leaf{}, none)}, want: refused, says: []string{"is valid from"}},
		{name: "certificate of a server", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, none)}, want: refused, says: []string{"do not include code signing"}},
		{name: "certificate for nothing", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{NoUsage: true}, none)}, want: refused, says: []string{"neither the key usage for digital signatures nor"}},
		{name: "certificate for digital signatures", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{ExtKeyUsage: []x509.ExtKeyUsage{}}, none)}, want: accepted},
		{name: "certificate in a log", policy: `- signature: {transparencyLogs: 1, signers: [$alice]}`, evidence: [][]byte{w.certificate(virtual.Leaf{}, virtual.Claim{Log: virtual.LogV2})}, want: accepted},
		{name: "certificate with a wrong signature that was logged", policy: alice, evidence: [][]byte{w.certificate(virtual.Leaf{}, virtual.Claim{Log: virtual.LogV2, Forged: true})}, want: refused, says: []string{`signed in the name of "alice@example.com", but its signature is wrong`}},
		{name: "certificate too old", policy: `- signature: {maxAge: 1d, signers: [$alice]}`, edit: later(49 * time.Hour), evidence: [][]byte{w.certificate(virtual.Leaf{}, virtual.Claim{Timestamp: true})}, want: refused, says: []string{`signed by "alice@example.com", but it was signed at`, "must not be older than 24h"}},
		{name: "certificate of unknown age", policy: `- signature: {maxAge: 1d, signers: [$alice]}`, evidence: [][]byte{w.certificate(virtual.Leaf{}, none)}, want: refused, says: []string{"nobody trusted says when it was signed"}},
		{name: "certificate of a signer who has left", policy: "- signature: {signers: [{name: alice, notAfter: '" + day(-1) + "', certificate: {roots: corp.pem, identity: alice@example.com}}]}", evidence: [][]byte{w.certificate(virtual.Leaf{}, virtual.Claim{Timestamp: true})}, want: refused, says: []string{"alice counts for signatures until"}},
		{name: "certificate in no log", policy: `- signature: {transparencyLogs: 1, signers: [$alice]}`, evidence: [][]byte{w.certificate(virtual.Leaf{}, none)}, want: refused, says: []string{"signed with a certificate, but it has no entry"}},
	}
}

func (w *world) certificateChainRows() []decisionRow {
	const alice = `- signature: {signers: [$alice]}`
	leaf := virtual.Leaf{Emails: []string{"alice@example.com"}}
	sign := func(h virtual.Holder, c virtual.Claim) virtual.Bundle { return w.one.Certificate(w.t, h, w.claim(c)) }
	alone := w.corp.Issue(w.t, leaf)
	alone.Chain = alone.Chain[:1]
	withRoot := w.corp.Issue(w.t, leaf)
	withRoot.Chain = append(withRoot.Chain, w.corp.RootCertificate())
	ownRoot := w.rival.Issue(w.t, leaf)
	ownRoot.Chain = append(ownRoot.Chain, w.rival.RootCertificate())
	expired := virtual.NewAuthority(w.t, "old", time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0))
	with := func(roots, intermediates []byte) func(*verify.Ruling) {
		a, err := trust.ParseAuthority("corp", roots, intermediates)
		if err != nil {
			w.t.Fatal(err)
		}
		return func(r *verify.Ruling) { r.Trust.Authorities["alice"] = a }
	}
	single := func(payload []byte) []byte {
		b := sign(w.corp.Issue(w.t, leaf), virtual.Claim{Payload: payload})
		first := b.VerificationMaterial.GetX509CertificateChain().GetCertificates()[0]
		b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: first}
		return b.JSON(w.t)
	}
	many := w.corp.Issue(w.t, leaf)
	for range 20 {
		many.Chain = append(many.Chain, many.Chain[1])
	}
	return []decisionRow{
		{name: "certificate of another authority of the same name", policy: alice, evidence: [][]byte{sign(w.rival.Issue(w.t, leaf), virtual.Claim{}).JSON(w.t)}, want: refused, says: []string{"does not chain to a trusted root"}},
		{name: "chain without its intermediate", policy: alice, evidence: [][]byte{sign(alone, virtual.Claim{}).JSON(w.t)}, want: refused, says: []string{"does not chain to a trusted root; it was issued by", "the intermediates between", "--key PRIVATE-KEY --certificate CERTIFICATE"}},
		{name: "intermediate of the policy", policy: alice, edit: with(w.corp.Root(), w.corp.Intermediate()), evidence: [][]byte{sign(alone, virtual.Claim{}).JSON(w.t)}, want: accepted},
		{name: "chain with its root", policy: alice, evidence: [][]byte{sign(withRoot, virtual.Claim{}).JSON(w.t)}, want: accepted},
		{name: "chain with a root of its own", policy: alice, evidence: [][]byte{sign(ownRoot, virtual.Claim{}).JSON(w.t)}, want: refused, says: []string{"does not chain to a trusted root"}},
		{name: "expired authority, certificate that has not", policy: alice, edit: with(expired.Root(), nil), evidence: [][]byte{sign(expired.Issue(w.t, leaf), virtual.Claim{}).JSON(w.t)}, want: refused, says: []string{`the certificate of its issuer`, "is valid from"}},
		{name: "chain of too many", policy: alice, evidence: [][]byte{sign(many, virtual.Claim{}).JSON(w.t)}, want: refused, says: []string{"22 certificates, more than"}},
		{name: "one certificate in the form of cosign", policy: alice, edit: with(w.corp.Root(), w.corp.Intermediate()), evidence: [][]byte{single(nil)}, want: accepted},
		{name: "OMS by certificate", policy: `- oms: {required: true, signers: [$alice]}`, evidence: [][]byte{w.certificate(virtual.Leaf{}, virtual.Claim{Payload: demo().oms(w.t)})}, want: accepted},
		{name: "OMS by certificate in the form of keyless", policy: `- oms: {required: true, signers: [$alice]}`, edit: with(w.corp.Root(), w.corp.Intermediate()), evidence: [][]byte{single(demo().oms(w.t))}, want: refused, says: []string{"signed keyless, as the form of its certificate says"}},
		{name: "one person by two authorities", policy: `- signature: {threshold: 2, signers: [$alice, {name: alice-old, certificate: {roots: old.pem, identity: alice@example.com}}]}`, evidence: [][]byte{w.certificate(virtual.Leaf{}, virtual.Claim{}), sign(w.rival.Issue(w.t, leaf), virtual.Claim{}).JSON(w.t)}, want: refused, says: []string{"only 1 of 2"}},
		{name: "no roots for the certificate", policy: alice, edit: func(r *verify.Ruling) { delete(r.Trust.Authorities, "alice") }, want: undecided, says: []string{`no root certificates for signer "alice"`}},
	}
}
