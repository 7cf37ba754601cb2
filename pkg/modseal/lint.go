package modseal

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/profile"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/statement"
)

// LintOptions say by whom what backs a promise must be.
type LintOptions struct {
	// Trust decides whether what is attached verifies: everybody whom these options or
	// their policies name for the artifact, whatever for. Where nothing of it applies,
	// nothing is verified, and no promise is proven.
	Trust TrustOptions
}

// LintResult says how far an artifact conforms to a profile.
type LintResult struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	*profile.Report
	// Deviations are what the artifact has otherwise than the ModelPack specification
	// wants it, and with which it is read all the same. They change nothing of the
	// report.
	Deviations []profile.Deviation `json:"deviations"`
}

// Lint holds the annotations of the artifact that target names against the CNCF AI
// profile, and each that promises something against what is attached: it must be
// about this artifact and verify. It reads manifests, the config and claims, and no
// layer. That the artifact does not conform is no error: the result says so.
func (c *Client) Lint(ctx context.Context, target string, o LintOptions) (*LintResult, error) {
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, err
	}
	t, refused, err := c.trustedFor(ctx, o.Trust, l)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return nil, refused
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	claims, err := a.claimsBy(ctx, t)
	if err != nil {
		return nil, err
	}
	plain, err := a.unsigned(ctx)
	if err != nil {
		return nil, err
	}
	m := a.model.Manifest
	s := profile.Subject{ArtifactType: m.ArtifactType, Annotations: m.Annotations, Proof: func(k profile.Kind, value string) profile.Proof {
		return proof(k, value, claims, plain, t != nil)
	}}
	for _, layer := range a.model.Layers {
		s.Files = append(s.Files, layer.Path)
	}
	deviations, err := a.deviations(ctx)
	if err != nil {
		return nil, err
	}
	return &LintResult{Reference: l.String(), Digest: a.descriptor.Digest.String(), Report: profile.Check(s), Deviations: deviations}, nil
}

// deviations compares the artifact with the ModelPack specification. A config that
// cannot be read is one of them: nothing else that is told here needs it.
func (a *artifact) deviations(ctx context.Context) ([]profile.Deviation, error) {
	desc := a.model.Manifest.Config
	if !artifacttypes.IsModelConfig(desc.MediaType) {
		return profile.Deviations(a.model, nil), nil // of what it is there is no specification here
	}
	config, err := fetchBytes(ctx, a.location, desc, limits.ConfigBytes, "config")
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return append(profile.Deviations(a.model, nil), profile.UnreadConfig(err)), nil
	}
	return profile.Deviations(a.model, config), nil
}

// judgedClaim is a claim about an artifact, and how it verifies by itself.
type judgedClaim struct {
	digest        digest.Digest // of the referrer
	predicateType string
	verification  *TreeVerification // nil: nobody was named to be trusted
}

// claimsBy returns the claims that are attached to the artifact and are about it, each
// verified by itself. t may be nil.
func (a *artifact) claimsBy(ctx context.Context, t *trusted) ([]judgedClaim, error) {
	evidence, err := a.evidence(ctx)
	if err != nil {
		return nil, err
	}
	g := &grower{location: a.location, trusted: t, subject: a.subject()}
	var out []judgedClaim
	for _, e := range evidence {
		payload := claimedPayload(e.Bundle)
		if e.Err != nil || payload == nil {
			continue
		}
		h, err := statement.ParseHeader(payload)
		if err != nil || !h.Names(a.descriptor.Digest) {
			continue // whatever it is, it backs nothing
		}
		claim := judgedClaim{digest: e.Digest, predicateType: h.PredicateType}
		if t != nil {
			if claim.verification, err = g.verify(ctx, e, h.PredicateType); err != nil {
				return nil, err
			}
		}
		out = append(out, claim)
	}
	return out, nil
}

// unsigned returns the media types of what is attached without a signature.
func (a *artifact) unsigned(ctx context.Context) (map[string]digest.Digest, error) {
	nodes, err := referrer.ListWithin(ctx, a.repository, a.descriptor, referrer.Bounds{Referrers: limits.Referrers, Pages: limits.ReferrerPages})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.at(a.descriptor), err)
	}
	out := map[string]digest.Digest{}
	for _, n := range nodes {
		if n.Manifest == nil {
			continue
		}
		for _, l := range n.Manifest.Layers {
			out[l.MediaType] = n.Descriptor.Digest
		}
	}
	return out, nil
}

// backing is what backs the promises of the profile: claims whose predicate type is,
// or is a version of, one of types, and media types of the same without a signature.
var backing = map[profile.Kind]map[string]struct {
	types     []string
	mediaType string
}{
	profile.KindSignature: {profile.SigningSigstore: {types: []string{artifacttypes.PredicateCosignSign}}},
	profile.KindSBOM: {
		profile.SBOMCycloneDX: {[]string{artifacttypes.PredicateCycloneDX}, artifacttypes.MediaTypeCycloneDX},
		profile.SBOMSPDX:      {[]string{artifacttypes.PredicateSPDX}, artifacttypes.MediaTypeSPDX},
	},
	profile.KindProvenance: {
		profile.ProvenanceSLSA:   {types: []string{artifacttypes.PredicateSLSAProvenanceV1}},
		profile.ProvenanceInToto: {types: []string{artifacttypes.PredicateSLSAProvenanceV1, artifacttypes.PredicateSLSAProvenanceV02, artifacttypes.PredicateLink}},
	},
}

// proof looks for what backs a promise.
func proof(k profile.Kind, value string, claims []judgedClaim, plain map[string]digest.Digest, decided bool) profile.Proof {
	b := backing[k][value]
	p := profile.Proof{Decided: decided, Found: fmt.Sprintf("nothing of the kind is attached: no %s (%s) of this artifact", k, value)}
	if at, ok := plain[b.mediaType]; ok && b.mediaType != "" {
		p.Found = fmt.Sprintf("%s is attached, and nobody signed it", shortOf(at))
	}
	for _, c := range claims {
		if !isOf(c.predicateType, b.types) {
			continue
		}
		switch v := c.verification; {
		case v == nil:
			p.Attached, p.Found = true, shortOf(c.digest)+" is attached, and nobody was named to verify it with"
		case v.Verified:
			return profile.Proof{Attached: true, Verified: true, Decided: true, Found: shortOf(c.digest) + " by " + signerName(v.Signer, v.Identity)}
		default:
			p.Attached, p.Found = true, shortOf(c.digest)+" "+v.Why
		}
	}
	return p
}

func isOf(predicateType string, types []string) bool {
	for _, t := range types {
		if predicateType == t || strings.HasPrefix(predicateType, t+"/v") {
			return true
		}
	}
	return false
}

func shortOf(d digest.Digest) string {
	const keep = len("sha256:") + 12
	return d.String()[:min(len(d.String()), keep)] + "…"
}
