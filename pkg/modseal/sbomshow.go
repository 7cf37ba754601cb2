package modseal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// SBOMQuery says which of the attached bills of materials are meant.
type SBOMQuery struct {
	// Trust is by whom it must be signed; nil takes also what nobody has signed, and
	// what nobody has verified.
	Trust *TrustOptions
	// Format is the form; empty means any.
	Format bom.Format
	// Digest is that of the referrer; empty means any.
	Digest string
}

// SBOMList is what [Client.AttachedSBOMs] found.
type SBOMList struct {
	Reference string         `json:"reference"`
	Digest    string         `json:"digest"`
	SBOMs     []AttachedSBOM `json:"sboms"`
}

// AttachedSBOM is a bill of materials that refers to an artifact.
type AttachedSBOM struct {
	Digest string `json:"digest"` // of the referrer manifest
	Kind   string `json:"kind"`   // what the document says that it is: CycloneDX 1.7
	Format string `json:"format"`
	Signed bool   `json:"signed"` // it is in a bundle, whoever made that
	// Verification says whether it counts for anybody who is trusted; nil when nobody
	// was named, and when it is not signed.
	Verification *TreeVerification `json:"verification,omitempty"`
	Document     json.RawMessage   `json:"sbom"`
}

// UnverifiedSBOMError says that there are bills of materials, and none that counts.
type UnverifiedSBOMError struct {
	Reference string
	Reasons   []string // one for each
}

func (e *UnverifiedSBOMError) Error() string {
	return e.Reference + ": no SBOM by anybody who is trusted: " + strings.Join(e.Reasons, "; ")
}

// NoSBOMError says that no such bill of materials is attached.
type NoSBOMError struct {
	Reference string
	Query     string // what was looked for
	// Format is the form that was asked for; empty means any.
	Format bom.Format
	// Chosen means that a referrer was named, which is not there.
	Chosen bool
}

func (e *NoSBOMError) Error() string { return e.Reference + ": no " + e.Query + " is attached" }

// Unwrap makes it a thing that was not found.
func (e *NoSBOMError) Unwrap() error { return errdef.ErrNotFound }

// Next says what to do about it.
func (e *NoSBOMError) Next() string {
	if e.Chosen {
		return "see what is attached: modseal tree " + e.Reference + "; a referrer is named by its whole digest"
	}
	flags := " --attach"
	if e.Format != "" {
		flags = " --format " + string(e.Format) + flags
	}
	return "make one: modseal sbom " + e.Reference + flags + "; what is attached: modseal tree " + e.Reference
}

// AttachedSBOMs lists the bills of materials that are attached to the artifact that
// target names: signed in bundles, or as they are. It lists at least one: none is a
// [*NoSBOMError], and none that verifies when somebody is to be trusted an
// [*UnverifiedSBOMError].
func (c *Client) AttachedSBOMs(ctx context.Context, target string, q SBOMQuery) (*SBOMList, error) {
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	g := &grower{location: l, subject: a.subject(), budget: limits.EvidenceBytes}
	if q.Trust != nil {
		if g.trusted, err = c.trusted(ctx, *q.Trust, l.Scope()); err != nil {
			return nil, err
		}
	}
	nodes, err := referrer.List(ctx, l.repository, a.descriptor)
	if err != nil {
		return nil, fmt.Errorf("%s: attached: %w", a.at(a.descriptor), err)
	}
	list := &SBOMList{Reference: l.String(), Digest: a.descriptor.Digest.String()}
	for _, n := range nodes {
		if q.Digest != "" && q.Digest != n.Descriptor.Digest.String() {
			continue // whatever else is attached is in nobody's way
		}
		s, err := g.sbom(ctx, n)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		if s != nil && q.meant(s) {
			list.SBOMs = append(list.SBOMs, *s)
		}
	}
	return list, list.check(q)
}

func (q *SBOMQuery) meant(s *AttachedSBOM) bool {
	return q.Format == "" || string(q.Format) == s.Format
}

func (q *SBOMQuery) text() string {
	text := "SBOM"
	if q.Format != "" {
		text += " in the form " + string(q.Format)
	}
	if q.Digest != "" {
		text += " of the digest " + q.Digest
	}
	return text
}

// check leaves what counts.
func (l *SBOMList) check(q SBOMQuery) error {
	if len(l.SBOMs) == 0 {
		return &NoSBOMError{Reference: l.Reference, Query: q.text(), Format: q.Format, Chosen: q.Digest != ""}
	}
	if q.Trust == nil {
		return nil
	}
	refused := &UnverifiedSBOMError{Reference: l.Reference}
	l.SBOMs = slices.DeleteFunc(l.SBOMs, func(s AttachedSBOM) bool {
		switch {
		case s.Verification == nil:
			refused.Reasons = append(refused.Reasons, s.Digest+" is not signed")
		case !s.Verification.Verified:
			refused.Reasons = append(refused.Reasons, s.Digest+" "+s.Verification.Why)
		default:
			return false
		}
		return true
	})
	if len(l.SBOMs) == 0 {
		return refused
	}
	return nil
}

// sbom reads a bill of materials out of a referrer; nil when it is something else, or
// cannot be read: then it is nothing that could be shown, and tree says why.
func (g *grower) sbom(ctx context.Context, n referrer.Node) (*AttachedSBOM, error) {
	if layer, ok := sbomLayer(n.Manifest); ok {
		if g.trusted != nil {
			return unsignedSBOM(n, layer.MediaType), nil
		}
		if g.budget -= layer.Size; g.budget < 0 {
			return nil, nil
		}
		raw, err := fetchBytes(ctx, g.location, layer, limits.PushBytes, "SBOM")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Descriptor.Digest, err)
		}
		return describeSBOM(n, raw), nil
	}
	node, bundle := g.read(ctx, n)
	if node.Problem != "" || !isSBOM(node.PredicateType) {
		return nil, nil
	}
	said, err := statement.Parse(claimedPayload(bundle))
	if err != nil {
		return nil, nil //nolint:nilerr // it is no statement, and so no SBOM
	}
	s := describeSBOM(n, said.Predicate)
	if s == nil {
		return nil, nil
	}
	s.Signed = true
	if g.trusted != nil {
		s.Verification, err = g.verify(ctx, verify.Evidence{Digest: n.Descriptor.Digest, Bundle: bundle}, node.PredicateType)
	}
	return s, err
}

// describeSBOM says what a document is. One that is none here may be XML, or a form
// that is not known.
func describeSBOM(n referrer.Node, raw []byte) *AttachedSBOM {
	raw = bytes.TrimSpace(raw)
	kind, err := bom.Detect(raw)
	if err != nil {
		return nil
	}
	return &AttachedSBOM{Digest: n.Descriptor.Digest.String(), Kind: kind.String(), Format: string(kind.Format), Document: raw}
}

// unsignedSBOM is one that counts for nobody, and so is not read.
func unsignedSBOM(n referrer.Node, mediaType string) *AttachedSBOM {
	format := bom.SPDX
	if mediaType == bom.CycloneDX.MediaType() {
		format = bom.CycloneDX
	}
	return &AttachedSBOM{Digest: n.Descriptor.Digest.String(), Format: string(format)}
}

// sbomLayer returns the one layer of a referrer that is a bill of materials as it is.
func sbomLayer(m *ocispec.Manifest) (ocispec.Descriptor, bool) {
	if m == nil || len(m.Layers) != 1 {
		return ocispec.Descriptor{}, false
	}
	t := m.Layers[0].MediaType
	return m.Layers[0], t == artifacttypes.MediaTypeCycloneDX || t == artifacttypes.MediaTypeSPDX
}

// isSBOM: others append a version to the type of SPDX.
func isSBOM(predicateType string) bool {
	return predicateType == artifacttypes.PredicateCycloneDX || predicateType == artifacttypes.PredicateSPDX ||
		strings.HasPrefix(predicateType, artifacttypes.PredicateSPDX+"/")
}
