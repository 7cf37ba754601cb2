package modseal

import (
	"context"
	"fmt"

	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/statement"
)

// Attached is a document that refers to an artifact as it is, unsigned.
type Attached struct {
	Digest    string `json:"digest"` // of the referrer manifest
	MediaType string `json:"mediaType"`
}

// attachPlain attaches what is said as a referrer of its own media type. What is
// attached already is not attached again.
func attachPlain(ctx context.Context, a *artifact, said Said) (Attached, error) {
	desc, err := referrer.Attach(ctx, a.repository, a.descriptor, referrer.Attachment{ArtifactType: said.MediaType, Blob: said.Predicate})
	if err != nil {
		return Attached{}, fmt.Errorf("%s: attach %s: %w", a.at(a.descriptor), said.MediaType, err)
	}
	return Attached{Digest: desc.Digest.String(), MediaType: said.MediaType}, nil
}

// attachSBOM attaches the document of res, and notes where.
func (c *Client) attachSBOM(ctx context.Context, a *artifact, o *SignOptions, res *SBOMResult) error {
	format := bom.Format(res.Format)
	// Readers rely on the same of a document whoever attached it: a given one is not
	// made better by nobody's signature.
	payload, err := statement.Attestation(a.descriptor.Digest, format.PredicateType(), res.Document)
	if err != nil {
		return usage(err)
	}
	if o == nil {
		attached, err := attachPlain(ctx, a, Said{Predicate: res.Document, MediaType: format.MediaType()})
		if err == nil {
			res.Attached = &attached
		}
		return err
	}
	// Nobody is asked for a password or a token before it is known what for.
	signer, err := c.signer(ctx, o)
	if err != nil {
		return err
	}
	s, err := a.attest(ctx, claim{format.PredicateType(), payload, sign.FormCosign}, signer)
	res.Attestation = &s
	return err
}

// SaySBOM says a bill of materials of the form while a model is stored: signed when
// somebody signs, else attached as it is. Version is that of the program, which the
// document names.
func SaySBOM(format bom.Format, version string) Saying { return &sbomSaying{format, version} }

type sbomSaying struct {
	format  bom.Format
	version string
}

// prepare refuses a form that there is not.
func (s *sbomSaying) prepare(context.Context, *Client, *source.Tree, bool) error {
	if _, err := bom.ParseFormat(string(s.format)); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}

func (s *sbomSaying) about(ctx context.Context, m *PackedModel) (Said, error) {
	described, err := sbomOfPacked(ctx, viewOfTree(ctx, m.tree, m.packed.Files), m.packed)
	if err != nil {
		return Said{}, err
	}
	res := &SBOMResult{}
	o := SBOMOptions{Format: s.format, Version: s.version}
	if err := o.write(described, res); err != nil {
		return Said{}, err
	}
	return Said{PredicateType: s.format.PredicateType(), Predicate: res.Document, MediaType: s.format.MediaType()}, nil
}
