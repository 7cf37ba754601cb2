package virtual_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/modseal/modseal/pkg/internal/virtual"
)

const payload = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],"predicateType":"https://example.com/p","predicate":{}}`

// What the instance makes must be what sigstore-go, which has no part in making
// it, accepts by the trusted root alone.
func TestBundlesVerify(t *testing.T) {
	t.Parallel()
	s, other := virtual.New(t, "one"), virtual.New(t, "two")
	id := virtual.Identity{Subject: "https://example.com/ci", Issuer: "https://issuer.example.com"}
	identity, err := verify.NewShortCertificateIdentity(id.Issuer, "", id.Subject, "")
	if err != nil {
		t.Fatal(err)
	}
	logged, timed, sct := verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithSignedCertificateTimestamps(1)
	both := virtual.RootOptions{Others: []*virtual.Sigstore{other}}
	for _, c := range []struct {
		name    string
		id      virtual.Identity
		claim   virtual.Claim
		root    virtual.RootOptions
		options []verify.VerifierOption
		fails   bool
	}{
		{name: "Rekor v1", claim: virtual.Claim{Log: virtual.LogV1}, options: []verify.VerifierOption{logged, timed, sct}},
		{name: "Rekor v2", claim: virtual.Claim{Log: virtual.LogV2, Timestamp: true}, options: []verify.VerifierOption{logged, timed, sct}},
		{name: "P-384 and Rekor v2", id: virtual.Identity{Curve: elliptic.P384()}, claim: virtual.Claim{Log: virtual.LogV2, Timestamp: true}, options: []verify.VerifierOption{logged, timed, sct}},
		{name: "both logs", claim: virtual.Claim{Log: virtual.LogBoth}, options: []verify.VerifierOption{verify.WithTransparencyLog(2), timed}},
		{
			name: "two authorities", claim: virtual.Claim{Log: virtual.LogV1, Timestamp: true, Witnesses: []*virtual.Sigstore{other}}, root: both,
			options: []verify.VerifierOption{verify.WithTransparencyLog(2), verify.WithSignedTimestamps(2)},
		},
		{name: "no time", claim: virtual.Claim{Log: virtual.LogV2}, options: []verify.VerifierOption{logged, timed}, fails: true},
		{name: "no entry", claim: virtual.Claim{Timestamp: true}, options: []verify.VerifierOption{logged, timed}, fails: true},
		{name: "no SCT", id: virtual.Identity{NoSCT: true}, claim: virtual.Claim{Log: virtual.LogV1}, options: []verify.VerifierOption{logged, timed, sct}, fails: true},
		{name: "logged too late", claim: virtual.Claim{Log: virtual.LogV1, Logged: time.Now().Add(20 * time.Minute)}, options: []verify.VerifierOption{logged, timed}, fails: true},
		{name: "another entry", claim: virtual.Claim{Log: virtual.LogV1, Entry: []byte(`{"other":1}`)}, options: []verify.VerifierOption{logged, timed}, fails: true},
	} {
		c.id.Subject, c.id.Issuer, c.claim.Payload = id.Subject, id.Issuer, []byte(payload)
		err := accept(t, s.Keyless(t, c.id, c.claim).JSON(t), s.Root(t, c.root), verify.WithCertificateIdentity(identity), c.options...)
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestKeyBundlesVerify(t *testing.T) {
	t.Parallel()
	s := virtual.New(t, "one")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range []virtual.Log{virtual.LogV1, virtual.LogV2} {
		text := s.Key(t, key, "hint", virtual.Claim{Payload: []byte(payload), Log: log, Timestamp: true}).JSON(t)
		v, err := signature.LoadVerifier(key.Public(), crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		trusted, err := root.NewTrustedRootFromJSON(s.Root(t, virtual.RootOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		keys := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
		})
		err = acceptBy(t, text, root.TrustedMaterialCollection{trusted, keys}, verify.WithKey(), verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1))
		if err != nil {
			t.Errorf("log %d: %v", log, err)
		}
	}
}

func accept(t *testing.T, text, trustedRoot []byte, identity verify.PolicyOption, o ...verify.VerifierOption) error {
	t.Helper()
	trusted, err := root.NewTrustedRootFromJSON(trustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	return acceptBy(t, text, trusted, identity, o...)
}

func acceptBy(t *testing.T, text []byte, trusted root.TrustedMaterial, identity verify.PolicyOption, o ...verify.VerifierOption) error {
	t.Helper()
	var b bundle.Bundle
	if err := b.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	v, err := verify.NewVerifier(trusted, o...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(&b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), identity))
	return err
}
