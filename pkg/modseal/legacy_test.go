//go:build unix

package modseal

import (
	"bytes"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/verify"
)

// pushLegacy stores an image with these layers under one of cosign's tags.
func pushLegacy(t *testing.T, a *artifact, suffix, mediaType string, payloads ...string) digest.Digest {
	t.Helper()
	put := func(mediaType string, content []byte) ocispec.Descriptor {
		t.Helper()
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		if err := a.Push(t.Context(), d, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: put(ocispec.MediaTypeImageConfig, []byte("{}")),
	}
	for _, p := range payloads {
		layer := put(mediaType, []byte(p))
		layer.Annotations = map[string]string{"of": p}
		m.Layers = append(m.Layers, layer)
	}
	raw, err := artifacttypes.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	d := put(ocispec.MediaTypeImageManifest, raw)
	if err := a.Tag(t.Context(), d, referrer.LegacyTag(a.descriptor.Digest, suffix)); err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

func legacyRules(signatures, attestations bool, l policy.Limits) policy.Rules {
	return policy.Rules{Limits: l, Requirements: []policy.Requirement{
		{Signature: &policy.SignatureRequirement{LegacyTags: signatures}},
		{Attestation: &policy.AttestationRequirement{LegacyTags: attestations}},
	}}
}

func TestEvidenceUnderLegacyTags(t *testing.T) {
	_, a := startFlood(t)
	sig := pushLegacy(t, a, ".sig", artifacttypes.MediaTypeSimpleSigning, "one", "two")
	att := pushLegacy(t, a, ".att", artifacttypes.MediaTypeDSSE, "envelope")
	for name, row := range map[string]struct {
		rules policy.Rules
		want  []string
	}{
		"no rule asks":   {legacyRules(false, false, policy.Limits{}), nil},
		"signatures":     {legacyRules(true, false, policy.Limits{}), []string{"one", "two"}},
		"attestations":   {legacyRules(false, true, policy.Limits{}), []string{"envelope"}},
		"both":           {legacyRules(true, true, policy.Limits{}), []string{"one", "two", "envelope"}},
		"within a limit": {legacyRules(true, true, policy.Limits{Referrers: 3, Bytes: 14}), []string{"one", "two", "envelope"}},
	} {
		evidence, err := a.evidence(t.Context(), policy.Rules{}, row.rules)
		if err != nil || len(evidence) != len(row.want) {
			t.Errorf("%s: %d, %v", name, len(evidence), err)
			continue
		}
		for i, e := range evidence {
			want := verify.Legacy{Payload: []byte(row.want[i]), Annotations: map[string]string{"of": row.want[i]}, Attestation: row.want[i] == "envelope"}
			of := sig
			if want.Attestation {
				of = att
			}
			if e.Err != nil || e.Digest != of || e.Legacy == nil || string(e.Legacy.Payload) != row.want[i] ||
				e.Legacy.Annotations["of"] != row.want[i] || e.Legacy.Attestation != want.Attestation || e.Bundle != nil {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	for name, row := range map[string]struct {
		limits policy.Limits
		want   string
	}{
		"referrers": {policy.Limits{Referrers: 2}, "signatures under sha256-"},
		"bytes":     {policy.Limits{Bytes: 13}, "together"},
	} {
		evidence, err := a.evidence(t.Context(), legacyRules(true, true, row.limits))
		if ClassOf(err) != ClassRefused || evidence != nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %d, %v", name, len(evidence), err)
		}
	}
}

// A tag of cosign's that somebody moved to an index proves nothing, and does not
// hide the bundles.
func TestALegacyTagThatIsSomethingElse(t *testing.T) {
	f, a := startFlood(t)
	good := f.attach(t, a.descriptor, []byte("good"), 4)
	f.page = func(int) ([]ocispec.Descriptor, bool) { return []ocispec.Descriptor{good}, false }
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := a.Push(t.Context(), d, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := a.Tag(t.Context(), d, referrer.LegacyTag(a.descriptor.Digest, ".sig")); err != nil {
		t.Fatal(err)
	}
	evidence, err := a.evidence(t.Context(), legacyRules(true, false, policy.Limits{}))
	if err != nil || len(evidence) != 2 {
		t.Fatalf("%d, %v", len(evidence), err)
	}
	if string(evidence[0].Bundle) != "good" || evidence[1].Err == nil || evidence[1].Legacy == nil || !strings.Contains(evidence[1].Err.Error(), ".sig") {
		t.Errorf("%+v", evidence)
	}
}
