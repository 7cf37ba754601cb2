//go:build unix

package modseal

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/store"
)

// putModel stores a model whose one layer is a tar with these bytes.
func putModel(t *testing.T, layout *store.Layout, tarball []byte, tag string) ocispec.Descriptor {
	t.Helper()
	put := func(mediaType string, content []byte) ocispec.Descriptor {
		t.Helper()
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		if err := layout.Push(t.Context(), d, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	config := put(artifacttypes.MediaTypeModelConfig, []byte(`{"descriptor":{},"config":{},"modelfs":{"type":"layers","diffIds":[]}}`))
	layer := put(artifacttypes.LayerType(artifacttypes.RoleDoc, artifacttypes.EncodingTar), tarball)
	manifest, err := artifacttypes.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifacttypes.ArtifactTypeModel, Config: config, Layers: []ocispec.Descriptor{layer},
	})
	if err != nil {
		t.Fatal(err)
	}
	desc := put(ocispec.MediaTypeImageManifest, manifest)
	if err := layout.Tag(t.Context(), desc, tag); err != nil {
		t.Fatal(err)
	}
	return desc
}

func tarOf(t *testing.T, name, content string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func newLayout(t *testing.T) (*store.Layout, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout")
	layout, err := store.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return layout, "oci:" + path
}

// A policy that asks for an OMS statement alone binds files, not manifests. An
// artifact of one tar has no file that the manifest names, so that any statement
// would fit until the tar is looked into.
func TestAnOMSStatementOfAnotherModelDoesNotFitATar(t *testing.T) {
	layout, target := newLayout(t)
	private, public := makeKey(t)
	c := newClient(t)
	if _, err := c.Push(t.Context(), makeModel(t), target+":good", PackOptions{Signer: &SignOptions{Key: private, Password: password}}); err != nil {
		t.Fatal(err)
	}
	evil := putModel(t, layout, tarOf(t, "config.json", "evil"), "evil")
	moveBundles(t, layout, "good", evil)

	policyFile := filepath.Join(t.TempDir(), "policy.yaml")
	text := "version: 1\ndefault: reject\nscopes:\n  - prefix: '*'\n    requirements:\n      - oms:\n          required: true\n          signers:\n            - name: k\n              key: " + public + "\n"
	if err := os.WriteFile(policyFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	trust := TrustOptions{PolicyFiles: []string{policyFile}}
	if _, err := c.Verify(t.Context(), target+":good", trust); err != nil {
		t.Fatal(err)
	}
	if res, err := c.Verify(t.Context(), target+":evil", trust); ClassOf(err) != ClassIntegrity {
		t.Errorf("verify: %+v, %v", res, err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if res, err := c.Pull(t.Context(), target+":evil", out, PullOptions{Trust: trust}); ClassOf(err) != ClassIntegrity {
		t.Errorf("pull: %+v, %v", res, err)
	}
	if _, err := os.Stat(filepath.Join(out, "config.json")); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}

// moveBundles attaches what is attached to the artifact at tag to another one.
func moveBundles(t *testing.T, layout *store.Layout, tag string, to ocispec.Descriptor) {
	t.Helper()
	from, err := layout.Resolve(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := referrer.List(t.Context(), layout, from)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		bundle := readBlob(t.Context(), t, layout, n.Manifest.Layers[0])
		if _, err := referrer.Attach(t.Context(), layout, to, referrer.Attachment{
			ArtifactType: artifacttypes.MediaTypeBundle, MediaType: artifacttypes.MediaTypeBundle, Blob: bundle,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(nodes) == 0 {
		t.Fatal("nothing was attached")
	}
}

func readBlob(ctx context.Context, t *testing.T, layout *store.Layout, d ocispec.Descriptor) []byte {
	t.Helper()
	r, err := layout.Fetch(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// A model whose files cannot be listed must not come out half signed.
func TestAFailedSignSignsNothing(t *testing.T) {
	layout, target := newLayout(t)
	private, public := makeKey(t)
	desc := putModel(t, layout, []byte("this is no tar, and yet the layer has the right digest"), "broken")
	c := newClient(t)
	if res, err := c.Sign(t.Context(), target+":broken", SignOptions{Key: private, Password: password}); ClassOf(err) != ClassRefused {
		t.Errorf("sign: %+v, %v", res, err)
	}
	if nodes, err := referrer.List(t.Context(), layout, desc); err != nil || len(nodes) != 0 {
		t.Errorf("%d referrers, %v", len(nodes), err)
	}
	if _, err := c.Verify(t.Context(), target+":broken", TrustOptions{Keys: []string{public}}); ClassOf(err) != ClassRefused {
		t.Errorf("verify: %v", err)
	}
}

// A mistyped name must not cost a key or a file of the model.
func TestASignatureReplacesOnlyASignature(t *testing.T) {
	dir := makeModel(t)
	private, _ := makeKey(t)
	c := newClient(t)
	signTo := func(name string) error {
		_, err := c.SignDirectory(t.Context(), dir, name, SignOptions{Key: private, Password: password}, DirectoryOptions{})
		return err
	}
	before, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{private, filepath.Join(dir, "config.json"), dir} {
		if err := signTo(name); ClassOf(err) != ClassUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after, err := os.ReadFile(private); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key changed: %v", err)
	}
	signature := filepath.Join(t.TempDir(), "model.sig")
	for range 2 {
		if err := signTo(signature); err != nil {
			t.Fatal(err)
		}
	}
}
