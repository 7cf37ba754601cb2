package policy_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/policy"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(everything))
	f.Add(policy.Template(policy.TemplateOptions{}))
	f.Add([]byte(scopes("a.b/c", "*")))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.Parse("p", data)
		if err != nil {
			var e *policy.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v is no *policy.Error", err)
			}
			return
		}
		for _, s := range p.Scopes {
			r := policy.Rules{Requirements: s.Requirements}
			if len(r.Signers()) == 0 && len(r.OMS().Signers) == 0 {
				t.Fatalf("scope %q names nobody", s.Prefix)
			}
			for _, signer := range r.Signers() {
				checkSigner(t, p, signer)
			}
			if rules, err := p.Rules(s.Prefix); err == nil && rules.Scope == "" {
				t.Fatalf("rules of no scope for %q", s.Prefix)
			}
		}
		_ = p.Check(now)
		if written, err := policy.Format(p); err == nil {
			if again, err := policy.Parse("p", written); err != nil || !cmp.Equal(p, again, exceptLines) {
				t.Fatalf("the document reads differently when it is written: %v\n%s", err, written)
			}
		}
	})
}

// checkSigner holds what every signer of an accepted document must be.
func checkSigner(t *testing.T, p *policy.Policy, s policy.Signer) {
	t.Helper()
	kinds := 0
	var matches []policy.Match
	if s.Key != "" {
		kinds++
	}
	if s.Certificate != nil {
		kinds++
		matches = append(matches, s.Certificate.Identity)
	}
	if s.Keyless != nil {
		kinds++
		matches = append(matches, s.Keyless.Issuer, s.Keyless.Identity)
		if !slices.ContainsFunc(p.TrustedRoots, func(r policy.TrustedRoot) bool { return r.Name == s.Keyless.TrustedRoot }) {
			t.Fatalf("signer %q: no trusted root %q", s.Name, s.Keyless.TrustedRoot)
		}
	}
	if kinds != 1 || s.Name == "" {
		t.Fatalf("signer %+v is %d things", s, kinds)
	}
	for _, m := range matches {
		if err := m.Valid(); err != nil {
			t.Fatalf("signer %q: %s: %v", s.Name, m, err)
		}
	}
}

// An expression and a predicate, whatever they are, are decided without a crash.
func FuzzCondition(f *testing.F) {
	for _, e := range []string{
		"files.all(f, !f.name.endsWith('.pkl'))", "predicate.a.exists(x, x == 1) || config.name == 'm'", "predicate.a.map(x, [x, x]).flatten().distinct() == []",
		"'%s'.format([predicate])  != ''", "predicate.s.replace('', predicate.s).matches('a.*b')", doubled("[1]", 5) + " == []", nested(6),
	} {
		f.Add(e, []byte(`{"a": [1, 2.5, "x", null, {"b": true}], "s": "text"}`))
	}
	f.Fuzz(func(t *testing.T, expression string, predicate []byte) {
		c, err := policy.AttestationCondition("", expression, "https://slsa.dev/provenance/v1")
		if err != nil {
			return
		}
		about, err := facts(t, artifact()).About(policy.Attestation{Predicate: predicate})
		if err != nil {
			return
		}
		err = c.Eval(t.Context(), about)
		var e *policy.ConditionError
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%v is no *policy.ConditionError", err)
		}
	})
}
