package modseal

import (
	"context"
	"fmt"
	"slices"

	"github.com/modseal/modseal/pkg/policy"
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
	l, err := c.openTarget(ctx, p.Target)
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
	results := resultsOf(ruling.Rules, report)
	found := foundClaims(evidence, ruling.Rules, results)
	draft := draftOf(ruling.Rules, results)
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
