package policy_test

import "testing"

func refusedSummaries(t *testing.T) map[string]refusal {
	t.Helper()
	const who = "signers: [{name: k, key: k.pub}]"
	const one = "vsa: {verifiers: [{id: 'a:b', " + who + "}]"
	with := func(more string) string { return scopeOf(one + ", " + more + "}") }
	return map[string]refusal{
		"an empty vsa":                {scopeOf("vsa: {}"), 6, "vsa has no verifiers", false},
		"no verifiers":                {scopeOf("vsa: {verifiers: []}"), 6, "0 verifiers; there must be between 1 and 100", false},
		"verifiers as a mapping":      {scopeOf("vsa: {verifiers: {id: 'a:b', " + who + "}}"), 6, "verifiers must be a list", false},
		"a verifier without id":       {scopeOf("vsa: {verifiers: [{" + who + "}]}"), 6, "a verifier has no id", false},
		"a verifier without signers":  {scopeOf("vsa: {verifiers: [{id: 'a:b'}]}"), 6, "a verifier has no signers", false},
		"a verifier of no signers":    {scopeOf("vsa: {verifiers: [{id: 'a:b', signers: []}]}"), 6, "0 signers", false},
		"a verifier by name":          {scopeOf("vsa: {verifiers: [{id: promoter, " + who + "}]}"), 6, `id "promoter" is no URI`, false},
		"a verifier with a key":       {scopeOf("vsa: {verifiers: [{id: 'a:b', key: k.pub}]}"), 6, `a verifier has the unknown key "key"; known are id, signers`, false},
		"a verifier twice":            {scopeOf("vsa: {verifiers: [{id: 'a:b', " + who + "}, {id: 'a:b', " + who + "}]}"), 6, `verifier "a:b" stands there twice; write one with the signers of both`, true},
		"signers beside verifiers":    {with(who), 6, `vsa has the unknown key "signers"`, false},
		"two of one promoter":         {scopeOf("vsa: {threshold: 2, verifiers: [{id: 'a:b', " + who + "}, {id: 'a:c', " + who + "}]}"), 6, "threshold 2 is not between 1 and the number of different signers, 1", true},
		"a name that means two":       {scopeOf("vsa: {verifiers: [{id: 'a:b', " + who + "}, {id: 'a:c', signers: [{name: k, key: l.pub}]}]}"), 6, `signer "k" has another key in line 6`, true},
		"another word for a resource": {with("resource: there"), 6, `resource "there" must be here, any, or a list of places, such as`, false},
		"a resource that is true":     {with("resource: true"), 6, "resource must be a list", false},
		"no resources":                {with("resource: []"), 6, "0 resource; there must be between 1 and 100", false},
		"a resource twice":            {with("resource: [a.example, a.example]"), 6, "twice", false},
		"everything as a resource":    {with("resource: ['*']"), 6, `"*" is written as resource: any`, true},
		"a resource with its scheme":  {with("resource: ['oci://a.example/m']"), 6, `"oci://a.example/m" is written without oci://: "a.example/m"`, true},
		"a resource of docker":        {with("resource: ['docker://a.example/m']"), 6, "is written without docker://", true},
		"a resource as a package":     {with("resource: ['pkg:oci/m?repository_url=a.example/m']"), 6, "is written as host/repository", true},
		"a resource with a tag":       {with("resource: ['a.example/m:v1']"), 6, "has a tag or a digest", true},
		"a resource without host":     {with("resource: [team/m]"), 6, "does not begin with a registry host", true},
		"a resource of two words":     {with("resource: ['https://a.example/a b']"), 6, "is no URI", true},
		"an empty level":              {with("levels: ['']"), 6, "levels is empty", false},
		"no levels":                   {with("levels: []"), 6, "0 levels", false},
		"a level that is none":        {with("levels: [FAILED]"), 6, "it says that verification failed", true},
		"a level with a slip":         {with("levels: [SLSA_BUILD_LEVEL3]"), 6, `level "SLSA_BUILD_LEVEL3": names that begin with SLSA_ are SLSA's own`, true},
		"a level as number":           {with("levels: [3]"), 6, "an entry of levels must be text", false},
		"a policy by name":            {with("policies: [policy.yaml]"), 6, `"policy.yaml" is no digest`, false},
		"a policy in capitals":        {with("policies: ['sha256:9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08']"), 6, "is no digest", false},
		"a policy by half":            {with("policies: ['sha256:9f86d081']"), 6, "is no digest", false},
		"an age in years":             {with("maxAge: 1y"), 6, "maxAge \"1y\" must be a duration", false},
		"no age":                      {with("maxAge: 0d"), 6, "must be a duration", false},
		"a condition on the signer's": {with("conditions: [\"predicate.verifiedLevels.size()\"]"), 6, "condition predicate.verifiedLevels.size()", true},
		"logs without a root":         {with("transparencyLogs: 1"), 6, "vsa with transparencyLogs or timestamps needs a trusted root", true},
	}
}
