package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// now is when policies are checked.
var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func TestCheckIsSilent(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"good prefixes": scopes("LOCALHOST/a_b/c--d/e.f", "127.0.0.1:5000/a__b", "R.Example:5000", "archive:/a/B.tar", "dir:/A", "*"),
		"a good policy": `version: 1
default: reject
trustedRoots: [{name: r, tuf: public-good, maxAge: 90d}]
remap: [{from: mirror.example/hub, to: a.example}]
scopes:
  - prefix: a.example/team
    requirements:
      - signature:
          signers:
            - {name: k, key: k.pub, notBefore: 2026-01-01, notAfter: 2027-01-01}
            - {name: ci, keyless: {issuer: 'https://i.example', identityRegexp: 'https://ci[.]example/team/[a-z]+/.*'}}
            - {name: bot, keyless: {issuerRegexp: 'https://i\.example', identityRegexp: '[a-z]+@example\.com'}}
          timestamps: 1
      - freshness: {remember: true, minimumVersion: 1.0.0}
      - attestation:
          predicateType: https://slsa.dev/verification_summary/v1
          signers: [{name: k, key: k.pub, notBefore: 2026-01-01, notAfter: 2027-01-01}]
          conditions: [predicate.verificationResult == 'PASSED']
      - attestation:
          predicateType: https://slsa.dev/provenance/v1
          signers: [{name: bot, keyless: {issuerRegexp: 'https://i\.example', identityRegexp: '[a-z]+@example\.com'}}]
          maxAge: 90d
`,
	} {
		if w := parse(t, text).Check(now); len(w) != 0 {
			t.Errorf("%s: %v", name, w)
		}
	}
}

func TestCheckWarns(t *testing.T) {
	t.Parallel()
	keyless := func(fields string) string {
		return rootsAndScopeOf("signature: {signers: [{name: ci, keyless: {" + fields + "}}]}")
	}
	identity := func(expression string) string {
		return keyless("issuer: 'https://i.example', identityRegexp: '" + expression + "'")
	}
	const key = "signers: [{name: k, key: k.pub}]"
	for name, row := range map[string]struct {
		text string
		line int
		want string // empty: nothing
	}{
		"no scopes":              {"version: 1\ndefault: reject\nscopes: []\n", 1, "every model is refused"},
		"mode warn":              {strings.Replace(scopeOf("signature: {"+key+"}"), "    req", "    mode: warn\n    req", 1), 4, "mode warn uses models"},
		"nothing required":       {scopeOf("oms: {required: false, " + key + "}"), 4, "nothing is required: a model that nobody signed is accepted"},
		"only the files":         {scopeOf("oms: {required: true, " + key + "}"), 4, "only the files are bound"},
		"only an attestation":    {scopeOf("attestation: {predicateType: 'a:b', " + key + "}"), 4, "whoever attests something"},
		"everybody":              {identity(".*"), 7, "signer \"ci\": identityRegexp /.*/ matches anybody, such as \"someone@elsewhere.invalid\""},
		"everybody, otherwise":   {identity("(.|x)+"), 7, "matches anybody, such as"},
		"everybody in a web":     {identity("https?://.*|.+@.+"), 7, "matches anybody, such as"},
		"any beginning":          {identity(".*/team/model"), 7, "begins with something that matches any text"},
		"any beginning, grouped": {identity("^(.*)/team/model$"), 7, "begins with something that matches any text"},
		"any end":                {identity("https://ci[.]example/team.*"), 7, "ends with something that matches any text, as in https://ci.example/team-of-another"},
		"any end after a slash":  {identity("https://ci[.]example/team/.*"), 0, ""},
		"any domain":             {identity("release@.*"), 0, ""},
		"any web":                {identity("https://.*"), 7, "matches anybody, such as"},
		"any mail":               {identity("[a-z]+@.+"), 7, "matches anybody, such as"},
		"dot in a host":          {identity("https://ci.example/team/x"), 7, "has a dot that is not escaped"},
		"dot in an alternative":  {identity("(https://ci.example|https://cd[.]example)/x"), 7, "has a dot that is not escaped"},
		"any issuer":             {keyless("issuerRegexp: 'https://.*', identity: x"), 7, "issuerRegexp /https://.*/ matches anybody, such as"},
		"issuer that is no URL":  {keyless("issuer: i.example, identity: x"), 7, "is no URL that begins with https://"},
		"no transparency":        {keyless("issuer: 'https://i.example', identity: x, sct: 0"), 7, "sct: 0 accepts certificates"},
		"no log":                 {keyless("issuer: 'https://i.example', identity: x, unlogged: true"), 7, "unlogged: true accepts signatures"},
		"certificate of anybody": {scopeOf("signature: {signers: [{name: c, certificate: {roots: r.pem, identityRegexp: '.+'}}]}"), 6, "matches anybody, such as"},
		"identity twice":         {keyless("issuer: 'https://i.example', identity: x}}, {name: cd, keyless: {issuer: 'https://i.example', identity: x"), 7, `signers "ci" and "cd" are the same identity`},
		"key that ended":         {scopeOf("signature: {signers: [{name: k, key: k.pub, notAfter: 2026-01-01}]}"), 6, "ended on 2026-01-01: it counts only for signatures with an earlier time"},
		"key that ended, seen":   {rootsAndScopeOf("signature: {signers: [{name: k, key: k.pub, notAfter: 2026-01-01}], timestamps: 1}"), 7, "counts only for what was signed until 2026-01-01"},
		"key of the future":      {scopeOf("signature: {signers: [{name: k, key: k.pub, notBefore: 2026-07-01}]}"), 6, "does not count before 2026-07-01"},
		"age without witness":    {rootsAndScopeOf("signature: {signers: [{name: c, certificate: {roots: r.pem, identity: c}}], maxAge: 7d}"), 7, "maxAge counts only signatures with a time"},
		"age of a key":           {rootsAndScopeOf("signature: {" + key + ", maxAge: 7d, timestamps: 1}"), 7, `maxAge of signer "k": whoever can ask the log or timestamp authority gives an old signature`},
		"age of a certificate":   {rootsAndScopeOf("signature: {signers: [{name: c, certificate: {roots: r.pem, identity: c}}], maxAge: 7d, timestamps: 1}"), 0, ""},
		"age of the keyless":     {strings.Replace(keyless("issuer: 'https://i.example', identity: x"), "}}]}", "}}], maxAge: 7d}", 1), 0, ""},
		"legacy signatures":      {scopeOf("signature: {" + key + ", legacyTags: true}"), 6, "legacyTags accepts signatures"},
		"legacy attestations":    {scopeOf("signature: {" + key + "}\n      - attestation: {predicateType: 'a:b', legacyTags: true, " + key + "}"), 7, "legacyTags accepts attestations"},
		"a failed summary":       {scopeOf("signature: {" + key + "}\n      - attestation: {predicateType: 'https://slsa.dev/verification_summary/v1', " + key + "}"), 7, "says FAILED counts, too, and one by any verifier and for any place: write a vsa requirement"},
		"a summary for anything": {scopeOf("vsa: {verifiers: [{id: 'a:b', " + key + "}], resource: any}"), 6, "resource: any accepts what was verified for another place"},
		"legacy summaries":       {scopeOf("vsa: {verifiers: [{id: 'a:b', " + key + "}], legacyTags: true}"), 6, "legacyTags accepts attestations"},
		"only a summary":         {scopeOf("vsa: {verifiers: [{id: 'a:b', " + key + "}], maxAge: 30d}"), 0, ""},
		"any path ignored":       {scopeOf("signature: {" + key + "}\n      - oms: {required: true, ignorePaths: any}"), 7, "ignorePaths: any"},
		"symlinks":               {scopeOf("signature: {" + key + "}\n      - oms: {required: true, symlinks: true}"), 7, "symlinks: true"},
		"unsigned files":         {scopeOf("signature: {" + key + "}\n      - oms: {required: true, unsignedFiles: true}"), 7, "unsignedFiles: true"},
		"old statements":         {scopeOf("signature: {" + key + "}\n      - oms: {required: true, legacyPredicate: true}"), 7, "legacyPredicate: true"},
		"fresh without memory":   {scopeOf("signature: {" + key + "}\n      - freshness: {minimumVersion: 1.0.0}"), 7, "freshness without remember: true"},
		"root that nobody uses":  {rootsAndScopeOf("signature: {" + key + "}"), 1, `nothing uses the trusted root "r"`},
		"root of any age":        {strings.Replace(keyless("issuer: 'https://i.example', identity: x"), "file: r.json", "tuf: public-good", 1), 1, `the trusted root "r" is never too old`},
		"remap to nowhere":       {"remap: [{from: m.example, to: b.example}]\n" + scopeOf("signature: {"+key+"}"), 1, "what m.example is remapped to, b.example, is in no scope"},
		"scope behind a remap":   {"remap: [{from: a.example, to: a.example/x}]\n" + scopeOf("signature: {"+key+"}"), 5, "the scope never applies: what is below a.example is remapped to a.example/x first"},
	} {
		warnings := parse(t, row.text).Check(now)
		var messages []string
		for _, w := range warnings {
			messages = append(messages, fmt.Sprintf("line %d: %s", w.Line, w.Message))
		}
		found := slices.ContainsFunc(messages, func(m string) bool {
			return strings.HasPrefix(m, fmt.Sprintf("line %d: ", row.line)) && strings.Contains(m, row.want)
		})
		if row.want == "" && len(messages) > 0 || row.want != "" && !found || len(messages) > 1 {
			t.Errorf("%s: %q, want line %d and %q", name, messages, row.line, row.want)
		}
	}
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
		line      int
		keys      map[string]string
		want      []string
	}{
		"different keys":     {3, 0, map[string]string{"a": "sha256:1", "b": "sha256:2", "c": "sha256:3", "d": "sha256:1", "e": "sha256:2"}, nil},
		"nothing is known":   {3, 0, nil, nil},
		"one key, two names": {2, 6, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:3"}, []string{same}},
		"too few keys": {3, 6, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:3"}, []string{
			same, "no model can meet this signature requirement: its threshold is 3, and its 3 signers have only 2 different keys",
		}},
		"one key for all": {2, 6, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:1"}, []string{
			`signers "a", "b" and "c" are the same key, sha256:1, which counts once`,
			"no model can meet this signature requirement: its threshold is 2, and its 3 signers have only 1 key",
		}},
		"OMS signers": {1, 7, map[string]string{"d": "sha256:4", "e": "sha256:4"}, []string{`signers "d" and "e" are the same key, sha256:4, which counts once`}},
	} {
		var got []string
		for _, w := range parse(t, text(row.threshold)).CheckKeys(row.keys) {
			if w.Scope != "r.example/a" || w.Line != row.line {
				t.Errorf("%s: %+v", name, w)
			}
			got = append(got, w.Message)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
