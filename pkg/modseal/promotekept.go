package modseal

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// claimedSummary is a bundle that claims to be a verification summary. Nobody has
// verified it.
type claimedSummary struct {
	evidence verify.Evidence
	vsa      *statement.VSA
}

// keptSummary returns the newest summary at the destination that says want, by the
// same signer, if it is not too old. Each is decided on by itself, with those that
// may take it back: of several by one signer only one is counted, which may be
// another.
func (p *promoting) keptSummary(ctx context.Context, want *statement.VSA) (digest.Digest, time.Time, error) {
	evidence, err := p.there.evidence(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	same, failed := claimedSummaries(evidence, want)
	most := p.mostAge()
	for _, c := range same {
		if most > 0 && time.Since(c.vsa.TimeVerified) >= most {
			break // as are those that follow
		}
		report, err := verify.Explain(ctx, p.there.subject(), append([]verify.Evidence{c.evidence}, failed...), p.ownRuling())
		if err != nil {
			return "", time.Time{}, err
		}
		if report.Decision != verify.Refused && slices.Contains(counted(report), c.evidence.Digest) {
			return c.evidence.Digest, c.vsa.TimeVerified, nil
		}
	}
	return "", time.Time{}, nil
}

// claimedSummaries returns what claims to be the summary want, the newest first, and
// what claims to be one that FAILED.
func claimedSummaries(evidence []verify.Evidence, want *statement.VSA) (same []claimedSummary, failed []verify.Evidence) {
	for _, e := range evidence {
		v, err := statement.ParseVSA(claimedPayload(e.Bundle))
		switch {
		case err != nil:
		case !v.Passed():
			failed = append(failed, e)
		case v.Same(want):
			same = append(same, claimedSummary{e, v})
		}
	}
	slices.SortStableFunc(same, func(a, b claimedSummary) int { return b.vsa.TimeVerified.Compare(a.vsa.TimeVerified) })
	return same, failed
}

// mostAge is how old a summary may be, by the caller and by the rules of the
// destination; 0 means any age.
func (p *promoting) mostAge() time.Duration {
	most := p.o.Renew
	for _, r := range p.gate.rulings {
		for _, q := range r.Rules.Requirements {
			if q.VSA != nil && q.VSA.MaxAge > 0 && (most == 0 || q.VSA.MaxAge < most) {
				most = q.VSA.MaxAge
			}
		}
	}
	return most
}

// claimed reports whether something at the destination claims to be the summary
// that this promotion makes. It is for the plan, which knows no signer: nobody has
// verified it.
func (p *promoting) claimed(evidence []verify.Evidence) bool {
	want := p.summary()
	return slices.ContainsFunc(evidence, func(e verify.Evidence) bool {
		v, err := statement.ParseVSA(claimedPayload(e.Bundle))
		if err != nil {
			return false
		}
		if want.Verifier == "" {
			v.Verifier = ""
		}
		most := p.mostAge()
		return v.Same(want) && (most == 0 || time.Since(v.TimeVerified) < most)
	})
}
