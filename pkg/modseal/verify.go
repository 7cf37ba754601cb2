package modseal

import (
	"context"
	"maps"
	"slices"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/materialize"
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
	if err := a.compareMembers(ctx, v); err != nil {
		return nil, err
	}
	return &VerifyResult{Reference: l.String(), Digest: a.descriptor.Digest.String(), Verification: v.Report()}, nil
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
