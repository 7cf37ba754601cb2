package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
)

// decision is what one ruling says of the subject.
type decision struct {
	subject Subject
	model   *artifacttypes.Model
	pieces  []*piece
	rules   policy.Rules
	x       *matcher

	judged   map[*piece]judged        // OMS statements, and signatures that count for a requirement
	members  map[string]digest.Digest // of the grouping tars; nil when nobody has said it
	facts    *policy.Facts
	factsErr error
	memory   *Memory
	results  []RequirementResult
}

// decide has every ruling decide on the subject. Evidence is read once, in an
// order that does not depend on the registry.
func decide(ctx context.Context, s Subject, evidence []Evidence, rulings []Ruling) (*outcome, error) {
	if len(rulings) == 0 {
		rulings = []Ruling{{}}
	}
	model, err := s.model()
	if err != nil {
		return nil, err
	}
	o := &outcome{subject: s, model: model}
	for _, r := range rulings {
		d := &decision{subject: s, model: model, rules: r.Rules, x: newMatcher(r), judged: map[*piece]judged{}}
		if err := d.ready(len(evidence)); err != nil {
			return nil, err
		}
		o.decisions = append(o.decisions, d)
	}
	var pieces []*piece
	for _, e := range evidence {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		pieces = append(pieces, read(e))
	}
	slices.SortStableFunc(pieces, func(a, b *piece) int { return cmp.Compare(a.evidence, b.evidence) })
	for _, d := range o.decisions {
		d.pieces = pieces
		if err := d.decide(ctx); err != nil {
			return nil, err
		}
	}
	o.agree()
	return o, nil
}

// decide compares the evidence with every requirement. The results have the order
// of the rules, with that about OMS statements last. What such statements say of
// grouping tars is asked by conditions, and so decided before them.
func (d *decision) decide(ctx context.Context) error {
	rule, explicit := d.omsRule()
	if err := d.judgeOMS(ctx, rule.Signers, rule.Witness); err != nil {
		return err
	}
	results := make([]*RequirementResult, len(d.rules.Requirements))
	for i, req := range d.rules.Requirements {
		if req.Signature != nil {
			r, err := d.signature(ctx, *req.Signature)
			if err != nil {
				return err
			}
			results[i] = &r
		}
	}
	oms := d.oms(rule, explicit)
	for i, req := range d.rules.Requirements {
		var r RequirementResult
		var err error
		switch {
		case req.Attestation != nil:
			r, err = d.attestation(ctx, *req.Attestation)
		case req.VSA != nil:
			r, err = d.vsa(ctx, *req.VSA)
		case req.Conditions != nil:
			r, err = d.conditions(ctx, *req.Conditions)
		case req.Freshness != nil:
			r = d.freshness(*req.Freshness)
		default:
			continue
		}
		if err != nil {
			return err
		}
		results[i] = &r
	}
	for _, r := range append(results, oms) {
		if r != nil {
			d.results = append(d.results, *r)
		}
	}
	return nil
}

// ready makes sure that the rules can be decided at all: rules that require
// nothing would accept everything.
func (d *decision) ready(evidence int) error {
	undecided := func(format string, args ...any) error {
		return &Undecided{
			Subject: d.subject.Name,
			Why:     fmt.Sprintf(format, args...),
			Next:    "name a key with --key FILE, or write a policy with modseal policy init",
		}
	}
	if most := d.mostEvidence(); evidence > most {
		return &Undecided{
			Subject: d.subject.Name,
			Why:     fmt.Sprintf("%d bundles are attached, more than %d", evidence, most),
			Next:    "remove those that do not belong there: modseal tree " + d.subject.reference(),
		}
	}
	if len(d.rules.Requirements) == 0 {
		return undecided("there are no rules to verify it by")
	}
	if m := d.rules.Mode; m != policy.ModeEnforce && m != policy.ModeWarn {
		return undecided("mode %q of the rules is unknown", m)
	}
	if d.rules.NeedsConfig() && d.subject.Config == nil {
		return undecided("the rules ask for the config of the model, which was not read")
	}
	for _, req := range d.rules.Requirements {
		if why := d.empty(req); why != "" {
			return undecided("%s", why)
		}
		if no := d.x.ready(req.Signers(), req.Witness()); no != nil {
			no.Subject = d.subject.Name
			return no
		}
	}
	if no := d.x.ready(d.rules.OMS().Signers, policy.Witness{}); no != nil {
		no.Subject = d.subject.Name
		return no
	}
	return nil
}

func (d *decision) mostEvidence() int {
	if n := d.rules.Limits.Referrers; n > 0 && n < limits.Referrers {
		return n
	}
	return limits.Referrers
}

// empty says why a requirement would hold for everything.
func (d *decision) empty(req policy.Requirement) string {
	switch {
	case req.Signature != nil && (req.Signature.Threshold < 1 || len(req.Signature.Signers) == 0):
		return "a signature requirement names no signers or no threshold"
	case req.Attestation != nil && (req.Attestation.Threshold < 1 || len(req.Attestation.Signers) == 0 || len(req.Attestation.PredicateTypes) == 0):
		return "an attestation requirement names no signers, no threshold or no type"
	case req.VSA != nil:
		return emptyVSA(*req.VSA)
	case req.OMS != nil && len(d.rules.OMS().Signers) == 0:
		return "the rules name no signers"
	case req.Conditions != nil && len(req.Conditions.Conditions) == 0:
		return "a conditions requirement has no conditions"
	case req.Freshness != nil && *req.Freshness == policy.FreshnessRequirement{}:
		return "a freshness requirement asks for nothing"
	case req.Signature == nil && req.OMS == nil && req.Attestation == nil && req.VSA == nil && req.Conditions == nil && req.Freshness == nil:
		return "a requirement is empty"
	}
	return ""
}
