package modseal

import (
	"context"
	"errors"
	"fmt"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/transfer"
)

// CopyOptions change what [Client.Copy] does. The zero value copies referrers
// and moves no tag that holds something else.
type CopyOptions struct {
	WithoutReferrers bool
	Overwrite        bool // move a tag that holds something else
	Concurrency      int
	// Upload is how blobs are sent; empty means transfer.ModeAuto.
	Upload transfer.Mode
	// SpoolDir is a directory for large blobs on their way from one registry to
	// another: what is in it need not be fetched again when the copy is
	// interrupted. Without one, blobs are sent as they come.
	SpoolDir string
}

// CopyResult says what [Client.Copy] did.
type CopyResult struct {
	Source      string              `json:"source"`
	Destination string              `json:"destination"`
	Digest      string              `json:"digest"`
	Blobs       int                 `json:"blobs"`     // that were moved
	Bytes       int64               `json:"bytes"`     // of these
	Existed     int                 `json:"existed"`   // blobs that were there
	Mounted     int                 `json:"mounted"`   // blobs that the registry had elsewhere
	Referrers   int                 `json:"referrers"` // signatures, attestations and others
	Items       []transfer.CopyItem `json:"items"`
	transfer.CopyTraffic
	Warnings []string `json:"warnings,omitempty"`
}

func (r *CopyResult) count(items []transfer.CopyItem) {
	r.Items = items
	for _, i := range items {
		if i.Kind == transfer.KindReferrer {
			r.Referrers++
		}
		switch {
		case i.Kind != transfer.KindBlob:
		case i.Outcome == transfer.Existed:
			r.Existed++
		case i.Outcome == transfer.Mounted:
			r.Mounted++
		default:
			r.Blobs++
			r.Bytes += i.Size
		}
	}
}

// Copy copies the artifact that src names, with everything that refers to it,
// to dst, and sets the tag of dst last. Without a tag, dst gets that of src. It
// copies what is there and vouches for nothing: every byte is checked against
// its digest, no signature against a key.
func (c *Client) Copy(ctx context.Context, src, dst string, o CopyOptions) (*CopyResult, error) {
	from, err := c.openTarget(src)
	if err != nil {
		return nil, err
	}
	if from.Reference == "" {
		return nil, fmt.Errorf("%w: %s has no tag or digest", ErrUsage, from.Target)
	}
	t, err := ParseTarget(dst)
	if err != nil {
		return nil, err
	}
	if t.Reference == "" {
		t.Reference = from.Reference
	}
	to, err := c.open(t, true)
	if err != nil {
		return nil, err
	}
	desc, err := from.Resolve(ctx, from.Reference)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from.Target, err)
	}
	tag := t.suffix()[0] == ':'
	if !tag && t.Reference != desc.Digest.String() {
		return nil, fmt.Errorf("%w: %s is to hold %s", ErrUsage, t, desc.Digest)
	}
	if tag && !o.Overwrite {
		if err := noDrift(ctx, to, desc.Digest.String()); err != nil {
			return nil, err
		}
	}
	moved, err := transfer.Copy(ctx, from.repository, to.repository, desc, transfer.CopyOptions{
		Referrers: !o.WithoutReferrers, Concurrency: o.Concurrency, Progress: c.o.Progress, SpoolDir: o.SpoolDir,
		Upload: transfer.UploadOptions{Mode: o.Upload, StateDir: c.o.StateDir, Profiles: c.profiles, Digests: c.digests},
	})
	_ = c.digests.Flush(context.WithoutCancel(ctx)) // a cache that cannot be written remembers nothing
	if err != nil {
		return nil, fmt.Errorf("copy %s to %s: %w", from.Target, t, err)
	}
	if tag {
		if err := to.Tag(ctx, desc, t.Reference); err != nil {
			return nil, fmt.Errorf("%s: tag: %w", t, err)
		}
	}
	res := &CopyResult{Source: from.String(), Destination: t.String(), Digest: desc.Digest.String(), CopyTraffic: moved.CopyTraffic, Warnings: moved.Warnings}
	res.count(moved.Items)
	return res, nil
}

// noDrift refuses to go on when the tag holds something else.
func noDrift(ctx context.Context, to *location, want string) error {
	have, err := to.Resolve(ctx, to.Reference)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", to.Target, err)
	case have.Digest.String() != want:
		return &DriftError{Reference: to.String(), Have: have.Digest.String(), Want: want}
	}
	return nil
}
