package modseal

import (
	"cmp"
	"context"
	"errors"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/lineage"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/verify"
)

// decide finds out whether the model is accepted, and returns what is attached to it
// and how far its manifest is vouched for, with the annotations in it.
func (w *ancestry) decide(ctx context.Context, from ancestor) ([]verify.Evidence, lineage.Saying, error) {
	vouched := lineage.Saying{}
	s, evidence, err := w.gather(ctx, from)
	if err != nil || from.trusted == nil {
		return evidence, vouched, err
	}
	if from.node.State != lineage.Unverified {
		vouched.Why = "is in a manifest that was not verified"
		return evidence, vouched, nil
	}
	vouched.Why = "is in a manifest that nobody who is trusted signed"
	v, err := verify.Verify(ctx, s, evidence, from.trusted.rulings...)
	var refusal *verify.Refusal
	var undecided *verify.Undecided
	switch {
	case ctx.Err() != nil:
		return nil, vouched, context.Cause(ctx)
	case errors.As(err, &refusal):
		from.node.State, from.node.Why = lineage.Refused, refusal.Error()
		return evidence, vouched, nil
	case errors.As(err, &undecided):
		from.node.State, from.node.Why = lineage.Undecided, undecided.Error()
		return evidence, vouched, nil
	case err != nil:
		return nil, vouched, err
	}
	report := v.Report()
	if from.node.State = lineage.Accepted; report.Decision != verify.Accepted {
		from.node.State, from.node.Why = lineage.Warned, cmp.Or(firstText(report.Warnings), "its policy only warns")
	}
	for _, check := range report.Checks {
		// An OMS statement names files and no manifest; other attestations say one
		// thing about it and not that it is good.
		if !check.Passed() || check.PredicateType != artifacttypes.PredicateCosignSign && check.PredicateType != artifacttypes.PredicateVSA {
			continue
		}
		vouched.Verified, vouched.Signer, vouched.Claim, vouched.Why = true, signerName(check.Signer, check.Identity), check.Evidence.String(), ""
		from.node.Signer = vouched.Signer
		break
	}
	return evidence, vouched, nil
}

// gather fetches what is attached to a model, and what else its rules need to decide.
// What cannot be read of an ancestor is noted with it and ends nothing: a stranger who
// attaches too much to one of them would keep everybody from seeing the others.
func (w *ancestry) gather(ctx context.Context, from ancestor) (verify.Subject, []verify.Evidence, error) {
	var rules []policy.Rules
	if from.trusted != nil {
		rules = from.trusted.rules()
	}
	s, err := from.artifact.withConfig(ctx, rules)
	state, what := lineage.Undecided, "its config, which the policy asks about, could not be read: "
	var evidence []verify.Evidence
	if err == nil {
		evidence, err = from.artifact.evidence(ctx, rules...)
		state, what = lineage.Unreadable, ""
	}
	switch {
	case err == nil:
		return s, evidence, nil
	case ctx.Err() != nil:
		return s, nil, context.Cause(ctx)
	case from.depth == 0:
		return s, nil, err // the target itself
	}
	n := from.node
	if n.State == lineage.Unverified {
		n.State, n.Why = state, what+err.Error()
	} else { // refused or undecided, whatever is attached
		n.Why += "; " + lineage.Unreadable.Words() + ": " + err.Error()
	}
	w.graph.Warn(n.Title() + ": what is attached to it is not known: " + what + err.Error())
	return s, nil, nil
}

func firstText(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return texts[0]
}

// signerName is a signer by its name, and what a certificate calls it.
func signerName(name, identity string) string {
	if identity == "" || identity == name {
		return name
	}
	return name + " (" + identity + ")"
}
