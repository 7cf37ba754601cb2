package modseal

import (
	"context"
	"time"

	"github.com/modseal/modseal/pkg/verify"
)

// PromoteResult is the record of a promotion, finished or not.
type PromoteResult struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	// Digest is of the manifest; empty when the source was not resolved.
	Digest  string           `json:"digest,omitempty"`
	Outcome PromotionOutcome `json:"outcome"`
	// Change is what the destination lacked when the promotion was planned.
	Change PromotionChange `json:"change,omitempty"`
	// Previous is what the tag of the destination held then; empty when it had none.
	Previous string `json:"previous,omitempty"`
	Verified bool   `json:"verified"` // the rules accepted the model at the source
	// Policies are the documents by which it was decided, in the order in which they
	// were asked: those of the source, those of the site, those of the destination.
	Policies     []PromotePolicy `json:"policies,omitempty"`
	Verification *verify.Report  `json:"verification,omitempty"` // at the source
	// DestinationVerification is of what the destination gave: by the rules of the
	// source, then by the summary's signer and the rules of the destination.
	DestinationVerification []verify.Report `json:"destinationVerification,omitempty"`
	Copy                    *CopyResult     `json:"copy,omitempty"` // of a dry run: what would be copied
	VSA                     *PromoteVSA     `json:"vsa,omitempty"`
	Steps                   []PromoteStep   `json:"steps"`
	Failure                 *PromoteFailure `json:"failure,omitempty"`
	Warnings                []string        `json:"warnings,omitempty"`
}

// PromotionOutcome is how a promotion ended.
type PromotionOutcome string

// The outcomes.
const (
	Promoted           PromotionOutcome = "promoted"
	PromotionUnchanged PromotionOutcome = "unchanged" // all was there already: nothing was written
	PromotionPlanned   PromotionOutcome = "planned"   // a dry run
	PromotionFailed    PromotionOutcome = "failed"
)

// PromotionChange is what a promotion has to do.
type PromotionChange string

// The changes.
const (
	ChangeCreate    PromotionChange = "create"    // the tag is not there
	ChangeUpdate    PromotionChange = "update"    // the tag holds something else, and is moved
	ChangeReferrers PromotionChange = "referrers" // the tag is right, and something that refers to the model is missing
	ChangeSummary   PromotionChange = "summary"   // the tag is right, and the verification summary is missing
	ChangeNone      PromotionChange = "none"
)

// PromotePolicy is a document by which it was decided.
type PromotePolicy struct {
	File   string            `json:"file"` // as it was named; for the rules of the command line those
	Digest map[string]string `json:"digest"`
	Scope  string            `json:"scope,omitempty"`
	// At is "source", "site" or "destination".
	At string `json:"at"`
}

// PromoteVSA is the verification summary of a promotion
// (https://slsa.dev/spec/v1.1/verification_summary).
//
// Its verifier.id is [PromoteOptions.VerifierID], or else says who signs: a URI that
// is in the certificate, mailto: and an e-mail address, dns: and a host name, or
// modseal:key: and the fingerprint of the key.
type PromoteVSA struct {
	Digest string `json:"digest"` // of the referrer at the destination
	// Existed means that the same signer had said the same before, so that nothing
	// was signed.
	Existed      bool      `json:"existed"`
	Signer       string    `json:"signer"`
	VerifierID   string    `json:"verifierId"`
	TimeVerified time.Time `json:"timeVerified"`
	ResourceURI  string    `json:"resourceUri"`
	Policy       VSAPolicy `json:"policy"`
	Levels       []string  `json:"verifiedLevels"`
	// Inputs are the digests of the referrers whose bundles counted at the source.
	Inputs []string `json:"inputAttestations"`
}

// VSAPolicy is how a verification summary names the policy that decided.
type VSAPolicy struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

// PromoteStep is one step of a promotion.
type PromoteStep struct {
	Name    string      `json:"name"`
	Outcome StepOutcome `json:"outcome"`
	Started time.Time   `json:"started,omitzero"`
	Ended   time.Time   `json:"ended,omitzero"`
	Details string      `json:"details,omitempty"` // for people
}

// StepOutcome is how a step ended.
type StepOutcome string

// The outcomes of steps.
const (
	StepDone    StepOutcome = "done"
	StepNothing StepOutcome = "nothing" // there was nothing to do
	StepFailed  StepOutcome = "failed"
	StepSkipped StepOutcome = "skipped" // of a dry run, or after a step that failed
)

// PromoteFailure says why and where a promotion ended early.
type PromoteFailure struct {
	Step  string `json:"step"`
	Class string `json:"class"` // of the error, as [Class.String] calls it
	Error string `json:"error"`
	State string `json:"state"` // of the destination, in one sentence
	// Refusal is each requirement that is not met, when a policy said no.
	Refusal *verify.Refusal `json:"refusal,omitempty"`
}

// record does a step and writes down how it ended.
func (r *PromoteResult) record(ctx context.Context, name string, do func(context.Context) (StepOutcome, string, error)) error {
	s := PromoteStep{Name: name, Started: time.Now().UTC()}
	var err error
	s.Outcome, s.Details, err = do(ctx)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.Outcome, s.Details = StepFailed, err.Error()
	}
	s.Ended = time.Now().UTC()
	r.Steps = append(r.Steps, s)
	return err
}

func (r *PromoteResult) skip(name string) {
	r.Steps = append(r.Steps, PromoteStep{Name: name, Outcome: StepSkipped})
}

// end writes down how a promotion ended that did not fail.
func (r *PromoteResult) end(dryRun bool) {
	r.Outcome = PromotionUnchanged
	for _, s := range r.Steps {
		writes := s.Name == StepCopy || s.Name == StepSign || s.Name == StepTag
		if writes && s.Outcome == StepDone {
			r.Outcome = Promoted
		}
	}
	if dryRun {
		r.Outcome = PromotionPlanned
	}
}
