package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/policy"
)

// everything has every key of the document.
const everything = `version: 1
name: site policy
default: reject
trustedRoots:
  - name: corporate
    file: sigstore/trusted_root.json
    maxAge: 90d
  - name: public
    tuf: public-good
    maxAge: 720h
  - name: own
    tuf: https://tuf.example/repository
    root: root.json
remap:
  - from: mirror.example/hub
    to: registry.example.com
limits:
  referrers: 200
  pages: 10
  bytes: 16MiB
scopes:
  - prefix: registry.example.com/team
    mode: warn
    requirements:
      - signature:
          signers:
            - name: release
              key: release.pub
              notBefore: 2026-01-01
              notAfter: 2027-01-01T12:00:00+02:00
            - name: kms
              key: awskms:///alias/release
            - name: corporate
              certificate:
                roots: roots.pem
                intermediates: intermediates.pem
                identity: release@example.com
            - name: ci
              keyless:
                trustedRoot: corporate
                issuer: https://issuer.example
                identityRegexp: https://ci[.]example/team/.*
                extensions:
                  sourceRepositoryURI: https://git.example/team/model
                  runnerEnvironment: github-hosted
                sct: 1
          threshold: 3
          legacyTags: true
          transparencyLogs: 1
          timestamps: 2
          trustedRoot: corporate
          maxAge: 30m
      - oms:
          required: true
          signers: [{name: kms, key: awskms:///alias/release}]
          hashTypes: [sha256, blake3]
          methods: [files]
          ignorePaths: [.cache, docs/drafts]
          symlinks: true
          unsignedFiles: true
          legacyPredicate: true
          timestamps: 1
          trustedRoot: own
      - attestation:
          name: built by us
          predicateTypes: [https://slsa.dev/provenance/v1, https://slsa.dev/provenance/v0.2]
          signers:
            - name: builder
              keyless: {trustedRoot: public, issuerRegexp: 'https://[a-z]+[.]example', identity: "https://ci.example/builder", unlogged: true}
          threshold: 1
          conditions:
            - provenance.buildDefinition.buildType == 'x'
            - name: from our repository
              expression: |
                predicate.buildDefinition.externalParameters
                  .source.startsWith('git+https://git.example/')
          legacyTags: true
          maxAge: 7d
      - attestation:
          predicateType: https://cyclonedx.org/bom
          signers: [{name: release, key: release.pub, notBefore: 2026-01-01, notAfter: 2027-01-01T10:00:00Z}]
      - conditions:
          - files.all(f, !f.name.endsWith('.pkl'))
      - freshness:
          minimumVersion: 1.2.0-rc.1
          createdAfter: 2026-02-03
          remember: true
  - prefix: "dir:"
    requirements:
      - oms:
          required: true
          signers: [{name: release, key: release.pub, notBefore: 2026-01-01, notAfter: 2027-01-01T10:00:00Z}]
          ignorePaths: any
  - prefix: prod.example
    requirements:
      - vsa:
          name: promoted
          verifiers:
            - id: https://promoter.example/prod
              signers: [{name: kms, key: awskms:///alias/release}]
            - id: urn:example:promoter
              signers:
                - {name: kms, key: awskms:///alias/release}
                - name: builder
                  keyless: {trustedRoot: public, issuerRegexp: 'https://[a-z]+[.]example', identity: "https://ci.example/builder", unlogged: true}
          threshold: 2
          resource: [Prod.example/team, "archive:", "https://example.com/environments/prod"]
          levels: [SLSA_BUILD_LEVEL_2, MODSEAL_POLICY_PASSED]
          policies: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
          maxAge: 90d
          conditions: [predicate.slsaVersion == '1.1']
          legacyTags: true
          transparencyLogs: 1
          timestamps: 1
          trustedRoot: own
      - vsa:
          verifiers: [{id: urn:example:promoter, signers: [{name: kms, key: awskms:///alias/release}]}]
          resource: any
      - vsa:
          verifiers: [{id: urn:example:promoter, signers: [{name: kms, key: awskms:///alias/release}]}]
`

func condition(t *testing.T, name, expression string, types ...string) policy.Condition {
	t.Helper()
	c, err := policy.AttestationCondition(name, expression, types...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func everythingParsed(t *testing.T) *policy.Policy {
	t.Helper()
	slsa := []string{"https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"}
	release := policy.Signer{
		Name: "release", Key: "release.pub",
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 10, 0, 0, 0, time.UTC),
	}
	kms := policy.Signer{Name: "kms", Key: "awskms:///alias/release"}
	corporate := policy.Signer{Name: "corporate", Certificate: &policy.Certificate{
		Roots: "roots.pem", Intermediates: "intermediates.pem", Identity: policy.Match{Exact: "release@example.com"},
	}}
	ci := policy.Signer{Name: "ci", Keyless: &policy.Keyless{
		TrustedRoot: "corporate", Issuer: policy.Match{Exact: "https://issuer.example"}, Identity: policy.Match{Regexp: "https://ci[.]example/team/.*"},
		Extensions: map[string]string{"sourceRepositoryURI": "https://git.example/team/model", "runnerEnvironment": "github-hosted"}, SCTs: 1,
	}}
	builder := policy.Signer{Name: "builder", Keyless: &policy.Keyless{
		TrustedRoot: "public", Issuer: policy.Match{Regexp: "https://[a-z]+[.]example"}, Identity: policy.Match{Exact: "https://ci.example/builder"}, SCTs: -1, Unlogged: true,
	}}
	return &policy.Policy{
		Name: "policy.yaml", Title: "site policy", Version: 1, Default: "reject",
		TrustedRoots: []policy.TrustedRoot{
			{Name: "corporate", File: "sigstore/trusted_root.json", MaxAge: 90 * 24 * time.Hour},
			{Name: "public", TUF: "public-good", MaxAge: 720 * time.Hour},
			{Name: "own", TUF: "https://tuf.example/repository", TUFRoot: "root.json"},
		},
		Remaps: []policy.Remap{{From: "mirror.example/hub", To: "registry.example.com"}},
		Limits: policy.Limits{Referrers: 200, Pages: 10, Bytes: 16 << 20},
		Scopes: []policy.Scope{
			{Prefix: "registry.example.com/team", Mode: "warn", Line: 22, Requirements: []policy.Requirement{
				{Line: 25, Signature: &policy.SignatureRequirement{
					Signers: []policy.Signer{release, kms, corporate, ci}, Threshold: 3, LegacyTags: true,
					Witness: policy.Witness{TransparencyLogs: 1, Timestamps: 2, TrustedRoot: "corporate", MaxAge: 30 * time.Minute},
				}},
				{Line: 53, OMS: &policy.OMSRequirement{
					Required: true, Signers: []policy.Signer{kms}, HashTypes: []string{"sha256", "blake3"}, Methods: []string{"files"},
					IgnorePaths: []string{".cache", "docs/drafts"}, Symlinks: true, UnsignedFiles: true, LegacyPredicate: true,
					Witness: policy.Witness{Timestamps: 1, TrustedRoot: "own"},
				}},
				{Line: 64, Attestation: &policy.AttestationRequirement{
					Name: "built by us", PredicateTypes: slsa, Signers: []policy.Signer{builder}, Threshold: 1, LegacyTags: true,
					Conditions: []policy.Condition{
						condition(t, "", "provenance.buildDefinition.buildType == 'x'", slsa...),
						condition(t, "from our repository", "predicate.buildDefinition.externalParameters\n  .source.startsWith('git+https://git.example/')", slsa...),
					},
					Witness: policy.Witness{MaxAge: 7 * 24 * time.Hour},
				}},
				{Line: 79, Attestation: &policy.AttestationRequirement{
					PredicateTypes: []string{"https://cyclonedx.org/bom"}, Signers: []policy.Signer{release}, Threshold: 1,
				}},
				{Line: 82, Conditions: &policy.ConditionsRequirement{Conditions: []policy.Condition{condition(t, "", "files.all(f, !f.name.endsWith('.pkl'))")}}},
				{Line: 84, Freshness: &policy.FreshnessRequirement{
					MinimumVersion: "1.2.0-rc.1", CreatedAfter: time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC), Remember: true,
				}},
			}},
			{Prefix: "dir:", Mode: "enforce", Line: 88, Requirements: []policy.Requirement{
				{Line: 90, OMS: &policy.OMSRequirement{Required: true, Signers: []policy.Signer{release}, AnyIgnorePaths: true}},
			}},
			{Prefix: "prod.example", Mode: "enforce", Line: 94, Requirements: []policy.Requirement{
				{Line: 96, VSA: &policy.VSARequirement{
					Name: "promoted", Threshold: 2, LegacyTags: true,
					Verifiers: []policy.Verifier{
						{ID: "https://promoter.example/prod", Signers: []policy.Signer{kms}},
						{ID: "urn:example:promoter", Signers: []policy.Signer{kms, builder}},
					},
					Resource:   policy.Resources{Places: []string{"prod.example/team", "archive:", "https://example.com/environments/prod"}},
					Levels:     []string{"SLSA_BUILD_LEVEL_2", "MODSEAL_POLICY_PASSED"},
					Policies:   []digest.Digest{digest.FromString("test")},
					MaxAge:     90 * 24 * time.Hour,
					Conditions: []policy.Condition{condition(t, "", "predicate.slsaVersion == '1.1'", "https://slsa.dev/verification_summary/v1")},
					Witness:    policy.Witness{TransparencyLogs: 1, Timestamps: 1, TrustedRoot: "own"},
				}},
				{Line: 116, VSA: &policy.VSARequirement{
					Threshold: 1, Resource: policy.Resources{Any: true},
					Verifiers: []policy.Verifier{{ID: "urn:example:promoter", Signers: []policy.Signer{kms}}},
				}},
				{Line: 119, VSA: &policy.VSARequirement{
					Threshold: 1, Resource: policy.Resources{Here: true},
					Verifiers: []policy.Verifier{{ID: "urn:example:promoter", Signers: []policy.Signer{kms}}},
				}},
			}},
		},
	}
}

func TestParseEverything(t *testing.T) {
	t.Parallel()
	p := parse(t, everything)
	if diff := cmp.Diff(everythingParsed(t), p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, row := range []struct {
		what      string
		got, want []string
	}{
		{"files", p.Files(), []string{"sigstore/trusted_root.json", "root.json", "release.pub", "roots.pem", "intermediates.pem"}},
		{"key files", p.KeyFiles(), []string{"release.pub"}},
		{"key references", p.KeyReferences(), []string{"awskms:///alias/release"}},
	} {
		if diff := cmp.Diff(row.want, row.got); diff != "" {
			t.Errorf("%s: %s", row.what, diff)
		}
	}
}

// Every key of the table stands in the document above, and every key of that is
// read: [TestParseEverything] would miss its value.
func TestEverythingHasEveryField(t *testing.T) {
	t.Parallel()
	for _, s := range policy.Sections() {
		for _, f := range s.Fields {
			if !strings.Contains(everything, f.Name+":") {
				t.Errorf("%s: %s is not in the document", s.Title, f.Name)
			}
		}
	}
}

func TestRulesOfEverything(t *testing.T) {
	t.Parallel()
	p := parse(t, everything)
	for _, subject := range []string{"registry.example.com/team/model", "mirror.example/hub/team/model"} {
		r, err := p.Rules(subject)
		if err != nil {
			t.Fatal(err)
		}
		if r.Subject != "registry.example.com/team/model" || r.Name != "site policy (policy.yaml) scope registry.example.com/team" || r.Limits != p.Limits {
			t.Errorf("%s: %+v", subject, r)
		}
		if diff := cmp.Diff(p.TrustedRoots, r.TrustedRoots); diff != "" {
			t.Errorf("%s: trusted roots: %s", subject, diff)
		}
		signatures, attestations := r.NeedsLegacyTags()
		if !signatures || !attestations || !r.NeedsConfig() || !r.Remembers() {
			t.Errorf("%s: needs are not seen", subject)
		}
	}
	r, err := p.Rules("dir:/x")
	if err != nil {
		t.Fatal(err)
	}
	signatures, attestations := r.NeedsLegacyTags()
	if signatures || attestations || r.NeedsConfig() || r.Remembers() || len(r.TrustedRoots) > 0 {
		t.Errorf("needs of another scope: %+v", r)
	}
}

func TestDefaultsOfTrustedRoots(t *testing.T) {
	t.Parallel()
	p := parse(t, `version: 1
default: reject
trustedRoots: [{name: only, file: root.json}]
scopes:
  - prefix: a.example
    requirements:
      - signature:
          signers: [{name: ci, keyless: {issuer: https://i.example, identity: a@example.com}}]
      - attestation:
          predicateType: https://cyclonedx.org/bom
          signers: [{name: k, key: k.pub}]
          timestamps: 1
      - oms: {required: false}
`)
	reqs := p.Scopes[0].Requirements
	if got := reqs[0].Signature.Signers[0].Keyless.TrustedRoot; got != "only" {
		t.Errorf("keyless signer: trusted root %q", got)
	}
	if got := reqs[0].Witness().TrustedRoot; got != "" {
		t.Errorf("witness of keyless signers: trusted root %q, although each has its own", got)
	}
	if got := reqs[1].Witness().TrustedRoot; got != "only" {
		t.Errorf("witness of a key: trusted root %q", got)
	}
}
