package modseal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// PromoteOptions say what must hold for a model to be promoted, and who signs that
// it did.
type PromoteOptions struct {
	// Trust is by whom the model must be accepted where it is. Its SitePolicyFiles
	// hold at the destination too, under the name there.
	Trust TrustOptions
	// DestinationPolicyFiles must accept the model besides, as the destination gives
	// it and under the name there: what they ask for may be the verification summary
	// that is made.
	DestinationPolicyFiles []string

	// Sign is who signs the verification summary.
	Sign SignOptions
	// VerifierID is the verifier.id of the summary, an absolute URI; empty means one
	// that says who signs, see [PromoteVSA].
	VerifierID string
	// Levels are verified levels that the summary has beside [LevelPolicyPassed].
	Levels []string
	// Renew is how old a summary that is there already may be; 0 means any age.
	Renew time.Duration

	Overwrite bool   // move a tag that holds something else
	Expect    string // move it only if it holds this digest
	// DryRun verifies and plans, and neither writes nor signs.
	DryRun bool

	// Concurrency, Upload and SpoolDir are those of [CopyOptions].
	Concurrency int
	Upload      transfer.Mode
	SpoolDir    string

	// source is what the tag must lead to: what a plan was shown for.
	source digest.Digest
}

func (o *PromoteOptions) check() error {
	if o.Renew < 0 {
		return fmt.Errorf("%w: a summary cannot be renewed after %s", ErrUsage, o.Renew)
	}
	if err := (CopyOptions{Expect: o.Expect}).check(); err != nil {
		return err
	}
	if err := o.checkSummary(); err != nil {
		return err
	}
	if o.DryRun {
		return nil
	}
	return o.Sign.check()
}

// Steps of a promotion, in their order.
const (
	StepResolve           = "resolve"            // the tag, once
	StepVerifySource      = "verify-source"      // by the policy, at the source
	StepPlan              = "plan"               // what differs at the destination, limits, drift
	StepSigner            = "signer"             // who signs is there, before anything is written
	StepCopy              = "copy"               // the model and all that refers to it, by digest
	StepCompare           = "compare"            // manifest and referrers at the destination with those of the source
	StepSign              = "sign"               // the verification summary, attached at the destination
	StepReadBack          = "read-back"          // it, from there
	StepVerifyDestination = "verify-destination" // what the destination gives, by the same rules and its own
	StepReread            = "re-read"            // that neither tag was moved meanwhile
	StepTag               = "tag"                // last
)

// promoting is a promotion on its way.
type promoting struct {
	*Client
	o   PromoteOptions
	res *PromoteResult

	from     *location
	model    *artifact // at the source
	source   *trusted  // rules for the source
	gate     *trusted  // rules for the destination, beside those of the source
	accepted verify.Verified

	to        Target
	dst       *location // of to; what is not there yet is opened when it is written to
	graph     *transfer.Graph
	tag       TagChange
	signer    *signer
	there     *artifact // at the destination, by digest
	delivered verify.Verified
}

// Promote verifies the model that src names, copies it with everything that refers
// to it to dst, attaches a signed verification summary there, verifies what is
// there then, and only then sets the tag of dst. A tag is resolved once: what is
// decided on and copied is a digest.
//
// The result is the record of each step, and there with an error too. The error is
// a [*PromoteError], which wraps that of the step that failed. After it the tag of
// dst is as it was. Promoted again, a model that is there already moves nothing.
func (c *Client) Promote(ctx context.Context, src, dst string, o PromoteOptions) (*PromoteResult, error) {
	p := &promoting{Client: c, o: o, res: &PromoteResult{Source: src, Destination: dst, Outcome: PromotionFailed}}
	for _, s := range p.steps() {
		if o.DryRun && s.writes {
			p.res.skip(s.name)
			continue
		}
		if err := p.res.record(ctx, s.name, s.do); err != nil {
			return p.res, p.failed(s.name, err)
		}
	}
	p.res.end(o.DryRun)
	return p.res, nil
}

// step is one of the steps. writes is for what a dry run leaves out.
type step struct {
	name   string
	writes bool
	do     func(ctx context.Context) (StepOutcome, string, error)
}

func (p *promoting) steps() []step {
	return []step{
		{StepResolve, false, p.resolve},
		{StepVerifySource, false, p.verifySource},
		{StepPlan, false, p.plan},
		{StepSigner, true, p.loadSigner},
		{StepCopy, true, p.copy},
		{StepCompare, true, p.compare},
		{StepSign, true, p.sign},
		{StepReadBack, true, p.readBack},
		{StepVerifyDestination, true, p.verifyDestination},
		{StepReread, true, p.reread},
		{StepTag, true, p.setTag},
	}
}

// failed writes down that the promotion ends at a step, and what it leaves behind.
func (p *promoting) failed(name string, err error) error {
	all := p.steps()
	for _, s := range all[len(p.res.Steps):] {
		p.res.skip(s.name)
	}
	e := &PromoteError{Source: p.res.Source, Destination: p.res.Destination, Step: name, State: p.state(name, err), Record: p.res, Err: err}
	p.res.Failure = &PromoteFailure{Step: name, Class: ClassOf(err).String(), Error: err.Error(), State: e.State}
	errors.As(err, &p.res.Failure.Refusal)
	return e
}

// state says in one sentence what a promotion that failed leaves at the
// destination.
func (p *promoting) state(name string, err error) string {
	held := p.held(err)
	switch {
	case slices.Contains([]string{StepResolve, StepVerifySource, StepPlan, StepSigner}, name):
		return "nothing was written to the destination"
	case name == StepTag && ClassOf(err) != ClassDrift:
		return "the model, what refers to it and its verification summary are at the destination; the tag was asked for, and whether it was set is not known"
	case name == StepCopy:
		return p.res.Destination + " " + held + "; what was copied so far lies there by digest, is harmless, and is reused when the promotion is run again"
	}
	return p.res.Destination + " " + held + "; the model and what refers to it lie there by digest, are harmless, and are reused when the promotion is run again"
}

// held says what the tag of the destination holds, after err.
func (p *promoting) held(err error) string {
	var drift *DriftError
	switch {
	case errors.As(err, &drift) && drift.Have == "":
		return "has lost its tag meanwhile, by somebody else"
	case drift != nil:
		return "holds " + drift.Have + ", which somebody else has set meanwhile"
	case !p.to.tagged():
		return "got no tag"
	case p.tag.Previous != "":
		return "still holds " + p.tag.Previous
	}
	return "has no tag " + p.to.Reference
}

// PromoteError says at which step a promotion failed, and what is at the
// destination then.
type PromoteError struct {
	Source, Destination string
	Step                string
	State               string // in one sentence
	Record              *PromoteResult
	Err                 error
}

func (e *PromoteError) Error() string {
	return fmt.Sprintf("promote %s to %s: %s: %v", e.Source, e.Destination, e.Step, e.Err)
}

// Unwrap returns why the step failed.
func (e *PromoteError) Unwrap() error { return e.Err }
