package profile

// Name is what the command line calls the profile.
const Name = "cncf-ai"

// Version is the version of the profile that [Annotations] writes: that of the draft.
const Version = "0.1.0"

// The annotations of the profile.
const (
	KeyVersion       = "org.cncf.ai.interop.profile.version"
	KeyArtifactType  = "org.cncf.ai.artifact.type"
	KeyLifecycle     = "org.cncf.ai.lifecycle.status"
	KeyMOFClass      = "org.cncf.ai.model.mof.class"
	KeyMOFVersion    = "org.cncf.ai.model.mof.version"
	KeyMOFComponents = "org.cncf.ai.model.mof.components"
	KeySigning       = "org.cncf.ai.security.signing.framework"
	KeySBOM          = "org.cncf.ai.security.sbom.format"
	KeyProvenance    = "org.cncf.ai.security.provenance.type"
	KeyPackaging     = "org.cncf.ai.packaging.format"
)

// Prefix is what all keys of the profile begin with.
const Prefix = "org.cncf.ai."

// Values of the annotations.
const (
	TypeModel        = "model"
	StatusNew        = "experimental"
	SigningSigstore  = "sigstore"
	SigningNotation  = "notation"
	SBOMCycloneDX    = "cyclonedx"
	SBOMSPDX         = "spdx"
	ProvenanceSLSA   = "slsa-v1.0"
	ProvenanceInToto = "in-toto"
	PackagingModel   = "modelpack"
	opennessFile     = "model-openness-config-file"
)

// Level is how much the profile, or the ModelPack specification, wants something (RFC
// 2119).
type Level string

// The levels that the draft uses.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// rule is one annotation of the profile.
type rule struct {
	key    string
	level  Level
	values []string // empty: anything that check takes
	what   string   // what it says, for people
}

// rules are the rows of the draft's table, in its order.
var rules = []rule{
	{KeyVersion, Must, nil, "which version of the profile the manifest is written for"},
	{KeyArtifactType, Must, []string{TypeModel}, "what kind of artifact it is"},
	{KeyLifecycle, Must, []string{StatusNew, "validated", "deprecated", "product-ready"}, "how mature it is"},
	{KeyMOFClass, Must, []string{ClassI, ClassII, ClassIII}, "its class in the Model Openness Framework"},
	{KeyMOFVersion, Must, nil, "of which version of that framework the class is"},
	{KeyMOFComponents, Must, nil, "which components of that framework are there"},
	{KeySigning, Must, []string{SigningSigstore, SigningNotation}, "with what it is signed"},
	{KeySBOM, Must, []string{SBOMSPDX, SBOMCycloneDX}, "in which format its SBOM is"},
	{KeyProvenance, Must, []string{ProvenanceSLSA, ProvenanceInToto}, "of what kind its provenance is"},
	{KeyPackaging, Should, []string{PackagingModel}, "how it is packaged"},
}

// Key is one annotation of the profile, for documentation and completion.
type Key struct {
	Name   string
	Level  Level
	Values []string // all that it can be; empty when they are not a few
	What   string
}

// Keys lists the annotations of the profile in the order of the draft.
func Keys() []Key {
	out := make([]Key, len(rules))
	for i, r := range rules {
		out[i] = Key{r.key, r.level, r.values, r.what}
	}
	return out
}

// Promise is what a push attaches to what it stores.
type Promise struct {
	Signed     bool
	SBOM       string // SBOMCycloneDX or SBOMSPDX; empty for none
	Provenance string // ProvenanceSLSA; empty for none
	MOF        *MOF   // what the model's own openness file says; nil when it has none
}

// Annotations are those of the profile that can be said without asking anybody: what
// the artifact is, and what is attached to it. A status that nobody gave is the least
// of all.
func Annotations(p Promise) map[string]string {
	m := map[string]string{
		KeyVersion: Version, KeyArtifactType: TypeModel, KeyLifecycle: StatusNew, KeyPackaging: PackagingModel,
	}
	set := func(key, value string) {
		if value != "" {
			m[key] = value
		}
	}
	if p.Signed {
		m[KeySigning] = SigningSigstore
	}
	set(KeySBOM, p.SBOM)
	set(KeyProvenance, p.Provenance)
	if p.MOF != nil {
		set(KeyMOFClass, p.MOF.Class())
		set(KeyMOFVersion, p.MOF.Version)
		set(KeyMOFComponents, p.MOF.List())
	}
	return m
}

// Backed reports whether the annotation promises something that is attached.
func Backed(key string) bool { return key == KeySigning || key == KeySBOM || key == KeyProvenance }
