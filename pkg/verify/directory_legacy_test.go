package verify_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// legacyBundle is what model_signing 0.2.0 wrote of one file called w. It escapes
// what json.MessageToJson escapes, so that the payload is ASCII with newlines.
func legacyBundle(t *testing.T, key *ecdsa.PrivateKey, material map[string]any, encoding string) []byte {
	t.Helper()
	payload := fmt.Sprintf("{\n  \"_type\": \"https://in-toto.io/Statement/v1\",\n  \"subject\": [\n    {\n      \"name\": \"w's\",\n"+
		"      \"digest\": {\n        \"sha256\": \"%x\"\n      },\n      \"annotations\": {\n        \"actual_hash_algorithm\": \"file-sha256\"\n      }\n    }\n  ],\n"+
		"  \"predicateType\": \"https://model_signing/Digests/v0.1\",\n  \"predicate\": {\n    \"unused\": \"caf\\u00e9\"\n  }\n}", sha256.Sum256([]byte("weights")))
	// As Python prints bytes that hold both kinds of quotes.
	printed := "b'" + strings.NewReplacer(`\`, `\\`, "\n", `\n`, `'`, `\'`).Replace(payload) + "'"
	signed := fmt.Sprintf("%s 28 application/vnd.in-toto+json %d %s", encoding, len(payload), printed)
	if encoding == "DSSEv1" {
		signed = fmt.Sprintf("DSSEv1 28 application/vnd.in-toto+json %d %s", len(payload), payload)
	}
	h := sha256.Sum256([]byte(signed))
	sig, err := ecdsa.SignASN1(rand.Reader, key, h[:])
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{
		"mediaType":            artifacttypes.MediaTypeBundle,
		"verificationMaterial": material,
		"dsseEnvelope": map[string]any{
			"payload": []byte(payload), "payloadType": artifacttypes.PayloadTypeInToto,
			"signatures": []any{map[string]any{"sig": sig, "keyid": nil}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLegacyPredicate(t *testing.T) {
	t.Parallel()
	p384 := keys()["p384"].private.(*ecdsa.PrivateKey)
	byKey := map[string]any{"publicKey": map[string]any{"rawBytes": keys()["p384"].PEM(), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}}
	corp := virtual.NewAuthority(t, "corp", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	authority, err := trust.ParseAuthority("corp", corp.Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	holder := corp.Issue(t, virtual.Leaf{CommonName: "release"})
	chain := map[string]any{"x509CertificateChain": map[string]any{"certificates": []any{
		map[string]any{"rawBytes": holder.Chain[0].Raw}, map[string]any{"rawBytes": holder.Chain[1].Raw},
	}}}
	ofCertificate := func(identity string) policy.Rules {
		r := policy.Rules{Name: "test", Mode: policy.ModeEnforce}
		s := policy.Signer{Name: "corp", Certificate: &policy.Certificate{Identity: policy.Match{Exact: identity}}}
		r.Requirements = []policy.Requirement{{Signature: &policy.SignatureRequirement{Signers: []policy.Signer{s}, Threshold: 1}}}
		return r
	}
	known := trusted()
	known.Authorities = map[string]trust.Authority{"corp": authority}
	late := known
	late.Now = time.Now().Add(2 * time.Hour)
	fileKey := policy.FromKeys([]string{"p384"})
	witnessed := policy.FromKeys([]string{"p384"})
	witnessed.Requirements = []policy.Requirement{{Signature: &policy.SignatureRequirement{
		Signers: witnessed.Requirements[0].Signature.Signers, Threshold: 1, Witness: policy.Witness{MaxAge: time.Hour},
	}}}
	scoped := func(o *policy.OMSRequirement) policy.Rules {
		r := nOf(1, "p384")
		r.Scope = "dir:"
		if o != nil {
			r.Requirements = append(r.Requirements, policy.Requirement{OMS: o})
		}
		return r
	}
	good, holderKey := []statement.Resource{{Name: "w's", Digest: fmt.Sprintf("%x", sha256.Sum256([]byte("weights"))), Algorithm: "sha256"}}, holder.Key.(*ecdsa.PrivateKey)
	bad := []statement.Resource{{Name: "w's", Digest: strings.Repeat("ab", 32), Algorithm: "sha256"}}
	for name, row := range map[string]struct {
		bundle []byte
		files  []statement.Resource
		flag   bool
		ruling verify.Ruling
		says   string // "" when it is accepted
	}{
		"by key":                    {legacyBundle(t, p384, byKey, "DSSEV1"), good, true, verify.Ruling{Rules: fileKey, Trust: known}, ""},
		"by key, not asked for":     {legacyBundle(t, p384, byKey, "DSSEV1"), good, false, verify.Ruling{Rules: fileKey, Trust: known}, "model_signing 0.2"},
		"by another key":            {legacyBundle(t, p384, byKey, "DSSEV1"), good, true, verify.Ruling{Rules: anyOf("release"), Trust: known}, "signed by"},
		"changed":                   {legacyBundle(t, p384, byKey, "DSSEV1"), bad, true, verify.Ruling{Rules: fileKey, Trust: known}, "changed"},
		"in another encoding":       {legacyBundle(t, p384, byKey, "DSSEV2"), good, true, verify.Ruling{Rules: fileKey, Trust: known}, "signature is wrong"},
		"DSSE by a wrong hash":      {legacyBundle(t, p384, byKey, "DSSEv1"), good, true, verify.Ruling{Rules: fileKey, Trust: known}, "signature is wrong"},
		"with an age":               {legacyBundle(t, p384, byKey, "DSSEV1"), good, true, verify.Ruling{Rules: witnessed, Trust: known}, "signature is wrong"},
		"policy that allows":        {legacyBundle(t, p384, byKey, "DSSEV1"), good, false, verify.Ruling{Rules: scoped(&policy.OMSRequirement{LegacyPredicate: true}), Trust: known}, ""},
		"policy that does not":      {legacyBundle(t, p384, byKey, "DSSEV1"), good, true, verify.Ruling{Rules: scoped(&policy.OMSRequirement{}), Trust: known}, "model_signing 0.2"},
		"policy that says nothing":  {legacyBundle(t, p384, byKey, "DSSEV1"), good, true, verify.Ruling{Rules: scoped(nil), Trust: known}, "model_signing 0.2"},
		"by certificate":            {legacyBundle(t, holderKey, chain, "DSSEV1"), good, true, verify.Ruling{Rules: ofCertificate("release"), Trust: known}, ""},
		"by another's certificate":  {legacyBundle(t, holderKey, chain, "DSSEV1"), good, true, verify.Ruling{Rules: ofCertificate("releas"), Trust: known}, "signature is wrong"},
		"by an expired certificate": {legacyBundle(t, holderKey, chain, "DSSEV1"), good, true, verify.Ruling{Rules: ofCertificate("release"), Trust: late}, "signature is wrong"},
		"by a key with a chain":     {legacyBundle(t, p384, chain, "DSSEV1"), good, true, verify.Ruling{Rules: ofCertificate("release"), Trust: known}, "signature is wrong"},
		"certificate for a key":     {legacyBundle(t, holderKey, chain, "DSSEV1"), good, true, verify.Ruling{Rules: fileKey, Trust: known}, "signed with a certificate"},
	} {
		s, err := verify.ParseDirectorySignature("model.sig", "", row.bundle)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := verify.Directory(t.Context(), onDisk("m", row.files, false), []*verify.DirectorySignature{s}, verify.DirectoryOptions{LegacyPredicate: row.flag}, row.ruling)
		switch {
		case row.says != "":
			refusal(t, name, err, row.says)
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !strings.Contains(strings.Join(r.Warnings, "\n"), string(statement.RelaxedPredicate)):
			t.Errorf("%s: warnings %q", name, r.Warnings)
		}
	}
}

// An artifact is never accepted by such a statement.
func TestLegacyPredicateOfAnArtifact(t *testing.T) {
	t.Parallel()
	m := model{files: map[string]string{"w's": "weights"}, order: []string{"w's"}}
	bundle := legacyBundle(t, keys()["p384"].private.(*ecdsa.PrivateKey), map[string]any{"publicKey": map[string]any{"hint": keys()["p384"].OMSHint()}}, "DSSEV1")
	rules := requireOMS(policy.Rules{Mode: policy.ModeEnforce}, "p384")
	rules.Requirements[0].OMS.LegacyPredicate = true
	_, err := verify.Verify(t.Context(), m.subject(t), evidence(bundle), verify.Ruling{Rules: rules, Trust: trusted()})
	refusal(t, "an artifact", err, "not an OMS statement")
}
