package policy_test

import "testing"

func refusedRequirements(t *testing.T) map[string]refusal {
	t.Helper()
	replace := changed(t, everything)
	return map[string]refusal{
		"nobody vouches":             {scopeOf("conditions: [files.size() > 0]"), 6, "the requirements name no signers", true},
		"only freshness":             {scopeOf("freshness: {remember: true}"), 6, "the requirements name no signers", true},
		"freshness of files":         {scopeOf("oms: {required: true, signers: [{name: a, key: a.pub}]}\n      - freshness: {remember: true}"), 7, "freshness is about the version in the config: oms requirements are about files", true},
		"config of files":            {scopeOf("oms: {required: true, signers: [{name: a, key: a.pub}]}\n      - conditions: [\"config.descriptor.licenses.size() > 0\"]"), 7, "asks for the config or the annotations: oms requirements are about files", true},
		"annotations of files":       {scopeOf("oms: {required: true, signers: [{name: a, key: a.pub}]}\n      - conditions: [\"annotations.size() > 0\"]"), 7, "asks for the config or the annotations: oms requirements are about files", true},
		"two kinds":                  {replace("      - freshness:", "        freshness: {remember: true}\n      - freshness:"), 84, "begin another requirement with - before freshness", false},
		"three of two":               {replace("threshold: 3", "threshold: 5"), 47, "threshold 5 is not between 1 and the number of different signers, 4", true},
		"threshold below 1":          {replace("threshold: 3", "threshold: -1"), 47, "threshold -1 is not between 1 and 1000", false},
		"one identity, two names":    {scopeOf("signature: {threshold: 2, signers: [{name: a, certificate: {roots: r.pem, identityRegexp: x.y}}, {name: b, certificate: {roots: r.pem, identityRegexp: x.y}}]}"), 6, "the number of different signers, 1", true},
		"one account, two names":     {rootsAndScopeOf("attestation: {predicateType: 'a:b', threshold: 2, signers: [{name: a, keyless: {issuer: i, identity: x}}, {name: b, keyless: {issuer: i, identity: x}}]}"), 7, "the number of different signers, 1", true},
		"logs as text":               {replace("transparencyLogs: 1", "transparencyLogs: one"), 49, "whole number", false},
		"too many logs":              {replace("transparencyLogs: 1", "transparencyLogs: 33"), 49, "not between 0 and 32", false},
		"unknown root of logs":       {replace("trustedRoot: corporate\n          maxAge", "trustedRoot: elsewhere\n          maxAge"), 51, `there is no trusted root "elsewhere"; the policy has corporate, public, own`, true},
		"logs without root":          {scopeOf("signature: {signers: [{name: a, key: a.pub}], transparencyLogs: 1}"), 6, "needs a trusted root, and it is not said which; the policy has none: add one at its top", true},
		"age without root":           {scopeOf("oms: {required: true, signers: [{name: a, key: a.pub}], maxAge: 1d}"), 6, "needs a trusted root", true},
		"which of three roots":       {replace("          timestamps: 1\n          trustedRoot: own\n", "          timestamps: 1\n"), 62, "it is not said which; the policy has corporate, public, own, and name it with trustedRoot: NAME", true},
		"legacyTags as text":         {replace("legacyTags: true", "legacyTags: 'true'"), 48, "true or false", false},
		"oms in a signature":         {replace("          threshold: 3\n", "          hashTypes: [sha256]\n"), 47, `signature has the unknown key "hashTypes"`, false},
		"unknown hash":               {replace("[sha256, blake3]", "[sha256, md5]"), 56, `hashTypes "md5" is unknown; it must be sha256, blake2b or blake3`, false},
		"hash twice":                 {replace("[sha256, blake3]", "[sha256, sha256]"), 56, `hashTypes has "sha256" twice`, false},
		"no hashes":                  {replace("[sha256, blake3]", "[]"), 56, "0 hashTypes; there must be between 1 and 3", false},
		"hashes as text":             {replace("[sha256, blake3]", "sha256"), 56, "hashTypes must be a list", false},
		"unknown method":             {replace("[files]", "[blocks]"), 57, `methods "blocks" is unknown`, false},
		"ignored path as pattern":    {replace("docs/drafts", "'*.tmp'"), 58, `"*.tmp" is no relative path`, true},
		"ignored path from above":    {replace("docs/drafts", "../x"), 58, "is no relative path", true},
		"ignored path from the root": {replace("docs/drafts", "/x"), 58, "is no relative path", true},
		"everything ignored":         {replace("docs/drafts", "."), 58, "is no relative path", true},
		"all paths ignored":          {replace("ignorePaths: any", "ignorePaths: all"), 93, `ignorePaths "all" must be a list of paths, or any`, false},
		"symlinks as number":         {replace("symlinks: true", "symlinks: 1"), 59, "true or false", false},
		"no type":                    {replace("          predicateType: https://cyclonedx.org/bom\n          signers", "          signers"), 80, "attestation has no predicateType or predicateTypes", false},
		"type and types":             {replace("          predicateType: https://cyclonedx.org/bom\n", "          predicateType: 'a:b'\n          predicateTypes: ['a:b']\n"), 81, "write only one of them", false},
		"type by cosign's name":      {replace("predicateType: https://cyclonedx.org/bom", "predicateType: cyclonedx"), 80, `predicate type "cyclonedx" is written in full: https://cyclonedx.org/bom`, false},
		"type that is no URI":        {replace("predicateType: https://cyclonedx.org/bom", "predicateType: bom"), 80, `predicate type "bom" is no URI`, false},
		"signature as attestation":   {replace("predicateType: https://cyclonedx.org/bom", "predicateType: https://sigstore.dev/cosign/sign/v1"), 80, "write a signature requirement", true},
		"OMS as attestation":         {replace("predicateType: https://cyclonedx.org/bom", "predicateType: https://model_signing/signature/v1.0"), 80, "write an oms requirement", true},
		"no types":                   {replace("[https://slsa.dev/provenance/v1, https://slsa.dev/provenance/v0.2]", "[]"), 66, "0 predicateTypes", false},
		"nobody attests":             {replace("          signers: [{name: release, key: release.pub, notBefore: 2026-01-01, notAfter: 2027-01-01T10:00:00Z}]\n      - conditions", "      - conditions"), 80, "attestation has no signers", false},
		"empty freshness":            {replace("freshness:\n          minimumVersion: 1.2.0-rc.1\n          createdAfter: 2026-02-03\n          remember: true", "freshness: {}"), 84, "freshness is empty", false},
		"freshness of nothing":       {replace("          minimumVersion: 1.2.0-rc.1\n          createdAfter: 2026-02-03\n          remember: true", "          remember: false"), 85, "freshness requires nothing", true},
		"version of two numbers":     {replace("1.2.0-rc.1", "1.2"), 85, "must be text", false},
		"version with a v":           {replace("1.2.0-rc.1", "v1.2.0"), 85, `minimumVersion "v1.2.0" is no semantic version`, false},
		"version that is none":       {replace("1.2.0-rc.1", "1.02.0"), 85, "is no semantic version", true},
		"time as number":             {replace("2026-02-03", "20260203"), 86, "must be a date", false},
		"time without zone":          {replace("2026-02-03", "2026-02-03T10:00:00"), 86, `createdAfter "2026-02-03T10:00:00" must be a date, such as`, false},
		"day that is none":           {replace("2026-02-03", "2026-02-30"), 86, "must be a date", true},
	}
}

// scopeOf is a document with one requirement, which begins in line 6.
func scopeOf(requirement string) string {
	return "version: 1\ndefault: reject\nscopes:\n  - prefix: a.example\n    requirements:\n      - " + requirement + "\n"
}

// rootsAndScopeOf is the same with a trusted root; the requirement begins in line 7.
func rootsAndScopeOf(requirement string) string {
	return "version: 1\ndefault: reject\ntrustedRoots: [{name: r, file: r.json}]\nscopes:\n  - prefix: a.example\n    requirements:\n      - " + requirement + "\n"
}

func refusedConditions(t *testing.T) map[string]refusal {
	t.Helper()
	replace := changed(t, everything)
	const short = "files.all(f, !f.name.endsWith('.pkl'))"
	return map[string]refusal{
		"no conditions":               {replace("          - "+short, "          []"), 83, "0 conditions", false},
		"conditions as text":          {replace("      - conditions:\n          - "+short, "      - conditions: "+short), 82, "conditions must be a list", false},
		"condition as number":         {replace("- "+short, "- 7"), 83, "a condition must be text", false},
		"empty condition":             {replace("- "+short, "- ' '"), 83, "a condition is empty", false},
		"condition without one":       {replace("- "+short, "- {name: x}"), 83, "a condition has no expression", false},
		"unknown key in condition":    {replace("- "+short, "- {name: x, cel: 'true'}"), 83, `unknown key "cel"`, false},
		"condition that is no CEL":    {replace(short, "files.all(f, )"), 83, "condition files.all(f, ): column 14: ", true},
		"condition on a typing error": {replace(short, "files.all(f, f.nam != 'x')"), 83, "undefined field 'nam'", true},
		"condition that is a number":  {replace(short, "files.size()"), 83, "its value is a int", true},
		"predicate of an artifact":    {replace(short, "predicate.x == 1"), 83, "undeclared reference to 'predicate'", true},
		"named condition":             {replace("                  .source.startsWith", "                  .source.beginsWith"), 76, `condition "from our repository": column`, true},
		"provenance of a bill":        {replace("https://slsa.dev/provenance/v0.2]", "https://cyclonedx.org/bom]"), 72, "undeclared reference to 'provenance.buildDefinition.buildType'", true},
		"condition with a regexp":     {replace(short, "config.name.matches('a(')"), 83, "invalid matches argument", true},
		"computed pattern":            {replace(short, "config.name.matches(config.version)"), 83, "must be a text in quotes", true},
	}
}
