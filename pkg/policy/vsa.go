package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// VSARequirement demands SLSA verification summaries about the manifest: the word
// of enough different signers, each as a verifier that the rules let it speak as,
// that the artifact was accepted where it lies
// (https://slsa.dev/spec/v1.1/verification_summary#how-to-verify).
type VSARequirement struct {
	Name      string // for messages; empty: whom it is by
	Verifiers []Verifier
	Threshold int
	Resource  Resources
	Levels    []string        // all must be reached; one of SLSA's is, when a higher one of its track is
	Policies  []digest.Digest // any of which it must have been verified by; empty: any policy
	// MaxAge is how long ago it may have been verified, by the summary's own word;
	// 0 means any age.
	MaxAge     time.Duration
	Conditions []Condition // on the summary and the artifact
	// LegacyTags counts those under the tag sha256-<digest>.att too.
	LegacyTags bool
	Witness    Witness // without MaxAge
}

// Verifier is a verifier.id, and who may speak as it. A signature says who has
// signed, and not as whom: SLSA demands that the pair is compared.
type Verifier struct {
	ID      string // URI, compared exactly
	Signers []Signer
}

// Signers returns every signer once, whatever it may speak as.
func (v *VSARequirement) Signers() []Signer {
	var out []Signer
	for _, verifier := range v.Verifiers {
		out = addSigners(out, verifier.Signers)
	}
	return out
}

// Resources are what a verification summary may say that an artifact was verified
// as. Exactly one field is set; the zero Resources take nothing.
type Resources struct {
	Here bool // the place where the artifact is, by its name after remapping
	Any  bool
	// Places are prefixes, as those of scopes; one that has :// or begins with
	// pkg: is a URI that is compared exactly.
	Places []string
}

// Takes reports whether an artifact may have been verified as uri, which names
// the place place, or none that is known when that is empty. here is where the
// artifact is.
func (r Resources) Takes(uri, place, here string) bool {
	switch {
	case r.Any:
		return true
	case r.Here:
		return place != "" && place == normalize(here)
	}
	return slices.ContainsFunc(r.Places, func(p string) bool {
		if exactResource(p) {
			return p == uri
		}
		return place != "" && covers(p, place)
	})
}

func exactResource(text string) bool {
	return strings.Contains(text, "://") || strings.HasPrefix(text, "pkg:")
}
