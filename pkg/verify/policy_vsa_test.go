package verify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

const (
	promoter = "https://promoter.example.com/prod"
	place    = "registry.example.com/team/demo"
)

// promotionPolicy is what a promoter of the tests verified by.
var promotionPolicy = digest.FromString("promotion policy")

// summary is a verification summary of a promoter of the tests, about the model
// of the table in its place.
func (w *world) summary(edits ...func(v *statement.VSA)) *statement.VSA {
	v := &statement.VSA{
		Verifier: promoter, TimeVerified: time.Now().Add(-time.Hour).UTC().Truncate(time.Second),
		Resource: statement.ResourceURI(place, w.digest),
		Policy:   statement.ResourceDescriptor{URI: "prod.yaml", Digest: map[string]string{"sha256": promotionPolicy.Encoded()}},
		Result:   statement.ResultPassed, Levels: []string{"SLSA_BUILD_LEVEL_2", "MODSEAL_POLICY_PASSED"}, SLSAVersion: "1.1",
	}
	for _, edit := range edits {
		edit(v)
	}
	return v
}

func (w *world) summaryPayload(edits ...func(v *statement.VSA)) []byte {
	w.t.Helper()
	payload, err := w.summary(edits...).Payload(w.digest)
	if err != nil {
		w.t.Fatal(err)
	}
	return payload
}

func failed(v *statement.VSA) { v.Result, v.Levels = statement.ResultFailed, []string{"FAILED"} }

func resource(uri string) func(v *statement.VSA) {
	return func(v *statement.VSA) { v.Resource = uri }
}

func ago(d time.Duration) func(v *statement.VSA) {
	return func(v *statement.VSA) { v.TimeVerified = time.Now().Add(-d).UTC().Truncate(time.Second) }
}

func timeless(v *statement.VSA) { v.TimeVerified = time.Time{} }

func levels(l ...string) func(v *statement.VSA) {
	return func(v *statement.VSA) { v.Levels = l }
}

func (w *world) vsaRows() []decisionRow {
	by := func(signer string, edits ...func(v *statement.VSA)) []byte {
		return w.key(signer, virtual.Claim{Payload: w.summaryPayload(edits...)})
	}
	good := by("release")
	asks := func(more string) string {
		return "- vsa: {verifiers: [{id: '" + promoter + "', signers: [$release]}]" + more + "}"
	}
	row := func(name, policy, want string, evidence [][]byte, says ...string) decisionRow {
		return decisionRow{name: name, policy: policy, evidence: evidence, want: want, says: says}
	}
	one := func(b ...[]byte) [][]byte { return b }
	two := "- vsa: {threshold: 2, verifiers: [{id: '" + promoter + "', signers: [$release]}, {id: 'https://other.example.com', signers: [$backup]}]}"
	other := func(v *statement.VSA) { v.Verifier = "https://other.example.com" }
	elsewhere := by("release", resource("oci://staging.example.com/team/demo@"+w.digest.String()))
	moment := time.Now().Add(-time.Hour).UTC()
	then := func(v *statement.VSA) { v.TimeVerified = moment }
	moved, err := w.summary().Payload(digest.FromString("another"))
	if err != nil {
		w.t.Fatal(err)
	}
	in := func(r decisionRow, subject string) decisionRow {
		r.subject = subject
		return r
	}
	return []decisionRow{
		row("VSA: alone", asks(""), accepted, one(good), `"kind":"vsa"`, `"signer":"release"`, `"verifier":"`+promoter, `by release, PASSED by \"`+promoter),
		row("VSA: beside a signature", asks(""), accepted, one(w.key("release", virtual.Claim{}), good)),
		row("VSA: beside an OMS statement", asks(""), accepted, one(w.key("release", virtual.Claim{Payload: demo().oms(w.t)}), good)),
		row("VSA: an OMS statement alone", asks(""), refused, one(w.key("release", virtual.Claim{Payload: demo().oms(w.t)})), "1 bundle, which is an OMS statement"),
		row("VSA: a bundle that is none, beside", asks(""), accepted, one([]byte("{}"), good)),
		row("VSA: a bundle that is none", asks(""), refused, one([]byte("{}")), "is not usable"),
		row("VSA: none", asks(""), refused, nil, "nothing attached", "--type vsa"),
		row("VSA: a signature alone", asks(""), refused, one(w.key("release", virtual.Claim{})), "1 bundle, which is a signature, not a verification summary"),
		row("VSA: a signature and another attestation", asks(""), refused, one(w.key("release", virtual.Claim{}), w.key("release", virtual.Claim{Payload: claim(w.digest, slsa)})), "found no verification summary; 2 other bundles are attached", "is a signature, not a verification summary", "which is another type"),
		row("VSA: an older version of them", asks(""), refused, one(w.key("release", virtual.Claim{Payload: predicated(w.digest, "https://slsa.dev/verification_summary/v0.2", `{}`)})), "which is another type"),
		row("VSA: of another digest", asks(""), refused, one(w.key("release", virtual.Claim{Payload: moved})), "found 1 verification summary of something else"),
		row("VSA: by a stranger", asks(""), refused, one(by("stranger")), "which is signed by an unknown key", "modseal tree"),
		row("VSA: by another key of the policy's", asks("")+"\n- signature: {signers: [$backup]}", refused, one(w.key("backup", virtual.Claim{}), by("backup")), "which is signed by a"),
		row("VSA: that is malformed", asks(""), refused, one(w.key("release", virtual.Claim{Payload: predicated(w.digest, "https://slsa.dev/verification_summary/v1", `{"verifier":{"id":"`+promoter+`"}}`)})), "is not usable", "resourceUri is missing"),

		// The pair of signer and verifier.
		row("VSA: as another verifier", asks(""), refused, one(by("release", other)), `as verifier "https://other.example.com", as which it does not count`, `speak as "`+promoter+`"`, "name the pair"),
		row("VSA: as what begins the same", asks(""), refused, one(by("release", func(v *statement.VSA) { v.Verifier = promoter + "/x" })), "as which it does not count"),
		row("VSA: as what another signer may speak as", strings.Replace(two, "threshold: 2, ", "", 1), refused, one(by("release", other)), "as which it does not count"),
		row("VSA: as the verifier of two that it may", strings.Replace(two, "threshold: 2, ", "", 1), accepted, one(by("backup", other))),
		row("VSA: as either of two", "- vsa: {verifiers: [{id: 'https://other.example.com', signers: [$release]}, {id: '"+promoter+"', signers: [$release]}]}", accepted, one(good)),
		row("VSA: one key that has two names", "- vsa: {verifiers: [{id: 'https://other.example.com', signers: [$again]}, {id: '"+promoter+"', signers: [$release]}]}", accepted, one(by("release"), by("release", other)), `"signer":"release`),

		// The resource.
		row("VSA: for another place", asks(""), refused, one(elsewhere), `for "oci://staging.example.com/team/demo@`+w.digest.String()[:19]+"…", "and not for "+place, "resource: [staging.example.com/team/demo]"),
		row("VSA: for another place, which is named", asks(", resource: [staging.example.com/team]"), accepted, one(elsewhere)),
		row("VSA: for this place, and another is named", asks(", resource: [staging.example.com/team]"), refused, one(good), "and not for staging.example.com/team"),
		row("VSA: for whatever place", asks(", resource: any"), accepted, one(elsewhere)),
		row("VSA: for what is no place", asks(""), refused, one(by("release", resource("https://example.com/llama"))), `resource: ["https://example.com/llama"]`),
		row("VSA: for a URI that is named", asks(", resource: ['https://example.com/llama']"), accepted, one(by("release", resource("https://example.com/llama")))),
		row("VSA: for this place as a package", asks(""), accepted, one(by("release", resource("pkg:oci/demo@"+strings.Replace(w.digest.String(), ":", "%3A", 1)+"?repository_url="+place)))),
		row("VSA: for this place by a tag", asks(""), accepted, one(by("release", resource(place+":v1")))),
		row("VSA: for another digest here", asks(""), refused, one(by("release", resource(statement.ResourceURI(place, digest.FromString("another"))))), "which is another artifact than"),
		row("VSA: for what is below", asks(""), refused, one(by("release", resource("oci://"+place+"/x"))), "and not for "+place),
		in(row("VSA: in a layout, for the registry", asks(""), refused, one(good), "and not for oci:/srv/demo", "if this is a copy of "+place, "a remap from oci:/srv/demo"), "oci:/srv/demo"),
		in(row("VSA: in a layout, for the registry, which is named", asks(", resource: [registry.example.com]"), accepted, one(good)), "oci:/srv/demo"),
		in(row("VSA: in a layout, for it", asks(""), accepted, one(by("release", resource(statement.ResourceURI("oci:/srv/demo", w.digest))))), "oci:/srv/demo"),
		in(row("VSA: in a layout that is remapped", "version: 1\ndefault: reject\nremap: [{from: 'oci:/srv', to: registry.example.com/team}]\nscopes:\n- prefix: '*'\n  requirements:\n  "+asks(""), accepted, one(good)), "oci:/srv/demo"),
		in(row("VSA: in a mirror, for the original", "version: 1\ndefault: reject\nremap: [{from: mirror.example.com, to: registry.example.com}]\nscopes:\n- prefix: '*'\n  requirements:\n  "+asks(""), accepted, one(good)), "mirror.example.com/team/demo"),
		in(row("VSA: in a mirror, for the mirror", "version: 1\ndefault: reject\nremap: [{from: mirror.example.com, to: registry.example.com}]\nscopes:\n- prefix: '*'\n  requirements:\n  "+asks(""), refused, one(by("release", resource("oci://mirror.example.com/team/demo"))), "and not for "+place), "mirror.example.com/team/demo"),

		// The policy.
		row("VSA: by the policy", asks(", policies: ['"+promotionPolicy.String()+"']"), accepted, one(good)),
		row("VSA: by one of two policies", asks(", policies: ['"+w.digest.String()+"', '"+promotionPolicy.String()+"']"), accepted, one(good)),
		row("VSA: by another policy", asks(", policies: ['"+w.digest.String()+"']"), refused, one(good), `by policy "prod.yaml"`, promotionPolicy.String()[:40], "and not by "+w.digest.String()[:19], "add the digest of the other to policies"),
		row("VSA: by a policy without digest", asks(", policies: ['"+promotionPolicy.String()+"']"), refused, one(by("release", func(v *statement.VSA) { v.Policy.Digest = nil })), "of which it gives no digest"),
		row("VSA: by a digest of another kind", asks(", policies: ['"+promotionPolicy.String()+"']"), refused, one(by("release", func(v *statement.VSA) { v.Policy.Digest = map[string]string{"sha512": promotionPolicy.Encoded()} })), "and not by"),

		// The levels.
		row("VSA: at a level", asks(", levels: [SLSA_BUILD_LEVEL_2]"), accepted, one(good)),
		row("VSA: above a level", asks(", levels: [SLSA_BUILD_LEVEL_1]"), accepted, one(good)),
		row("VSA: below a level", asks(", levels: [SLSA_BUILD_LEVEL_3]"), refused, one(good), `has not reached "SLSA_BUILD_LEVEL_3": it says "SLSA_BUILD_LEVEL_2", "MODSEAL_POLICY_PASSED"`, "(levels)"),
		row("VSA: at both levels", asks(", levels: [SLSA_BUILD_LEVEL_2, MODSEAL_POLICY_PASSED]"), accepted, one(good)),
		row("VSA: at one of two levels", asks(", levels: [SLSA_BUILD_LEVEL_2, SLSA_SOURCE_LEVEL_1]"), refused, one(good), "SLSA_SOURCE_LEVEL_1"),
		row("VSA: at no level", asks(", levels: [X]"), refused, one(by("release", levels())), "it says nothing"),

		// The result.
		row("VSA: failed", asks(""), refused, one(by("release", failed)), "which says that verification FAILED at ", "ask release why"),
		row("VSA: failed since", asks(""), refused, one(good, by("release", failed, ago(time.Minute))), "2 verification summaries, none of which counts", "of the same verifier says FAILED at"),
		row("VSA: failed before", asks(""), accepted, one(good, by("release", failed, ago(2*time.Hour)))),
		row("VSA: failed at the same moment", asks(""), refused, one(by("release", then), by("release", failed, then)), "says FAILED"),
		row("VSA: passed a moment after it failed", asks(""), accepted, one(by("release", then), by("release", failed, func(v *statement.VSA) { v.TimeVerified = moment.Add(-time.Nanosecond) }))),
		row("VSA: failed at no time", asks(""), refused, one(good, by("release", failed, timeless)), "says FAILED, and not when"),
		row("VSA: failed, and passed at no time", asks(""), refused, one(by("release", timeless), by("release", failed, ago(2*time.Hour))), "says PASSED, and not when, but"),
		row("VSA: failed since elsewhere", asks(""), accepted, one(good, by("release", failed, ago(time.Minute), resource("oci://staging.example.com/team/demo")))),
		row("VSA: failed since by another policy", asks(", policies: ['"+promotionPolicy.String()+"']"), accepted, one(good, by("release", failed, ago(time.Minute), func(v *statement.VSA) { v.Policy.Digest["sha256"] = w.digest.Encoded() }))),
		row("VSA: failed since by a stranger", asks(""), accepted, one(good, by("stranger", failed, ago(time.Minute)))),
		row("VSA: failed since as another verifier", asks(""), accepted, one(good, by("release", failed, ago(time.Minute), other))),
		row("VSA: failed tomorrow", asks(""), refused, one(good, by("release", failed, ago(-24*time.Hour))), "says FAILED"),
		row("VSA: failed since by another key of the verifier", "- vsa: {verifiers: [{id: '"+promoter+"', signers: [$release, $backup]}]}", refused, one(good, by("backup", failed, ago(time.Minute))), "says FAILED"),

		// The time.
		row("VSA: new enough", asks(", maxAge: 2h"), accepted, one(good)),
		row("VSA: too old", asks(", maxAge: 30m"), refused, one(good), " ago, and must not be older than 30m0s", "(maxAge)"),
		row("VSA: at no time", asks(""), accepted, one(by("release", timeless))),
		row("VSA: at no time, which matters", asks(", maxAge: 2h"), refused, one(by("release", timeless)), "does not say when it was verified", "leave maxAge out"),
		row("VSA: tomorrow", asks(""), refused, one(by("release", ago(-24*time.Hour))), "the clock of this machine says", "set the clock"),
		row("VSA: in a moment", asks(", maxAge: 2h"), accepted, one(by("release", ago(-time.Minute)))),
		row("VSA: signed before it was verified", asks(", transparencyLogs: 1"), refused, one(w.key("release", virtual.Claim{Log: virtual.LogV1, Logged: time.Now().Add(-30 * time.Minute), Payload: w.summaryPayload(ago(time.Minute))})), "and signed before that, at ", "the clock of the verifier"),
		row("VSA: signed after it was verified", asks(", timestamps: 1, maxAge: 2h"), accepted, one(w.key("release", virtual.Claim{Timestamp: true, Payload: w.summaryPayload()})), `"timeSource":"timestamp`),
		row("VSA: old, and signed today", asks(", timestamps: 1, maxAge: 2h"), refused, one(w.key("release", virtual.Claim{Timestamp: true, Payload: w.summaryPayload(ago(72 * time.Hour))})), "3 days ago, and must not be older than 2h"),
		row("VSA: without the timestamp", asks(", timestamps: 1"), refused, one(good), "it has no timestamp"),

		// Signers of other kinds, and how many.
		row("VSA: by an identity", "- vsa: {verifiers: [{id: '"+promoter+"', signers: [$ci]}]}", accepted, one(w.keyless(virtual.Identity{}, virtual.Claim{Log: virtual.LogV1, Payload: w.summaryPayload()})), `"identity":"`+workflow),
		row("VSA: by another identity", "- vsa: {verifiers: [{id: '"+promoter+"', signers: [$ci]}]}", refused, one(w.keyless(virtual.Identity{Subject: "https://evil.example.com"}, virtual.Claim{Log: virtual.LogV1, Payload: w.summaryPayload()})), "the identity must be"),
		row("VSA: by a certificate", "- vsa: {verifiers: [{id: '"+promoter+"', signers: [$alice]}]}", accepted, one(w.certificate(virtual.Leaf{}, virtual.Claim{Payload: w.summaryPayload()}))),
		row("VSA: by two", two, accepted, one(good, by("backup", other))),
		row("VSA: by one of two", two, refused, one(good), "only 1 of 2, by release", "ask backup"),
		row("VSA: by one of two, twice", two, refused, one(good, by("release", ago(time.Minute))), "only 1 of 2, by release"),
		row("VSA: by one of two, who has another that is too old", strings.Replace(two, "threshold: 2", "threshold: 2, maxAge: 2h", 1), refused, one(good, by("release", ago(72*time.Hour))), "only 1 of 2, by release", "next: ask backup"),
		row("VSA: by one, and the other failed", two, refused, one(good, by("backup", other, failed)), "only 1 of 2", "ask backup why"),
		row("VSA: by one, and of any of two the other failed", strings.Replace(two, "threshold: 2, ", "", 1), accepted, one(good, by("backup", other, failed))),

		// Conditions.
		row("VSA: of which a condition holds", asks(`, conditions: ["predicate.verifiedLevels.exists(l, l == 'MODSEAL_POLICY_PASSED') && signer.name == 'release'"]`), accepted, one(good)),
		row("VSA: of which a condition does not hold", asks(`, conditions: [{name: new, expression: "predicate.slsaVersion == '2.0'"}]`), refused, one(good), `condition "new" is false`),
		row("VSA: of which a condition asks for what is not there", asks(`, conditions: ["predicate.dependencyLevels.size() == 0"]`), refused, one(good), "cannot be decided"),

		row("VSA: not met, and only warned of", "version: 1\ndefault: reject\nscopes:\n- prefix: '*'\n  mode: warn\n  requirements:\n  "+asks(""), warned, one(elsewhere), "and not for "+place),
		{name: "VSA: the site wants it, and the project a signature", policy: asks(""), second: "- signature: {signers: [$backup]}", evidence: one(good), want: refused, says: []string{"signature by backup", "is a verification summary"}},
	}
}

// What says nothing about whom to trust, or as what, decides nothing.
func TestEmptySummaryRequirement(t *testing.T) {
	t.Parallel()
	release := policy.Verifier{ID: promoter, Signers: signers("release")}
	for name, row := range map[string]struct {
		req  policy.VSARequirement
		want string
	}{
		"nothing":                    {policy.VSARequirement{}, "names no verifiers"},
		"no threshold":               {policy.VSARequirement{Verifiers: []policy.Verifier{release}, Resource: policy.Resources{Any: true}}, "no threshold"},
		"no resource":                {policy.VSARequirement{Verifiers: []policy.Verifier{release}, Threshold: 1}, "names no resource"},
		"a verifier without signers": {policy.VSARequirement{Verifiers: []policy.Verifier{release, {ID: "a:b"}}, Threshold: 1, Resource: policy.Resources{Any: true}}, "no signers of one"},
		"a verifier without id":      {policy.VSARequirement{Verifiers: []policy.Verifier{{Signers: signers("release")}}, Threshold: 1, Resource: policy.Resources{Any: true}}, "names no verifiers"},
		"a signer without key":       {policy.VSARequirement{Verifiers: []policy.Verifier{{ID: "a:b", Signers: signers("nobody")}}, Threshold: 1, Resource: policy.Resources{Any: true}}, `no key for signer "nobody"`},
	} {
		rules := policy.Rules{Mode: policy.ModeEnforce, Requirements: []policy.Requirement{{VSA: &row.req}}}
		_, err := verify.Verify(t.Context(), demo().subject(t), nil, verify.Ruling{Rules: rules, Trust: trusted()})
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rules that no document gave have no name after remapping: that of the subject is
// where the artifact is.
func TestSummaryHereWithoutPolicy(t *testing.T) {
	t.Parallel()
	s := demo().subject(t)
	w := &world{t: t, digest: s.Descriptor.Digest}
	rules := policy.Rules{Mode: policy.ModeEnforce, Requirements: []policy.Requirement{{VSA: &policy.VSARequirement{
		Verifiers: []policy.Verifier{{ID: promoter, Signers: signers("release")}}, Threshold: 1, Resource: policy.Resources{Here: true},
	}}}}
	bundle := envelope{payload: w.summaryPayload(), signer: "release"}.bundle(t)
	v, err := verify.Verify(t.Context(), s, evidence(bundle), verify.Ruling{Rules: rules, Trust: trusted()})
	if err != nil {
		t.Fatal(err)
	}
	report := v.Report()
	got := report.Requirements[0].Evidence[0].Summary
	if got == nil || got.Verifier != promoter || got.Result != statement.ResultPassed || fmt.Sprint(got.PolicyDigests) != "["+promotionPolicy.String()+"]" {
		t.Errorf("%+v", got)
	}
	// A report is the caller's.
	got.Levels[0], got.PolicyDigests[0] = "changed", "changed"
	if again := v.Report().Requirements[0].Evidence[0].Summary; again.Levels[0] == "changed" || again.PolicyDigests[0] == "changed" {
		t.Error("the report of a Verified can be changed")
	}
	s.Name = "registry.example.com/team/other"
	if _, err := verify.Verify(t.Context(), s, evidence(bundle), verify.Ruling{Rules: rules, Trust: trusted()}); err == nil {
		t.Error("accepted elsewhere")
	}
}

// A refusal has all that whoever reads it must know.
func TestSummaryRefusal(t *testing.T) {
	t.Parallel()
	s := demo().subject(t)
	w := &world{t: t, digest: s.Descriptor.Digest}
	rules := policy.Rules{Mode: policy.ModeEnforce, Requirements: []policy.Requirement{{VSA: &policy.VSARequirement{
		Verifiers: []policy.Verifier{{ID: promoter, Signers: signers("release")}}, Threshold: 1, Resource: policy.Resources{Here: true},
		Levels: []string{"SLSA_BUILD_LEVEL_2"}, Policies: []digest.Digest{promotionPolicy}, MaxAge: 48 * time.Hour,
	}}}}
	short := s.Descriptor.Digest.String()[:19] + "…"
	at := w.summary(ago(96 * time.Hour)).TimeVerified.Format(time.RFC3339)
	bundle := envelope{payload: w.summaryPayload(ago(96 * time.Hour)), signer: "release"}.bundle(t)
	_, err := verify.Verify(t.Context(), s, evidence(bundle), verify.Ruling{Rules: rules, Trust: trusted()})
	r := reasonOf(t, err)
	for what, row := range map[string][2]string{
		"requirement": {r.Requirement, "verification summary by release"},
		"looked for": {r.LookedFor, "a verification summary (VSA) that says PASSED about " + short + ", for " + place + ", by release (EC P-256, " + keys()["release"].Short() +
			`) as "` + promoter + `", with SLSA_BUILD_LEVEL_2, by policy ` + promotionPolicy.String()[:19] + "…, not older than 2 days"},
		"found": {r.Found, "1 verification summary by release, which was verified at " + at + ", 4 days ago, and must not be older than 2 days"},
		"next": {r.Next, "have it verified again, or allow more in the policy (maxAge); ask release to accept it for this place, as modseal promote does, or attach the verification summary: modseal attest " +
			place + "@" + s.Descriptor.Digest.String() + " --type vsa --predicate FILE --key PRIVATE-KEY"},
	} {
		if row[0] != row[1] {
			t.Errorf("%s:\n%s\nwant\n%s", what, row[0], row[1])
		}
	}
}

// cosign's of before bundles count where the rules say so.
func TestSummaryUnderATag(t *testing.T) {
	t.Parallel()
	l := newLegacyWorld(t)
	w := &world{t: t, digest: l.digest()}
	one := []verify.Evidence{legacyEvidence(l.sigstore.LegacyAttestation(t, holder("release"), virtual.Claim{Payload: w.summaryPayload()}), true)}
	for legacy, want := range map[bool]string{true: "", false: "of a tag of before bundles, which the rules do not count (legacyTags)"} {
		rules := policy.Rules{Mode: policy.ModeEnforce, Requirements: []policy.Requirement{{VSA: &policy.VSARequirement{
			Verifiers: []policy.Verifier{{ID: promoter, Signers: signers("release")}}, Threshold: 1, Resource: policy.Resources{Here: true}, LegacyTags: legacy,
		}}}}
		v, err := verify.Verify(t.Context(), l.subject, one, verify.Ruling{Rules: rules, Trust: l.trust})
		switch {
		case want != "":
			if r := reasonOf(t, err); !strings.Contains(r.Found, want) || !strings.Contains(r.Next, "legacyTags") {
				t.Errorf("%+v", r)
			}
		case err != nil:
			t.Error(err)
		default:
			if e := v.Report().Requirements[0].Evidence[0]; !e.Legacy || e.Outcome != verify.Counted || e.Summary == nil {
				t.Errorf("%+v", e)
			}
		}
	}
}
