package statement

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/slsa"
)

// Results of a verification summary.
const (
	ResultPassed = "PASSED"
	ResultFailed = "FAILED"
)

// LevelUnevaluated is the level of a summary that passed, and for which nobody
// asked how the artifact was built (SLSA 1.1).
const LevelUnevaluated = "SLSA_BUILD_LEVEL_UNEVALUATED"

// VSA is the predicate of a SLSA verification summary attestation: somebody, the
// verifier, has verified an artifact by a policy and says how that came out.
//
// Reference: https://slsa.dev/spec/v1.1/verification_summary. v1.0 differs in
// what it demands: there the time was required.
type VSA struct {
	Verifier     string             // URI; whose word it is, as far as the signer may speak so
	Version      map[string]string  // of the parts of the verifier; nil when it is not said
	TimeVerified time.Time          // when; zero when it is not said
	Resource     string             // URI: as what the artifact was verified; see [ParseResourceURI]
	Policy       ResourceDescriptor // by what; with a URI
	// Inputs are the attestations that it rests on, all of them or none; each has
	// a digest.
	Inputs []ResourceDescriptor
	Result string // [ResultPassed] or [ResultFailed]
	// Levels are what was reached: names of SLSA, at most one of each track, and
	// any other.
	Levels []string
	// Dependencies are how many dependencies have reached which level; nil when
	// nothing is said of them.
	Dependencies map[string]uint64
	SLSAVersion  string // of the specification, such as 1.1; empty when it is not said
}

// ResourceDescriptor names something by where it is and what its digests are
// (https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/resource_descriptor.md).
type ResourceDescriptor struct {
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"` // algorithm → value
}

// Passed reports whether the artifact was accepted.
func (v *VSA) Passed() bool { return v.Result == ResultPassed }

// Meets reports whether the level is reached: it is one of those, or of its track
// in SLSA a higher one is.
func (v *VSA) Meets(level string) bool { return slsa.Meets(v.Levels, level) }

// Same reports whether both say the same, whenever it was verified: everything but
// the time is compared, and the order of inputs and levels means nothing.
func (v *VSA) Same(other *VSA) bool {
	return v.Verifier == other.Verifier && maps.Equal(v.Version, other.Version) &&
		v.Resource == other.Resource && v.Policy.equal(other.Policy) &&
		slices.EqualFunc(sortedInputs(v.Inputs), sortedInputs(other.Inputs), ResourceDescriptor.equal) &&
		v.Result == other.Result &&
		slices.Equal(slices.Sorted(slices.Values(v.Levels)), slices.Sorted(slices.Values(other.Levels))) &&
		(v.Dependencies == nil) == (other.Dependencies == nil) && maps.Equal(v.Dependencies, other.Dependencies) &&
		v.SLSAVersion == other.SLSAVersion
}

func (d ResourceDescriptor) equal(other ResourceDescriptor) bool {
	return d.URI == other.URI && maps.Equal(d.Digest, other.Digest)
}

func sortedInputs(inputs []ResourceDescriptor) []ResourceDescriptor {
	return slices.SortedFunc(slices.Values(inputs), func(a, b ResourceDescriptor) int {
		return cmp.Or(strings.Compare(a.URI, b.URI), slices.Compare(a.digests(), b.digests()))
	})
}

func (d ResourceDescriptor) digests() []string {
	var out []string
	for algorithm, value := range d.Digest {
		out = append(out, algorithm+":"+value)
	}
	slices.Sort(out)
	return out
}

// Payload returns the statement that claims v about the manifest subject. Errors
// wrap [ErrInvalid] when v is nothing that a verifier may say.
func (v *VSA) Payload(subject digest.Digest) ([]byte, error) {
	predicate, err := v.Predicate()
	if err != nil {
		return nil, err
	}
	return Attestation(subject, artifacttypes.PredicateVSA, predicate)
}

// Predicate returns the predicate alone; the same v has always the same bytes.
// [Attestation] finds what is wrong with it.
func (v *VSA) Predicate() ([]byte, error) {
	type verifier struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version,omitempty"`
	}
	levels := v.Levels
	if levels == nil {
		levels = []string{} // required, and then empty
	}
	var at string
	if !v.TimeVerified.IsZero() {
		at = v.TimeVerified.UTC().Format(time.RFC3339Nano)
	}
	var dependencies *map[string]uint64
	if v.Dependencies != nil {
		dependencies = &v.Dependencies // an empty one says that there are none
	}
	return artifacttypes.Marshal(struct {
		Verifier     verifier             `json:"verifier"`
		TimeVerified string               `json:"timeVerified,omitempty"`
		Resource     string               `json:"resourceUri"`
		Policy       ResourceDescriptor   `json:"policy"`
		Inputs       []ResourceDescriptor `json:"inputAttestations,omitempty"`
		Result       string               `json:"verificationResult"`
		Levels       []string             `json:"verifiedLevels"`
		Dependencies *map[string]uint64   `json:"dependencyLevels,omitempty"`
		SLSAVersion  string               `json:"slsaVersion,omitempty"`
	}{
		verifier{v.Verifier, v.Version},
		at, v.Resource, v.Policy, v.Inputs, v.Result, levels, dependencies, v.SLSAVersion,
	})
}
