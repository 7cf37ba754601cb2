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

// evidence reads every bundle that is attached to the artifact. A bundle that
// cannot be read is evidence too: it is reported, and proves nothing.
func (a *artifact) evidence(ctx context.Context) ([]verify.Evidence, error) {
	nodes, err := referrer.List(ctx, a.repository, a.descriptor)
	if err != nil {
		return nil, fmt.Errorf("%s: signatures: %w", a.at(a.descriptor), err)
	}
	var out []verify.Evidence
	var total int64
	for _, n := range nodes {
		layer, ok := bundleLayer(n.Manifest)
		if !ok {
			continue
		}
		if total += layer.Size; total > limits.EvidenceBytes {
			return nil, &integrity.TooLargeError{What: a.at(a.descriptor) + ": its signatures and attestations together", Size: total, Limit: limits.EvidenceBytes}
		}
		e := verify.Evidence{Digest: n.Descriptor.Digest}
		e.Bundle, e.Err = fetchBytes(ctx, a.location, layer, limits.BundleBytes, "bundle")
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if ClassOf(e.Err) == ClassTransport || ClassOf(e.Err) == ClassUnauthorized {
			return nil, fmt.Errorf("%s: bundle %s: %w", a.at(a.descriptor), layer.Digest, e.Err)
		}
		out = append(out, e)
	}
	return out, nil
}

// bundleLayer returns the one layer of a referrer that holds a Sigstore bundle.
// Any version is taken here, so that a refusal can say what is wrong with it.
func bundleLayer(m *ocispec.Manifest) (ocispec.Descriptor, bool) {
	if m == nil || len(m.Layers) != 1 || !strings.HasPrefix(m.Layers[0].MediaType, artifacttypes.MediaTypeBundlePrefix) {
		return ocispec.Descriptor{}, false
	}
	return m.Layers[0], true
}
