package verify_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/verify"
)

// predicated is a statement with a predicate.
func predicated(d digest.Digest, predicateType, predicate string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`, d.Encoded(), predicateType, predicate)
}

func (w *world) attestationRows() []decisionRow {
	const builder = `{"buildDefinition":{"buildType":"https://example.com/b"},"runDetails":{"builder":{"id":"https://ci.example.com"}}}`
	attested := func(signer, predicateType, predicate string) []byte {
		return w.key(signer, virtual.Claim{Payload: predicated(w.digest, predicateType, predicate)})
	}
	good := attested("release", slsa, builder)
	const plain = `- attestation: {predicateType: $slsa, signers: [$release]}`
	when := func(conditions string) string {
		return `- attestation: {name: build, predicateType: $slsa, signers: [$release, $backup], conditions: [` + conditions + `]}`
	}
	scan := func(result string) []byte {
		return attested("release", "https://modseal.dev/scan/v1", `{"result":`+result+`}`)
	}
	scanned := func(more string) string {
		return `- attestation: {predicateType: 'https://modseal.dev/scan/v1', signers: [$release]` + more + `}`
	}
	heavy := strings.Repeat("files.all(a, ", 8) + "true" + strings.Repeat(")", 8)
	return []decisionRow{
		{name: "provenance", policy: plain, evidence: [][]byte{good}, want: accepted, says: []string{`"kind":"attestation"`, `"predicateType":"` + slsa}},
		{name: "no provenance", policy: plain, want: refused, says: []string{"nothing attached", "modseal attest"}},
		{name: "another type of attestation", policy: plain, evidence: [][]byte{attested("release", "https://cyclonedx.org/bom", builder)}, want: refused, says: []string{"is an SBOM attestation", "which is another type"}},
		{name: "a type that begins the same", policy: plain, evidence: [][]byte{attested("release", slsa+".1", builder)}, want: refused, says: []string{"which is another type"}},
		{name: "one of two types", policy: `- attestation: {predicateTypes: [$slsa, 'https://slsa.dev/provenance/v0.2'], signers: [$release]}`, evidence: [][]byte{attested("release", "https://slsa.dev/provenance/v0.2", builder)}, want: accepted},
		{name: "provenance by another key", policy: plain, evidence: [][]byte{attested("stranger", slsa, builder)}, want: refused, says: []string{"signed by an unknown key"}},
		{name: "provenance of another artifact", policy: plain, evidence: [][]byte{w.key("release", virtual.Claim{Payload: predicated(digest.FromString("x"), slsa, builder)})}, want: refused, says: []string{"of something else"}},
		{name: "a signature as an attestation", policy: plain, evidence: [][]byte{w.key("release", virtual.Claim{})}, want: refused, says: []string{"is a signature, not an attestation"}},
		{name: "provenance by an identity", policy: `- attestation: {predicateType: $slsa, signers: [$ci]}`, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Log: virtual.LogV1, Payload: predicated(w.digest, slsa, builder)})}, want: accepted},
		{name: "two attestations of one signer", policy: `- attestation: {threshold: 2, predicateType: $slsa, signers: [$release, $backup]}`, evidence: [][]byte{good, attested("release", slsa, builder)}, want: refused, says: []string{"only 1 of 2, by release"}},
		{name: "a condition on provenance", policy: when(`"provenance.runDetails.builder.id == 'https://ci.example.com'"`), evidence: [][]byte{good}, want: accepted},
		{name: "a condition that is false", policy: when(`{name: builder, expression: "provenance.runDetails.builder.id == 'https://other.example.com'"}`), evidence: [][]byte{good}, want: refused, says: []string{`condition "builder" is false`}},
		{name: "a condition on what is not there", policy: when(`"predicate.none.such == 1"`), evidence: [][]byte{good}, want: refused, says: []string{"cannot be decided"}},
		{name: "a condition on a predicate that is no object", policy: when(`"predicate.a == 1"`), evidence: [][]byte{attested("release", slsa, `"text"`)}, want: refused, says: []string{"cannot be decided"}},
		{name: "a condition that takes too long", policy: when(`"` + heavy + `"`), evidence: [][]byte{attested("release", slsa, builder)}, model: manyFiles(200), want: refused},
		{name: "one of two meets the condition", policy: when(`"predicate.ok == true"`), evidence: [][]byte{attested("release", slsa, `{"ok":false}`), attested("backup", slsa, `{"ok":true}`)}, want: accepted, says: []string{`"signer":"backup"`}},
		{name: "a condition on the signer", policy: when(`"signer.name == 'release'"`), evidence: [][]byte{good}, want: accepted},
		{name: "a scan", policy: scanned(""), evidence: [][]byte{scan(`{"verdict":"clean","high":0}`)}, want: accepted},
		{name: "a scan whose verdict is better than its counts", policy: scanned(""), evidence: [][]byte{scan(`{"verdict":"clean","high":1}`)}, want: refused, says: []string{"contradicts itself", "result.high is 1"}},
		{name: "whatever condition looks at it", policy: scanned(`, conditions: ["predicate.result.verdict == 'clean'"]`), evidence: [][]byte{scan(`{"verdict":"clean","high":1}`)}, want: refused, says: []string{"contradicts itself"}},
		{name: "a scan that says more beside one that does not", policy: scanned(""), evidence: [][]byte{scan(`{"verdict":"clean","high":1}`), scan(`{"verdict":"clean","high":0}`)}, want: accepted},
		{name: "a condition on the config", policy: when(`"config.descriptor.version == '1.0'"`), evidence: [][]byte{good}, want: undecided, says: []string{"config of the model, which was not read"}},
	}
}

// manyFiles is a model with n files.
func manyFiles(n int) *model {
	m := model{files: map[string]string{}}
	for i := range n {
		p := fmt.Sprintf("part-%05d.bin", i)
		m.files[p] = p
		m.order = append(m.order, p)
	}
	return &m
}

func (w *world) conditionRows() []decisionRow {
	sign := func(m model) []byte {
		return w.key("release", virtual.Claim{Payload: cosign(w.t, m.subject(w.t).Descriptor.Digest)})
	}
	asks := func(condition string) string {
		return "- signature: {signers: [$release]}\n- conditions: [\"" + condition + "\"]"
	}
	const noPickle = `files.all(f, !f.name.endsWith('.pkl'))`
	plain := demo()
	pickled := model{files: map[string]string{"model.pkl": "x"}, order: []string{"model.pkl"}}
	licensed := demo()
	licensed.config = `{"descriptor":{"version":"1.0","licenses":["Apache-2.0"]}}`
	broken := demo()
	broken.config = `[1`
	tarred := demo()
	tarred.tars = 1
	oms := func(m model) []byte { return w.key("release", virtual.Claim{Payload: m.oms(w.t)}) }
	return []decisionRow{
		{name: "no pickle in it", policy: asks(noPickle), model: &plain, evidence: [][]byte{sign(plain)}, want: accepted},
		{name: "a pickle in it", policy: asks(noPickle), model: &pickled, evidence: [][]byte{sign(pickled)}, want: refused, says: []string{"condition files.all", "is false"}},
		{name: "conditions do not stand for a signature", policy: asks("true"), model: &plain, want: refused, says: []string{"signature by release"}},
		{name: "a licence", policy: asks(`config.descriptor.licenses.exists(l, l == 'Apache-2.0')`), model: &licensed, evidence: [][]byte{sign(licensed)}, want: accepted},
		{name: "another licence", policy: asks(`config.descriptor.licenses.exists(l, l == 'MIT')`), model: &licensed, evidence: [][]byte{sign(licensed)}, want: refused, says: []string{"is false"}},
		{name: "a config that was not read", policy: asks(`config.descriptor.version == '1.0'`), model: &plain, evidence: [][]byte{sign(plain)}, want: undecided, says: []string{"was not read"}},
		{name: "a config that is no JSON", policy: asks(`config.descriptor.version == '1.0'`), model: &broken, evidence: [][]byte{sign(broken)}, want: refused, says: []string{"config"}},
		{name: "tars whose files nobody lists", policy: asks(noPickle), model: &tarred, evidence: [][]byte{sign(tarred)}, want: refused, says: []string{"nobody trusted says which files are in 1 grouping layer"}},
		{name: "tars whose files are listed", policy: asks(noPickle), model: &tarred, evidence: [][]byte{sign(tarred), oms(tarred.with("docs/a.md", "a"))}, want: accepted},
		{name: "a pickle in a tar", policy: asks(noPickle), model: &tarred, evidence: [][]byte{sign(tarred), oms(tarred.with("docs/a.pkl", "a"))}, want: refused, says: []string{"is false"}},
		{name: "a condition that is no truth", policy: asks(`files`), model: &plain, want: invalid},
	}
}

func (w *world) freshnessRows() []decisionRow {
	of := func(version, created string) *model {
		m := demo()
		m.config = fmt.Sprintf(`{"descriptor":{"version":%q}}`, version)
		if created != "" {
			m.config = fmt.Sprintf(`{"descriptor":{"version":%q,"createdAt":%q}}`, version, created)
		}
		return &m
	}
	row := func(name, asks string, m *model, want string, says ...string) decisionRow {
		return decisionRow{
			name: name, policy: "- signature: {signers: [$release]}\n- freshness: {" + asks + "}", model: m,
			evidence: [][]byte{w.key("release", virtual.Claim{Payload: cosign(w.t, m.subject(w.t).Descriptor.Digest)})}, want: want, says: says,
		}
	}
	return []decisionRow{
		row("new enough", "minimumVersion: 1.2.0", of("1.2.0", ""), accepted),
		row("newer by number, not by text", "minimumVersion: 1.9.0", of("1.10.0", ""), accepted),
		row("version too low", "minimumVersion: 1.2.0", of("1.1.9", ""), refused, `version "1.1.9"`, `of version "1.2.0" or newer`),
		row("a version before its release", "minimumVersion: 1.2.0", of("1.2.0-rc.1", ""), refused, `"1.2.0-rc.1"`),
		row("a version that is none", "minimumVersion: 1.2.0", of("latest", ""), refused, "cannot be compared with a semantic version"),
		row("created late enough", "createdAfter: '2026-01-01'", of("", "2026-01-02T00:00:00Z"), accepted),
		row("created too early", "createdAfter: '2026-01-01'", of("", "2025-12-31T23:59:59Z"), refused, "created 2025-12-31T23:59:59Z"),
		row("created at no time", "createdAfter: '2026-01-01'", of("1.0.0", ""), refused, "nobody knows how old"),
	}
}

func (w *world) memoryRows() []decisionRow {
	now := time.Now().UTC().Truncate(time.Second)
	before := verify.Memory{Digest: digest.FromString("before"), Version: "2.0.0", Created: now.AddDate(0, -1, 0), At: now.Add(-time.Hour)}
	row := func(name, version string, created time.Time, remembered *verify.Memory, at time.Time, want string, says ...string) decisionRow {
		m := demo()
		m.config = fmt.Sprintf(`{"descriptor":{"version":%q,"createdAt":%q}}`, version, created.Format(time.RFC3339))
		if created.IsZero() {
			m.config = fmt.Sprintf(`{"descriptor":{"version":%q}}`, version)
		}
		d := m.subject(w.t).Descriptor.Digest
		out := decisionRow{
			name: name, policy: "- signature: {signers: [$release]}\n- freshness: {remember: true}", model: &m,
			evidence: [][]byte{w.key("release", virtual.Claim{Payload: cosign(w.t, d)})}, want: want, says: says,
			edit: func(r *verify.Ruling) {
				r.Trust.Remembered, r.Trust.RememberedIn, r.Trust.Now = remembered, "accepted.json", at
			},
		}
		if want == accepted {
			out.memory = &verify.Memory{Digest: d, Version: version, Created: created, At: at}
			if remembered != nil && remembered.At.After(at) {
				out.memory.At = remembered.At
			}
		}
		return out
	}
	zero := time.Time{}
	timeless := before
	timeless.Created = zero
	untold := verify.Memory{Digest: before.Digest, At: before.At}
	soon := before
	soon.At = now.Add(time.Minute)
	endless := row("a version that is too long to be compared", strings.Repeat("9", 1000), now, nil, now, accepted)
	endless.memory.Version = ""
	return []decisionRow{
		row("nothing remembered", "1.0.0", zero, nil, now, accepted),
		row("newer than remembered", "2.0.1", now, &before, now, accepted),
		row("rollback to an older good version", "1.9.9", now, &before, now, refused, `version "1.9.9"`, `version "2.0.0"`, "a rollback", "remove what is remembered of registry.example.com/team/demo from accepted.json"),
		row("the same version, rebuilt", "2.0.0", now, &before, now, accepted),
		row("the same version, of an earlier time", "2.0.0", now.AddDate(0, -2, 0), &before, now, refused, "a rollback"),
		row("rollback by time of creation", "", now.AddDate(0, -2, 0), &before, now, refused, "a rollback"),
		row("newer by time of creation", "", now, &before, now, accepted),
		row("no version and no time, first", "", zero, nil, now, refused, "a model without version and time of creation, which cannot be compared", "--set version=1.0.0"),
		row("no version and no time, later", "", zero, &before, now, refused, "which cannot be compared"),
		row("a version that is none, first", "latest", zero, nil, now, refused, `version "latest", which cannot be compared`),
		row("a version that is none, with a time", "latest", now, nil, now, accepted),
		row("one has a version, the other a time", "", now, &timeless, now, refused, "nobody can tell whether it is older"),
		row("nothing was known of the remembered", "3.0.0", now, &untold, now, refused, "nobody can tell"),
		row("clock set back", "3.0.0", now, &before, now.Add(-24*time.Hour), refused, "a clock that was set back", "set the clock"),
		row("clock a little behind", "3.0.0", now, &soon, now, accepted),
		row("clock set forward before, right now", "3.0.0", now, &verify.Memory{Digest: before.Digest, Version: "1.0.0", At: now.AddDate(1, 0, 0)}, now, refused, "a clock that was set back", "remove what is remembered"),
		row("clock set forward", "3.0.0", now, &before, now.AddDate(1, 0, 0), accepted),
		endless,
	}
}

func (w *world) omsRows() []decisionRow {
	changed := func(pairs ...string) []byte {
		payload := string(demo().oms(w.t))
		for i := 0; i < len(pairs); i += 2 {
			payload = replaceIn(pairs[i], pairs[i+1])(payload)
		}
		return w.key("release", virtual.Claim{Payload: []byte(payload)})
	}
	rule := func(more string) string { return "- oms: {required: true, signers: [$release]" + more + "}" }
	ignoring := func(p string) []byte { return changed(`".gitignore"`, `".gitignore","`+p+`"`) }
	return []decisionRow{
		{name: "OMS alone", policy: rule(""), evidence: [][]byte{changed()}, want: accepted},
		{name: "OMS by an identity", policy: `- oms: {required: true, signers: [$ci]}`, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Log: virtual.LogV1, Payload: demo().oms(w.t)})}, want: accepted},
		{name: "OMS by an identity without a log entry", policy: `- oms: {required: true, signers: [$ci]}`, evidence: [][]byte{w.keyless(virtual.Identity{}, virtual.Claim{Timestamp: true, Payload: demo().oms(w.t)})}, want: refused, says: []string{"is an OMS statement signed keyless, but it has no entry"}},
		{name: "OMS in a log", policy: rule(", transparencyLogs: 1"), evidence: [][]byte{w.key("release", virtual.Claim{Log: virtual.LogV1, Payload: demo().oms(w.t)})}, want: accepted},
		{name: "OMS in no log", policy: rule(", transparencyLogs: 1"), evidence: [][]byte{changed()}, want: refused, says: []string{"signed by release, but it has no entry"}},
		{name: "OMS hash type not allowed", policy: rule(", hashTypes: [blake3]"), evidence: [][]byte{changed()}, want: refused, says: []string{"its hash type is sha256, and the rules allow blake3"}},
		{name: "OMS method not allowed", policy: rule(", methods: [shards]"), evidence: [][]byte{changed()}, want: refused, says: []string{"its method is files, and the rules allow shards"}},
		{name: "OMS left out a path", policy: rule(""), evidence: [][]byte{ignoring("tmp")}, want: refused, says: []string{`left out "tmp"`, "ignorePaths"}},
		{name: "OMS left out a path that is allowed", policy: rule(", ignorePaths: [tmp]"), evidence: [][]byte{ignoring("tmp/x")}, want: accepted},
		{name: "OMS left out its own signature", policy: rule(""), evidence: [][]byte{ignoring("model.sig")}, want: accepted},
		{name: "OMS may leave out anything", policy: rule(", ignorePaths: any"), evidence: [][]byte{ignoring("tmp")}, want: accepted},
		{name: "OMS followed links", policy: rule(""), evidence: [][]byte{changed(`"allow_symlinks":false`, `"allow_symlinks":true`)}, want: refused, says: []string{"followed symbolic links"}},
		{name: "OMS may follow links", policy: rule(", symlinks: true"), evidence: [][]byte{changed(`"allow_symlinks":false`, `"allow_symlinks":true`)}, want: accepted},
		{name: "a relaxation is named", policy: rule(""), evidence: [][]byte{changed("signature/v1.0", "signature/v1.4")}, want: accepted, says: []string{"is accepted although the predicate is of a later minor version"}},
		{name: "OMS of other files, not required", policy: "- signature: {signers: [$release]}\n- oms: {required: false}", evidence: [][]byte{w.key("release", virtual.Claim{}), w.key("release", virtual.Claim{Payload: demo().without("config.json").oms(w.t)})}, want: refused, says: []string{`"config.json"`, "is not signed"}},
		{name: "no OMS, not required", policy: "- signature: {signers: [$release]}\n- oms: {required: false}", evidence: [][]byte{w.key("release", virtual.Claim{})}, want: accepted, says: []string{"none, and none is required"}},
	}
}

func (w *world) scopeRows() []decisionRow {
	const team = "version: 1\ndefault: reject\nscopes:\n- prefix: registry.example.com/team/a\n  requirements:\n  - signature: {signers: [$release]}"
	const nested = team + "\n- prefix: registry.example.com/team/a/prod\n  requirements:\n  - signature: {signers: [$backup]}"
	const mirror = team + "\nremap:\n- {from: mirror.example.com/cache, to: registry.example.com/team}"
	const warnMode = "version: 1\ndefault: reject\nscopes:\n- prefix: '*'\n  mode: warn\n  requirements:\n  - signature: {signers: [$release]}"
	signed := [][]byte{w.key("release", virtual.Claim{})}
	return []decisionRow{
		{name: "below the prefix", policy: team, subject: "registry.example.com/team/a/model", evidence: signed, want: accepted, says: []string{`"scope":"registry.example.com/team/a"`}},
		{name: "the prefix itself", policy: team, subject: "registry.example.com/team/a", evidence: signed, want: accepted},
		{name: "team/ab is not below team/a", policy: team, subject: "registry.example.com/team/ab", evidence: signed, want: noScope},
		{name: "another registry", policy: team, subject: "registry.example.com.evil.example/team/a", evidence: signed, want: noScope},
		{name: "the longest prefix applies alone", policy: nested, subject: "registry.example.com/team/a/prod/model", evidence: signed, want: refused, says: []string{"signature by backup"}},
		{name: "a mirror under the name of the original", policy: mirror, subject: "mirror.example.com/cache/a/model", evidence: signed, want: accepted, says: []string{`"scope":"registry.example.com/team/a"`}},
		{name: "a mirror of something else", policy: mirror, subject: "mirror.example.com/cachet/a/model", evidence: signed, want: noScope},
		{name: "warn, not signed", policy: warnMode, want: warned, says: []string{"nothing attached", `"mode":"warn"`}},
		{name: "warn and signed", policy: warnMode, evidence: signed, want: accepted},
		{name: "a duplicate key in the policy", policy: strings.Replace(team, "default: reject", "default: reject\ndefault: reject", 1), subject: "registry.example.com/team/a", evidence: signed, want: invalid, says: []string{"policy.yaml:", "default"}},
		{name: "an unknown key in the policy", policy: "- signature: {signers: [$release], treshold: 2}", evidence: signed, want: invalid, says: []string{"treshold"}},
		{name: "no default in the policy", policy: strings.Replace(team, "default: reject\n", "", 1), evidence: signed, want: invalid, says: []string{"default"}},
	}
}

func (w *world) rulingRows() []decisionRow {
	const release, backup = "- signature: {signers: [$release]}", "- signature: {signers: [$backup]}"
	const warnBackup = "version: 1\ndefault: reject\nname: site\nscopes:\n- prefix: '*'\n  mode: warn\n  requirements:\n  - signature: {signers: [$backup]}"
	signed := w.key("release", virtual.Claim{})
	tarred := demo()
	tarred.tars = 1
	lists := func(signer, file string) []byte {
		return w.key(signer, virtual.Claim{Payload: tarred.with("docs/"+file, "a").oms(w.t)})
	}
	const omsRelease, omsBackup = "- oms: {required: true, signers: [$release]}", "- oms: {required: true, signers: [$backup]}"
	return []decisionRow{
		{name: "both know the same files in the tars", policy: omsRelease, second: omsBackup, model: &tarred, evidence: [][]byte{lists("release", "a.md"), lists("backup", "a.md")}, want: accepted},
		{name: "they know other files in the tars", policy: omsRelease, second: omsBackup, model: &tarred, evidence: [][]byte{lists("release", "a.md"), lists("backup", "b.md")}, want: refused, says: []string{"differs from the one that other rules trust"}},
		{name: "site and project accept", policy: release, second: backup, evidence: [][]byte{signed, w.key("backup", virtual.Claim{})}, want: accepted},
		{name: "the site refuses", policy: backup, second: release, evidence: [][]byte{signed}, want: refused, says: []string{"signature by backup"}},
		{name: "the project refuses", policy: release, second: backup, evidence: [][]byte{signed}, want: refused, says: []string{"signature by backup"}},
		{name: "the site warns", policy: warnBackup, second: release, evidence: [][]byte{signed}, want: warned, says: []string{"signature by backup: looked for", `"policy":"site`}},
		{name: "the site warns and the project refuses", policy: warnBackup, second: release, want: refused, says: []string{"signature by release"}},
		{name: "one of them cannot be decided", policy: release, second: `- signature: {signers: [{name: nobody, key: nobody.pub}]}`, evidence: [][]byte{signed}, want: undecided, says: []string{"nobody"}},
	}
}
