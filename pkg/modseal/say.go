package modseal

import (
	"context"
	"fmt"

	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/statement"
)

// Saying is something that is said about a model while it is stored: an SBOM, its
// provenance, what a scan found. It is made when the digest is known, and is there
// before the tag is.
type Saying interface {
	// prepare does what can be done before the first byte moves, and refuses there
	// what it refuses. signed says whether there is somebody who signs.
	prepare(ctx context.Context, c *Client, tree *source.Tree, signed bool) error
	// about returns what is said of the model that was packed.
	about(ctx context.Context, m *PackedModel) (Said, error)
}

// Said is a predicate, and how it is attached where nobody signs it.
type Said struct {
	PredicateType string
	Predicate     []byte // JSON; nil attaches nothing
	// MediaType is that of the predicate as a referrer of its own; empty when it is
	// worth nothing without a signature, and is not attached then.
	MediaType string
	Warnings  []string
	// Scan is what a scan found, for who pushes.
	Scan *PushedScan
}

// PackedModel is a model whose layers are stored, and nothing else of it yet.
type PackedModel struct {
	tree   *source.Tree
	packed *pack.Artifact
}

// say returns what is said of the model. It comes before the manifest is stored and
// before anything is signed: what a saying refuses then, because a file is not the
// one that was scanned, is in no registry under a signature.
func (m *PackedModel) say(ctx context.Context, sayings []Saying) ([]Said, error) {
	said := make([]Said, len(sayings))
	for i, s := range sayings {
		var err error
		if said[i], err = s.about(ctx, m); err != nil {
			return nil, err
		}
	}
	return said, nil
}

// attachSaid attaches what is said, signed by with when there is somebody.
func (a *artifact) attachSaid(ctx context.Context, all []Said, with *signer, res *PushResult) error {
	for _, said := range all {
		res.Warnings = append(res.Warnings, said.Warnings...)
		if said.Scan != nil {
			res.Scan = said.Scan
		}
		if said.Predicate == nil || with == nil && said.MediaType == "" {
			continue
		}
		if with == nil {
			plain, err := attachPlain(ctx, a, said)
			if err != nil {
				return err
			}
			res.Attached = append(res.Attached, plain)
			continue
		}
		payload, err := statement.Attestation(a.descriptor.Digest, said.PredicateType, said.Predicate)
		if err != nil {
			return fmt.Errorf("%s: %w", said.PredicateType, err)
		}
		attached, err := a.attest(ctx, claim{said.PredicateType, payload, sign.FormCosign}, with)
		if err != nil {
			return err
		}
		res.Signatures = append(res.Signatures, attached)
	}
	return nil
}
