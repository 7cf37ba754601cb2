package policy_test

import (
	"errors"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

func TestFromFlags(t *testing.T) {
	t.Parallel()
	alice, url := policy.Match{Exact: "alice@example.com"}, policy.Match{Exact: "https://issuer.example.com"}
	for _, row := range []struct {
		name  string
		flags policy.Flags
		err   error
	}{
		{"an identity alone", policy.Flags{Identity: alice}, policy.ErrIdentityAlone},
		{"an issuer alone", policy.Flags{Issuer: url}, policy.ErrIssuerAlone},
		{"an issuer and an empty identity", policy.Flags{Issuer: url, Identity: policy.Match{}}, policy.ErrIssuerAlone},
		{"keyless and authorities", policy.Flags{Identity: alice, Issuer: url, Roots: "ca.pem"}, policy.ErrTwoMethods},
		{"an issuer and authorities", policy.Flags{Issuer: url, Roots: "ca.pem"}, policy.ErrTwoMethods},
	} {
		if _, err := policy.FromFlags(row.flags); !errors.Is(err, row.err) {
			t.Errorf("%s: %v, want %v", row.name, err, row.err)
		}
	}
	if _, err := policy.FromFlags(policy.Flags{Roots: "ca.pem", Identity: policy.Match{Regexp: "("}}); err == nil {
		t.Error("an identity that is no expression")
	}
}

// Authorities alone take whomever they certified, and nothing else does.
func TestFromFlagsAnyIdentity(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		flags policy.Flags
		any   bool
	}{
		"authorities":               {policy.Flags{Roots: "ca.pem", RootsName: "ca.pem"}, true},
		"authorities and a name":    {policy.Flags{Roots: "ca.pem", RootsName: "ca.pem", Identity: policy.Match{Exact: "a"}}, false},
		"authorities and a pattern": {policy.Flags{Roots: "ca.pem", RootsName: "ca.pem", Identity: policy.Match{Regexp: "a+"}}, false},
	} {
		rules, err := policy.FromFlags(row.flags)
		if err != nil {
			t.Fatal(err)
		}
		signers := rules.Signers()
		if len(signers) != 1 || signers[0].Certificate == nil || signers[0].Certificate.AnyIdentity != row.any {
			t.Errorf("%s: %+v", name, signers)
		}
	}
}
