package verify_test

import (
	"time"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// later moves the decision into the future.
func later(d time.Duration) func(*verify.Ruling) {
	return func(r *verify.Ruling) { r.Trust.Now = time.Now().Add(d) }
}

func day(offset int) string { return time.Now().AddDate(0, 0, offset).UTC().Format(time.RFC3339) }

func (w *world) signatureRows() []decisionRow {
	signed := w.key("release", virtual.Claim{})
	const one = `- signature: {signers: [$release]}`
	const both = `- signature: {threshold: 2, signers: [$release, $backup]}`
	claimed := func(signer, predicateType string) []byte {
		return w.key(signer, virtual.Claim{Payload: claim(w.digest, predicateType)})
	}
	return []decisionRow{
		{name: "signed by the key", policy: one, evidence: [][]byte{signed}, want: accepted},
		{name: "not signed", policy: one, want: refused, says: []string{"nothing attached", "modseal sign"}},
		{name: "SBOM by the right key as a signature", policy: one, evidence: [][]byte{claimed("release", "https://cyclonedx.org/bom")}, want: refused, says: []string{"is an SBOM attestation", "not a signature"}},
		{name: "provenance by the right key as a signature", policy: one, evidence: [][]byte{claimed("release", slsa)}, want: refused, says: []string{"is a provenance attestation", "not a signature"}},
		{name: "right key over the wrong predicate type", policy: one, evidence: [][]byte{claimed("release", "https://sigstore.dev/cosign/sign/v2")}, want: refused, says: []string{"cosign/sign/v2", "not a signature"}},
		{name: "OMS by the right key as a signature", policy: one, evidence: [][]byte{w.key("release", virtual.Claim{Payload: demo().oms(w.t)})}, want: refused, says: []string{"is an OMS statement by release"}},
		{name: "another key", policy: one, evidence: [][]byte{w.key("stranger", virtual.Claim{})}, want: refused, says: []string{"signed by an unknown key that claims to be " + keys()["stranger"].Short()}},
		{name: "the same key twice", policy: both, evidence: [][]byte{signed, w.key("release", virtual.Claim{})}, want: refused, says: []string{"only 1 of 2, by release"}},
		{name: "one key under two names", policy: `- signature: {threshold: 2, signers: [$release, $again]}`, evidence: [][]byte{signed, w.key("release", virtual.Claim{})}, want: refused, says: []string{"only 1 of 2"}},
		{name: "two keys", policy: both, evidence: [][]byte{signed, w.key("backup", virtual.Claim{})}, want: accepted},
		{name: "two keys in one KMS", policy: `- signature: {threshold: 2, signers: [$kms1, $kms2]}`, evidence: [][]byte{w.key("backup", virtual.Claim{}), w.key("p384", virtual.Claim{})}, want: accepted},
		{name: "one of two keys in one KMS, twice", policy: `- signature: {threshold: 2, signers: [$kms1, $kms2]}`, evidence: [][]byte{w.key("backup", virtual.Claim{}), w.key("backup", virtual.Claim{})}, want: refused, says: []string{"only 1 of 2, by backup"}},
		{name: "one KMS key by alias and as a file", policy: `- signature: {threshold: 2, signers: [$release, $again]}`, evidence: [][]byte{signed}, want: refused, says: []string{"only 1 of 2"}},
		{name: "no key for the signer of the policy", policy: `- signature: {signers: [{name: nobody, key: nobody.pub}]}`, evidence: [][]byte{signed}, want: undecided, says: []string{`no key for signer "nobody"`}},
		{name: "more bundles than the policy allows", policy: "version: 1\ndefault: reject\nlimits: {referrers: 1}\nscopes:\n- prefix: '*'\n  requirements:\n  " + one, evidence: [][]byte{signed, []byte("{}")}, want: undecided, says: []string{"2 bundles are attached, more than 1"}},
	}
}

func (w *world) windowRows() []decisionRow {
	signer := func(window string) string {
		return "- signature: {signers: [{name: release, key: release.pub, " + window + "}]}"
	}
	signed, timed := w.key("release", virtual.Claim{}), w.key("release", virtual.Claim{Timestamp: true})
	return []decisionRow{
		{name: "within the window of the key", policy: signer("notBefore: '" + day(-1) + "', notAfter: '" + day(1) + "'"), evidence: [][]byte{signed}, want: accepted},
		{name: "key retired, no time", policy: signer("notAfter: '" + day(-1) + "'"), evidence: [][]byte{signed}, want: refused, says: []string{"signed by release, but nobody trusted says when", "counts for signatures until"}},
		{name: "key not yet in use", policy: signer("notBefore: '" + day(1) + "'"), evidence: [][]byte{signed}, want: refused, says: []string{"counts for signatures from"}},
		{name: "key retired since, with a time", policy: signer("notAfter: '" + day(1) + "'"), edit: later(48 * time.Hour), evidence: [][]byte{timed}, want: accepted, says: []string{`"timeSource":"timestamp https://tsa.one.localhost"`}},
		{name: "key retired since, without a time", policy: signer("notAfter: '" + day(1) + "'"), edit: later(48 * time.Hour), evidence: [][]byte{signed}, want: refused, says: []string{"counts for signatures until"}},
		{name: "young enough", policy: `- signature: {maxAge: 30d, signers: [$release]}`, evidence: [][]byte{timed}, want: accepted},
		{name: "too old", policy: `- signature: {maxAge: 30d, signers: [$release]}`, edit: later(31 * 24 * time.Hour), evidence: [][]byte{timed}, want: refused, says: []string{"31 days ago", "not be older than 30 days", "pull a newer version"}},
		{name: "of unknown age", policy: `- signature: {maxAge: 30d, signers: [$release]}`, evidence: [][]byte{signed}, want: refused, says: []string{"nobody trusted says when it was signed, and it must not be older"}},
		{name: "clock set back before the signature", policy: `- signature: {maxAge: 30d, signers: [$release]}`, edit: later(-24 * time.Hour), evidence: [][]byte{timed}, want: refused, says: []string{"the clock of this machine says", "next: set the clock"}},
		{name: "clock set forward, with an age", policy: `- signature: {maxAge: 30d, signers: [$release]}`, edit: later(10 * 365 * 24 * time.Hour), evidence: [][]byte{timed}, want: refused, says: []string{"must not be older than 30 days"}},
		{name: "retired by a policy, timed by a stranger", policy: signer("notAfter: '" + day(1) + "'"), edit: later(48 * time.Hour), evidence: [][]byte{w.two.Key(w.t, keys()["release"].private, "", w.claim(virtual.Claim{Timestamp: true})).JSON(w.t)}, want: refused, says: []string{"nobody trusted says when"}},
	}
}

func (w *world) witnessRows() []decisionRow {
	two := []*virtual.Sigstore{w.two}
	both := w.trustedRoot(virtual.RootOptions{Others: two})
	withBoth := func(r *verify.Ruling) { r.Trust.Roots = map[string]*trust.Root{"one": both} }
	twice := w.keyBundle("release", virtual.Claim{Log: virtual.LogV1, Timestamp: true})
	material := twice.VerificationMaterial
	material.TlogEntries = append(material.TlogEntries, material.TlogEntries...)
	stamps := material.TimestampVerificationData
	stamps.Rfc3161Timestamps = append(stamps.Rfc3161Timestamps, stamps.Rfc3161Timestamps...)
	mixed := w.keyBundle("release", virtual.Claim{Log: virtual.LogV1})
	other := w.keyBundle("release", virtual.Claim{Log: virtual.LogV2, Entry: []byte(`{"_type":"other"}`)})
	mixed.VerificationMaterial.TlogEntries = append(mixed.VerificationMaterial.TlogEntries, other.VerificationMaterial.TlogEntries...)
	const log, logs = `- signature: {transparencyLogs: 1, signers: [$release]}`, `- signature: {transparencyLogs: 2, signers: [$release]}`
	const time1, time2 = `- signature: {timestamps: 1, signers: [$release]}`, `- signature: {timestamps: 2, signers: [$release]}`
	foreign := w.two.Key(w.t, keys()["release"].private, "", w.claim(virtual.Claim{Log: virtual.LogV1, Timestamp: true})).JSON(w.t)
	return []decisionRow{
		{name: "key in the log of Rekor v1", policy: log, evidence: [][]byte{w.key("release", virtual.Claim{Log: virtual.LogV1})}, want: accepted, says: []string{`"timeSource":"log https://rekor.localhost"`}},
		{name: "key in the log of Rekor v2", policy: log, evidence: [][]byte{w.key("release", virtual.Claim{Log: virtual.LogV2})}, want: accepted},
		{name: "key without a log entry", policy: log, evidence: [][]byte{w.key("release", virtual.Claim{})}, want: refused, says: []string{"signed by release, but it has no entry of a transparency log"}},
		{name: "key in two logs", policy: logs, evidence: [][]byte{w.key("release", virtual.Claim{Log: virtual.LogBoth})}, want: accepted},
		{name: "key in one log of two", policy: logs, evidence: [][]byte{w.key("release", virtual.Claim{Log: virtual.LogV2})}, want: refused, says: []string{"only 1 of the 2 transparency logs"}},
		{name: "one log twice", policy: logs, evidence: [][]byte{twice.JSON(w.t)}, want: refused, says: []string{"only 1 of the 2 transparency logs"}},
		{name: "a log that is not in the root", policy: log, evidence: [][]byte{foreign}, want: refused, says: []string{"of a transparency log that is not in the trusted root"}},
		{name: "the entry of another artifact", policy: log, evidence: [][]byte{w.key("release", virtual.Claim{Log: virtual.LogV1, Entry: []byte(`{"_type":"other"}`)})}, want: refused, says: []string{"its log entry is not about this signature"}},
		{name: "the entry of another artifact in Rekor v2", policy: log, evidence: [][]byte{w.key("release", virtual.Claim{Log: virtual.LogV2, Entry: []byte(`{"_type":"other"}`)})}, want: refused, says: []string{"its log entry is not about this signature"}},
		{name: "the entry of another artifact beside the right one", policy: log, evidence: [][]byte{mixed.JSON(w.t)}, want: refused, says: []string{"its log entry is not about this signature"}},
		{name: "the entry of another artifact where none is asked for", policy: `- signature: {signers: [$release]}`, evidence: [][]byte{mixed.JSON(w.t)}, want: accepted},
		{name: "key with a timestamp", policy: time1, evidence: [][]byte{w.key("release", virtual.Claim{Timestamp: true})}, want: accepted},
		{name: "key without a timestamp", policy: time1, evidence: [][]byte{w.key("release", virtual.Claim{Log: virtual.LogV1})}, want: refused, says: []string{"it has no timestamp"}},
		{name: "one authority twice", policy: time2, evidence: [][]byte{twice.JSON(w.t)}, want: refused, says: []string{"only 1 of the 2 authorities"}},
		{name: "two authorities", policy: time2, edit: withBoth, evidence: [][]byte{w.key("release", virtual.Claim{Timestamp: true, Witnesses: two})}, want: accepted},
		{name: "two authorities, one of them not in the root", policy: time2, evidence: [][]byte{w.key("release", virtual.Claim{Timestamp: true, Witnesses: two})}, want: refused, says: []string{"only 1 of the 2 authorities"}},
		{name: "an authority that is not in the root", policy: time1, evidence: [][]byte{foreign}, want: refused, says: []string{"its timestamp is of an authority that is not in the trusted root", "--trusted-root"}},
	}
}

func (w *world) rootRows() []decisionRow {
	const aged = "version: 1\ndefault: reject\ntrustedRoots: [{name: one, file: one.json, maxAge: 30d}]\nscopes:\n- prefix: '*'\n  requirements:\n  - signature: {transparencyLogs: 1, signers: [$release]}"
	logged := [][]byte{w.key("release", virtual.Claim{Log: virtual.LogV1})}
	fetched := func(at time.Time) func(*verify.Ruling) {
		r := *w.root
		r.Fetched = at
		return func(ruling *verify.Ruling) { ruling.Trust.Roots = map[string]*trust.Root{"one": &r} }
	}
	none := func(r *verify.Ruling) { r.Trust.Roots = nil }
	two := func(r *verify.Ruling) { r.Trust.Roots["two"] = w.root }
	unnamed := func(r *verify.Ruling) {
		two(r)
		r.Rules.Requirements[0].Signature.Signers[0].Keyless.TrustedRoot = ""
	}
	return []decisionRow{
		{name: "a young root", policy: aged, edit: fetched(time.Now().AddDate(0, 0, -29)), evidence: logged, want: accepted},
		{name: "a root that is too old", policy: aged, edit: fetched(time.Now().AddDate(0, 0, -31)), evidence: logged, want: undecided, says: []string{"31 days ago", "not older than 30 days"}},
		{name: "a root of unknown age", policy: aged, evidence: logged, want: undecided, says: []string{"nobody noted when"}},
		{name: "a root of the future", policy: aged, edit: fetched(time.Now().AddDate(0, 0, 1)), evidence: logged, want: undecided, says: []string{"the clock of this machine says"}},
		{name: "no root for a log", policy: `- signature: {transparencyLogs: 1, signers: [$release]}`, edit: none, evidence: logged, want: undecided, says: []string{"no trusted root"}},
		{name: "no root for a keyless signer", policy: `- signature: {signers: [$ci]}`, edit: none, evidence: logged, want: undecided, says: []string{"no trusted root"}},
		{name: "two roots, none named", policy: `- signature: {signers: [$ci]}`, edit: unnamed, evidence: logged, want: undecided, says: []string{"several trusted roots"}},
		{name: "two roots, one named", policy: `- signature: {trustedRoot: one, transparencyLogs: 1, signers: [$release]}`, edit: two, evidence: logged, want: accepted},
		{name: "a root without logs", policy: `- signature: {transparencyLogs: 1, signers: [$release]}`, edit: func(r *verify.Ruling) {
			r.Trust.Roots = map[string]*trust.Root{"one": w.trustedRoot(virtual.RootOptions{NoLogs: true})}
		}, evidence: logged, want: refused, says: []string{"not in the trusted root"}},
		{name: "no root needed", policy: `- signature: {signers: [$release]}`, edit: none, evidence: logged, want: accepted},
	}
}
