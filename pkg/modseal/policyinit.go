package modseal

import (
	"context"
	"fmt"
	"slices"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// PolicyInit says what a new policy accepts.
type PolicyInit struct {
	// Target is an artifact to begin from: whoever signed it and can be verified
	// by Trust becomes a signer. Empty: the signers of Trust, as they are.
	Target string
	// Trust names signers: keys, authorities, and the trusted root of keyless
	// ones. Of those who signed Target, only such with its Identity and Issuer
	// become signers, where it has them. Its policies play no part.
	Trust       TrustOptions
	Prefix      string // see policy.Scope; empty: the repository of Target
	SignerName  string // empty: the base name of the key file, or the identity
	OMSRequired bool
}

// PolicyDraft is a policy that was not written yet.
type PolicyDraft struct {
	Text []byte `json:"-"`
	// Found is what Target carries, bundle by bundle.
	Found []FoundClaim `json:"found,omitempty"`
	// Unused are the keys that were named and have signed nothing of Target, so
	// that the policy does not name them.
	Unused []string `json:"unused,omitempty"`
}

// FoundClaim is a bundle of the artifact that a policy is made from.
type FoundClaim struct {
	Digest        string `json:"digest"` // of the referrer manifest
	PredicateType string `json:"predicateType,omitempty"`
	Signer        string `json:"signer,omitempty"` // who signed, when it was verified
	Issuer        string `json:"issuer,omitempty"` // who vouched for a keyless signer
	Why           string `json:"why,omitempty"`    // why it is not part of the policy
}

// DraftPolicy makes the text of a policy, and shows what it was made of. When
// nobody can be verified, the error is a [*verify.Undecided], and the draft has
// what was found and no text.
func (c *Client) DraftPolicy(ctx context.Context, p PolicyInit) (*PolicyDraft, error) {
	if p.Target == "" {
		return c.draftFromSigners(ctx, p)
	}
	l, err := c.openTarget(p.Target)
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	if p.Prefix == "" {
		p.Prefix = l.Scope()
	}
	evidence, err := a.evidence(ctx)
	if err != nil {
		return nil, err
	}
	ruling, err := c.candidates(ctx, p, evidence)
	if err != nil {
		return nil, err
	}
	if len(ruling.Rules.Signers()) == 0 {
		found := unverified(evidence)
		for i := range found {
			if found[i].Why == "" {
				found[i].Why = "nothing is given to verify it with"
			}
		}
		return &PolicyDraft{Found: found}, nobody(a, found)
	}
	report, err := verify.Explain(ctx, a.subject(), evidence, ruling)
	if err != nil {
		return nil, err
	}
	found := foundClaims(evidence, report)
	draft := draftOf(ruling.Rules, report)
	if len(draft.Signature.Signers) == 0 {
		return &PolicyDraft{Found: found}, nobody(a, found)
	}
	draft.Prefix, draft.From = p.Prefix, a.at(a.descriptor)
	draft.OMS.Required = draft.OMS.Required || p.OMSRequired
	text, err := p.text(draft, ruling.Trust)
	return &PolicyDraft{Text: text, Found: found, Unused: p.unused(found)}, err
}

// unused returns the keys by which nothing was verified.
func (p PolicyInit) unused(found []FoundClaim) []string {
	return slices.DeleteFunc(slices.Clone(p.Trust.Keys), func(key string) bool {
		return slices.ContainsFunc(found, func(f FoundClaim) bool { return f.Signer == key })
	})
}

// draftFromSigners makes a policy of signers alone.
func (c *Client) draftFromSigners(ctx context.Context, p PolicyInit) (*PolicyDraft, error) {
	flags, err := p.Trust.flags()
	if err != nil {
		return nil, err
	}
	if flags.Empty() {
		return nil, fmt.Errorf("%w: nobody is named: give --key, an identity, or an artifact to begin from", ErrUsage)
	}
	rules, err := policy.FromFlags(flags)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	known := verify.Trust{Keys: map[string]trust.Key{}, Authorities: map[string]trust.Authority{}}
	for _, s := range rules.Signers() {
		if s.Certificate != nil && s.Certificate.AnyIdentity {
			return nil, fmt.Errorf("%w: a policy says who is trusted and not only by whom they are certified: add an identity", ErrUsage)
		}
		if err := c.identify(ctx, s, "", p.Trust.Offline, &known); err != nil {
			return nil, err
		}
	}
	draft := policy.Draft{
		Prefix: p.Prefix, TrustedRoots: rules.TrustedRoots,
		Signature: *rules.Requirements[0].Signature, OMS: policy.OMSRequirement{Required: p.OMSRequired},
	}
	text, err := p.text(draft, known)
	return &PolicyDraft{Text: text}, err
}

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

// draftOf keeps of the candidates those whose claims were verified.
func draftOf(rules policy.Rules, report verify.Report) policy.Draft {
	draft := policy.Draft{TrustedRoots: rules.TrustedRoots}
	counted := func(i int) (signers []policy.Signer) {
		for _, e := range report.Requirements[i].Evidence {
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
func foundClaims(evidence []verify.Evidence, report verify.Report) []FoundClaim {
	out := unverified(evidence)
	for i := range out {
		for _, q := range report.Requirements {
			for _, e := range q.Evidence {
				switch {
				case e.Digest.String() != out[i].Digest || out[i].Signer != "":
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

func nobody(a *artifact, found []FoundClaim) error {
	why := "nothing is attached to it"
	if len(found) > 0 {
		why = fmt.Sprintf("%d bundles are attached, and none is a signature that can be verified with what is given", len(found))
	}
	return &verify.Undecided{
		Subject: a.at(a.descriptor), Why: "there is nobody to trust: " + why,
		Next: "name the key of its signer with --key FILE, its authorities with --certificate-chain FILE, or the trusted root of a private Sigstore instance with --trusted-root FILE; modseal tree " + a.at(a.descriptor) + " shows what is attached",
	}
}
