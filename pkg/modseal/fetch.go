package modseal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/verify"
)

// fetchBytes reads a small blob or a manifest whole and checks its digest.
func fetchBytes(ctx context.Context, l *location, desc ocispec.Descriptor, limit int64, what string) ([]byte, error) {
	if desc.Size > limit {
		return nil, &integrity.TooLargeError{What: what, Size: desc.Size, Limit: limit}
	}
	if err := artifacttypes.ValidateDescriptor(desc); err != nil {
		return nil, err
	}
	r, err := l.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return integrity.ReadAll(r, desc, limit, what)
}

func fetchManifest(ctx context.Context, l *location, desc ocispec.Descriptor) ([]byte, error) {
	return fetchBytes(ctx, l, desc, artifacttypes.MaxManifestBytes, "manifest")
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

// children lists the manifests of an index as targets, for an error message.
func children(t Target, raw []byte) string {
	var index ocispec.Index
	if json.Unmarshal(raw, &index) != nil {
		return " (it cannot be read)"
	}
	var b strings.Builder
	for i, d := range index.Manifests {
		if i == 10 {
			fmt.Fprintf(&b, "\n  and %d more", len(index.Manifests)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s", t.at(d))
	}
	return b.String()
}

// evidence reads every bundle that is attached to the artifact, within the limits
// of all rules, and what cosign attached before it had bundles if one of the rules
// counts that. A bundle that cannot be read is evidence too: it is reported, and
// proves nothing.
func (a *artifact) evidence(ctx context.Context, rules ...policy.Rules) ([]verify.Evidence, error) {
	g := newGathering(a, rules)
	if err := g.bundles(ctx); err != nil {
		return nil, err
	}
	for _, suffix := range legacySuffixes(rules) {
		if err := g.legacy(ctx, suffix); err != nil {
			return nil, err
		}
	}
	return g.evidence, nil
}

// gathering collects evidence about an artifact.
type gathering struct {
	*artifact
	bounds   referrer.Bounds
	bytes    int64 // bound of all of it together
	total    int64 // so far
	evidence []verify.Evidence
}

func newGathering(a *artifact, rules []policy.Rules) *gathering {
	all := []policy.Limits{{Referrers: limits.Referrers, Pages: limits.ReferrerPages, Bytes: limits.EvidenceBytes}}
	for _, r := range rules {
		all = append(all, r.Limits)
	}
	l := policy.MergeLimits(all...)
	return &gathering{artifact: a, bounds: referrer.Bounds{Referrers: l.Referrers, Pages: l.Pages}, bytes: l.Bytes}
}

func (g *gathering) bundles(ctx context.Context) error {
	nodes, err := referrer.ListWithin(ctx, g.repository, g.descriptor, g.bounds)
	if err != nil {
		return fmt.Errorf("%s: signatures: %w", g.at(g.descriptor), err)
	}
	for _, n := range nodes {
		layer, ok := bundleLayer(n.Manifest)
		if !ok {
			continue
		}
		e := verify.Evidence{Digest: n.Descriptor.Digest}
		if e.Bundle, e.Err, err = g.fetch(ctx, layer, limits.BundleBytes, "bundle"); err != nil {
			return err
		}
		g.evidence = append(g.evidence, e)
	}
	return nil
}

// legacy reads what is under one of cosign's tags. A tag that holds something
// else is evidence that cannot be read: anybody may move a tag.
func (g *gathering) legacy(ctx context.Context, suffix string) error {
	image, layers, err := referrer.Legacy(ctx, g.repository, g.descriptor.Digest, suffix, g.bounds.Referrers-len(g.evidence))
	if as[*referrer.LegacyError](err) {
		g.evidence = append(g.evidence, verify.Evidence{Legacy: &verify.Legacy{}, Err: err})
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: signatures under %s: %w", g.at(g.descriptor), referrer.LegacyTag(g.descriptor.Digest, suffix), err)
	}
	attestation := suffix == artifacttypes.LegacyAttestationSuffix
	limit := int64(limits.SimpleSigningBytes)
	if attestation {
		limit = limits.BundleBytes
	}
	for _, layer := range layers {
		e := verify.Evidence{Digest: image, Legacy: &verify.Legacy{Annotations: layer.Annotations, Attestation: attestation}}
		if e.Legacy.Payload, e.Err, err = g.fetch(ctx, layer, limit, "signature"); err != nil {
			return err
		}
		g.evidence = append(g.evidence, e)
	}
	return nil
}

// fetch reads a blob of evidence. broken is what is wrong with this one alone;
// err ends it all.
func (g *gathering) fetch(ctx context.Context, blob ocispec.Descriptor, limit int64, what string) (data []byte, broken, err error) {
	if g.total += blob.Size; g.total > g.bytes {
		return nil, nil, &integrity.TooLargeError{What: g.at(g.descriptor) + ": its signatures and attestations together", Size: g.total, Limit: g.bytes}
	}
	data, broken = fetchBytes(ctx, g.location, blob, limit, what)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if c := ClassOf(broken); c == ClassTransport || c == ClassUnauthorized {
		return nil, nil, fmt.Errorf("%s: %s %s: %w", g.at(g.descriptor), what, blob.Digest, broken)
	}
	return data, broken, nil
}

// legacySuffixes returns the tags of cosign's that one of the rules counts.
func legacySuffixes(rules []policy.Rules) []string {
	var signatures, attestations bool
	for _, r := range rules {
		s, a := r.NeedsLegacyTags()
		signatures, attestations = signatures || s, attestations || a
	}
	var out []string
	if signatures {
		out = append(out, artifacttypes.LegacySignatureSuffix)
	}
	if attestations {
		out = append(out, artifacttypes.LegacyAttestationSuffix)
	}
	return out
}

// bundleLayer returns the one layer of a referrer that holds a Sigstore bundle.
// Any version is taken here, so that a refusal can say what is wrong with it.
func bundleLayer(m *ocispec.Manifest) (ocispec.Descriptor, bool) {
	if m == nil || len(m.Layers) != 1 || !strings.HasPrefix(m.Layers[0].MediaType, artifacttypes.MediaTypeBundlePrefix) {
		return ocispec.Descriptor{}, false
	}
	return m.Layers[0], true
}
