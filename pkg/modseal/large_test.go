//go:build unix

package modseal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// without is a registry that nobody may ask for some of its blobs.
type without struct {
	http.Handler
	forbidden map[digest.Digest]bool

	mu    sync.Mutex
	asked []string
}

func (w *without) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if w.forbidden[digest.Digest(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])] {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
	}
	w.Handler.ServeHTTP(rw, r)
}

// largeModel is a model of so many files whose bytes exist nowhere: its manifest,
// and an OMS statement of its files.
type largeModel struct {
	descriptor ocispec.Descriptor
	layers     map[digest.Digest]bool
	oms        []byte
}

func (f *flood) putLarge(t *testing.T, files int) largeModel {
	t.Helper()
	const settings = `{"descriptor":{"version":"1.2.0","licenses":["Apache-2.0"]},"config":{},"modelfs":{"type":"layers","diffIds":[]}}`
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifacttypes.ArtifactTypeModel,
		Config:       ocispec.Descriptor{MediaType: artifacttypes.MediaTypeModelConfig, Digest: f.put([]byte(settings)), Size: int64(len(settings))},
	}
	m := largeModel{layers: map[digest.Digest]bool{}}
	var resources []statement.Resource
	for i := range files {
		name := fmt.Sprintf("part-%05d.bin", i)
		d := digest.FromString(name)
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{
			MediaType: artifacttypes.LayerType(artifacttypes.RoleWeight, artifacttypes.EncodingRaw), Digest: d, Size: 1000,
			Annotations: map[string]string{artifacttypes.AnnotationFilePath: name},
		})
		m.layers[d] = true
		resources = append(resources, statement.Resource{Name: name, Digest: d.Encoded(), Algorithm: "sha256"})
	}
	raw, err := artifacttypes.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	m.descriptor = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: f.put(raw), Size: int64(len(raw))}
	o, err := statement.NewOMS("large", resources, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.oms, err = o.Payload(); err != nil {
		t.Fatal(err)
	}
	return m
}

// largeEvidence attaches 50 bundles: signatures, OMS statements of all files and
// claims, by a key and keyless, by those whom the policy trusts and by others.
// It returns the policy.
func (f *flood) largeEvidence(t *testing.T, m largeModel) (policyFile string) {
	t.Helper()
	const issuer = "https://issuer.example.com"
	one := virtual.New(t, "one")
	private, public, err := sign.GenerateKeyPair(sign.P256, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.Load("release", private, nil)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := statement.CosignSign(m.descriptor.Digest)
	if err != nil {
		t.Fatal(err)
	}
	payloads := [][]byte{signature, m.oms}
	for _, predicateType := range []string{"https://slsa.dev/provenance/v1", "https://cyclonedx.org/bom", "https://openvex.dev/ns"} {
		payloads = append(payloads, fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
			m.descriptor.Digest.Encoded(), predicateType))
	}
	var entries []ocispec.Descriptor
	for i := range 10 {
		who := "https://ci.example.com/release"
		if i >= 5 {
			who = fmt.Sprintf("https://ci.example.com/other-%d", i)
		}
		for j, payload := range payloads {
			var bundle []byte
			if (i+j)%2 == 0 {
				bundle = one.Keyless(t, virtual.Identity{Subject: who, Issuer: issuer}, virtual.Claim{Payload: payload, Log: virtual.LogV1, Timestamp: true}).JSON(t)
			} else if bundle, err = signer.Sign(t.Context(), payload, sign.FormCosign); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, f.attach(t, m.descriptor, bundle, int64(len(bundle))))
		}
	}
	if len(entries) != 50 {
		t.Fatalf("%d bundles", len(entries))
	}
	f.page = func(int) ([]ocispec.Descriptor, bool) { return entries, false }

	dir := t.TempDir()
	for name, content := range map[string][]byte{"release.pub": public, "one.json": one.Root(t, virtual.RootOptions{}), "policy.yaml": []byte(`version: 1
default: reject
trustedRoots: [{name: one, file: one.json}]
scopes:
- prefix: '*'
  requirements:
  - signature:
      threshold: 2
      signers:
      - {name: release, key: release.pub}
      - {name: ci, keyless: {issuer: '` + issuer + `', identity: 'https://ci.example.com/release'}}
  - oms: {required: true}
  - attestation: {predicateType: 'https://slsa.dev/provenance/v1', signers: [{name: release, key: release.pub}]}
  - conditions: ["files.all(f, !f.name.endsWith('.pkl')) && 'Apache-2.0' in config.descriptor.licenses"]
  - freshness: {minimumVersion: 1.0.0}
`)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "policy.yaml")
}

// A manifest of 1,000 layers with 50 bundles of every kind is decided on without
// a look at a layer. What the decision costs, BenchmarkVerify of pkg/verify tells.
func TestVerifyLargeArtifact(t *testing.T) {
	t.Parallel()
	registry := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}})
	f := &flood{real: registry, content: map[digest.Digest][]byte{}}
	m := f.putLarge(t, 1000)
	policyFile := f.largeEvidence(t, m)
	guard := &without{Handler: f, forbidden: m.layers}
	server := httptest.NewServer(guard)
	t.Cleanup(func() {
		server.Close()
		_ = registry.Close()
	})
	target := strings.TrimPrefix(server.URL, "http://") + "/team/large@" + m.descriptor.Digest.String()

	res, err := newClient(t).Verify(t.Context(), target, TrustOptions{PolicyFiles: []string{policyFile}, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Verification.Requirements) != 5 || res.Verification.Decision != verify.Accepted {
		t.Fatalf("%+v", res.Verification)
	}
	if len(guard.asked) > 0 {
		t.Errorf("layers were asked for: %q", guard.asked)
	}

	// As a control: a pull does ask, and is seen.
	out := filepath.Join(t.TempDir(), "out")
	if _, err := newClient(t).Pull(t.Context(), target, out, PullOptions{Trust: TrustOptions{PolicyFiles: []string{policyFile}}}); err == nil || len(guard.asked) == 0 {
		t.Errorf("a pull asked for %d layers: %v", len(guard.asked), err)
	}
}
