package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/referrer"
)

// Plan says what [Send] would do and does none of it: of dst it only asks. With a
// *LimitError it returns the plan as well. A blob
// that the registry of dst has in another repository counts as mounted, which the
// registry may then not do.
func Plan(ctx context.Context, dst Target, g *Graph, o CopyOptions) (*CopyResult, error) {
	s := newSender(dst, g, o)
	o.SpoolDir, o.Berth, o.Progress = "", nil, nil
	var err error
	if s.mover, err = newMover(g.src, dst, o, s.warn); err != nil {
		return nil, err
	}
	s.to = planning{s}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s.result, s.preflight()
}

// writing is the hand of [Send].
type writing struct{ *sender }

func (w writing) blob(ctx context.Context, desc ocispec.Descriptor, alone bool) (Outcome, error) {
	return w.mover.move(ctx, desc, alone)
}

func (w writing) manifest(ctx context.Context, n Node) (Outcome, error) {
	desc := plain(n.Descriptor)
	exists, err := w.dst.Exists(ctx, desc)
	if err != nil {
		return "", err
	}
	if exists {
		return Existed, nil
	}
	raw, err := w.g.Raw(ctx, n)
	if err != nil {
		return "", w.changed(err)
	}
	return Copied, w.dst.Push(ctx, desc, bytes.NewReader(raw))
}

// changed says of a manifest that was there and is not any more that it is the
// source that lacks it.
func (s *sender) changed(err error) error {
	if errors.Is(err, errdef.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrSourceChanged, err)
	}
	return err
}

func (w writing) attach(ctx context.Context, subject ocispec.Descriptor, nodes []Node) error {
	listed, err := referrer.Listed(ctx, w.dst, subject)
	if err != nil {
		return err
	}
	var missing []referrer.Entry
	for _, n := range nodes {
		if hasDigest(listed, n.Descriptor.Digest) {
			continue
		}
		raw, err := w.g.Raw(ctx, n)
		if err != nil {
			return w.changed(err)
		}
		missing = append(missing, referrer.Entry{Descriptor: n.Descriptor, Raw: raw})
		w.unlisted(n.Descriptor.Digest)
	}
	if len(missing) == 0 {
		return nil
	}
	return referrer.Add(ctx, w.dst, subject, missing...)
}

func hasDigest(list []ocispec.Descriptor, d digest.Digest) bool {
	return slices.ContainsFunc(list, func(e ocispec.Descriptor) bool { return e.Digest == d })
}

// planning is the hand of [Plan].
type planning struct{ *sender }

func (p planning) blob(ctx context.Context, desc ocispec.Descriptor, _ bool) (Outcome, error) {
	return p.mover.look(ctx, desc)
}

func (p planning) manifest(ctx context.Context, n Node) (Outcome, error) {
	exists, err := p.dst.Exists(ctx, plain(n.Descriptor))
	if err != nil || !exists {
		return Copied, err
	}
	return Existed, nil
}

// attach takes note of referrers that are stored and not listed.
func (p planning) attach(ctx context.Context, subject ocispec.Descriptor, nodes []Node) error {
	listed, err := referrer.Listed(ctx, p.dst, subject)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if !hasDigest(listed, n.Descriptor.Digest) {
			p.unlisted(n.Descriptor.Digest)
		}
	}
	return nil
}

// unlisted says of a referrer that was there that it was not listed.
func (s *sender) unlisted(d digest.Digest) {
	for i, item := range s.result.Items {
		if item.Kind == KindReferrer && item.Digest == d && item.Outcome == Existed {
			s.result.Items[i].Outcome = Listed
		}
	}
}
