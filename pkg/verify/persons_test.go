package verify_test

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// Authorities without a name take every certificate that chains to them, and say
// so; those of others and expired ones are refused as ever.
func TestAnyIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rules, err := policy.FromFlags(policy.Flags{Roots: "corp.pem", RootsName: "corp.pem"})
	if err != nil {
		t.Fatal(err)
	}
	name := rules.Signers()[0].Name
	ruling := verify.Ruling{Rules: rules, Trust: verify.Trust{Authorities: map[string]trust.Authority{name: w.authority(w.corp)}}}
	sign := func(a *virtual.Authority, l virtual.Leaf) []byte {
		return w.one.Certificate(t, a.Issue(t, l), w.claim(virtual.Claim{})).JSON(t)
	}
	for what, leaf := range map[string]virtual.Leaf{
		"an address":    {Emails: []string{"mallory@example.com"}},
		"a common name": {CommonName: "build"},
		"no name":       {},
	} {
		v, err := verify.Verify(t.Context(), demo().subject(t), evidence(sign(w.corp, leaf)), ruling)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if got := v.Report().Warnings; len(got) != 1 || !strings.Contains(got[0], "any certificate of corp.pem is accepted, whoever holds it") {
			t.Errorf("%s: warnings %q", what, got)
		}
	}
	for what, bundle := range map[string][]byte{
		"another authority": sign(w.rival, virtual.Leaf{CommonName: "build"}),
		"a server":          sign(w.corp, virtual.Leaf{CommonName: "build", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
		"a key":             w.key("release", virtual.Claim{}),
		"keyless":           w.keyless(virtual.Identity{}, virtual.Claim{Log: virtual.LogV1}),
	} {
		if _, err := verify.Verify(t.Context(), demo().subject(t), evidence(bundle), ruling); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	// Only a rule that says so: no name is not any name.
	rules.Requirements[0].Signature.Signers[0].Certificate.AnyIdentity = false
	if _, err := verify.Verify(t.Context(), demo().subject(t), evidence(sign(w.corp, virtual.Leaf{CommonName: "build"})), ruling); err == nil {
		t.Error("a signer without a name is accepted")
	}
}

// One person with two certificates and a key counts once, whatever order the
// bundles come in: one of the certificates is what connects the other two.
func TestOnePersonCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leaf := virtual.Leaf{Emails: []string{"alice@example.com"}}
	one, two := w.corp.Issue(t, leaf), w.corp.Issue(t, leaf)
	names := w.corp.Issue(t, virtual.Leaf{Emails: []string{"zoe@example.com", "alice@example.com"}})
	key, err := trust.NewKey("token", two.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	byCertificate := func(h virtual.Holder) []byte { return w.one.Certificate(t, h, w.claim(virtual.Claim{})).JSON(t) }
	byKey := func(k crypto.Signer) []byte { return w.one.Key(t, k, "", w.claim(virtual.Claim{})).JSON(t) }
	rules := policy.Rules{Mode: policy.ModeEnforce, Requirements: []policy.Requirement{{Signature: &policy.SignatureRequirement{
		Threshold: 2, Signers: []policy.Signer{
			{Name: "token", Key: "token.pub"},
			{Name: "release", Key: "release.pub"},
			{Name: "anybody", Certificate: &policy.Certificate{Roots: "corp.pem", Identity: policy.Match{Regexp: `.*@example\.com`}}},
		},
	}}}}
	known := w.trust()
	known.Keys["token"] = key
	decide := func(bundles ...[]byte) error {
		attached := evidence(bundles...)
		for i := range attached {
			attached[i].Digest = digest.NewDigestFromEncoded(digest.SHA256, fmt.Sprintf("%064d", i)) // their order
		}
		_, err := verify.Verify(t.Context(), demo().subject(t), attached, verify.Ruling{Rules: rules, Trust: known})
		return err
	}
	for what, bundles := range map[string][][]byte{
		"a certificate connects another and a key": {byCertificate(one), byKey(two.Key), byCertificate(two)},
		"a name that is not the first":             {byCertificate(names), byCertificate(one)},
	} {
		for range bundles {
			bundles = append(slices.Clone(bundles[1:]), bundles[0])
			if err := decide(bundles...); err == nil || !strings.Contains(err.Error(), "only 1 of 2") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if err := decide(byCertificate(one), byKey(two.Key), byCertificate(two), w.key("release", virtual.Claim{})); err != nil {
		t.Errorf("two people: %v", err)
	}
}
