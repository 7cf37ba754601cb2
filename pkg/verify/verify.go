package verify

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
)

// Evidence is a bundle that is attached to the subject.
type Evidence struct {
	Digest digest.Digest // of the referrer manifest
	Bundle []byte
	Err    error // it could not be read
	// Legacy is set instead of Bundle for what cosign attached before it had
	// bundles, under a tag.
	Legacy *Legacy
}

// Legacy is a signature or attestation in a layer of an image with the tag
// sha256-<digest>.sig or .att
// (https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md).
type Legacy struct {
	Payload     []byte            // the layer
	Annotations map[string]string // of the layer's descriptor
	Attestation bool              // the layer is an envelope
}

// Trust is what the names in the rules stand for.
type Trust struct {
	Keys        map[string]trust.Key       // by name of the signer
	Authorities map[string]trust.Authority // by name of the signer
	Roots       map[string]*trust.Root     // by name in the rules
	// Remembered is the newest version that was accepted before, for rules that
	// ask for it; nil when there is none.
	Remembered *Memory
	// RememberedIn is where Remembered is kept, in the words of who reads a
	// refusal; it may be empty.
	RememberedIn string
	// Now is the time of the decision; zero means the clock of the machine.
	Now time.Time
}

// Memory is a version of a model that was accepted, and when. It is what a
// freshness requirement remembers.
type Memory struct {
	Digest  digest.Digest `json:"digest"`
	Version string        `json:"version,omitempty"`
	Created time.Time     `json:"created,omitzero"`
	At      time.Time     `json:"at"` // latest time at which anything was accepted
}

// Ruling is one set of rules and what its names stand for.
type Ruling struct {
	Rules policy.Rules
	Trust Trust
}

// Verify decides whether s meets the rules of every ruling, by the evidence that
// is attached to it and the trust that comes with the rules: of a site's rules and
// a project's, the stricter win.
//
// Errors: [*Refusal] when a requirement is not met and its rules enforce it;
// [*Undecided] when there are no rules or nothing for a signer to be known by;
// artifacttypes.ErrInvalidManifest, ErrNotAModel or ErrUnsafePath when the
// manifest is not one to act on; an *integrity.Error when manifest or config are
// not those that their descriptors say.
func Verify(ctx context.Context, s Subject, evidence []Evidence, rulings ...Ruling) (Verified, error) {
	o, err := decide(ctx, s, evidence, rulings)
	if err != nil {
		return Verified{}, err
	}
	report := o.report()
	if report.Decision == Refused {
		return Verified{}, o.refusal(report)
	}
	return Verified{&state{subject: s.clone(), model: o.model, report: report, members: o.members(), memories: o.memories()}}, nil
}

// Explain decides like [Verify] and reports a refusal, with the decision
// [Refused], instead of answering with it. The other errors are the same.
func Explain(ctx context.Context, s Subject, evidence []Evidence, rulings ...Ruling) (Report, error) {
	o, err := decide(ctx, s, evidence, rulings)
	if err != nil {
		return Report{}, err
	}
	return o.report(), nil
}
