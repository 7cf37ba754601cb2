package modseal

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// copy moves the model and all that refers to it, by digest, without a tag.
func (p *promoting) copy(ctx context.Context) (StepOutcome, string, error) {
	var err error
	if p.dst, err = p.openDestination(ctx, p.to, false); err != nil {
		return "", "", err
	}
	moved, err := p.carry(ctx, p.accepted, p.graph, p.dst, CopyOptions{
		Concurrency: p.o.Concurrency, Upload: p.o.Upload, SpoolDir: p.o.SpoolDir,
	})
	if err != nil {
		return "", "", err
	}
	p.noteCopy(moved)
	p.res.Warnings = append(p.res.Warnings, moved.Warnings...)
	r := p.res.Copy
	details := fmt.Sprintf("%d blobs of %d bytes moved, %d mounted, %d there before; %d referrers", r.Blobs, r.Bytes, r.Mounted, r.Existed, r.Referrers)
	for _, i := range moved.Items {
		if i.Outcome != transfer.Existed {
			return StepDone, details, nil
		}
	}
	return StepNothing, details, nil
}

// carry copies the model that was accepted, with everything that refers to it. It
// takes no reference: what nobody verified cannot be named here.
func (c *Client) carry(ctx context.Context, v verify.Verified, g *transfer.Graph, to *location, o CopyOptions) (*transfer.CopyResult, error) {
	switch {
	case !v.Valid() || v.Report().Decision != verify.Accepted:
		return nil, errors.New("what was not accepted is not promoted")
	case g.Root().Digest != v.Descriptor().Digest:
		return nil, fmt.Errorf("%s was accepted, and the graph is that of %s", v.Descriptor().Digest, g.Root().Digest)
	}
	return c.send(ctx, g, to, o)
}

// compare reads back what the destination has: the manifest, whose digest says
// that it is the same, and every referrer in the list of its subject.
func (p *promoting) compare(ctx context.Context) (StepOutcome, string, error) {
	there := *p.dst
	there.Reference = p.res.Digest
	var err error
	if p.there, err = there.resolve(ctx); err != nil {
		return "", "", err
	}
	lists := map[digest.Digest]map[digest.Digest]bool{}
	count := 0
	for _, n := range p.graph.Nodes() {
		if n.Kind != transfer.KindReferrer {
			continue
		}
		count++
		listed, known := lists[n.Subject.Digest]
		if !known {
			if listed, err = listedSet(ctx, p.dst, n.Subject); err != nil {
				return "", "", err
			}
			lists[n.Subject.Digest] = listed
		}
		if !listed[n.Descriptor.Digest] {
			return "", "", fmt.Errorf("%s: %w", p.to, &referrer.NotListedError{Subject: n.Subject.Digest, Referrer: n.Descriptor.Digest})
		}
	}
	return StepDone, fmt.Sprintf("the manifest and %d referrers are those of the source", count), nil
}

func listedSet(ctx context.Context, l *location, subject ocispec.Descriptor) (map[digest.Digest]bool, error) {
	listed, err := referrer.Listed(ctx, l.repository, subject)
	if err != nil {
		return nil, fmt.Errorf("%s: referrers: %w", l.at(subject), err)
	}
	set := make(map[digest.Digest]bool, len(listed))
	for _, d := range listed {
		set[d.Digest] = true
	}
	return set, nil
}
