package modseal

import (
	"context"
	"encoding/json"
	"slices"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// AttachedClaims are claims about an artifact that are attached to it.
type AttachedClaims struct {
	Reference string          `json:"reference"`
	Digest    string          `json:"digest"` // of the manifest
	Claims    []AttachedClaim `json:"claims"`
}

// AttachedClaim is a signed claim about an artifact.
type AttachedClaim struct {
	Digest        string `json:"digest"` // of the referrer manifest
	PredicateType string `json:"predicateType"`
	Claim         string `json:"claim"` // what people call such a claim
	// Predicate is what is claimed, believed no more than Verification says.
	Predicate json.RawMessage `json:"predicate"`
	// ClaimedBy is who the bundle says has signed it, Says the predicate in one line;
	// neither is believed more than the claim.
	ClaimedBy string `json:"claimedBy,omitempty"`
	Says      string `json:"says,omitempty"`
	// Verification says whether it counts for anybody who is trusted; nil when nobody
	// was named.
	Verification *TreeVerification `json:"verification,omitempty"`
}

// AttachedProvenance returns the SLSA provenance, v1 and v0.2, that is attached to
// the artifact that target names, whoever signed it. t says by whom it is verified;
// nil means that nothing is. Provenance that does not verify is no error: the result
// says so. Provenance of something else, which anybody may attach, is left out.
//
// That there is none is an error of [ClassNotFound].
func (c *Client) AttachedProvenance(ctx context.Context, target string, t *TrustOptions) (*AttachedClaims, error) {
	return c.attachedClaims(ctx, target, t, "provenance", artifacttypes.PredicateSLSAProvenanceV1, artifacttypes.PredicateSLSAProvenanceV02)
}

func (c *Client) attachedClaims(ctx context.Context, target string, o *TrustOptions, what string, predicateTypes ...string) (*AttachedClaims, error) {
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, err
	}
	g := &grower{location: l}
	if o != nil {
		if g.trusted, err = c.trusted(ctx, *o, l.Scope()); err != nil {
			return nil, err
		}
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	g.subject = a.subject()
	evidence, err := a.evidence(ctx)
	if err != nil {
		return nil, err
	}
	res := &AttachedClaims{Reference: l.String(), Digest: a.descriptor.Digest.String()}
	for _, e := range evidence {
		claim, ok := readAttached(a, e, predicateTypes)
		if !ok {
			continue
		}
		if g.trusted != nil {
			if claim.Verification, err = g.verify(ctx, e, claim.PredicateType); err != nil {
				return nil, err
			}
		}
		res.Claims = append(res.Claims, claim)
	}
	if len(res.Claims) == 0 {
		return nil, &NoClaimError{Reference: l.String(), Claim: what}
	}
	return res, nil
}

// NoClaimError says that no such claim is attached.
type NoClaimError struct {
	Reference string
	Claim     string // what people call it
}

func (e *NoClaimError) Error() string { return e.Reference + ": no " + e.Claim + " is attached" }

// Unwrap makes it a thing that was not found.
func (e *NoClaimError) Unwrap() error { return errdef.ErrNotFound }

// Next says what to do about it.
func (e *NoClaimError) Next() string { return "see what is attached: modseal tree " + e.Reference }

// readAttached reads the claim of a bundle when it is of one of the types and about
// the artifact.
func readAttached(a *artifact, e verify.Evidence, predicateTypes []string) (AttachedClaim, bool) {
	if e.Err != nil {
		return AttachedClaim{}, false
	}
	s, err := statement.Parse(claimedPayload(e.Bundle))
	if err != nil || !slices.Contains(predicateTypes, s.PredicateType) || !s.Names(a.descriptor.Digest) || s.Predicate == nil {
		return AttachedClaim{}, false
	}
	claim := AttachedClaim{
		Digest: e.Digest.String(), PredicateType: s.PredicateType, Claim: ClaimName(s.PredicateType),
		Predicate: s.Predicate, Says: sayClaim(s.PredicateType, s.Predicate),
	}
	if by, err := verify.ReadClaim(e.Bundle); err == nil {
		claim.ClaimedBy = claimant(by)
	}
	return claim, true
}
