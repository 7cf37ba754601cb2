package policy

import (
	"slices"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// FieldType is what a value of the document looks like.
type FieldType string

// Types of fields. Every list may have so many entries as Field.Max says.
const (
	TypeText        FieldType = "text"
	TypeInteger     FieldType = "whole number"
	TypeBoolean     FieldType = "true or false"
	TypeDuration    FieldType = "duration" // such as 90d
	TypeTime        FieldType = "time"     // RFC 3339, or a date
	TypeSize        FieldType = "size"     // such as 16MiB
	TypeTexts       FieldType = "list of text"
	TypeTextsOrAny  FieldType = "list of text, or any"
	TypeTextsOrWord FieldType = "list of text, or one word" // one of Words
	TypeTextMap     FieldType = "mapping of text to text"
	TypeObject      FieldType = "mapping"
	TypeObjects     FieldType = "list of mappings"
	TypeConditions  FieldType = "list of conditions" // each a text, or a mapping
)

// Section is a kind of mapping in the document.
type Section struct {
	ID     string // as fields refer to it
	Title  string // with its article, as messages call it
	Doc    string // what it is, in sentences
	Fields []Field
	// OneOf lists groups of fields, of each of which exactly one must be there.
	OneOf [][]string
	// AnyOf says that at least one field must be there.
	AnyOf bool
}

// Field is a key of a mapping in the document.
type Field struct {
	Name     string
	Type     FieldType
	Section  string // of the values, for mappings and lists of them
	Required bool
	Values   []string // the only ones
	Words    []string // that a value may be instead of a list
	Pattern  string   // of texts: a regular expression that ECMA-262 and RE2 both know
	Min, Max int      // of numbers, and of the number of entries
	Example  string   // of a value, for messages
	Default  string   // what the absence of the field means; empty when it is required, or one of OneOf
	Doc      string   // what it means, in sentences
}

// Patterns of texts.
const (
	patternDuration = `^[1-9][0-9]{0,4}[dhm]$`
	patternTime     = `^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2}))?$`
	patternSize     = `^[1-9][0-9]{0,11}(B|KiB|MiB|GiB)?$`
	patternURI      = `^[A-Za-z][A-Za-z0-9+.-]*:[^ ]+$`
	patternFilled   = `[^ ]`
)

// Sections is the whole document: its kinds of mappings, and their fields. The
// first one is the document itself. The parser takes the keys it knows from here,
// and the JSON Schema and the reference are made of it.
func Sections() []Section {
	return []Section{
		policySection, trustedRootSection, remapSection, limitsSection, scopeSection, requirementSection,
		signatureSection, omsSection, attestationSection, vsaSection, verifierSection, conditionSection, freshnessSection,
		signerSection, certificateSection, keylessSection,
	}
}

var policySection = Section{
	ID: "policy", Title: "the policy",
	Doc: "The document. Unknown and duplicate keys, anchors, aliases, tags and a second document refuse the whole of it.",
	Fields: []Field{
		{Name: "version", Type: TypeInteger, Required: true, Example: "1", Min: Version, Max: Version, Doc: "Version of the document."},
		{Name: "name", Type: TypeText, Pattern: patternFilled, Default: "the path of the file", Doc: "What reports call the policy."},
		{Name: "default", Type: TypeText, Required: true, Example: DefaultReject, Values: []string{DefaultReject}, Doc: "What happens to an artifact that no scope matches: it is refused."},
		{Name: "trustedRoots", Type: TypeObjects, Section: "trustedRoot", Max: limits.PolicyNames, Default: "none", Doc: "The Sigstore instances that keyless signers, transparency logs and timestamps may be of."},
		{Name: "remap", Type: TypeObjects, Section: "remap", Max: limits.PolicyNames, Default: "none", Doc: "Mirrors, and what they are mirrors of. The longest `from` that matches applies, once, before the scope is chosen."},
		{Name: "limits", Type: TypeObject, Section: "limits", Default: "modseal's own", Doc: "What may be fetched to decide. With more than one policy the smaller limit holds."},
		{Name: "scopes", Type: TypeObjects, Section: "scope", Required: true, Example: "[]", Max: limits.PolicyScopes, Doc: "What is required of which artifacts. The scope with the longest matching prefix applies, and no other."},
	},
}

var trustedRootSection = Section{
	ID: "trustedRoot", Title: "a trusted root",
	Doc:   "The certificate authorities, transparency logs and timestamp authorities of one Sigstore instance.",
	OneOf: [][]string{{"file", "tuf"}},
	Fields: []Field{
		{Name: "name", Type: TypeText, Required: true, Example: "corporate", Pattern: patternFilled, Doc: "How signers and requirements refer to it."},
		{Name: "file", Type: TypeText, Pattern: patternFilled, Doc: "Path of a `trusted_root.json`, relative to the policy."},
		{Name: "tuf", Type: TypeText, Pattern: `^(public-good|https?://[^ ]+)$`, Doc: "`public-good`, the public instance of Sigstore, or the URL of a TUF repository. What `modseal trust update` fetched last is used."},
		{Name: "root", Type: TypeText, Pattern: patternFilled, Default: "only with the URL of a TUF repository, which needs it", Doc: "Path of the first root metadata of the TUF repository, relative to the policy."},
		{Name: "maxAge", Type: TypeDuration, Pattern: patternDuration, Default: "any age", Doc: "How long ago it may have been fetched. An older one decides nothing."},
	},
}

var remapSection = Section{
	ID: "remap", Title: "a remap",
	Doc: "Scopes and conditions see what lies below `from` as what lies below `to`. Both match whole components.",
	Fields: []Field{
		{Name: "from", Type: TypeText, Required: true, Example: "mirror.example.com/hub", Pattern: patternFilled, Doc: "Prefix of the mirror: a registry, the beginning of a repository, `oci:/path` or `dir:/path`."},
		{Name: "to", Type: TypeText, Required: true, Example: "registry.example.com", Pattern: patternFilled, Doc: "Prefix of the original: a registry, or the beginning of a repository."},
	},
}

var limitsSection = Section{
	ID: "limits", Title: "limits", AnyOf: true,
	Doc: "Each can only be lower than the limit of modseal itself, which is its default. What exceeds one decides nothing.",
	Fields: []Field{
		{Name: "referrers", Type: TypeInteger, Min: 1, Max: limits.Referrers, Default: "1000", Doc: "Signatures and attestations of one artifact."},
		{Name: "pages", Type: TypeInteger, Min: 1, Max: limits.ReferrerPages, Default: "100", Doc: "Pages in which a registry lists them."},
		{Name: "bytes", Type: TypeSize, Pattern: patternSize, Max: limits.EvidenceBytes, Default: "64MiB", Doc: "All of them together."},
	},
}

var scopeSection = Section{
	ID: "scope", Title: "a scope",
	Doc: "What is required of the artifacts below a prefix.",
	Fields: []Field{
		{Name: "prefix", Type: TypeText, Required: true, Example: "registry.example.com/team", Pattern: patternFilled, Doc: "A registry, a repository or the beginning of its path in whole components; `oci:` and `dir:`, with or without a path, for layouts and directories; `*` for everything."},
		{Name: "mode", Type: TypeText, Values: []string{ModeEnforce, ModeWarn}, Default: "`enforce`", Doc: "`enforce` refuses what does not meet the requirements; `warn` uses it, exits with 0 and says what is missing."},
		{Name: "requirements", Type: TypeObjects, Section: "requirement", Required: true, Example: "[{signature: {signers: [{name: release, key: release.pub}]}}]", Min: 1, Max: limits.PolicyRequirements, Doc: "All of them must hold."},
	},
}

var requirementSection = Section{
	ID: "requirement", Title: "a requirement",
	Doc:   "One thing that must be true. A scope needs at least one requirement that names signers.",
	OneOf: [][]string{{"signature", "oms", "attestation", "vsa", "conditions", "freshness"}},
	Fields: []Field{
		{Name: "signature", Type: TypeObject, Section: "signature", Doc: "Signatures of the manifest."},
		{Name: "oms", Type: TypeObject, Section: "oms", Doc: "OpenSSF Model Signing statements about the files. A scope has at most one of this kind."},
		{Name: "attestation", Type: TypeObject, Section: "attestation", Doc: "Attestations about the manifest: provenance, bills of materials, scans."},
		{Name: "vsa", Type: TypeObject, Section: "vsa", Doc: "Verification summaries: that somebody, such as a promoter, has accepted the artifact."},
		{Name: "conditions", Type: TypeConditions, Section: "condition", Min: 1, Max: limits.Conditions, Doc: "Conditions on the artifact itself."},
		{Name: "freshness", Type: TypeObject, Section: "freshness", Doc: "Which versions are too old."},
	},
}

var signatureSection = Section{
	ID: "signature", Title: "signature",
	Doc: "Signatures of the manifest by enough different signers. An attestation is never one, whoever made it.",
	Fields: append([]Field{
		signersField("Who may sign.", true),
		thresholdField,
		legacyField("cosign's signatures of before the bundle, under the tag `sha256-<digest>.sig`"),
	}, witnessFields...),
}

var omsSection = Section{
	ID: "oms", Title: "oms",
	Doc: "What must hold of OMS statements. One by a signer that counts is always checked: a file that it does not name, or names with another digest, refuses the artifact.",
	Fields: append([]Field{
		{Name: "required", Type: TypeBoolean, Required: true, Example: "true", Doc: "Whether there must be a statement."},
		signersField("Whose statements count. Absent: the signers of the scope's signature requirements.", false),
		{Name: "hashTypes", Type: TypeTexts, Values: []string{"sha256", "blake2b", "blake3"}, Min: 1, Max: 3, Default: "all", Doc: "How the files may have been hashed."},
		{Name: "methods", Type: TypeTexts, Values: []string{"files", "shards"}, Min: 1, Max: 2, Default: "all", Doc: "In what pieces they may have been hashed."},
		{Name: "ignorePaths", Type: TypeTextsOrAny, Pattern: patternFilled, Max: limits.PolicyNames, Default: "none", Doc: "What the signer may leave out, beside `.git`, `.gitattributes`, `.github` and `.gitignore` at the top: relative paths of files or directories, or `any`."},
		{Name: "symlinks", Type: TypeBoolean, Default: "`false`", Doc: "Whether the signer may have followed symbolic links."},
		{Name: "unsignedFiles", Type: TypeBoolean, Default: "`false`", Doc: "Whether a directory may have files that the signer did not list."},
		{Name: "legacyPredicate", Type: TypeBoolean, Default: "`false`", Doc: "Whether the statements of `model_signing` 0.2 count."},
	}, witnessFields...),
}

var attestationSection = Section{
	ID: "attestation", Title: "attestation",
	Doc:   "Attestations by enough different signers, each of which meets all conditions. The predicate type is read from the signed payload.",
	OneOf: [][]string{{"predicateType", "predicateTypes"}},
	Fields: append([]Field{
		{Name: "name", Type: TypeText, Pattern: patternFilled, Default: "the first predicate type", Doc: "What reports call the requirement."},
		{Name: "predicateType", Type: TypeText, Pattern: patternURI, Doc: "Exact predicate type, such as `https://slsa.dev/provenance/v1`."},
		{Name: "predicateTypes", Type: TypeTexts, Pattern: patternURI, Min: 1, Max: limits.PolicyNames, Doc: "Several, any of which counts."},
		signersField("Who may attest.", true),
		thresholdField,
		{Name: "conditions", Type: TypeConditions, Section: "condition", Min: 1, Max: limits.Conditions, Default: "none", Doc: "Conditions on the attestation and the artifact."},
		legacyField("cosign's attestations of before the bundle, under the tag `sha256-<digest>.att`"),
	}, witnessFields...),
}

var conditionSection = Section{
	ID: "condition", Title: "a condition",
	Doc: "An expression of [CEL](https://cel.dev) that must be true. A text alone is the expression. One that fails, that is neither true nor false, or that costs too much is not met.",
	Fields: []Field{
		{Name: "name", Type: TypeText, Pattern: patternFilled, Default: "the expression", Doc: "What reports call the condition."},
		{Name: "expression", Type: TypeText, Required: true, Example: "files.all(f, !f.name.endsWith('.pkl'))", Pattern: patternFilled, Doc: "The expression."},
	},
}

var freshnessSection = Section{
	ID: "freshness", Title: "freshness", AnyOf: true,
	Doc: "Keeps older versions from being passed off as the newest: an old version is well signed, too.",
	Fields: []Field{
		{Name: "minimumVersion", Type: TypeText, Pattern: `^[0-9]+[.][0-9]+[.][0-9]+([-+][0-9A-Za-z.+-]+)?$`, Default: "none", Doc: "Semantic version that the config of the model must have at least."},
		{Name: "createdAfter", Type: TypeTime, Pattern: patternTime, Default: "any time", Doc: "When the artifact must have been created, at the earliest."},
		{Name: "remember", Type: TypeBoolean, Default: "`false`", Doc: "Refuses what is older than the newest that was accepted here before, by version, or else by time of creation."},
	},
}

var signerSection = Section{
	ID: "signer", Title: "a signer",
	Doc:   "Somebody, under a name. One name means the same in the whole document.",
	OneOf: [][]string{{"key", "certificate", "keyless"}},
	Fields: []Field{
		{Name: "name", Type: TypeText, Required: true, Example: "release", Pattern: patternFilled, Doc: "What reports call the signer."},
		{Name: "key", Type: TypeText, Pattern: patternFilled, Doc: "Public key: a path relative to the policy, a PEM block, or a reference that begins with `env://`, `k8s://`, `awskms://`, `gcpkms://`, `azurekms://`, `hashivault://`, `openbao://` or `pkcs11:`."},
		{Name: "certificate", Type: TypeObject, Section: "certificate", Doc: "Whoever holds a certificate of an authority of yours."},
		{Name: "keyless", Type: TypeObject, Section: "keyless", Doc: "Whoever an OpenID Connect issuer vouched for."},
		{Name: "notBefore", Type: TypeTime, Pattern: patternTime, Default: "any time", Doc: "Signatures of before do not count. Their time is that of a log or timestamp authority, or else now."},
		{Name: "notAfter", Type: TypeTime, Pattern: patternTime, Default: "any time", Doc: "Signatures of after do not count."},
	},
}

var certificateSection = Section{
	ID: "certificate", Title: "certificate",
	Doc:   "A certificate that chains to the roots, every certificate of the chain being valid when the signature was made.",
	OneOf: [][]string{{"identity", "identityRegexp"}},
	Fields: append([]Field{
		{Name: "roots", Type: TypeText, Required: true, Example: "roots.pem", Pattern: patternFilled, Doc: "Certificates of root authorities: a path relative to the policy, or PEM blocks."},
		{Name: "intermediates", Type: TypeText, Pattern: patternFilled, Default: "those that come with the signature", Doc: "Certificates between leaf and roots, in the same form; they are never roots."},
	}, identityFields("a subject alternative name of the certificate: e-mail address, URI or host; without one, the common name of its subject")...),
}

var keylessSection = Section{
	ID: "keyless", Title: "keyless",
	Doc:   "A short-lived certificate of Sigstore's authority for the account of an OpenID Connect issuer. It counts with a time from a transparency log or a timestamp authority alone.",
	OneOf: [][]string{{"issuer", "issuerRegexp"}, {"identity", "identityRegexp"}},
	Fields: append([]Field{
		{Name: "trustedRoot", Type: TypeText, Pattern: patternFilled, Default: "the only one", Doc: "Name of the trusted root."},
		{Name: "issuer", Type: TypeText, Pattern: patternFilled, Doc: "Issuer of the account, exactly: a URL."},
		{Name: "issuerRegexp", Type: TypeText, Pattern: patternFilled, Doc: "RE2 expression that matches the whole of the issuer."},
		{Name: "extensions", Type: TypeTextMap, Values: extensionNames, Min: 1, Max: limits.PolicyNames, Default: "none", Doc: "Extensions that the certificate must have with exactly these values: `sourceRepositoryURI`, `buildConfigURI`, `runnerEnvironment` and so on."},
		{Name: "sct", Type: TypeInteger, Min: 0, Max: limits.Witnesses, Default: "1 when the trusted root has a certificate transparency log, else 0", Doc: "How many signed certificate timestamps it must have."},
		{Name: "unlogged", Type: TypeBoolean, Default: "`false`", Doc: "Whether signatures without an entry of a transparency log count, of an instance that has none. A timestamp must then say when they were made."},
	}, identityFields("the subject alternative name: an e-mail address, or the URI of a workflow")...),
}

var thresholdField = Field{Name: "threshold", Type: TypeInteger, Min: 1, Max: limits.Signers, Default: "1", Doc: "How many different signers there must be. A key or identity counts once, whatever its names."}

func signersField(doc string, required bool) Field {
	f := Field{Name: "signers", Type: TypeObjects, Example: "[{name: release, key: release.pub}]", Section: "signer", Required: required, Min: 1, Max: limits.Signers, Doc: doc}
	if !required {
		f.Default = "the signers of the signature requirements"
	}
	return f
}

func legacyField(what string) Field {
	return Field{Name: "legacyTags", Type: TypeBoolean, Default: "`false`", Doc: "Whether " + what + ", count too."}
}

func identityFields(what string) []Field {
	return []Field{
		{Name: "identity", Type: TypeText, Pattern: patternFilled, Doc: "Exactly " + what + "."},
		{Name: "identityRegexp", Type: TypeText, Pattern: patternFilled, Doc: "RE2 expression that matches the whole of it."},
	}
}

// witnessFields are in every requirement that signatures can meet.
var witnessFields = append(slices.Clone(observerFields), Field{
	Name: "maxAge", Type: TypeDuration, Pattern: patternDuration, Default: "any age", Doc: "How long ago the signature may have been made, by the time of a log or timestamp authority. Without such a time it does not count. A signature by a key can get a new time from whoever can ask those services; certificates bound it by their own time.",
})

// observerFields are in every requirement that evidence can meet.
var observerFields = []Field{
	{Name: "transparencyLogs", Type: TypeInteger, Min: 0, Max: limits.Witnesses, Default: "0; for keyless signers a time of one log or timestamp authority, and one log", Doc: "How many different transparency logs must have the signature."},
	{Name: "timestamps", Type: TypeInteger, Min: 0, Max: limits.Witnesses, Default: "0", Doc: "How many different timestamp authorities (RFC 3161) must have seen it."},
	{Name: "trustedRoot", Type: TypeText, Pattern: patternFilled, Default: "that of a keyless signer, or the only one", Doc: "Name of the trusted root that these logs and authorities are in."},
}
