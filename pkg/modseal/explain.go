package modseal

import (
	"context"

	"github.com/modseal/modseal/pkg/verify"
)

// Explain decides on the artifact that target names like [Client.Verify], and
// returns how each requirement came out also when it is refused. What is
// accepted is not remembered.
func (c *Client) Explain(ctx context.Context, target string, o TrustOptions) (*VerifyResult, error) {
	a, t, err := c.undecidedYet(ctx, target, o)
	if err != nil {
		return nil, err
	}
	s, evidence, err := a.decidable(ctx, t)
	if err != nil {
		return nil, err
	}
	report, err := verify.Explain(ctx, s, evidence, t.rulings...)
	if err != nil {
		return nil, err
	}
	return &VerifyResult{Reference: a.String(), Digest: a.descriptor.Digest.String(), Verification: report}, nil
}
