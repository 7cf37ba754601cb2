package modseal

import (
	"context"
	"errors"
	"fmt"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// accept decides on every artifact by the trust of this site, under the name of
// its destination.
func (l *loading) accept(ctx context.Context) error {
	believed := map[string]*trusted{} // by scope
	for _, s := range l.shipments {
		t, ok := believed[s.to.Scope()]
		if !ok && !l.o.SkipVerificationUnsafe {
			var err error
			if t, err = l.trusted(ctx, l.o.Trust, s.to.Scope()); err != nil {
				return l.withTrustBrought(err)
			}
			believed[s.to.Scope()] = t
		}
		if err := l.acceptOne(ctx, s, t); err != nil {
			return err
		}
	}
	return nil
}

func (l *loading) acceptOne(ctx context.Context, s *shipment, t *trusted) error {
	for _, n := range modelsOf(s.graph) {
		v, err := l.decide(ctx, s, n, t)
		if err != nil {
			return err
		}
		s.permit.models = append(s.permit.models, v)
		s.loaded.Verification = append(s.loaded.Verification, v.Report())
	}
	if len(s.permit.models) == 0 {
		return &NotLoadableError{Name: s.name, File: s.from.Path(), Digest: s.desc.Digest, Err: fmt.Errorf("%w: it is an index of nothing", artifacttypes.ErrNotAModel)}
	}
	return nil
}

// decide decides on one manifest of an artifact.
func (l *loading) decide(ctx context.Context, s *shipment, n transfer.Node, t *trusted) (verify.Verified, error) {
	raw, err := s.graph.Raw(ctx, n)
	if err != nil {
		return verify.Verified{}, err
	}
	model, err := artifacttypes.ParseManifest(raw)
	if err != nil {
		return verify.Verified{}, &NotLoadableError{Name: s.name, File: s.from.Path(), Digest: n.Descriptor.Digest, Err: err}
	}
	a := &artifact{
		location:   &location{Target: s.to, repository: s.cargo, blobs: s.cargo},
		descriptor: plainDescriptor(n.Descriptor), manifest: raw, model: model,
	}
	a.Reference = a.descriptor.Digest.String()
	a.lies = Target{Kind: KindArchive, Path: s.from.Path(), Reference: a.Reference}.String()
	v, err := a.verify(ctx, t)
	if err != nil {
		return verify.Verified{}, err
	}
	if s.lacks(model) {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: tars of small files are not there, so what is in them was not compared with what was signed", s.name))
		return v, nil
	}
	return v, a.compareMembers(ctx, v)
}

// lacks reports whether one of the tars of a model is left out.
func (s *shipment) lacks(m *artifacttypes.Model) bool {
	for _, layer := range m.Layers {
		for _, out := range s.loaded.LeftOut {
			if isTar(layer) && layer.Descriptor.Digest == out.Digest {
				return true
			}
		}
	}
	return false
}

// withTrustBrought tells who has nothing to decide with that the archives bring
// something, and how it may come to be trusted: by a decision, not by a load.
func (l *loading) withTrustBrought(err error) error {
	var undecided *verify.Undecided
	if len(l.held.brought) == 0 || !errors.As(err, &undecided) {
		return err
	}
	u := *undecided
	u.Next += fmt.Sprintf("; %s brings %s of its own, which is never used by itself: %s", l.held.brought[0].File, l.held.brought[0].What(), l.held.brought[0].Next())
	return &u
}

// What names in a sentence what is brought.
func (b BroughtTrust) What() string {
	if b.Kind == BroughtPolicy {
		return "a policy"
	}
	return b.Kind
}

// Next says how people look at what an archive brings and, when whoever they asked
// names the same digest, take it over.
func (b BroughtTrust) Next() string {
	if b.Kind == BroughtMaterial {
		return fmt.Sprintf("look at it with modseal trust import archive:%s --dry-run, and when somebody you trust tells you the same digest, modseal trust import archive:%s --sha256 %s", b.File, b.File, b.Digest.Encoded())
	}
	return fmt.Sprintf("look at it with tar -xOf %s blobs/%s/%s", b.File, b.Digest.Algorithm(), b.Digest.Encoded())
}
