package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/policy"
)

const pemBlock = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"

const full = `# comment
version: 1
default: reject
scopes:
  - prefix: registry.example.com/team
    mode: enforce
    requirements:
      - signature:
          signers:
            - name: release
              key: release.pub
            - name: backup
              key: |
                -----BEGIN PUBLIC KEY-----
                MFkw
                -----END PUBLIC KEY-----
          threshold: 2
      - oms:
          required: true
  - prefix: "oci:"
    mode: warn
    requirements:
      - oms:
          required: false
          signers: [{name: release, key: release.pub}, {name: other, key: keys/other.pub}]
  - prefix: "*"
    requirements:
      - signature: {signers: [{name: release, key: release.pub}]}
`

func parse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFromKeysShowsNoPIN(t *testing.T) {
	t.Parallel()
	const key = "pkcs11:token=t;object=o?pin-value=1234"
	r := policy.FromKeys([]string{key})
	if s := r.Signers()[0]; s.Key != key || strings.Contains(s.Name+r.Name, "1234") {
		t.Errorf("%q, %+v", r.Name, s)
	}
}

func TestFromKeys(t *testing.T) {
	t.Parallel()
	r := policy.FromKeys([]string{"a.pub", "b.pub", "a.pub"})
	if r.Name != "--key a.pub --key b.pub" || r.Mode != policy.ModeEnforce {
		t.Errorf("%q, %q", r.Name, r.Mode)
	}
	want := []policy.Signer{{Name: "a.pub", Key: "a.pub"}, {Name: "b.pub", Key: "b.pub"}}
	if diff := cmp.Diff(want, r.Signers()); diff != "" {
		t.Error(diff)
	}
	if r.Requirements[0].Signature.Threshold != 1 {
		t.Errorf("threshold %d", r.Requirements[0].Signature.Threshold)
	}
	if diff := cmp.Diff(policy.OMSRequirement{Signers: want}, r.OMS()); diff != "" {
		t.Errorf("OMS: %s", diff)
	}
}
