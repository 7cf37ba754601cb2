package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
)

// attestation decides an attestation requirement: enough different signers of
// statements about the manifest, of exactly one of the types, each of which meets
// all conditions.
func (d *decision) attestation(ctx context.Context, req policy.AttestationRequirement) (RequirementResult, error) {
	g := group{req.Signers, req.Threshold, req.Witness}
	types := quoteAll(req.PredicateTypes)
	name := fmt.Sprintf("attestation %s by %s", cmp.Or(req.Name, types), d.names(g.signers))
	if g.threshold > 1 {
		name = fmt.Sprintf("attestations %s by %d of %s", cmp.Or(req.Name, types), g.threshold, d.names(g.signers))
	}
	lookedFor := fmt.Sprintf("an attestation of type %s about %s by %s", types, shortDigest(d.subject.Descriptor.Digest), d.describe(g.signers))
	if n := len(req.Conditions); n > 0 {
		lookedFor += fmt.Sprintf(", which meets %s", plural(n, "condition"))
	}
	r := d.begin(KindAttestation, name, lookedFor)
	var all []judged
	for _, p := range d.pieces {
		j, err := d.judgeAttestation(ctx, p, req, g)
		if err != nil {
			return r, err
		}
		all = append(all, j)
	}
	d.count(&r, all, g)
	return r, nil
}

func (d *decision) judgeAttestation(ctx context.Context, p *piece, req policy.AttestationRequirement, g group) (judged, error) {
	switch p.kind {
	case kindUnknown:
		return p.judge(p.cause, "%s", p.problem), nil
	case kindOMS:
		return d.judged[p], nil
	case kindSignature:
		return p.judge(causeAttestation, "is a signature, not an attestation"), nil
	}
	t := p.s.header.PredicateType
	if !slices.Contains(req.PredicateTypes, t) {
		return p.judge(causeAttestation, "is %s, which is another type", attestation(t)), nil
	}
	j, err := d.judgeSigned(ctx, p, g, req.LegacyTags, attestation(t))
	if err != nil || j.match == nil {
		return j, err
	}
	if wrong := contradiction(j); wrong != "" {
		j.cause, j.phrase = causeContradiction, j.phrase+", and contradicts itself: "+wrong
		return j, nil
	}
	if len(req.Conditions) == 0 {
		return j, nil
	}
	unmet, err := d.unmetBy(ctx, j, req.Conditions)
	if err == nil && unmet != "" {
		j.cause, j.phrase = causeCondition, j.phrase+", of which "+unmet
	}
	return j, err
}

// contradiction is in what a statement contradicts itself: whichever half of it a
// condition looks at, the other says otherwise. Empty when it does not.
func contradiction(j judged) string {
	if j.s.header.PredicateType != artifacttypes.PredicateScan {
		return "" // of no other type it is known
	}
	parsed, err := statement.Parse(j.s.payload)
	if err != nil {
		return "" // conditions say so; without any, what it says is not asked
	}
	if err := statement.Contradiction(parsed.PredicateType, parsed.Predicate); err != nil {
		return errorText(err)
	}
	return ""
}

// unmetBy returns the conditions that the attestation does not meet, as a
// sentence; empty when there are none. The error is that of ctx.
func (d *decision) unmetBy(ctx context.Context, j judged, conditions []policy.Condition) (string, error) {
	parsed, err := statement.Parse(j.s.payload)
	if err != nil {
		return errorText(err), nil
	}
	facts, err := d.factsAbout()
	if err != nil {
		return errorText(err), nil
	}
	facts, err = facts.About(policy.Attestation{
		PredicateType: parsed.PredicateType, Predicate: parsed.Predicate,
		Signer: policy.SignerFacts{
			Name: j.match.signer.Name, Fingerprint: j.match.fingerprint,
			Identity: j.match.identity, Issuer: j.match.issuer, Extensions: j.match.extensions,
		},
	})
	if err != nil {
		return errorText(err), nil
	}
	unmet, err := unmet(ctx, facts, conditions)
	return listing(unmet), err
}

// unmet evaluates conditions and returns those that do not hold, each as a
// sentence. The error is that of ctx: one that cannot be evaluated does not hold.
func unmet(ctx context.Context, facts *policy.Facts, conditions []policy.Condition) ([]string, error) {
	var out []string
	for _, c := range conditions {
		var no *policy.ConditionError
		switch err := c.Eval(ctx, facts); {
		case err == nil:
		case errors.As(err, &no):
			out = append(out, errorText(no))
		default:
			return nil, err
		}
	}
	return out, nil
}

func quoteAll(texts []string) string {
	var out []string
	for _, t := range texts {
		out = append(out, quoted(t))
	}
	return listing(out)
}
