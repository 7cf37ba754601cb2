package modseal

import (
	"context"
	"slices"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// candidates are rules that name everybody who may have signed the artifact and
// whom p gives the means to verify.
func (c *Client) candidates(ctx context.Context, p PolicyInit, evidence []verify.Evidence) (verify.Ruling, error) {
	rules := policy.Rules{Name: "what it carries", Mode: policy.ModeEnforce}
	flags := policy.FromKeys(p.Trust.Keys)
	signers := flags.Signers()
	types := []string{}
	keyless := false
	for _, e := range evidence {
		claim, err := verify.ReadClaim(e.Bundle)
		if e.Err != nil || err != nil {
			continue
		}
		if !slices.Contains(types, claim.PredicateType) {
			types = append(types, claim.PredicateType)
		}
		if s, ok := p.candidate(claim); ok {
			signers = addCandidate(signers, s)
			keyless = keyless || s.Keyless != nil
		}
	}
	if keyless {
		rules.TrustedRoots = []policy.TrustedRoot{trustedRoot(p.Trust.TrustedRoot)}
	}
	rules.Requirements = []policy.Requirement{
		{Signature: &policy.SignatureRequirement{Signers: signers, Threshold: 1}},
		{OMS: &policy.OMSRequirement{Signers: signers, AnyIgnorePaths: true, Symlinks: true}},
	}
	for _, t := range types {
		if t != artifacttypes.PredicateCosignSign && !statement.IsOMS(t) {
			rules.Requirements = append(rules.Requirements, policy.Requirement{Attestation: &policy.AttestationRequirement{
				PredicateTypes: []string{t}, Signers: signers, Threshold: 1,
			}})
		}
	}
	known, err := c.known(ctx, ruleSource{rules: rules}, p.Trust.Offline)
	return verify.Ruling{Rules: rules, Trust: known}, err
}

// addCandidate adds a signer that is not there yet. Another one of the same name,
// which anybody can attach, does not take its place.
func addCandidate(to []policy.Signer, s policy.Signer) []policy.Signer {
	for _, o := range to {
		if o.Name != s.Name {
			continue
		}
		if o.Keyless != nil && s.Keyless != nil && o.Keyless.Issuer.Equal(s.Keyless.Issuer) || o.Certificate != nil && s.Certificate != nil {
			return to
		}
		if s.Keyless != nil {
			s.Name += " of " + s.Keyless.Issuer.Exact
		} else {
			s.Name += " by certificate"
		}
		return addCandidate(to, s)
	}
	return append(to, s)
}

// candidate is the signer that a claim names, if it can be verified at all and is
// whom the caller means: what it says is compared by the verification that
// follows.
func (p PolicyInit) candidate(claim verify.Claim) (policy.Signer, bool) {
	switch {
	case !claim.Certificate || claim.Identity == "" || !p.means(claim):
		return policy.Signer{}, false
	case claim.Issuer != "":
		return policy.Signer{Name: claim.Identity, Keyless: &policy.Keyless{
			TrustedRoot: trustedRoot(p.Trust.TrustedRoot).Name,
			Issuer:      policy.Match{Exact: claim.Issuer}, Identity: policy.Match{Exact: claim.Identity}, SCTs: -1,
		}}, true
	case p.Trust.Authorities != "":
		return policy.Signer{Name: claim.Identity, Certificate: &policy.Certificate{
			Roots: p.Trust.Authorities, Identity: policy.Match{Exact: claim.Identity},
		}}, true
	}
	return policy.Signer{}, false
}

// means reports whether a claim is of an identity and an issuer that the caller
// asks for, if any.
func (p PolicyInit) means(claim verify.Claim) bool {
	none := policy.Match{}
	return (p.Trust.Identity.Equal(none) || p.Trust.Identity.Matches(claim.Identity)) &&
		(p.Trust.Issuer.Equal(none) || p.Trust.Issuer.Matches(claim.Issuer))
}

// resultsOf returns the result of each requirement of the rules; the report has
// them in another order, with OMS last.
func resultsOf(rules policy.Rules, report verify.Report) []verify.RequirementResult {
	left := slices.Clone(report.Requirements)
	out := make([]verify.RequirementResult, len(rules.Requirements))
	for i, req := range rules.Requirements {
		kind := kindOf(req)
		if at := slices.IndexFunc(left, func(r verify.RequirementResult) bool { return r.Kind == kind }); at >= 0 {
			out[i] = left[at]
			left = slices.Delete(left, at, at+1)
		}
	}
	return out
}

func kindOf(req policy.Requirement) string {
	switch {
	case req.Signature != nil:
		return verify.KindSignature
	case req.OMS != nil:
		return verify.KindOMS
	}
	return verify.KindAttestation
}

// asksFor reports whether claims of the type are what the requirement is about.
func asksFor(req policy.Requirement, predicateType string) bool {
	switch {
	case req.Signature != nil:
		return predicateType == artifacttypes.PredicateCosignSign
	case req.OMS != nil:
		return statement.IsOMS(predicateType)
	}
	return slices.Contains(req.Attestation.PredicateTypes, predicateType)
}

// draftOf keeps of the candidates those whose claims were verified.
func draftOf(rules policy.Rules, results []verify.RequirementResult) policy.Draft {
	draft := policy.Draft{TrustedRoots: rules.TrustedRoots}
	counted := func(i int) (signers []policy.Signer) {
		for _, e := range results[i].Evidence {
			for _, s := range rules.Signers() {
				if e.Outcome == verify.Counted && s.Name == e.Signer && !slices.ContainsFunc(signers, func(o policy.Signer) bool { return o.Name == s.Name }) {
					signers = append(signers, s)
				}
			}
		}
		return signers
	}
	for i, req := range rules.Requirements {
		signers := counted(i)
		switch {
		case len(signers) == 0:
		case req.Signature != nil:
			draft.Signature = policy.SignatureRequirement{Signers: signers, Threshold: 1}
		case req.OMS != nil:
			draft.OMS.Required = true
		case req.Attestation != nil:
			draft.Attestations = append(draft.Attestations, policy.AttestationRequirement{
				PredicateTypes: req.Attestation.PredicateTypes, Signers: signers, Threshold: 1,
			})
		}
	}
	return draft
}

// foundClaims says of each bundle who signed it, or why nobody knows.
func foundClaims(evidence []verify.Evidence, rules policy.Rules, results []verify.RequirementResult) []FoundClaim {
	out := unverified(evidence)
	for i := range out {
		for j, q := range results {
			if !asksFor(rules.Requirements[j], out[i].PredicateType) {
				continue
			}
			for _, e := range q.Evidence {
				switch {
				case e.Digest.String() != out[i].Digest:
				case e.Outcome == verify.Counted:
					out[i].Signer, out[i].Issuer, out[i].Why = e.Signer, e.Issuer, ""
				case out[i].Why == "":
					out[i].Why = "it " + e.Why
				}
			}
		}
	}
	return out
}

func unverified(evidence []verify.Evidence) []FoundClaim {
	var out []FoundClaim
	for _, e := range evidence {
		f := FoundClaim{Digest: e.Digest.String()}
		claim, err := verify.ReadClaim(e.Bundle)
		switch {
		case e.Err != nil:
			f.Why = e.Err.Error()
		case err != nil:
			f.Why = err.Error()
		default:
			f.PredicateType = claim.PredicateType
		}
		out = append(out, f)
	}
	return out
}
