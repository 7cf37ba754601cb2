package modseal

import (
	"context"

	"github.com/modseal/modseal/pkg/verify"
)

// VerifyResult says what [Client.Verify] found. It exists only for what was
// accepted; a refusal is an error.
type VerifyResult struct {
	Reference    string        `json:"reference"`
	Digest       string        `json:"digest"`
	Verification verify.Report `json:"verification"`
}

// Verify decides on the artifact that target names, without reading a layer.
func (c *Client) Verify(ctx context.Context, target string, o TrustOptions) (*VerifyResult, error) {
	l, err := c.openTarget(target)
	if err != nil {
		return nil, err
	}
	t, err := o.load(l.Scope())
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	v, err := a.verify(ctx, t)
	if err != nil {
		return nil, err
	}
	return &VerifyResult{Reference: l.String(), Digest: a.descriptor.Digest.String(), Verification: v.Report()}, nil
}
