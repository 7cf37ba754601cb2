package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/policy"
)

func TestParse(t *testing.T) {
	t.Parallel()
	release := policy.Signer{Name: "release", Key: "release.pub"}
	backup := policy.Signer{Name: "backup", Key: pemBlock}
	other := policy.Signer{Name: "other", Key: "keys/other.pub"}
	want := &policy.Policy{
		Name: "policy.yaml", Version: 1, Default: "reject",
		Scopes: []policy.Scope{
			{Prefix: "registry.example.com/team", Mode: "enforce", Line: 5, Requirements: []policy.Requirement{
				{Signature: &policy.SignatureRequirement{Signers: []policy.Signer{release, backup}, Threshold: 2}, Line: 8},
				{OMS: &policy.OMSRequirement{Required: true}, Line: 18},
			}},
			{Prefix: "oci:", Mode: "warn", Line: 20, Requirements: []policy.Requirement{
				{OMS: &policy.OMSRequirement{Signers: []policy.Signer{release, other}}, Line: 23},
			}},
			{Prefix: "*", Mode: "enforce", Line: 26, Requirements: []policy.Requirement{
				{Signature: &policy.SignatureRequirement{Signers: []policy.Signer{release}, Threshold: 1}, Line: 28},
			}},
		},
	}
	got := parse(t, full)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"release.pub", "keys/other.pub"}, got.KeyFiles()); diff != "" {
		t.Errorf("key files: %s", diff)
	}
	if backup.Inline() == release.Inline() {
		t.Error("a PEM block and a path are told apart wrongly")
	}
	rules, err := got.Rules("registry.example.com/team/model")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]policy.Signer{release, backup}, rules.Signers()); diff != "" {
		t.Errorf("signers: %s", diff)
	}
	if diff := cmp.Diff(policy.OMSRequirement{Required: true, Signers: []policy.Signer{release, backup}}, rules.OMS()); diff != "" {
		t.Errorf("OMS uses the signers of the signature requirement: %s", diff)
	}
	if rules, err = got.Rules("oci:/tmp/x"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(policy.OMSRequirement{Signers: []policy.Signer{release, other}}, rules.OMS()); diff != "" {
		t.Errorf("OMS has signers of its own: %s", diff)
	}
}
