package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// simpleSigning is what cosign 2 signed.
func simpleSigning(d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"registry.example.com/team/demo"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, d)
}

// legacyEvidence is a layer of an image under a tag of cosign's.
func legacyEvidence(l virtual.Legacy, attestation bool) verify.Evidence {
	return verify.Evidence{Digest: digest.FromString("image"), Legacy: &verify.Legacy{Payload: l.Payload, Annotations: l.Annotations, Attestation: attestation}}
}

// legacyWorld is a model and everybody who may sign it the old way.
type legacyWorld struct {
	subject   verify.Subject
	sigstore  *virtual.Sigstore
	other     *virtual.Sigstore
	authority *virtual.Authority
	trust     verify.Trust
}

const (
	legacyIssuer   = "https://issuer.example.com"
	legacyIdentity = "https://ci.example.com/team/.github/workflows/release.yml@refs/heads/main"
	provenanceType = artifacttypes.PredicateSLSAProvenanceV1
)

func newLegacyWorld(t *testing.T) *legacyWorld {
	t.Helper()
	w := &legacyWorld{
		subject: demo().subject(t), sigstore: virtual.New(t, "one"), other: virtual.New(t, "two"),
		authority: virtual.NewAuthority(t, "corp", time.Time{}, time.Time{}), trust: trusted(),
	}
	root, err := trust.ParseRoot("one", w.sigstore.Root(t, virtual.RootOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	w.trust.Roots = map[string]*trust.Root{"one": root}
	w.believe(t, w.authority)
	return w
}

// believe makes a the authority of the signer corp.
func (w *legacyWorld) believe(t *testing.T, a *virtual.Authority) {
	t.Helper()
	authority, err := trust.ParseAuthority("corp", a.Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.trust.Authorities = map[string]trust.Authority{"corp": authority}
}

func (w *legacyWorld) digest() digest.Digest { return w.subject.Descriptor.Digest }

var (
	corp    = policy.Signer{Name: "corp", Certificate: &policy.Certificate{Roots: "corp.pem", Identity: policy.Match{Exact: "release@example.com"}}}
	keyless = policy.Signer{Name: "ci", Keyless: &policy.Keyless{TrustedRoot: "one", Issuer: policy.Match{Exact: legacyIssuer}, Identity: policy.Match{Exact: legacyIdentity}, SCTs: -1}}
	byCI    = virtual.Identity{Subject: legacyIdentity, Issuer: legacyIssuer}
)

func legacySignature(w policy.Witness, s ...policy.Signer) policy.Rules {
	return policy.Rules{Name: "test policy", Mode: policy.ModeEnforce, Requirements: []policy.Requirement{
		{Signature: &policy.SignatureRequirement{Signers: s, Threshold: 1, LegacyTags: true, Witness: w}},
	}}
}

func legacyAttestation(w policy.Witness, s ...policy.Signer) policy.Rules {
	return policy.Rules{Name: "test policy", Mode: policy.ModeEnforce, Requirements: []policy.Requirement{
		{Attestation: &policy.AttestationRequirement{PredicateTypes: []string{provenanceType}, Signers: s, Threshold: 1, LegacyTags: true, Witness: w}},
	}}
}

func holder(name string) virtual.Holder { return virtual.KeyHolder(keys()[name].private) }

// edited returns l with annotations changed; an empty value takes one away.
func edited(l virtual.Legacy, annotations map[string]string) virtual.Legacy {
	l.Annotations = maps.Clone(l.Annotations)
	for k, v := range annotations {
		if v == "" {
			delete(l.Annotations, k)
		} else {
			l.Annotations[k] = v
		}
	}
	return l
}

type legacyRow struct {
	name     string
	evidence []verify.Evidence
	rules    policy.Rules
	now      time.Time
	says     string // of the refusal; empty when it is accepted
}

func (w *legacyWorld) run(t *testing.T, rows []legacyRow) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			known := w.trust
			known.Now = r.now
			v, err := verify.Verify(t.Context(), w.subject, r.evidence, verify.Ruling{Rules: r.rules, Trust: known})
			var refusal *verify.Refusal
			switch {
			case r.says == "" && err != nil:
				errors.As(err, &refusal)
				t.Errorf("%v %+v", err, refusal)
			case r.says == "":
				if !v.Valid() {
					t.Error("not valid")
				}
			case !errors.As(err, &refusal):
				t.Errorf("accepted, or another error: %v", err)
			default:
				text, _ := json.Marshal(refusal)
				if !strings.Contains(string(text), r.says) {
					t.Errorf("%s\ndoes not say %q", text, r.says)
				}
			}
		})
	}
}

func TestLegacySignaturesByKey(t *testing.T) {
	t.Parallel()
	w := newLegacyWorld(t)
	sign := func(name string, payload []byte) virtual.Legacy {
		return w.sigstore.LegacySignature(t, holder(name), virtual.Claim{Payload: payload})
	}
	good := sign("release", simpleSigning(w.digest()))
	logged := w.sigstore.LegacySignature(t, holder("release"), virtual.Claim{Payload: simpleSigning(w.digest()), Log: virtual.LogV1})
	stamped := w.sigstore.LegacySignature(t, holder("release"), virtual.Claim{Payload: simpleSigning(w.digest()), Timestamp: true})
	rules := legacySignature(policy.Witness{}, signers("release")...)
	off := legacySignature(policy.Witness{}, signers("release")...)
	off.Requirements[0].Signature.LegacyTags = false
	two := legacySignature(policy.Witness{}, signers("release", "backup")...)
	two.Requirements[0].Signature.Threshold = 2
	one := func(l virtual.Legacy) []verify.Evidence { return []verify.Evidence{legacyEvidence(l, false)} }
	changed := good
	changed.Payload = []byte(strings.Replace(string(good.Payload), "null", "{} ", 1))
	notJSON := good
	notJSON.Payload = []byte("{")
	w.run(t, []legacyRow{
		{name: "good", evidence: one(good), rules: rules},
		{name: "the rules do not count it", evidence: one(good), rules: off, says: "legacyTags"},
		{name: "of another key", evidence: one(sign("stranger", simpleSigning(w.digest()))), rules: rules, says: "unknown key"},
		{name: "of another manifest", evidence: one(sign("release", simpleSigning(digest.FromString("other")))), rules: rules, says: "something else"},
		{name: "changed after it was signed", evidence: one(changed), rules: rules, says: "unknown key"},
		{name: "of another tool", evidence: one(sign("release", []byte(strings.Replace(string(simpleSigning(w.digest())), "cosign container image", "atomic container", 1)))), rules: rules, says: "critical.type"},
		{name: "payload is not JSON", evidence: one(notJSON), rules: rules, says: "not JSON"},
		{name: "no signature", evidence: one(edited(good, map[string]string{artifacttypes.AnnotationLegacySignature: ""})), rules: rules, says: "its signature"},
		{name: "signature is not base64", evidence: one(edited(good, map[string]string{artifacttypes.AnnotationLegacySignature: "!"})), rules: rules, says: "its signature"},
		{name: "another signature", evidence: one(edited(good, map[string]string{artifacttypes.AnnotationLegacySignature: "AAAA"})), rules: rules, says: "unknown key"},
		{name: "a huge annotation", evidence: one(edited(good, map[string]string{"x": strings.Repeat("x", limits.LegacyAnnotationBytes+1)})), rules: rules, says: "more than"},
		{name: "two signers in one image", evidence: append(one(good), one(sign("backup", simpleSigning(w.digest())))...), rules: two},
		{name: "the same signer twice", evidence: append(one(good), one(sign("release", simpleSigning(w.digest())))...), rules: two, says: "only 1 of 2"},
		{name: "an old signature and a new one", evidence: append(one(good), evidence(envelope{payload: cosign(t, w.digest()), signer: "backup"}.bundle(t))...), rules: two},
		{name: "a log entry is asked for and missing", evidence: one(good), rules: legacySignature(policy.Witness{TransparencyLogs: 1}, signers("release")...), says: "no entry of a transparency log"},
		{name: "a log entry is asked for and there", evidence: one(logged), rules: legacySignature(policy.Witness{TransparencyLogs: 1}, signers("release")...)},
		{name: "a timestamp is asked for and missing", evidence: one(logged), rules: legacySignature(policy.Witness{Timestamps: 1}, signers("release")...), says: "no timestamp"},
		{name: "a timestamp is asked for and there", evidence: one(stamped), rules: legacySignature(policy.Witness{Timestamps: 1}, signers("release")...)},
		{name: "a timestamp of another signature", evidence: one(edited(good, map[string]string{artifacttypes.AnnotationLegacyTimestamp: stamped.Annotations[artifacttypes.AnnotationLegacyTimestamp]})), rules: legacySignature(policy.Witness{Timestamps: 1}, signers("release")...), says: "of another signature"},
		{name: "a log entry of another signature", evidence: one(edited(good, map[string]string{artifacttypes.AnnotationLegacyBundle: logged.Annotations[artifacttypes.AnnotationLegacyBundle]})), rules: legacySignature(policy.Witness{TransparencyLogs: 1}, signers("release")...), says: "log entry is not about this"},
		{name: "a log entry that is none", evidence: one(edited(good, map[string]string{artifacttypes.AnnotationLegacyBundle: "{}"})), rules: rules, says: "its log entry"},
		{name: "nobody has signed the log entry", evidence: one(edited(logged, map[string]string{artifacttypes.AnnotationLegacyBundle: strings.Replace(logged.Annotations[artifacttypes.AnnotationLegacyBundle], `"SignedEntryTimestamp"`, `"x"`, 1)})), rules: rules, says: "has not signed it"},
		{name: "a log entry at another place of the log", evidence: one(edited(logged, map[string]string{artifacttypes.AnnotationLegacyBundle: strings.Replace(logged.Annotations[artifacttypes.AnnotationLegacyBundle], `"logIndex":7`, `"logIndex":8`, 1)})), rules: legacySignature(policy.Witness{TransparencyLogs: 1}, signers("release")...), says: "log entry"},
		{name: "a timestamp that is none", evidence: one(edited(good, map[string]string{artifacttypes.AnnotationLegacyTimestamp: "{}"})), rules: rules, says: "its timestamp"},
	})
}

func TestLegacySignaturesByCertificate(t *testing.T) {
	t.Parallel()
	w := newLegacyWorld(t)
	leaf := virtual.Leaf{Emails: []string{"release@example.com"}}
	sign := func(h virtual.Holder, c virtual.Claim) []verify.Evidence {
		if c.Payload == nil {
			c.Payload = simpleSigning(w.digest())
		}
		return []verify.Evidence{legacyEvidence(w.sigstore.LegacySignature(t, h, c), false)}
	}
	release := w.authority.Issue(t, leaf)
	stranger := virtual.NewAuthority(t, "stranger", time.Time{}, time.Time{})
	rules := legacySignature(policy.Witness{}, corp)
	stampedRules := legacySignature(policy.Witness{Timestamps: 1}, corp)
	// Its own root comes with it.
	withRoot := stranger.Issue(t, leaf)
	withRoot.Chain = append(withRoot.Chain, stranger.RootCertificate())
	withoutIssuer := release
	withoutIssuer.Chain = release.Chain[:1]
	swapped := w.sigstore.LegacySignature(t, w.authority.Issue(t, leaf), virtual.Claim{Payload: simpleSigning(w.digest())})
	good := w.sigstore.LegacySignature(t, release, virtual.Claim{Payload: simpleSigning(w.digest())})
	certificate := func(text string) []verify.Evidence {
		return []verify.Evidence{legacyEvidence(edited(good, map[string]string{artifacttypes.AnnotationLegacyCertificate: text}), false)}
	}
	twice := good.Annotations[artifacttypes.AnnotationLegacyCertificate] + good.Annotations[artifacttypes.AnnotationLegacyCertificate]
	w.run(t, []legacyRow{
		{name: "good", evidence: sign(release, virtual.Claim{}), rules: rules},
		{name: "of another authority", evidence: sign(stranger.Issue(t, leaf), virtual.Claim{}), rules: rules, says: "does not chain to a trusted root"},
		{name: "a root comes along", evidence: sign(withRoot, virtual.Claim{}), rules: rules, says: "does not chain to a trusted root"},
		{name: "without the issuer", evidence: sign(withoutIssuer, virtual.Claim{}), rules: rules, says: "does not chain to a trusted root"},
		{name: "of somebody else", evidence: sign(w.authority.Issue(t, virtual.Leaf{Emails: []string{"intern@example.com"}}), virtual.Claim{}), rules: rules, says: "intern@example.com"},
		{name: "the certificate of another key", evidence: certificate(swapped.Annotations[artifacttypes.AnnotationLegacyCertificate]), rules: rules, says: "its signature is wrong"},
		{name: "two certificates", evidence: certificate(twice), rules: rules, says: "2 certificates"},
		{name: "no certificate in it", evidence: certificate("x"), rules: rules, says: "0 certificates"},
		{name: "a key in its place", evidence: certificate("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), rules: rules, says: "PEM block"},
		{name: "too many issuers", evidence: []verify.Evidence{legacyEvidence(edited(good, map[string]string{artifacttypes.AnnotationLegacyChain: strings.Repeat(twice, 10)}), false)}, rules: rules, says: "more than"},
		{name: "a key is asked for", evidence: sign(release, virtual.Claim{}), rules: legacySignature(policy.Witness{}, signers("release")...), says: "with a certificate, not with a key"},
		{name: "expired, and nobody saw it in time", evidence: sign(release, virtual.Claim{}), rules: rules, now: time.Now().AddDate(0, 0, 7), says: "is valid from"},
		{name: "expired since it was timestamped", evidence: sign(release, virtual.Claim{Timestamp: true}), rules: stampedRules, now: time.Now().AddDate(0, 0, 7)},
		{name: "keyless is asked for", evidence: sign(release, virtual.Claim{Log: virtual.LogV1}), rules: legacySignature(policy.Witness{}, keyless), says: "of no authority"},
	})
}

// An issuer that expired before the signature was made ends the chain, even though
// the leaf is valid still (cosign CVE-2026-24122).
func TestLegacyIssuerExpired(t *testing.T) {
	t.Parallel()
	w := newLegacyWorld(t)
	short := virtual.NewAuthority(t, "corp", time.Now().Add(-48*time.Hour), time.Now().Add(time.Hour))
	w.believe(t, short)
	h := short.Issue(t, virtual.Leaf{Emails: []string{"release@example.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)})
	e := []verify.Evidence{legacyEvidence(w.sigstore.LegacySignature(t, h, virtual.Claim{Payload: simpleSigning(w.digest())}), false)}
	w.run(t, []legacyRow{
		{name: "while it is valid", evidence: e, rules: legacySignature(policy.Witness{}, corp)},
		{name: "after it ended", evidence: e, rules: legacySignature(policy.Witness{}, corp), now: time.Now().Add(2 * time.Hour), says: "issuer"},
	})
}

func TestLegacySignaturesKeyless(t *testing.T) {
	t.Parallel()
	w := newLegacyWorld(t)
	sign := func(by *virtual.Sigstore, id virtual.Identity, c virtual.Claim) []verify.Evidence {
		if c.Payload == nil {
			c.Payload = simpleSigning(w.digest())
		}
		return []verify.Evidence{legacyEvidence(by.LegacySignature(t, by.Person(t, id), c), false)}
	}
	logged := virtual.Claim{Log: virtual.LogV1}
	rules := legacySignature(policy.Witness{}, keyless)
	other := byCI
	other.Subject = strings.Replace(legacyIdentity, "main", "pull", 1)
	otherIssuer := byCI
	otherIssuer.Issuer = "https://issuer.example.org"
	old := byCI
	old.NotBefore = time.Now().Add(-time.Hour)
	noSCT := byCI
	noSCT.NoSCT = true
	w.run(t, []legacyRow{
		{name: "good", evidence: sign(w.sigstore, byCI, logged), rules: rules},
		{name: "long after", evidence: sign(w.sigstore, byCI, logged), rules: rules, now: time.Now().AddDate(0, 0, 30)},
		{name: "without a log entry", evidence: sign(w.sigstore, byCI, virtual.Claim{}), rules: rules, says: "no entry of a transparency log"},
		{name: "a log entry of something else", evidence: sign(w.sigstore, byCI, virtual.Claim{Log: virtual.LogV1, Entry: []byte("else")}), rules: rules, says: "log entry"},
		{name: "of another identity", evidence: sign(w.sigstore, other, logged), rules: rules, says: "identity must be"},
		{name: "of another issuer", evidence: sign(w.sigstore, otherIssuer, logged), rules: rules, says: "issuer must be"},
		{name: "of another Sigstore", evidence: sign(w.other, byCI, logged), rules: rules, says: "not in the trusted root"},
		{name: "logged after the certificate ended", evidence: sign(w.sigstore, old, logged), rules: rules, says: "valid from"},
		{name: "no certificate timestamp", evidence: sign(w.sigstore, noSCT, logged), rules: rules, says: "certificate transparency"},
	})
}

func TestLegacyAttestations(t *testing.T) {
	t.Parallel()
	w := newLegacyWorld(t)
	attest := func(h virtual.Holder, c virtual.Claim) []verify.Evidence {
		if c.Payload == nil {
			c.Payload = claim(w.digest(), provenanceType)
		}
		return []verify.Evidence{legacyEvidence(w.sigstore.LegacyAttestation(t, h, c), true)}
	}
	good := w.sigstore.LegacyAttestation(t, holder("release"), virtual.Claim{Payload: claim(w.digest(), provenanceType)})
	envelopeWith := func(old, with string) []verify.Evidence {
		l := good
		l.Payload = []byte(replaceIn(old, with)(string(good.Payload)))
		return []verify.Evidence{legacyEvidence(l, true)}
	}
	rules := legacyAttestation(policy.Witness{}, signers("release")...)
	off := legacyAttestation(policy.Witness{}, signers("release")...)
	off.Requirements[0].Attestation.LegacyTags = false
	oldEntry := func(kind, version string) []verify.Evidence {
		body, _ := json.Marshal(map[string]any{"kind": kind, "apiVersion": version, "spec": map[string]any{}})
		entry, _ := json.Marshal(map[string]any{"SignedEntryTimestamp": []byte("x"), "Payload": map[string]any{"body": body, "integratedTime": 1, "logIndex": 1, "logID": "00"}})
		return []verify.Evidence{legacyEvidence(edited(good, map[string]string{artifacttypes.AnnotationLegacyBundle: string(entry)}), true)}
	}
	logs := legacyAttestation(policy.Witness{TransparencyLogs: 1}, signers("release")...)
	w.run(t, []legacyRow{
		{name: "good", evidence: attest(holder("release"), virtual.Claim{}), rules: rules},
		{name: "the rules do not count it", evidence: attest(holder("release"), virtual.Claim{}), rules: off, says: "legacyTags"},
		{name: "of another key", evidence: attest(holder("stranger"), virtual.Claim{}), rules: rules, says: "unknown key"},
		{name: "of another type", evidence: attest(holder("release"), virtual.Claim{Payload: claim(w.digest(), "https://example.com/x")}), rules: rules, says: "https://example.com/x"},
		{name: "of another manifest", evidence: attest(holder("release"), virtual.Claim{Payload: claim(digest.FromString("other"), provenanceType)}), rules: rules, says: "something else"},
		{name: "an attestation is no signature", evidence: attest(holder("release"), virtual.Claim{}), rules: legacySignature(policy.Witness{}, signers("release")...), says: "not a signature"},
		{name: "by a certificate", evidence: attest(w.authority.Issue(t, virtual.Leaf{Emails: []string{"release@example.com"}}), virtual.Claim{}), rules: legacyAttestation(policy.Witness{}, corp)},
		{name: "keyless", evidence: attest(w.sigstore.Person(t, byCI), virtual.Claim{Log: virtual.LogV1}), rules: legacyAttestation(policy.Witness{}, keyless)},
		{name: "keyless without a log entry", evidence: attest(w.sigstore.Person(t, byCI), virtual.Claim{}), rules: legacyAttestation(policy.Witness{}, keyless), says: "no entry of a transparency log"},
		{name: "a log entry", evidence: attest(holder("release"), virtual.Claim{Log: virtual.LogV1}), rules: logs},
		{name: "its timestamp is not over the signature", evidence: attest(holder("release"), virtual.Claim{Timestamp: true}), rules: legacyAttestation(policy.Witness{Timestamps: 1}, signers("release")...), says: "no timestamp"},
		{name: "a log entry of an old kind is as none", evidence: oldEntry("intoto", "0.0.1"), rules: rules},
		{name: "and proves nothing", evidence: oldEntry("intoto", "0.0.1"), rules: logs, says: "no entry of a transparency log"},
		{name: "a log entry without its content", evidence: oldEntry("dsse", "0.0.1"), rules: rules, says: "is not usable"},
		{name: "another payload type", evidence: envelopeWith("application/vnd.in-toto+json", "text/plain"), rules: rules, says: "payload type"},
		{name: "two signatures", evidence: envelopeWith(`"signatures":[`, `"signatures":[{"sig":"AAAA"},`), rules: rules, says: "2 signatures"},
		{name: "no signature", evidence: envelopeWith(`"sig":`, `"x":`), rules: rules, says: "unknown key"},
		{name: "two payloads", evidence: envelopeWith(`"payload":`, `"payload":"AAAA","payload":`), rules: rules, says: "twice"},
		{name: "not JSON", evidence: []verify.Evidence{legacyEvidence(virtual.Legacy{Payload: []byte("x")}, true)}, rules: rules, says: "envelope"},
		{name: "it could not be read", evidence: []verify.Evidence{{Legacy: &verify.Legacy{}, Err: errors.New("tag x: it holds an index")}}, rules: rules, says: "it holds an index"},
	})
}

// What counts in the old form is told as such, with the name that its signer gave
// the model: nobody compares that.
func TestLegacyIsNamed(t *testing.T) {
	t.Parallel()
	w := newLegacyWorld(t)
	good := w.sigstore.LegacySignature(t, holder("release"), virtual.Claim{Payload: simpleSigning(w.digest())})
	attested := w.sigstore.LegacyAttestation(t, holder("release"), virtual.Claim{Payload: claim(w.digest(), provenanceType)})
	rules := legacySignature(policy.Witness{}, signers("release")...)
	rules.Requirements = append(rules.Requirements, legacyAttestation(policy.Witness{}, signers("release")...).Requirements...)
	v, err := verify.Verify(t.Context(), w.subject, []verify.Evidence{legacyEvidence(good, false), legacyEvidence(attested, true)}, verify.Ruling{Rules: rules, Trust: w.trust})
	if err != nil {
		t.Fatal(err)
	}
	var details []string
	for _, c := range v.Report().Checks {
		details = append(details, c.Detail)
	}
	want := []string{`in the form of before bundles, for "registry.example.com/team/demo"`, "in the form of before bundles"}
	if !slices.Equal(details, want) {
		t.Errorf("%q", details)
	}
	for i, reference := range []string{"registry.example.com/team/demo", ""} {
		var counted []verify.EvidenceResult
		for _, e := range v.Report().Requirements[i].Evidence {
			if e.Outcome == verify.Counted {
				counted = append(counted, e)
			}
		}
		if len(counted) != 1 || !counted[0].Legacy || counted[0].Reference != reference {
			t.Errorf("%+v", counted)
		}
	}
}

// What one policy has read under a tag counts for no other one as an OMS
// statement, about which no policy says that it may lie there.
func TestLegacyIsNoOMSStatement(t *testing.T) {
	t.Parallel()
	w := newLegacyWorld(t)
	key := policy.Signer{Name: "release", Key: "release.pub"}
	attached := []verify.Evidence{
		legacyEvidence(w.sigstore.LegacyAttestation(t, holder("release"), virtual.Claim{Payload: claim(w.digest(), provenanceType)}), true),
		legacyEvidence(w.sigstore.LegacyAttestation(t, holder("release"), virtual.Claim{Payload: demo().oms(t)}), true),
	}
	project := verify.Ruling{Rules: legacyAttestation(policy.Witness{}, key), Trust: w.trust}
	if _, err := verify.Verify(t.Context(), w.subject, attached, project); err != nil {
		t.Fatal(err)
	}
	site := verify.Ruling{Rules: policy.Rules{Name: "site", Mode: policy.ModeEnforce, Requirements: []policy.Requirement{
		{OMS: &policy.OMSRequirement{Required: true, Signers: []policy.Signer{key}}},
	}}, Trust: w.trust}
	_, err := verify.Verify(t.Context(), w.subject, attached, project, site)
	if err == nil || !strings.Contains(toJSON(t, err), "of a tag of before bundles, where none counts") {
		t.Error(err)
	}
}

// FuzzLegacy feeds what a registry may have under cosign's tags. Nothing that was
// not signed by the key is accepted.
func FuzzLegacy(f *testing.F) {
	s := demo().subject(f)
	sigstore := virtual.New(f, "one")
	add := func(l virtual.Legacy, attestation bool) {
		a := l.Annotations
		f.Add(l.Payload, a[artifacttypes.AnnotationLegacySignature], a[artifacttypes.AnnotationLegacyCertificate], a[artifacttypes.AnnotationLegacyChain],
			a[artifacttypes.AnnotationLegacyBundle], a[artifacttypes.AnnotationLegacyTimestamp], attestation)
	}
	c := virtual.Claim{Payload: simpleSigning(s.Descriptor.Digest), Log: virtual.LogV1, Timestamp: true}
	add(sigstore.LegacySignature(f, holder("stranger"), c), false)
	add(sigstore.LegacySignature(f, sigstore.Person(f, byCI), c), false)
	c.Payload = claim(s.Descriptor.Digest, provenanceType)
	add(sigstore.LegacyAttestation(f, holder("stranger"), c), true)
	root, err := trust.ParseRoot("one", sigstore.Root(f, virtual.RootOptions{}))
	if err != nil {
		f.Fatal(err)
	}
	known := trusted()
	known.Roots = map[string]*trust.Root{"one": root}
	rules := legacySignature(policy.Witness{TransparencyLogs: 1, Timestamps: 1}, signers("release")...)
	rules.Requirements = append(rules.Requirements, legacyAttestation(policy.Witness{}, signers("release")...).Requirements...)
	f.Fuzz(func(t *testing.T, payload []byte, signature, certificate, chain, entry, stamp string, attestation bool) {
		e := verify.Evidence{Digest: digest.FromString("image"), Legacy: &verify.Legacy{Payload: payload, Attestation: attestation, Annotations: map[string]string{
			artifacttypes.AnnotationLegacySignature: signature, artifacttypes.AnnotationLegacyCertificate: certificate, artifacttypes.AnnotationLegacyChain: chain,
			artifacttypes.AnnotationLegacyBundle: entry, artifacttypes.AnnotationLegacyTimestamp: stamp,
		}}}
		_, err := verify.Verify(t.Context(), s, []verify.Evidence{e}, verify.Ruling{Rules: rules, Trust: known})
		var refusal *verify.Refusal
		if !errors.As(err, &refusal) {
			t.Fatalf("%v", err)
		}
	})
}
