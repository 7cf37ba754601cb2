//go:build unix

package modseal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// twoVariants makes a layout with an index of two models, of which the first ones are
// signed.
func twoVariants(t *testing.T, c *Client, key string, signed int) (target string, children []digest.Digest) {
	t.Helper()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "variants")
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i := range 2 {
		model := t.TempDir()
		if err := os.WriteFile(filepath.Join(model, "model.bin"), bytes.Repeat([]byte{byte(i)}, 100<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		tag := fmt.Sprintf("oci:%s:child%d", dir, i)
		o := PackOptions{}
		if i < signed {
			o.Signer = &SignOptions{Key: key, Password: password}
		}
		res, err := c.Push(ctx, model, tag, o)
		if err != nil {
			t.Fatal(err)
		}
		children = append(children, digest.Digest(res.Digest))
	}
	layout, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := layout.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, d := range children {
		desc, err := layout.Resolve(ctx, d.String())
		if err != nil {
			t.Fatal(err)
		}
		index.Manifests = append(index.Manifests, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size})
	}
	putIndex(t, layout, index)
	return "oci:" + dir + ":all", children
}

func putIndex(t *testing.T, layout *store.Layout, index ocispec.Index) {
	t.Helper()
	raw, err := artifacttypes.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{MediaType: index.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := layout.Push(t.Context(), desc, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := layout.Tag(t.Context(), desc, "all"); err != nil {
		t.Fatal(err)
	}
}

// An index goes with its children and with what is attached to these, and only when
// each of them is accepted.
func TestSaveOfAnIndex(t *testing.T) {
	c := newClient(t)
	private, public := plainKey(t)
	target, children := twoVariants(t, c, private, 2)
	file := filepath.Join(t.TempDir(), "all.tar")
	res, err := c.Save(t.Context(), []string{target}, file, SaveOptions{Trust: TrustOptions{Keys: []string{public}}})
	if err != nil {
		t.Fatal(err)
	}
	if a := res.Artifacts[0]; len(a.Verification) != 2 || a.Referrers != 4 {
		t.Errorf("artifact = %+v", a)
	}
	a, err := archive.Open(t.Context(), file, archive.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, d := range children {
		if _, err := c.Verify(t.Context(), "archive:"+file+"@"+d.String(), TrustOptions{Keys: []string{public}}); err != nil {
			t.Error(err)
		}
	}
	contents, _ := a.Contents()
	if len(contents.Artifacts) != 1 || len(contents.Artifacts[0].Referrers) != 4 || contents.Artifacts[0].Name != "localhost/variants:all" {
		t.Errorf("contents = %+v", contents)
	}
}

func TestSaveOfAnIndexWithAChildThatIsRefused(t *testing.T) {
	c := newClient(t)
	private, public := plainKey(t)
	target, children := twoVariants(t, c, private, 1)
	dir := t.TempDir()
	_, err := c.Save(t.Context(), []string{target}, filepath.Join(dir, "all.tar"), SaveOptions{Trust: TrustOptions{Keys: []string{public}}})
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), children[1].String()[:19]) {
		t.Errorf("Save: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v was written", entries, err)
	}
}

// No way leads into an archive but through a decision on every model.
func TestNothingIsPackedWithoutAPermit(t *testing.T) {
	c := newClient(t)
	private, _ := plainKey(t)
	target, _ := twoVariants(t, c, private, 2)
	artifacts, err := c.selectArtifacts(t.Context(), []string{target})
	if err != nil {
		t.Fatal(err)
	}
	g, err := transfer.Survey(t.Context(), artifacts[0].repository, artifacts[0].descriptor, transfer.SurveyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	one := modelsOf(g)[0]
	raw, err := g.Raw(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.SkipUnsafe(t.Context(), verify.Subject{Name: "x", Descriptor: one.Descriptor, Manifest: raw})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]permit{
		"none": {}, "the zero value": {models: []verify.Verified{{}, {}}}, "of one of two": {models: []verify.Verified{v}},
	} {
		k := &packing{saving: &saving{Client: c}, far: &farSide{}, taken: map[digest.Digest]bool{}}
		if err := k.add(t.Context(), &consignment{selectedArtifact: artifacts[0], graph: g}, p); err == nil || len(k.in.Manifests) > 0 {
			t.Errorf("%s: %v, %d manifests", name, err, len(k.in.Manifests))
		}
	}
}

// The order of references, of bases and the way they are named change no byte.
func TestSaveIsReproducible(t *testing.T) {
	c := newClient(t)
	private, public := plainKey(t)
	one, _ := twoVariants(t, c, private, 2)
	dir := strings.TrimSuffix(one, ":all")
	trust := TrustOptions{Keys: []string{public}}
	var files []string
	for i, refs := range [][]string{{one, dir + ":child0", dir + ":child1"}, {dir + ":child*", dir + ":all"}, {dir + ":*"}} {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.tar", i))
		if _, err := c.Save(t.Context(), refs, file, SaveOptions{Trust: trust, WithTrust: true}); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, digest.FromBytes(raw).String())
	}
	if len(slices.Compact(files)) != 1 {
		t.Errorf("archives differ: %v", files)
	}
}

func TestSaveOptions(t *testing.T) {
	c := newClient(t)
	for name, o := range map[string]SaveOptions{
		"names without trust":          {TrustNames: []string{"x"}},
		"small parts":                  {PartSize: 1},
		"negative parts":               {PartSize: -1},
		"a policy of nobody":           {SkipVerificationUnsafe: true, WithPolicy: true},
		"trust of nobody":              {SkipVerificationUnsafe: true, WithTrust: true},
		"a role that there is none of": {Include: []artifacttypes.Role{"x"}},
	} {
		if _, err := c.Save(t.Context(), []string{"oci:x:y"}, "f", o); ClassOf(err) != ClassUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Save(t.Context(), []string{"oci:x:y"}, "", SaveOptions{}); ClassOf(err) != ClassUsage {
		t.Errorf("no file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	private, public := plainKey(t)
	target, _ := twoVariants(t, c, private, 1)
	if _, err := c.Save(ctx, []string{target}, filepath.Join(t.TempDir(), "f"), SaveOptions{Trust: TrustOptions{Keys: []string{public}}}); ClassOf(err) != ClassInterrupted {
		t.Errorf("cancelled: %v", err)
	}
}

// Progress counts by names: no two blobs of one archive may have the same.
func TestBlobsHaveNamesOfTheirOwn(t *testing.T) {
	c := &consignment{selectedArtifact: selectedArtifact{location: &location{Target: Target{Kind: KindLayout, Path: "m", Reference: "v1"}}}}
	k := &packing{}
	seen := map[string]bool{}
	for _, path := range []string{"README.md", "README.md", "", "config.json"} {
		name := k.name(c, ocispec.Descriptor{Digest: digest.FromString(path)}, path)
		if name == "" || seen[name] || !strings.HasPrefix(name, path) {
			t.Errorf("%q is called %q", path, name)
		}
		seen[name] = true
	}
}

func TestStoreName(t *testing.T) {
	for _, c := range []struct{ from, signer, want string }{
		{"trust:release", "whoever", "release"},
		{"release.pub", "release", "release"},
		{"keys/release.pub", "keys/release.pub", "release.pub"},
		{"awskms:///alias/x", "awskms:///alias/x", "x"},
		{"", "ci@example.com", "ci-example.com"},
		{"", "../..", "signer"},
		{"", strings.Repeat("a", 100) + "!", strings.Repeat("a", 64)},
		{"trust:../x", "a b", "a-b"},
	} {
		if got := storeName(c.from, c.signer); got != c.want {
			t.Errorf("storeName(%q, %q) = %q, want %q", c.from, c.signer, got, c.want)
		}
	}
}

func TestRepositoryName(t *testing.T) {
	for path, want := range map[string]string{
		"/srv/models/Llama 3": "llama-3", "/x/usb.tar": "usb", "/": "model", "/x/---": "model", "/x/é": "model", "/a/b__c..d": "b-c-d",
	} {
		if got := repositoryName(path); got != want {
			t.Errorf("repositoryName(%q) = %q, want %q", path, got, want)
		}
	}
}
