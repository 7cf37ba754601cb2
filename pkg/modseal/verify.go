package modseal

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/verify"
)

// VerifyResult says what [Client.Verify] found. It exists only for what was
// accepted; a refusal is an error.
type VerifyResult struct {
	Reference    string        `json:"reference"`
	Digest       string        `json:"digest,omitempty"` // of the manifest; none for a directory
	Verification verify.Report `json:"verification"`
}

// Verify decides on the artifact that target names. It reads no layer but tars
// of grouped files, and those only when an OMS statement says what is in them.
func (c *Client) Verify(ctx context.Context, target string, o TrustOptions) (*VerifyResult, error) {
	a, t, err := c.undecidedYet(ctx, target, o)
	if err != nil {
		return nil, err
	}
	v, err := a.verify(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := a.compareMembers(ctx, v); err != nil {
		return nil, err
	}
	if err := c.remember(ctx, v); err != nil {
		return nil, err
	}
	return &VerifyResult{Reference: a.String(), Digest: a.descriptor.Digest.String(), Verification: v.Report()}, nil
}

// undecidedYet resolves target and reads whom to trust, which is known before the
// registry is asked anything.
func (c *Client) undecidedYet(ctx context.Context, target string, o TrustOptions) (*artifact, *trusted, error) {
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, nil, err
	}
	t, err := c.trusted(ctx, o, l.Scope())
	if err != nil {
		return nil, nil, err
	}
	a, err := l.resolve(ctx)
	return a, t, err
}

// verify decides on the artifact. t is nil when the user asked for no
// verification.
func (a *artifact) verify(ctx context.Context, t *trusted) (verify.Verified, error) {
	if t == nil {
		return verify.SkipUnsafe(ctx, a.subject())
	}
	s, evidence, err := a.decidable(ctx, t)
	if err != nil {
		return verify.Verified{}, err
	}
	return verify.Verify(ctx, s, evidence, t.rulings...)
}

// decidable fetches what the rules need to decide: the bundles, and the config
// of the model where they ask for it.
func (a *artifact) decidable(ctx context.Context, t *trusted) (verify.Subject, []verify.Evidence, error) {
	rules := t.rules()
	s, err := a.withConfig(ctx, rules)
	if err != nil {
		return s, nil, err
	}
	evidence, err := a.evidence(ctx, rules...)
	return s, evidence, err
}

// withConfig is the subject of a decision, with its config where one of the rules
// asks for it.
func (a *artifact) withConfig(ctx context.Context, rules []policy.Rules) (verify.Subject, error) {
	s := a.subject()
	if !slices.ContainsFunc(rules, policy.Rules.NeedsConfig) {
		return s, nil
	}
	config, err := fetchBytes(ctx, a.location, a.model.Manifest.Config, limits.ConfigBytes, "config")
	if err != nil {
		return s, fmt.Errorf("%s: config: %w", a.at(a.descriptor), err)
	}
	s.Config = config
	return s, nil
}

// compareMembers compares the files in the grouping tars with those that a
// trusted signer listed. Until then the tars are only what the manifest says
// they are, and where the policy asks for an OMS statement alone, nobody signed
// the manifest.
func (a *artifact) compareMembers(ctx context.Context, v verify.Verified) error {
	want, known := v.Members()
	if !known || !slices.ContainsFunc(a.model.Layers, isTar) {
		return nil
	}
	members, err := materialize.Members(ctx, a.blobs, a.model.Layers)
	if err != nil {
		return err
	}
	for _, m := range members {
		if want[m.Path] != m.Digest {
			return &materialize.MemberError{Path: m.Path, Want: want[m.Path], Got: m.Digest}
		}
		delete(want, m.Path)
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		return &materialize.MemberError{Path: path, Want: want[path]}
	}
	return nil
}

func isTar(l artifacttypes.Layer) bool { return l.Encoding != artifacttypes.EncodingRaw }
