package verify_test

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// pair is a key of the tests, both halves.
type pair struct {
	private crypto.Signer
	trust.Key
}

// The keys of the tests. The rules never name stranger.
var keys = sync.OnceValue(func() map[string]pair {
	out := map[string]pair{}
	add := func(name string, private crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		key, err := trust.NewKey(name, private.Public())
		if err != nil {
			panic(err)
		}
		out[name] = pair{private, key}
	}
	for name, curve := range map[string]elliptic.Curve{
		"release": elliptic.P256(), "backup": elliptic.P256(), "stranger": elliptic.P256(),
		"p384": elliptic.P384(), "p521": elliptic.P521(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(name, key, err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	add("ed25519", edwards, err)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	add("rsa", big, err)
	return out
})

func trusted() verify.Trust {
	t := verify.Trust{Keys: map[string]trust.Key{}}
	for name, k := range keys() {
		if name != "stranger" {
			t.Keys[name] = k.Key
		}
	}
	// Another name for the same key.
	t.Keys["release-again"] = keys()["release"].Key
	return t
}

// envelope is a bundle that a test can take apart.
type envelope struct {
	payload     []byte
	payloadType string
	signer      string
	hash        crypto.Hash // 0: that of the key
	hint        string
	edit        func(doc map[string]any)
	text        func(string) string
}

func (e envelope) bundle(t testing.TB) []byte {
	t.Helper()
	k := keys()[e.signer]
	if e.payloadType == "" {
		e.payloadType = artifacttypes.PayloadTypeInToto
	}
	if e.hash == 0 {
		e.hash = k.Hash()
	}
	message := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.payloadType), e.payloadType, len(e.payload), e.payload)
	if e.hash != 0 {
		h := e.hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	sig, err := k.private.Sign(rand.Reader, message, e.hash)
	if err != nil {
		t.Fatal(err)
	}
	doc := map[string]any{
		"mediaType":            artifacttypes.MediaTypeBundle,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": e.hint}},
		"dsseEnvelope": map[string]any{
			"payload": e.payload, "payloadType": e.payloadType,
			"signatures": []any{map[string]any{"sig": sig}},
		},
	}
	if e.edit != nil {
		e.edit(doc)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if e.text != nil {
		return []byte(e.text(string(text)))
	}
	return text
}

// at returns what is at a path of keys and indexes.
func at(doc map[string]any, path ...any) map[string]any {
	var v any = doc
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v.(map[string]any)
}

// model is a manifest with raw layers, and tars when asked for.
type model struct {
	files map[string]string // path → content
	order []string
	tars  int
	// config is that of the model; the verifier gets it when it is set.
	config string
}

func demo() model {
	return model{
		files: map[string]string{"config.json": "{}", "model.safetensors": "weights", "model/tok.txt": "vocab"},
		order: []string{"config.json", "model.safetensors", "model/tok.txt"},
	}
}

func (m model) subject(t testing.TB) verify.Subject {
	t.Helper()
	config := []byte(cmp.Or(m.config, "{}"))
	manifest := ocispec.Manifest{
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifacttypes.ArtifactTypeModel,
		Config:       ocispec.Descriptor{MediaType: artifacttypes.MediaTypeModelConfig, Digest: digest.FromBytes(config), Size: int64(len(config))},
	}
	manifest.SchemaVersion = 2
	for _, p := range m.order {
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{
			MediaType:   artifacttypes.LayerType(artifacttypes.RoleWeight, artifacttypes.EncodingRaw),
			Digest:      digest.FromString(m.files[p]),
			Size:        int64(len(m.files[p])),
			Annotations: map[string]string{artifacttypes.AnnotationFilePath: p},
		})
	}
	for i := range m.tars {
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{
			MediaType: artifacttypes.LayerType(artifacttypes.RoleDoc, artifacttypes.EncodingTar),
			Digest:    digest.FromString(fmt.Sprint("tar", i)),
			Size:      10,
		})
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var read []byte
	if m.config != "" {
		read = config
	}
	return verify.Subject{
		Config:     read,
		Name:       "registry.example.com/team/demo",
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		Manifest:   raw,
	}
}

func (m model) resources() []statement.Resource {
	var out []statement.Resource
	for _, p := range slices.Sorted(maps.Keys(m.files)) {
		out = append(out, statement.Resource{Name: p, Digest: digest.FromString(m.files[p]).Encoded(), Algorithm: "sha256"})
	}
	return out
}

// with returns the model with another file, or with another content of one.
func (m model) with(p, content string) model {
	files := map[string]string{p: content}
	for k, v := range m.files {
		if k != p {
			files[k] = v
		}
	}
	m.files = files
	return m
}

func (m model) without(p string) model {
	m = m.with(p, "")
	delete(m.files, p)
	return m
}

func (m model) oms(t testing.TB) []byte {
	t.Helper()
	o, err := statement.NewOMS("demo", m.resources(), nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := o.Payload()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func cosign(t testing.TB, d digest.Digest) []byte {
	t.Helper()
	payload, err := statement.CosignSign(d)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// claim is a statement of another predicate type about the subject.
func claim(d digest.Digest, predicateType string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, d.Encoded(), predicateType)
}

func evidence(bundles ...[]byte) []verify.Evidence {
	var out []verify.Evidence
	for _, b := range bundles {
		out = append(out, verify.Evidence{Digest: digest.FromBytes(b), Bundle: b})
	}
	return out
}

func signers(names ...string) []policy.Signer {
	var out []policy.Signer
	for _, n := range names {
		out = append(out, policy.Signer{Name: n, Key: n + ".pub"})
	}
	return out
}

func anyOf(names ...string) policy.Rules { return nOf(1, names...) }

func nOf(threshold int, names ...string) policy.Rules {
	return policy.Rules{
		Name: "test policy", Mode: policy.ModeEnforce,
		Requirements: []policy.Requirement{{Signature: &policy.SignatureRequirement{Signers: signers(names...), Threshold: threshold}}},
	}
}

func requireOMS(r policy.Rules, names ...string) policy.Rules {
	r.Requirements = append(r.Requirements, policy.Requirement{OMS: &policy.OMSRequirement{Required: true, Signers: signers(names...)}})
	return r
}

func warn(r policy.Rules) policy.Rules {
	r.Mode = policy.ModeWarn
	return r
}

func replaceIn(old, with string) func(string) string {
	return func(s string) string {
		if !strings.Contains(s, old) {
			panic("nothing to replace: " + old)
		}
		return strings.Replace(s, old, with, 1)
	}
}
