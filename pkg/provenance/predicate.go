package provenance

import (
	"time"

	"github.com/modseal/modseal/artifacttypes"
)

// Predicate is the predicate of SLSA provenance v1
// (https://slsa.dev/spec/v1.1/provenance).
type Predicate struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition says what was built from what.
type BuildDefinition struct {
	BuildType            string         `json:"buildType"`
	ExternalParameters   map[string]any `json:"externalParameters"`
	InternalParameters   map[string]any `json:"internalParameters,omitempty"`
	ResolvedDependencies []Resource     `json:"resolvedDependencies,omitempty"`
}

// RunDetails says who built it, and in which run.
type RunDetails struct {
	Builder    Builder    `json:"builder"`
	Metadata   *Metadata  `json:"metadata,omitempty"`
	Byproducts []Resource `json:"byproducts,omitempty"`
}

// Builder names the build platform.
type Builder struct {
	ID string `json:"id"` // URI
}

// Metadata names the run.
type Metadata struct {
	InvocationID string `json:"invocationId,omitempty"`
	StartedOn    string `json:"startedOn,omitempty"` // RFC 3339, UTC
	FinishedOn   string `json:"finishedOn,omitempty"`
}

// Resource is an in-toto resource descriptor
// (https://github.com/in-toto/attestation/blob/v1.2.0/spec/v1/resource_descriptor.md).
type Resource struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"` // algorithm → hexadecimal
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

// Names of resolved dependencies, which say what each is.
const (
	NameSource    = "source"
	NameWorkflow  = "workflow"
	NameBaseModel = "base-model"
	NameDataset   = "dataset"
)

// Annotations of resolved dependencies.
const (
	// AnnotationReference is what was asked for: a tag that was resolved.
	AnnotationReference = "reference"
	// AnnotationRelation is how a model came from its base model: finetune, adapter,
	// quantized or merge.
	AnnotationRelation = "relation"
	// AnnotationStatedBy says that nobody but the files of the model says so.
	AnnotationStatedBy = "statedBy"
	// AnnotationWorkTree says what is known of how the files of a checkout differ from
	// its commit.
	AnnotationWorkTree = "workTree"
)

// Parts are what a predicate is made of.
type Parts struct {
	Run          *Run
	Parameters   map[string]string // of the caller's; become externalParameters.parameters
	Dependencies []Resource        // besides the source
	Byproducts   []Resource
	// Times asks for when the run started, as far as the build system says so, and for
	// Finished.
	Times    bool
	Finished time.Time
	// BuilderID, when not empty, is the builder instead of the one that the run names.
	BuilderID string
}

// New returns the predicate of the parts. The same parts give the same predicate.
func New(p Parts) *Predicate {
	r := p.Run
	external := map[string]any{}
	for key, value := range r.External {
		external[key] = value
	}
	external["source"] = r.Source.parameter()
	if len(p.Parameters) > 0 {
		external["parameters"] = p.Parameters
	}
	out := &Predicate{
		BuildDefinition: BuildDefinition{
			BuildType: r.BuildType, ExternalParameters: external, InternalParameters: r.Internal,
		},
		RunDetails: RunDetails{Builder: Builder{ID: r.Builder}, Byproducts: p.Byproducts},
	}
	if p.BuilderID != "" {
		out.RunDetails.Builder.ID = p.BuilderID
	}
	if r.Source.Known() {
		out.BuildDefinition.ResolvedDependencies = append(out.BuildDefinition.ResolvedDependencies, r.Source.Resource())
	}
	out.BuildDefinition.ResolvedDependencies = append(append(out.BuildDefinition.ResolvedDependencies, r.Dependencies...), p.Dependencies...)
	m := Metadata{InvocationID: r.Invocation}
	if p.Times {
		m.StartedOn, m.FinishedOn = stamp(r.Started), stamp(p.Finished)
	}
	if m != (Metadata{}) {
		out.RunDetails.Metadata = &m
	}
	return out
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// JSON returns the predicate; the same predicate has always the same bytes.
func (p *Predicate) JSON() ([]byte, error) { return artifacttypes.Marshal(p) }
