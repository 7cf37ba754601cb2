package policy

import "github.com/modseal/modseal/pkg/internal/limits"

// What resource may be instead of a list.
const (
	resourceHere = "here"
	resourceAny  = "any"
)

const patternDigest = `^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`

var vsaSection = Section{
	ID: "vsa", Title: "vsa",
	Doc: "SLSA verification summaries (VSA) by enough different signers: the word of a verifier, such as a promoter, that it has accepted the artifact. A summary that says `FAILED` never counts, and keeps those that the same verifier made of the same resource before it from counting.",
	Fields: append([]Field{
		{Name: "name", Type: TypeText, Pattern: patternFilled, Default: "whom it is by", Doc: "What reports call the requirement."},
		{Name: "verifiers", Type: TypeObjects, Section: "verifier", Required: true, Example: "[{id: 'https://promoter.example.com/prod', signers: [{name: promoter, key: promoter.pub}]}]", Min: 1, Max: limits.PolicyNames, Doc: "Whose word counts. Another `verifier.id` does not, whoever signed it."},
		thresholdField,
		{Name: "resource", Type: TypeTextsOrWord, Words: []string{resourceHere, resourceAny}, Pattern: patternFilled, Min: 1, Max: limits.PolicyNames, Default: "`here`", Doc: "As what the artifact must have been verified (`resourceUri`). `here`: the place where it is, by its name after `remap`. A list: prefixes of places, as those of scopes, or whole URIs, which have `://` or begin with `pkg:` and are compared exactly. `any`: whatever stands there."},
		{Name: "levels", Type: TypeTexts, Pattern: patternFilled, Min: 1, Max: limits.VSALevels, Default: "none", Doc: "Levels that must all be reached (`verifiedLevels`). `SLSA_BUILD_LEVEL_2` is reached by 2 and by what is higher in its track; other names are compared exactly."},
		{Name: "policies", Type: TypeTexts, Pattern: patternDigest, Min: 1, Max: limits.PolicyNames, Default: "any policy", Doc: "Digests of policies, by one of which it must have been verified (`policy.digest`): `sha256:` and what `sha256sum` prints of the file."},
		{Name: "maxAge", Type: TypeDuration, Pattern: patternDuration, Default: "any age", Doc: "How long ago it may have been verified, by the time in the summary (`timeVerified`). One without a time then does not count."},
		{Name: "conditions", Type: TypeConditions, Section: "condition", Min: 1, Max: limits.Conditions, Default: "none", Doc: "Conditions on the summary (`predicate`) and the artifact."},
		legacyField("cosign's attestations of before the bundle, under the tag `sha256-<digest>.att`"),
	}, observerFields...),
}

var verifierSection = Section{
	ID: "verifier", Title: "a verifier",
	Doc: "Who may speak as whom. A signature says who has signed: only these signers make a summary the word of this verifier.",
	Fields: []Field{
		{Name: "id", Type: TypeText, Required: true, Example: "https://promoter.example.com/prod", Pattern: patternURI, Doc: "Exact `verifier.id` of the summary."},
		signersField("Who may speak as this verifier.", true),
	},
}
