package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

// scopes is a policy with a scope for every prefix.
func scopes(prefixes ...string) string {
	text := "version: 1\ndefault: reject\nscopes:\n"
	for _, p := range prefixes {
		text += "  - prefix: '" + p + "'\n    requirements:\n      - signature: {signers: [{name: k, key: k.pub}]}\n"
	}
	return text
}

func TestRulesTakeTheLongestPrefix(t *testing.T) {
	t.Parallel()
	p := parse(t, scopes("r.example/a", "r.example/a/b", "r.example", "localhost:5000", "oci:", "oci:/srv/models", "dir:", "R2.Example/x", "x.io/ab"))
	for subject, want := range map[string]string{
		"r.example/a":            "r.example/a",
		"r.example/a/c":          "r.example/a",
		"r.example/a/b":          "r.example/a/b",
		"r.example/a/b/c":        "r.example/a/b",
		"r.example/a/bc":         "r.example/a",
		"r.example/ab":           "r.example",
		"R.Example/a":            "r.example/a",
		"r.example/A":            "r.example",
		"r.example:5000/a":       "",
		"r.example.org/a":        "",
		"localhost:5000/x":       "localhost:5000",
		"localhost:50001/x":      "",
		"localhost/x":            "",
		"r2.example/x/y":         "r2.example/x",
		"oci:/tmp/m":             "oci:",
		"oci:/srv/models":        "oci:/srv/models",
		"oci:/srv/models/a":      "oci:/srv/models",
		"oci:/srv/models/../x":   "oci:",
		"oci:/srv//models/./a":   "oci:/srv/models",
		"oci:/srv/models2":       "oci:",
		"dir:/anything":          "dir:",
		"archive:/x.tar":         "",
		"elsewhere.example/team": "",
		"x.io/a":                 "",
	} {
		rules, err := p.Rules(subject)
		if want == "" {
			var none *policy.NoScopeError
			if !errors.As(err, &none) || none.Subject != subject || none.Default != "reject" ||
				!strings.Contains(none.Next(), "to policy.yaml") || !strings.Contains(none.Next(), "modseal policy check policy.yaml --for "+subject) {
				t.Errorf("%s: %q, %v", subject, rules.Scope, err)
			}
			continue
		}
		if err != nil || rules.Scope != want || rules.Name != "policy.yaml scope "+want {
			t.Errorf("%s: %q, %v; want %q", subject, rules.Scope, err, want)
		}
	}
	all := parse(t, scopes("*", "r.io"))
	for subject, want := range map[string]string{"r.io": "r.io", "r.io/x": "r.io", "s": "*", "oci:/x": "*", "": "*"} {
		if rules, err := all.Rules(subject); err != nil || rules.Scope != want {
			t.Errorf("%s: %q, %v; want %q", subject, rules.Scope, err, want)
		}
	}
}
