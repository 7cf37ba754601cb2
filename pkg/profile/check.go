package profile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// Outcome is how one annotation came out.
type Outcome string

// The outcomes.
const (
	Holds     Outcome = "holds"
	Missing   Outcome = "missing" // the profile wants it, and it is not there
	Invalid   Outcome = "invalid" // it is there, and the profile knows no such value
	Unproven  Outcome = "unproven"
	Undecided Outcome = "undecided" // what backs it is there, and nobody was named to be trusted
)

// Finding is one annotation of the profile and how it came out.
type Finding struct {
	Key     string  `json:"key"`
	Level   Level   `json:"level"`
	Value   string  `json:"value,omitempty"`
	Outcome Outcome `json:"outcome"`
	Found   string  `json:"found,omitempty"` // what backs it, or what is wrong; of what is missing, what it says
	Next    string  `json:"next,omitempty"`  // what to do about it
}

// Report says how far an artifact conforms to the profile.
type Report struct {
	Profile string `json:"profile"` // Name
	Version string `json:"version"` // of the profile that it was held against
	// Conforms means that every annotation that the profile demands holds.
	Conforms bool `json:"conforms"`
	// Undecided means that it would conform if what backs its promises verified, and
	// that nobody was named to verify it with.
	Undecided bool      `json:"undecided,omitempty"`
	Findings  []Finding `json:"findings"`
}

// Kind is what can back a promise.
type Kind string

// The kinds of what backs promises.
const (
	KindSignature  Kind = "signature"
	KindSBOM       Kind = "SBOM"
	KindProvenance Kind = "provenance"
)

// Proof is what backs a promise.
type Proof struct {
	Attached bool   // there is something of the kind and of the value
	Verified bool   // and it verifies
	Decided  bool   // somebody was named to be trusted
	Found    string // by whom it is, or what is wrong with it
}

// Subject is the artifact that is checked.
type Subject struct {
	ArtifactType string
	Annotations  map[string]string
	Files        []string // paths, as far as the manifest has them
	// Proof looks for what backs a promise: of the kind, with the value that the
	// annotation has. nil while nothing is attached yet: promises are not looked at.
	Proof func(k Kind, value string) Proof
}

// Check holds the artifact against the profile. Text of the report is clean.
func Check(s Subject) *Report {
	r := &Report{Profile: Name, Version: Version, Conforms: true}
	undecided := true
	for _, rule := range rules {
		f := s.check(rule)
		if r.Findings = append(r.Findings, f); rule.level == Must && f.Outcome != Holds {
			r.Conforms = false
			undecided = undecided && f.Outcome == Undecided
		}
	}
	r.Undecided = !r.Conforms && undecided
	return r
}

// maxValue bounds the value of an annotation that a report shows: the list of all
// components of the openness framework has 400 bytes.
const maxValue = 1024

func (s Subject) check(r rule) Finding {
	value, ok := s.Annotations[r.key]
	f := Finding{Key: r.key, Level: r.level, Value: hf.CleanText(value, maxValue), Outcome: Holds}
	if !ok || value == "" {
		f.Outcome, f.Found, f.Next = Missing, r.what, r.next()
		return f
	}
	if len(r.values) > 0 && !slices.Contains(r.values, value) {
		f.Outcome, f.Found = Invalid, "it is none of "+strings.Join(r.values, ", ")
		return f
	}
	var wrong string
	switch r.key {
	case KeyVersion:
		wrong = wrongVersion(value)
	case KeyMOFVersion:
		if !mofVersion.MatchString(value) {
			wrong = "it is no version such as 1.0"
		}
	case KeyMOFClass:
		wrong = s.wrongClass(value)
	case KeyMOFComponents:
		wrong = s.wrongComponents(value)
	case KeyPackaging:
		if s.ArtifactType != artifacttypes.ArtifactTypeModel {
			wrong = "the artifact is no ModelPack: its artifactType is " + hf.CleanText(fmt.Sprintf("%q", s.ArtifactType), maxValue)
		}
	case KeySigning, KeySBOM, KeyProvenance:
		s.prove(&f, value)
	}
	if wrong != "" {
		f.Outcome, f.Found = Invalid, wrong
	}
	return f
}

// next is what to do where an annotation is missing.
func (r rule) next() string {
	switch r.key {
	case KeySigning:
		return "push with --profile " + Name + " and --key or --keyless"
	case KeySBOM:
		return "push with --profile " + Name + " and --sbom"
	case KeyProvenance:
		return "push with --profile " + Name + " and --provenance"
	case KeyMOFClass, KeyMOFVersion, KeyMOFComponents:
		return "put the model's openness file (mof.yaml, of https://mot.isitopen.ai) beside it, or set it under annotations: in modseal.yaml"
	}
	return "push with --profile " + Name
}

// wrongVersion takes the versions whose keys are those of this package: the draft, and
// the version 1 that it is the draft of.
func wrongVersion(value string) string {
	v, err := semver.StrictNewVersion(value)
	switch {
	case err != nil:
		return "it is no semantic version"
	case v.Major() > 1 || v.Major() == 0 && v.Minor() != 1:
		return "it is a version whose annotations are not known here: those of the draft 0.1 are, which version 1 is to be made from"
	}
	return ""
}

var mofVersion = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,4}){0,2}$`)

func (s Subject) wrongClass(class string) string {
	have := strings.Split(s.Annotations[KeyMOFComponents], ",")
	if missing := lacking(class, have); len(missing) > 0 {
		return "class " + class + " requires components that " + KeyMOFComponents + " has not: " + strings.Join(missing, ", ")
	}
	return ""
}

func (s Subject) wrongComponents(value string) string {
	seen := map[string]bool{}
	for name := range strings.SplitSeq(value, ",") {
		switch {
		case !slices.ContainsFunc(components, func(c component) bool { return c.name == name }):
			return hf.CleanText(fmt.Sprintf("%.100q is no component of the Model Openness Framework; they are separated by commas without space", name), maxValue)
		case seen[name]:
			return name + " is there twice"
		}
		seen[name] = true
	}
	switch {
	case !seen[opennessFile]:
		return opennessFile + " is missing, which every class requires"
	case !slices.ContainsFunc(s.Files, IsMOFFile):
		return "it has " + opennessFile + ", and the model has no file MOF.JSON, mof.yaml or mof.yml"
	}
	return ""
}

// prove looks for what backs the promise of f.
func (s Subject) prove(f *Finding, value string) {
	kind := map[string]Kind{KeySigning: KindSignature, KeySBOM: KindSBOM, KeyProvenance: KindProvenance}[f.Key]
	switch {
	case s.Proof == nil:
		return
	case value == SigningNotation:
		f.Outcome, f.Found = Unproven, "signatures of Notation are not verified here"
		return
	}
	p := s.Proof(kind, value)
	f.Found = hf.CleanText(p.Found, maxValue)
	switch {
	case p.Verified:
	case p.Attached && !p.Decided:
		f.Outcome, f.Next = Undecided, "name who is trusted: --key FILE, --certificate-identity …, or --policy FILE"
	default:
		f.Outcome = Unproven
	}
}
