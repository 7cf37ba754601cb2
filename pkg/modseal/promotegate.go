package modseal

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// readBack reads the summary from the destination and compares it with what it
// should say.
func (p *promoting) readBack(ctx context.Context) (StepOutcome, string, error) {
	evidence, err := p.there.evidence(ctx)
	if err != nil {
		return "", "", err
	}
	i := slices.IndexFunc(evidence, func(e verify.Evidence) bool { return e.Digest.String() == p.res.VSA.Digest })
	if i < 0 {
		return "", "", fmt.Errorf("%s: the verification summary %s was attached and is not listed", p.to, p.res.VSA.Digest)
	}
	if evidence[i].Err != nil {
		return "", "", fmt.Errorf("%s: verification summary: %w", p.to, evidence[i].Err)
	}
	v, err := statement.ParseVSA(claimedPayload(evidence[i].Bundle))
	if err != nil || !v.Same(p.summary()) || !v.TimeVerified.Equal(p.res.VSA.TimeVerified) {
		return "", "", fmt.Errorf("%s: the verification summary %s is not the one that was attached", p.to, p.res.VSA.Digest)
	}
	return StepDone, p.res.VSA.Digest, nil
}

// verifyDestination decides again, on what the destination gives: by the rules of
// the source, and by those of the destination with the summary of this promotion.
func (p *promoting) verifyDestination(ctx context.Context) (StepOutcome, string, error) {
	// Scopes and resources of the first rules are about the source: only what is
	// looked at comes from elsewhere.
	again, err := p.decideThere(ctx, p.from.Scope(), p.source)
	if err != nil {
		return "", "", err
	}
	if r := again.Report(); r.Decision != verify.Accepted {
		return "", "", &WarnedError{Subject: p.there.at(p.model.descriptor), Warnings: r.Warnings}
	}
	gate := &trusted{rulings: append(slices.Clone(p.gate.rulings), p.ownRuling())}
	v, err := p.decideThere(ctx, p.to.Scope(), gate)
	if err != nil {
		return "", "", err
	}
	if err := p.remember(ctx, v); err != nil {
		return "", "", err
	}
	p.delivered = v
	return StepDone, "accepted by " + p.res.Verification.Policy + ", and " + v.Report().Policy, nil
}

// decideThere decides on the model at the destination, as the one that is called
// name.
func (p *promoting) decideThere(ctx context.Context, name string, t *trusted) (verify.Verified, error) {
	s, evidence, err := p.there.decidable(ctx, t)
	if err != nil {
		return verify.Verified{}, err
	}
	if !bytes.Equal(s.Manifest, p.accepted.Raw()) {
		return verify.Verified{}, fmt.Errorf("%s: its manifest is not the one that was accepted", p.to)
	}
	s.Name = name
	v, err := verify.Verify(ctx, s, evidence, t.rulings...)
	if err != nil {
		return verify.Verified{}, err
	}
	if err := p.there.compareMembers(ctx, v); err != nil {
		return verify.Verified{}, err
	}
	report := v.Report()
	p.res.DestinationVerification = append(p.res.DestinationVerification, report)
	p.res.Warnings = append(p.res.Warnings, report.Warnings...)
	return v, nil
}
