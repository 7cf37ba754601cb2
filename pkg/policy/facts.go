package policy

import (
	"fmt"
	"maps"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Artifact is what conditions can ask of the model itself.
type Artifact struct {
	Reference   string // as the user named it
	Subject     string // [Rules.Subject]
	Digest      string // of the manifest
	Annotations map[string]string
	// Config is the JSON of the model config; nil when it was not fetched.
	Config []byte
	Files  []File
	// Unlisted says why Files may not be all of them. Conditions that ask for
	// files then cannot be decided.
	Unlisted string
	Now      time.Time // of the decision
}

// File is a file of the model.
type File struct {
	Name      string `cel:"name"` // relative path, with slashes
	Size      int64  `cel:"size"` // in bytes; -1 when unknown
	Digest    string `cel:"digest"`
	Role      string `cel:"role"` // see artifacttypes.Role
	MediaType string `cel:"mediaType"`
}

// Attestation is what conditions can ask of an attestation beside the artifact
// that it is about.
type Attestation struct {
	PredicateType string
	Predicate     []byte // JSON, from the signed payload
	Signer        SignerFacts
}

// SignerFacts say who made an attestation. What does not apply is empty.
type SignerFacts struct {
	Name        string            `cel:"name"` // in the policy
	Fingerprint string            `cel:"fingerprint"`
	Identity    string            `cel:"identity"`
	Issuer      string            `cel:"issuer"`
	Extensions  map[string]string `cel:"extensions"` // see [Keyless.Extensions]
}

// Facts are what the variables of expressions stand for. They can be used by
// many evaluations at once.
type Facts struct {
	values map[string]any
	why    map[string]string // what is missing, and why
}

// NewFacts returns the facts about an artifact. The error says what of it cannot
// be read; a config that is not JSON is refused.
func NewFacts(a Artifact) (*Facts, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	adapt := env.CELTypeAdapter().NativeToValue
	annotations := a.Annotations
	if annotations == nil {
		annotations = map[string]string{}
	}
	f := &Facts{why: map[string]string{}, values: map[string]any{
		varReference:   a.Reference,
		varSubject:     a.Subject,
		varDigest:      a.Digest,
		varAnnotations: adapt(annotations),
		varFiles:       adapt(a.Files),
		varNow:         adapt(a.Now),
	}}
	if a.Unlisted != "" {
		delete(f.values, varFiles)
		f.why[varFiles] = a.Unlisted
	}
	if a.Config == nil {
		f.why[varConfig] = "the config of the model was not read"
		return f, nil
	}
	config, err := readJSON(a.Config, limits.ConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	f.values[varConfig] = liftConfig(config)
	return f, nil
}

// About returns the facts about an attestation of the same artifact. The error
// says why the predicate cannot be read.
func (f *Facts) About(a Attestation) (*Facts, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	predicate, err := readJSON(a.Predicate, limits.ConditionPredicateBytes)
	if err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	out := &Facts{values: maps.Clone(f.values), why: f.why}
	out.values[varPredicate] = predicate
	out.values[varProvenance] = predicate
	out.values[varPredicateType] = a.PredicateType
	out.values[varSigner] = env.CELTypeAdapter().NativeToValue(a.Signer)
	return out, nil
}

// As returns the same facts under the name that another policy has for the
// artifact.
func (f *Facts) As(subject string) *Facts {
	out := &Facts{values: maps.Clone(f.values), why: f.why}
	out.values[varSubject] = subject
	return out
}

func (f *Facts) missing(name string) string {
	if why := f.why[name]; why != "" {
		return why
	}
	return "there is no " + name
}
