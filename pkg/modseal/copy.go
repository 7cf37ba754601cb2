package modseal

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/transfer"
)

// CopyOptions change what [Client.Copy] does. The zero value copies referrers
// and moves no tag that holds something else.
type CopyOptions struct {
	WithoutReferrers bool
	Overwrite        bool // move a tag that holds something else
	// Expect is the digest that the destination tag holds: one that holds it is
	// moved, one that holds anything else, or is not there, is not.
	Expect string
	// DryRun writes nothing: the result says what would be done.
	DryRun bool
	// FailFast begins no other artifact once one has failed.
	FailFast    bool
	Concurrency int
	// Upload is how blobs are sent; empty means transfer.ModeAuto.
	Upload transfer.Mode
	// SpoolDir is a directory for large blobs on their way from one registry to
	// others: what is in it need not be fetched again when the copy is
	// interrupted, and is fetched once for all destinations. Without one, blobs
	// are sent as they come.
	SpoolDir string

	depot *transfer.Berth // where blobs for several destinations are
	label string          // of names that progress is told
}

// CopyResult says what [Client.Copy] did, or with CopyOptions.DryRun would do.
type CopyResult struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Digest      string `json:"digest"`
	DryRun      bool   `json:"dryRun,omitempty"`
	// Unchanged says that everything was there already.
	Unchanged bool `json:"unchanged"`
	// Tag is nil when the destination has none.
	Tag          *TagChange          `json:"tag,omitempty"`
	Blobs        int                 `json:"blobs"`        // that were moved
	Bytes        int64               `json:"bytes"`        // of these
	Existed      int                 `json:"existed"`      // blobs that were there
	Mounted      int                 `json:"mounted"`      // blobs that the registry had elsewhere
	Referrers    int                 `json:"referrers"`    // signatures, attestations and others
	NewReferrers int                 `json:"newReferrers"` // of these, what was not there or not listed
	Items        []transfer.CopyItem `json:"items"`
	transfer.CopyTraffic
	Warnings []string `json:"warnings,omitempty"`
}

func (r *CopyResult) count(items []transfer.CopyItem) {
	r.Items = items
	r.Unchanged = r.Tag == nil || r.Tag.State == TagSame
	for _, i := range items {
		if i.Outcome != transfer.Existed && i.Outcome != transfer.LeftOut {
			r.Unchanged = false
		}
		if i.Kind == transfer.KindReferrer {
			r.Referrers++
			if i.Outcome != transfer.Existed {
				r.NewReferrers++
			}
		}
		switch {
		case i.Kind != transfer.KindBlob, i.Outcome == transfer.LeftOut:
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
//
// A tag that holds something else is a *DriftError, before anything is moved, and
// also when it came meanwhile. With DryRun the result is returned with it.
func (c *Client) Copy(ctx context.Context, src, dst string, o CopyOptions) (*CopyResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	from, err := c.openTarget(ctx, src)
	if err != nil {
		return nil, err
	}
	if err := from.checkNamed(); err != nil {
		return nil, err
	}
	t, err := destinationOf(dst, from.Target, false)
	if err != nil {
		return nil, err
	}
	desc, err := from.find(ctx)
	if err != nil {
		return nil, err
	}
	return c.copyOne(ctx, &copySource{location: from, descriptor: desc}, t, o)
}

func (o CopyOptions) check() error {
	if o.Expect == "" {
		return nil
	}
	if err := artifacttypes.ValidateDigest(digest.Digest(o.Expect)); err != nil {
		return fmt.Errorf("%w: the expected digest: %w", ErrUsage, err)
	}
	return nil
}

// copyOne copies an artifact to one destination.
func (c *Client) copyOne(ctx context.Context, src *copySource, t Target, o CopyOptions) (*CopyResult, error) {
	desc := src.descriptor
	to, err := c.openDestination(ctx, t, o.DryRun)
	if err != nil {
		return nil, err
	}
	res := &CopyResult{Source: src.Target.String(), Destination: t.String(), Digest: desc.Digest.String(), DryRun: o.DryRun}
	tagged := t.suffix()[0] == ':'
	if !tagged && t.Reference != desc.Digest.String() {
		return nil, fmt.Errorf("%w: %s is to hold %s", ErrUsage, t, desc.Digest)
	}
	var drift error
	if tagged {
		var change TagChange
		change, drift = planTag(ctx, to, desc, o)
		if drift != nil && (!o.DryRun || ClassOf(drift) != ClassDrift) {
			return nil, drift
		}
		res.Tag = &change
	}
	g, err := src.survey(ctx, !o.WithoutReferrers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.Target, err)
	}
	moved, err := c.send(ctx, g, to, o)
	if moved != nil {
		res.CopyTraffic, res.Warnings = moved.CopyTraffic, moved.Warnings
		res.count(moved.Items)
	}
	switch {
	case err != nil && o.DryRun && moved != nil:
		return res, fmt.Errorf("copy %s to %s: %w", src.Target, t, err)
	case err != nil:
		return nil, fmt.Errorf("copy %s to %s: %w", src.Target, t, err)
	case o.DryRun:
		return res, drift
	case tagged:
		change, err := setTag(ctx, to, desc, o)
		if err != nil {
			return nil, err
		}
		res.Tag = &change
	}
	res.Warnings = append(res.Warnings, src.movedSince(ctx)...)
	return res, nil
}

// send copies what was found of an artifact, without its tag. With o.DryRun it
// looks what would be done.
func (c *Client) send(ctx context.Context, g *transfer.Graph, to *location, o CopyOptions) (*transfer.CopyResult, error) {
	options := transfer.CopyOptions{
		Concurrency: o.Concurrency, Progress: c.o.Progress, SpoolDir: o.SpoolDir, Berth: o.depot, Label: o.label,
		Upload: transfer.UploadOptions{Mode: o.Upload, StateDir: c.o.StateDir, Profiles: c.profiles, Digests: c.placed},
	}
	if o.DryRun {
		return transfer.Plan(ctx, to.repository, g, options)
	}
	moved, err := transfer.Send(ctx, to.repository, g, options)
	_ = c.digests.Flush(context.WithoutCancel(ctx)) // a cache that cannot be written remembers nothing
	return moved, err
}

// survey reads what there is of an artifact at its source.
func (c *Client) survey(ctx context.Context, from *location, desc ocispec.Descriptor, referrers bool) (*transfer.Graph, error) {
	return transfer.Survey(ctx, from.repository, desc, transfer.SurveyOptions{Referrers: referrers})
}

// openDestination opens what is copied to. Where nothing is to be written, what is
// not there is nothing.
func (c *Client) openDestination(ctx context.Context, t Target, dryRun bool) (*location, error) {
	if t.Kind == KindLayout && dryRun {
		to, err := c.openAs(ctx, t, false, true)
		if errors.Is(err, errdef.ErrNotFound) {
			return &location{Target: t, repository: nothing{}}, nil
		}
		return to, err
	}
	return c.open(ctx, t, true)
}
