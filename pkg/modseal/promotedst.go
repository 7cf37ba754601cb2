package modseal

import (
	"context"
	"fmt"
	"slices"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// plan compares the source with the destination, and writes nothing.
func (p *promoting) plan(ctx context.Context) (StepOutcome, string, error) {
	var err error
	if p.dst, err = p.openDestination(ctx, p.to, true); err != nil {
		return "", "", err
	}
	if p.tag, err = p.planTag(ctx); err != nil {
		return "", "", err
	}
	if p.graph, err = p.survey(ctx, p.from, p.model.descriptor, true); err != nil {
		return "", "", err
	}
	planned, err := p.send(ctx, p.graph, p.dst, CopyOptions{DryRun: true, Upload: p.o.Upload})
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", p.to, err)
	}
	p.noteCopy(planned)
	evidence, err := p.comingEvidence(ctx)
	if err != nil {
		return "", "", err
	}
	if err := p.foresee(ctx, evidence); err != nil {
		return "", "", err
	}
	p.res.Change = p.change(planned, evidence)
	return StepDone, string(p.res.Change), nil
}

// planTag says what setting the tag will mean, and refuses drift that nobody
// allowed.
func (p *promoting) planTag(ctx context.Context) (TagChange, error) {
	if !p.to.tagged() {
		return TagChange{}, nil
	}
	change, err := planTag(ctx, p.dst, p.model.descriptor, CopyOptions{Overwrite: p.o.Overwrite, Expect: p.o.Expect})
	p.res.Previous = change.Previous
	return change, err
}

func (p *promoting) noteCopy(r *transfer.CopyResult) {
	p.res.Copy = &CopyResult{
		Source: p.from.String(), Destination: p.to.String(), Digest: p.res.Digest,
		CopyTraffic: r.CopyTraffic, Warnings: r.Warnings,
	}
	p.res.Copy.count(r.Items)
}

// change sums up what is to be done.
func (p *promoting) change(planned *transfer.CopyResult, evidence []verify.Evidence) PromotionChange {
	lacks := slices.ContainsFunc(planned.Items, func(i transfer.CopyItem) bool { return i.Outcome != transfer.Existed })
	switch {
	case p.to.tagged() && p.tag.Previous == "", !p.to.tagged() && lacks:
		return ChangeCreate
	case p.to.tagged() && p.tag.Previous != p.res.Digest:
		return ChangeUpdate
	case lacks:
		return ChangeReferrers
	case !p.claimed(evidence):
		return ChangeSummary
	}
	return ChangeNone
}

// comingEvidence is what the destination will give when the copy is done: what is
// at the source, and what is there already.
func (p *promoting) comingEvidence(ctx context.Context) ([]verify.Evidence, error) {
	rules := p.gate.rules()
	evidence, err := p.model.evidence(ctx, rules...)
	if err != nil {
		return nil, err
	}
	there := *p.model
	there.location = p.dst
	more, err := there.evidence(ctx, rules...)
	if err != nil {
		return nil, err
	}
	for _, e := range more {
		if !slices.ContainsFunc(evidence, func(o verify.Evidence) bool { return o.Digest == e.Digest }) {
			evidence = append(evidence, e)
		}
	}
	return evidence, nil
}

// foresee refuses before anything is written what the rules of the destination
// would refuse at the end. Only what they ask of verification summaries is left
// for then: one is still to be made.
func (p *promoting) foresee(ctx context.Context, evidence []verify.Evidence) error {
	var rulings []verify.Ruling
	for _, r := range p.gate.rulings {
		r.Rules.Requirements = slices.DeleteFunc(slices.Clone(r.Rules.Requirements), func(q policy.Requirement) bool { return q.VSA != nil })
		if len(r.Rules.Requirements) > 0 {
			rulings = append(rulings, r)
		}
	}
	if len(rulings) == 0 {
		return nil
	}
	s, err := p.model.withConfig(ctx, p.gate.rules())
	if err != nil {
		return err
	}
	s.Name = p.to.Scope()
	_, err = verify.Verify(ctx, s, evidence, rulings...)
	return err
}
