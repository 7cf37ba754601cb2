package policy_test

import "testing"

func refusedSigners(t *testing.T) map[string]refusal {
	t.Helper()
	replace := changed(t, everything)
	key := func(key string) string { return replace("key: release.pub\n", "key: "+key+"\n") }
	return map[string]refusal{
		"key by HTTP":                {key("http://x.example/release.pub"), 28, `key "http://x.example/release.pub" is neither a file nor a PEM block nor a reference that begins with env://, k8s://, awskms://`, true},
		"key by HTTPS":               {key("https://x.example/release.pub"), 28, "neither a file", true},
		"key by a program":           {key("plugin://release"), 28, "neither a file", true},
		"key by fake KMS":            {key("fakekms://release"), 28, "neither a file", true},
		"key by GitLab":              {key("gitlab://project"), 28, "neither a file", true},
		"key by file URL":            {key("file:///release.pub"), 28, "neither a file", true},
		"KMS in upper case":          {key("AWSKMS://release"), 28, "neither a file", true},
		"key of two lines":           {key("|\n                a\n                b"), 28, "several lines, and no PEM block", true},
		"key and certificate":        {replace("key: awskms:///alias/release", "key: a.pub\n              certificate: {roots: r.pem, identity: x}"), 33, "a signer is about one thing, and has key and certificate", false},
		"nobody":                     {replace("              key: awskms:///alias/release\n", ""), 31, "a signer has no key, certificate or keyless", false},
		"signer without anything":    {scopeOf("signature: {signers: [{}]}"), 6, "a signer has no name", false},
		"certificate without roots":  {replace("                roots: roots.pem\n", ""), 35, "certificate has no roots", false},
		"roots by HTTPS":             {replace("roots: roots.pem", "roots: https://x.example/roots.pem"), 35, `roots "https://x.example/roots.pem" is neither a file nor a PEM block; fetch it`, true},
		"roots in a KMS":             {replace("roots: roots.pem", "roots: awskms://x"), 35, "neither a file", true},
		"intermediates by HTTPS":     {replace("intermediates: intermediates.pem", "intermediates: https://x.example/i.pem"), 36, "neither a file", true},
		"certificate of anybody":     {replace("                identity: release@example.com\n", ""), 35, "certificate has no identity or identityRegexp", false},
		"identity in two ways":       {replace("identity: release@example.com", "identity: release@example.com\n                identityRegexp: x"), 38, "write only one of them", false},
		"empty identity":             {replace("identity: release@example.com", "identity: ''"), 37, "identity is empty", false},
		"keyless of any issuer":      {replace("                issuer: https://issuer.example\n", ""), 40, "keyless has no issuer or issuerRegexp", false},
		"keyless of anybody":         {replace("                identityRegexp: https://ci[.]example/team/.*\n", ""), 40, "keyless has no identity or identityRegexp", false},
		"bad expression":             {replace("https://ci[.]example/team/.*", "'https://ci(.example'"), 42, "is no regular expression", true},
		"expression that breaks out": {replace("https://ci[.]example/team/.*", "'a)|(?:b'"), 42, `identityRegexp "a)|(?:b" is no regular expression`, true},
		"expression of another kind": {replace("https://ci[.]example/team/.*", "'(?!x)y'"), 42, "RE2 describes them", true},
		"huge expression":            {replace("https://ci[.]example/team/.*", "'((a{1,99}){1,99}b){1,99}'"), 42, "is no regular expression", true},
		"unknown root of a signer":   {replace("trustedRoot: corporate\n                issuer", "trustedRoot: none\n                issuer"), 40, `there is no trusted root "none"`, true},
		"signer of which root":       {replace("                trustedRoot: corporate\n", ""), 40, "a keyless signer needs a trusted root, and it is not said which", true},
		"signer without any root":    {scopeOf("signature: {signers: [{name: a, keyless: {issuer: i, identity: x}}]}"), 6, "trustedRoots: [{name: public-good, tuf: public-good}]", true},
		"unknown extension":          {replace("runnerEnvironment: github", "runner: github"), 45, `extensions has the unknown name "runner"; known are`, false},
		"extension twice":            {replace("runnerEnvironment: github-hosted", "sourceRepositoryURI: x"), 45, "", false},
		"extension as number":        {replace("runnerEnvironment: github-hosted", "runnerEnvironment: 7"), 45, "extension runnerEnvironment must be text", false},
		"empty extension":            {replace("runnerEnvironment: github-hosted", "runnerEnvironment: ''"), 45, "extension runnerEnvironment is empty", false},
		"extensions as list":         {replace("extensions:\n                  sourceRepositoryURI: https://git.example/team/model\n                  runnerEnvironment: github-hosted", "extensions: [x]"), 43, "a mapping of names to texts", false},
		"no extensions":              {replace("extensions:\n                  sourceRepositoryURI: https://git.example/team/model\n                  runnerEnvironment: github-hosted", "extensions: {}"), 43, "0 extensions", false},
		"issuer as extension":        {replace("runnerEnvironment: github-hosted", "issuer: x"), 45, "unknown name", false},
		"negative sct":               {replace("sct: 1", "sct: -1"), 46, "sct -1 is not between 0 and 32", false},
		"window that never opens":    {replace("notAfter: 2027-01-01T12:00:00+02:00", "notAfter: 2025-01-01"), 30, "notAfter is before notBefore", true},
		"window as number":           {replace("notBefore: 2026-01-01", "notBefore: 2026"), 29, "must be a date", false},
		"one name, another window":   {replace("notBefore: 2026-01-01, notAfter: 2027-01-01T10:00:00Z}]\n      - conditions", "notBefore: 2026-01-01}]\n      - conditions"), 81, `signer "release" is somebody else in line 27, or at other times`, true},
		"one name, key and account":  {replace("- name: builder", "- name: kms"), 68, `signer "kms" is somebody else in line 31`, true},
		"one name, two references":   {replace("{name: kms, key: awskms:///alias/release}", "{name: kms, key: awskms:///alias/other}"), 55, `signer "kms" has another key in line 31`, true},
	}
}
