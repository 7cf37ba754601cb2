package modseal

import (
	"context"
	"fmt"

	"github.com/modseal/modseal/pkg/source"
)

// SayProvenance says how a model came about while it is stored: signed, since it is
// worth nothing otherwise.
func SayProvenance(o ProvenanceOptions) Saying { return &provenanceSaying{o: o} }

type provenanceSaying struct {
	o    ProvenanceOptions
	made *maker
}

func (s *provenanceSaying) prepare(ctx context.Context, c *Client, tree *source.Tree, signed bool) error {
	if !signed {
		return fmt.Errorf("%w: provenance that nobody signs is worth nothing: say who signs, with --key FILE or --keyless", ErrUsage)
	}
	s.made = &maker{client: c, o: s.o}
	return s.made.prepare(ctx, tree.Dir)
}

func (s *provenanceSaying) about(ctx context.Context, m *PackedModel) (Said, error) {
	if err := s.made.finish(ctx, viewOfTree(ctx, m.tree, m.packed.Files).files(), m.packed.Facts); err != nil {
		return Said{}, err
	}
	return Said{PredicateType: s.made.predicateType, Predicate: s.made.predicate, Warnings: s.made.warnings}, nil
}
