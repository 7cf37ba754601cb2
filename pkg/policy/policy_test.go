package policy_test

import (
	"errors"
	"fmt"
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

func TestParse(t *testing.T) {
	t.Parallel()
	release := policy.Signer{Name: "release", Key: "release.pub"}
	backup := policy.Signer{Name: "backup", Key: pemBlock}
	other := policy.Signer{Name: "other", Key: "keys/other.pub"}
	want := &policy.Policy{
		Name: "policy.yaml", Version: 1, Default: "reject",
		Scopes: []policy.Scope{
			{Prefix: "registry.example.com/team", Mode: "enforce", Line: 5, Requirements: []policy.Requirement{
				{Signature: &policy.SignatureRequirement{Signers: []policy.Signer{release, backup}, Threshold: 2}},
				{OMS: &policy.OMSRequirement{Required: true}},
			}},
			{Prefix: "oci:", Mode: "warn", Line: 20, Requirements: []policy.Requirement{
				{OMS: &policy.OMSRequirement{Signers: []policy.Signer{release, other}}},
			}},
			{Prefix: "*", Mode: "enforce", Line: 26, Requirements: []policy.Requirement{
				{Signature: &policy.SignatureRequirement{Signers: []policy.Signer{release}, Threshold: 1}},
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

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	replace := func(old, with string) string {
		if !strings.Contains(full, old) {
			t.Fatalf("the policy has no %q", old)
		}
		return strings.Replace(full, old, with, 1)
	}
	for name, row := range map[string]struct {
		text string
		line int
		want string
	}{
		"nothing":                     {"", 0, "empty"},
		"only a comment":              {"# x\n", 0, "empty"},
		"null":                        {"null\n", 1, "mapping"},
		"a list":                      {"- a\n", 1, "mapping"},
		"no YAML":                     {"version: [\n", 1, ""},
		"tab":                         {"version: 1\n\tdefault: reject\n", 2, ""},
		"second document":             {full + "---\nversion: 1\n", 30, "second document"},
		"unknown key":                 {replace("default: reject", "default: reject\nextra: 1"), 4, `unknown key "extra"`},
		"unknown key in scope":        {replace("mode: enforce", "Mode: enforce"), 6, `unknown key "Mode"`},
		"unknown key in requirement":  {replace("- oms:\n          required: true", "- omss:\n          required: true"), 18, `unknown key "omss"`},
		"unknown key in signature":    {replace("threshold: 2", "treshold: 2"), 17, `unknown key "treshold"`},
		"unknown key in signer":       {replace("key: release.pub", "keys: release.pub"), 11, `unknown key "keys"`},
		"duplicate key":               {replace("default: reject", "default: reject\ndefault: reject"), 4, ""},
		"duplicate key in flow":       {replace("{name: release, key: release.pub}", "{name: release, name: x, key: release.pub}"), 25, ""},
		"no version":                  {replace("version: 1\n", ""), 2, "no version"},
		"version 2":                   {replace("version: 1", "version: 2"), 2, "version 2"},
		"version as text":             {replace("version: 1", "version: '1'"), 2, "whole number"},
		"version as float":            {replace("version: 1", "version: 1.0"), 2, "whole number"},
		"version too large":           {replace("version: 1", "version: 18446744073709551615"), 2, "whole number"},
		"no default":                  {replace("default: reject\n", ""), 2, "no default"},
		"default accept":              {replace("default: reject", "default: accept"), 3, "accept"},
		"default null":                {replace("default: reject", "default:"), 3, "text"},
		"no scopes":                   {"version: 1\ndefault: reject\n", 1, "no scopes"},
		"scopes as mapping":           {"version: 1\ndefault: reject\nscopes: {}\n", 3, "list"},
		"unknown mode":                {replace("mode: warn", "mode: audit"), 21, "audit"},
		"mode as bool":                {replace("mode: warn", "mode: true"), 21, "text"},
		"no prefix":                   {replace("prefix: registry.example.com/team\n    mode", "mode"), 5, "no prefix"},
		"equal prefixes":              {scopes("r.example/a", "r.example/a"), 7, "same prefix"},
		"equal prefixes by case":      {scopes("r.example/a", "R.example/a"), 7, "same prefix"},
		"no requirements":             {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n", 4, "no requirements"},
		"empty requirements":          {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n    requirements: []\n", 5, "accept everything"},
		"empty requirement":           {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n    requirements: [{}]\n", 5, "empty"},
		"two in one requirement":      {replace("          threshold: 2\n      - oms:", "          threshold: 2\n        oms:"), 0, "one thing"},
		"two oms":                     {replace("required: true\n", "required: true\n      - oms:\n          required: true\n"), 20, "oms"},
		"oms without required":        {replace("- oms:\n          required: true", "- oms: {}"), 18, "no required"},
		"oms required as text":        {replace("required: true", "required: 'yes'"), 19, "true or false"},
		"oms without anyone":          {replace("          signers: [{name: release, key: release.pub}, {name: other, key: keys/other.pub}]\n", ""), 23, "no signers"},
		"no signers":                  {replace("{signers: [{name: release, key: release.pub}]}", "{}"), 28, "no signers"},
		"empty signers":               {replace("{signers: [{name: release, key: release.pub}]}", "{signers: []}"), 28, "0 signers"},
		"signer without name":         {replace("{name: other, key", "{key"), 25, "no name"},
		"signer without key":          {replace("{name: other, key: keys/other.pub}", "{name: other}"), 25, "no key"},
		"signer with empty key":       {replace("key: keys/other.pub", "key: ' '"), 25, "empty"},
		"signer twice":                {replace("name: other", "name: release"), 25, ""},
		"one name for two keys":       {replace("name: release, key: release.pub}]}", "name: release, key: x.pub}]}"), 28, "another key"},
		"KMS key":                     {replace("keys/other.pub", "awskms://x"), 25, "neither a file"},
		"PKCS #11 key":                {replace("keys/other.pub", "'pkcs11:token=x'"), 25, "neither a file"},
		"threshold 0":                 {replace("threshold: 2", "threshold: 0"), 17, "threshold"},
		"threshold 3 of 2":            {replace("threshold: 2", "threshold: 3"), 17, "threshold"},
		"threshold as text":           {replace("threshold: 2", "threshold: two"), 17, "whole number"},
		"anchor":                      {replace("prefix: registry.example.com/team", "prefix: &a registry.example.com/team"), 5, "anchors"},
		"alias":                       {replace("mode: warn", "mode: *a"), 21, ""},
		"merge key":                   {replace("mode: warn", "<<: {mode: warn}"), 21, ""},
		"tag":                         {replace("mode: warn", "mode: !!str warn"), 21, "tags"},
		"prefix with wildcard":        {scopes("r.example/*"), 4, "wildcard"},
		"prefix with slash":           {scopes("r.example/"), 4, "empty component"},
		"prefix beginning with slash": {scopes("/r"), 4, "empty component"},
		"prefix with tag":             {scopes("r.example/a:v1"), 4, "tag"},
		"prefix with digest":          {scopes("r.example/a@sha256:00"), 4, "digest"},
		"prefix as URL":               {scopes("https://r.example"), 4, "URL"},
		"empty prefix":                {scopes(""), 4, "empty"},
		"prefix with blank":           {scopes("a b"), 4, "blank"},
		"prefix without a host":       {scopes("ocr"), 4, `"ocr" does not begin with a registry host such as registry.example.com; no reference could match it`},
		"repository without a host":   {scopes("team/model"), 4, `"team/model" does not begin with a registry host`},
		"scheme without a path":       {scopes("oci"), 4, "does not begin with a registry host"},
		"port that is no number":      {scopes("ocr:models/a"), 4, "does not begin with a registry host"},
		"port without a host":         {scopes(":5000/a"), 4, "does not begin with a registry host"},
		"scheme in upper case":        {scopes("OCI:/srv/models"), 4, "neither a port"},
		"repository in upper case":    {scopes("R.Example/Team/a"), 4, `the repository must be lower case; write "R.Example/team/a"`},
		"no repository":               {scopes("r.example/team/-a"), 4, `"team/-a" is no repository: parts of a-z`},
		"repository with a detour":    {scopes("r.example/../a"), 4, "is no repository"},
		"relative layout":             {scopes("oci:models"), 4, "absolute"},
		"layout with detour":          {scopes("oci:/a/../b"), 4, "absolute"},
		"unknown scheme":              {scopes("docker:"), 4, "port"},
		"deep nesting":                {strings.Repeat("[", 1000), 1, "deep"},
		"deep nesting in lines":       {strings.Repeat("[\n", 1000), 65, "deep"},
		"long line":                   {strings.Repeat("- ", 4000), 1, "long"},
		"too large":                   {strings.Repeat("# x\n", 300_000), 0, "more than"},
		"too many lines":              {strings.Repeat("#\n", 10_001), 10_001, "lines"},
	} {
		p, err := policy.Parse("policy.yaml", []byte(row.text))
		var e *policy.Error
		switch {
		case err == nil:
			t.Errorf("%s: accepted as %+v", name, p)
		case !errors.As(err, &e):
			t.Errorf("%s: %v is no *policy.Error", name, err)
		case !strings.Contains(e.Message, row.want) || row.line != 0 && e.Line != row.line:
			t.Errorf("%s: %q, want line %d and %q", name, err, row.line, row.want)
		case !strings.HasPrefix(err.Error(), "policy.yaml:"):
			t.Errorf("%s: %q does not begin with the file", name, err)
		}
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

func TestTemplateIsAPolicy(t *testing.T) {
	t.Parallel()
	for _, o := range []policy.TemplateOptions{
		{},
		{Prefix: "*", SignerName: "the release key", Key: "keys/a \"b\".pub", OMSRequired: true},
		{Prefix: "oci:", Key: pemBlock},
	} {
		p := parse(t, string(policy.Template(o)))
		if len(p.Scopes) != 1 {
			t.Fatalf("%+v", p)
		}
		s := p.Scopes[0]
		if o.Prefix != "" && s.Prefix != o.Prefix || s.Mode != policy.ModeEnforce {
			t.Errorf("prefix %q, mode %q", s.Prefix, s.Mode)
		}
		signer := s.Requirements[0].Signature.Signers[0]
		if o.Key != "" && signer.Key != o.Key || o.SignerName != "" && signer.Name != o.SignerName {
			t.Errorf("signer %+v", signer)
		}
		if s.Requirements[1].OMS.Required != o.OMSRequired {
			t.Error("oms.required is lost")
		}
		if w := p.Check(); len(w) != 0 {
			t.Errorf("the template is warned about: %v", w)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	var got []string
	for _, w := range p.Check() {
		got = append(got, w.Scope)
	}
	// "oci:" warns only, and requires no signature.
	if diff := cmp.Diff([]string{"oci:", "oci:"}, got); diff != "" {
		t.Error(diff)
	}
	if w := parse(t, scopes("LOCALHOST/a_b/c--d/e.f", "127.0.0.1:5000/a__b", "R.Example:5000", "archive:/a/B.tar", "dir:/A", "*")).Check(); len(w) != 0 {
		t.Errorf("good prefixes: %v", w)
	}
	if w := parse(t, "version: 1\ndefault: reject\nscopes: []\n").Check(); len(w) != 1 {
		t.Errorf("a policy without scopes: %v", w)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
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
			if len(s.Requirements) == 0 {
				t.Fatalf("scope %q requires nothing", s.Prefix)
			}
			r := policy.Rules{Requirements: s.Requirements}
			if len(r.Signers()) == 0 || len(r.OMS().Signers) == 0 {
				t.Fatalf("scope %q names nobody", s.Prefix)
			}
		}
		_ = p.Check()
	})
}

func TestCheckKeys(t *testing.T) {
	t.Parallel()
	text := func(threshold int) string {
		return fmt.Sprintf(`version: 1
default: reject
scopes:
  - prefix: r.example/a
    requirements:
      - signature: {signers: [{name: a, key: a.pub}, {name: b, key: b.pub}, {name: c, key: c.pub}], threshold: %d}
      - oms: {required: true, signers: [{name: d, key: d.pub}, {name: e, key: e.pub}]}
  - prefix: r.example/b
    requirements:
      - signature: {signers: [{name: a, key: a.pub}]}
      - signature: {signers: [{name: b, key: b.pub}]}
`, threshold)
	}
	const same = `signers "a" and "b" are the same key, sha256:1, which counts once`
	for name, row := range map[string]struct {
		threshold int
		keys      map[string]string
		want      []string
	}{
		"different keys":     {3, map[string]string{"a": "sha256:1", "b": "sha256:2", "c": "sha256:3", "d": "sha256:1", "e": "sha256:2"}, nil},
		"nothing is known":   {3, nil, nil},
		"one key, two names": {2, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:3"}, []string{same}},
		"too few keys": {3, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:3"}, []string{
			same, "no model can meet this signature requirement: its threshold is 3, and its 3 signers have only 2 different keys",
		}},
		"one key for all": {2, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:1"}, []string{
			`signers "a", "b" and "c" are the same key, sha256:1, which counts once`,
			"no model can meet this signature requirement: its threshold is 2, and its 3 signers have only 1 key",
		}},
		"OMS signers": {1, map[string]string{"d": "sha256:4", "e": "sha256:4"}, []string{`signers "d" and "e" are the same key, sha256:4, which counts once`}},
	} {
		var got []string
		for _, w := range parse(t, text(row.threshold)).CheckKeys(row.keys) {
			if w.Scope != "r.example/a" || w.Line != 4 {
				t.Errorf("%s: %+v", name, w)
			}
			got = append(got, w.Message)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
