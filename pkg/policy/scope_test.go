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

func TestRemap(t *testing.T) {
	t.Parallel()
	p := parse(t, `version: 1
default: reject
remap:
  - {from: mirror.example/hub, to: r.example}
  - {from: mirror.example/hub/special, to: s.example/x}
  - {from: r.example/moved, to: s.example/y}
  - {from: "oci:/srv/models", to: r.example/team}
  - {from: localhost:5000, to: r.example/local}
`+strings.TrimPrefix(scopes("r.example", "r.example/team", "s.example/x", "s.example/y", "mirror.example", "oci:"), "version: 1\ndefault: reject\n"))
	for subject, want := range map[string][2]string{
		"mirror.example/hub/team/m":       {"r.example/team/m", "r.example/team"},
		"MIRROR.example/hub/team":         {"r.example/team", "r.example/team"},
		"mirror.example/hub":              {"r.example", "r.example"},
		"mirror.example/hubble/team":      {"mirror.example/hubble/team", "mirror.example"},
		"mirror.example/hub/special/m":    {"s.example/x/m", "s.example/x"},
		"mirror.example/hub/specials/m":   {"r.example/specials/m", "r.example"},
		"mirror.example/hub/moved/m":      {"r.example/moved/m", "r.example"}, // once only
		"r.example/moved/m":               {"s.example/y/m", "s.example/y"},
		"r.example/team/m":                {"r.example/team/m", "r.example/team"},
		"oci:/srv/models/a":               {"r.example/team/a", "r.example/team"},
		"oci:/srv/models/../models/a/":    {"r.example/team/a", "r.example/team"},
		"oci:/srv/models2/a":              {"oci:/srv/models2/a", "oci:"},
		"localhost:5000/m":                {"r.example/local/m", "r.example"},
		"localhost:50001/m":               {"localhost:50001/m", ""},
		"x.example/mirror.example/hub/m":  {"x.example/mirror.example/hub/m", ""},
		"mirror.example/hub/team/../evil": {"r.example/team/../evil", "r.example/team"},
	} {
		r, err := p.Rules(subject)
		if want[1] == "" {
			var none *policy.NoScopeError
			if !errors.As(err, &none) || none.Remapped != want[0] {
				t.Errorf("%s: %v", subject, err)
			}
			continue
		}
		if err != nil || r.Subject != want[0] || r.Scope != want[1] {
			t.Errorf("%s: %q in scope %q, %v; want %q", subject, r.Subject, r.Scope, err, want)
		}
	}
	q := parse(t, "remap: [{from: m.example, to: a.example/x}]\n"+scopes("b.example"))
	_, err := q.Rules("m.example/y")
	var none *policy.NoScopeError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "matches a.example/x/y, which it is remapped to") || !strings.Contains(none.Next(), `"a.example/x/y"`) {
		t.Errorf("what a remap leads to is not said: %v", err)
	}
}

func TestMergeLimits(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		all  []policy.Limits
		want policy.Limits
	}{
		"none":            {nil, policy.Limits{}},
		"one":             {[]policy.Limits{{Referrers: 3}}, policy.Limits{Referrers: 3}},
		"the smaller":     {[]policy.Limits{{Referrers: 3, Pages: 9, Bytes: 5}, {Referrers: 4, Pages: 8, Bytes: 5}}, policy.Limits{Referrers: 3, Pages: 8, Bytes: 5}},
		"0 is no limit":   {[]policy.Limits{{Pages: 9}, {Bytes: 7}, {}}, policy.Limits{Pages: 9, Bytes: 7}},
		"0 after a limit": {[]policy.Limits{{Referrers: 1}, {Referrers: 0}}, policy.Limits{Referrers: 1}},
	} {
		if got := policy.MergeLimits(row.all...); got != row.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
