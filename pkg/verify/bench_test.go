package verify_test

import (
	"fmt"
	"testing"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// BenchmarkVerify decides on a manifest of 1,000 layers with 50 bundles of all
// kinds: OMS statements of all files, signatures and attestations, by keys and
// keyless, by the right signers and by others.
func BenchmarkVerify(b *testing.B) {
	s, bundles, ruling := large(b)
	b.ResetTimer()
	for b.Loop() {
		v, err := verify.Verify(b.Context(), s, evidence(bundles...), ruling)
		if err != nil || len(v.Report().Requirements) != 5 {
			b.Fatal(err)
		}
	}
}

func large(t testing.TB) (verify.Subject, [][]byte, verify.Ruling) {
	t.Helper()
	m := manyFiles(1000)
	m.config = `{"descriptor":{"version":"1.2.0","licenses":["Apache-2.0"]}}`
	s := m.subject(t)
	d := s.Descriptor.Digest
	one := virtual.New(t, "one")
	statements := [][]byte{m.oms(t), cosign(t, d), predicated(d, slsa, `{"buildDefinition":{}}`), claim(d, "https://cyclonedx.org/bom"), claim(d, "https://openvex.dev/ns")}
	var bundles [][]byte
	for i := range 10 {
		id := virtual.Identity{Subject: workflow, Issuer: issuer}
		if i >= 5 {
			id.Subject = fmt.Sprintf("https://ci.example.com/other-%d", i)
		}
		signer := []string{"release", "stranger"}[i/5]
		for j, payload := range statements {
			if (i+j)%2 == 0 {
				bundles = append(bundles, one.Keyless(t, id, virtual.Claim{Payload: payload, Log: virtual.LogV1, Timestamp: true}).JSON(t))
			} else {
				bundles = append(bundles, one.Key(t, keys()[signer].private, "", virtual.Claim{Payload: payload}).JSON(t))
			}
		}
	}
	text := shorthand.Replace(`version: 1
default: reject
trustedRoots: [{name: one, file: one.json}]
scopes:
- prefix: '*'
  requirements:
  - signature: {threshold: 2, signers: [$ci, $release, $backup]}
  - oms: {required: true}
  - attestation: {predicateType: $slsa, signers: [$ci, $backup], conditions: ["files.all(f, !f.name.endsWith('.pkl'))"]}
  - conditions: ["config.descriptor.licenses.exists(l, l == 'Apache-2.0')"]
  - freshness: {minimumVersion: 1.0.0}
`)
	p, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := p.Rules(s.Name)
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.ParseRoot("one", one.Root(t, virtual.RootOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	known := trusted()
	known.Roots = map[string]*trust.Root{"one": root}
	return s, bundles, verify.Ruling{Rules: rules, Trust: known}
}

// A large artifact is decided on like a small one.
func TestLargeArtifact(t *testing.T) {
	t.Parallel()
	s, bundles, ruling := large(t)
	if len(bundles) != 50 {
		t.Fatalf("%d bundles", len(bundles))
	}
	v, err := verify.Verify(t.Context(), s, evidence(bundles...), ruling)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range v.Report().Requirements {
		if r.Outcome != verify.Passed {
			t.Errorf("%+v", r)
		}
	}
}
