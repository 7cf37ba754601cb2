package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/modseal/modseal/pkg/policy"
)

// exceptLines compares policies whatever the lines that their parts stand in.
var exceptLines = cmp.Options{
	cmpopts.IgnoreFields(policy.Scope{}, "Line"), cmpopts.IgnoreFields(policy.Requirement{}, "Line"), cmpopts.EquateEmpty(),
}

func TestFormatRoundTrips(t *testing.T) {
	t.Parallel()
	odd := scopes("a.example")
	odd = strings.Replace(odd, "name: k, key: k.pub", `name: "a: b # c\ttrue\u2028", key: "- 'x' \"y\""`, 1)
	for name, text := range map[string]string{
		"everything": everything, "full": full, "scopes": scopes("*", "oci:", "dir:/a b", "LOCALHOST:5000/x"), "odd names": odd,
		"none": "version: 1\ndefault: reject\nscopes: []\n",
	} {
		p := parse(t, text)
		written, err := policy.Format(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(p, parse(t, string(written)), exceptLines); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, written)
		}
	}
	if _, err := policy.Format(&policy.Policy{Name: "x", Scopes: []policy.Scope{{Prefix: "a b"}}}); err == nil {
		t.Error("what Parse refuses was written")
	}
}

func TestDraft(t *testing.T) {
	t.Parallel()
	ci := policy.Signer{Name: "ci", Keyless: &policy.Keyless{
		TrustedRoot: "public-good", Issuer: policy.Match{Exact: "https://issuer.example"}, Identity: policy.Match{Exact: "https://ci.example/a+b.(c)"}, SCTs: -1,
	}}
	d := policy.Draft{
		From: "registry.example.com/team/model@sha256:00\nversion: 2", Prefix: "registry.example.com/team",
		TrustedRoots: []policy.TrustedRoot{{Name: "public-good", TUF: "public-good", MaxAge: 90 * 24 * time.Hour}},
		Signature:    policy.SignatureRequirement{Signers: []policy.Signer{ci, {Name: "release", Key: pemBlock}}},
		OMS:          policy.OMSRequirement{Required: true},
		Attestations: []policy.AttestationRequirement{{PredicateTypes: []string{"https://slsa.dev/provenance/v1"}, Signers: []policy.Signer{ci}}},
		Freshness:    &policy.FreshnessRequirement{MinimumVersion: "1.0.0", Remember: true},
	}
	text, err := d.Text()
	if err != nil {
		t.Fatal(err)
	}
	p := parse(t, string(text))
	want := []policy.Requirement{
		{Signature: &policy.SignatureRequirement{Signers: d.Signature.Signers, Threshold: 1}},
		{OMS: &policy.OMSRequirement{Required: true}},
		{Attestation: &policy.AttestationRequirement{PredicateTypes: d.Attestations[0].PredicateTypes, Signers: []policy.Signer{ci}, Threshold: 1}},
		{Freshness: d.Freshness},
	}
	if diff := cmp.Diff(want, p.Scopes[0].Requirements, exceptLines); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, text)
	}
	if diff := cmp.Diff(d.TrustedRoots, p.TrustedRoots); diff != "" {
		t.Error(diff)
	}
	if w := p.Check(now); len(w) != 0 {
		t.Errorf("the draft is warned about: %v", w)
	}
	if !strings.Contains(string(text), "# Made from registry.example.com/team/model@sha256:00 version: 2:") {
		t.Errorf("where it is from is not said in one line:\n%s", text)
	}
	d.Prefix = "no host"
	var e *policy.Error
	if _, err := d.Text(); !errors.As(err, &e) || !strings.Contains(e.Message, "blank") {
		t.Errorf("a prefix that is none: %v", err)
	}
}
