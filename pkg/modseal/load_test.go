//go:build unix

package modseal

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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

// carriage is a model that was saved from a layout.
type carriage struct {
	*Client

	layout *store.Layout
	path   string // of the layout, as oci:…
	file   string // the archive
	trust  TrustOptions
	root   ocispec.Descriptor
}

func newCarriage(t *testing.T) *carriage {
	t.Helper()
	layout, path := newLayout(t)
	private, public := plainKey(t)
	c := &carriage{Client: newClient(t), layout: layout, path: path, file: filepath.Join(t.TempDir(), "a.tar"), trust: TrustOptions{Keys: []string{public}}}
	if _, err := c.Push(t.Context(), makeModel(t), path+":v1", PackOptions{Set: map[string]string{"version": "1.0.0"}, Signer: &SignOptions{Key: private, Password: password}}); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.root, err = layout.Resolve(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	return c
}

// save saves tags of the layout into a file. What nobody signed gets in, too: what
// is tested is the other side.
func (c *carriage) save(t *testing.T, file string, tags ...string) string {
	t.Helper()
	var refs []string
	for _, tag := range tags {
		refs = append(refs, c.path+":"+tag)
	}
	if _, err := c.Save(t.Context(), refs, file, SaveOptions{SkipVerificationUnsafe: true}); err != nil {
		t.Fatal(err)
	}
	return file
}

// tarred makes an archive of the whole layout, as tar does: modseal saves no more
// than models.
func (c *carriage) tarred(t *testing.T) string {
	t.Helper()
	f, err := os.Create(c.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	root := os.DirFS(c.layout.Path())
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(name, ".") {
			return err
		}
		raw, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(raw)), Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
			return err
		}
		_, err = w.Write(raw)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return c.file
}

// push puts a manifest into the layout under a tag.
func (c *carriage) push(t *testing.T, mediaType, tag string, m any) ocispec.Descriptor {
	t.Helper()
	raw, err := artifacttypes.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := c.layout.Push(t.Context(), desc, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := c.layout.Tag(t.Context(), desc, tag); err != nil {
		t.Fatal(err)
	}
	return desc
}

// image is a manifest that is no model.
func (c *carriage) image(t *testing.T, tag string) ocispec.Descriptor {
	t.Helper()
	config := []byte("{}")
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: 2}
	if err := c.layout.Push(t.Context(), desc, bytes.NewReader(config)); err != nil {
		t.Fatal(err)
	}
	return c.push(t, ocispec.MediaTypeImageManifest, tag, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: desc, Layers: []ocispec.Descriptor{},
	})
}

func (c *carriage) index(t *testing.T, tag string, of ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	return c.push(t, ocispec.MediaTypeImageIndex, tag, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: append([]ocispec.Descriptor{}, of...),
	})
}

// nothingAt: a layout was not made.
func nothingAt(t *testing.T, dst string) {
	t.Helper()
	if _, err := os.Lstat(strings.TrimPrefix(dst, "oci:")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", dst, err)
	}
}

// What is no model is refused, alone and in an index, and cannot be loaded
// unverified either; an index is loaded when each model in it is accepted.
func TestLoadOfWhatIsNoModel(t *testing.T) {
	c := newCarriage(t)
	image := c.image(t, "image")
	c.index(t, "mixed", c.root, image)
	c.index(t, "none")
	index := c.index(t, "index", c.root)
	file := c.tarred(t)
	for _, tag := range []string{"image", "mixed", "none"} {
		for _, o := range []LoadOptions{{Trust: c.trust}, {SkipVerificationUnsafe: true}} {
			o.Artifacts = []string{tag}
			dst := "oci:" + filepath.Join(t.TempDir(), "l")
			_, err := c.Load(t.Context(), []string{file}, dst, o)
			if refused := (*NotLoadableError)(nil); !errors.As(err, &refused) || ClassOf(err) != ClassRefused || !strings.Contains(refused.Next(), "modseal copy archive:") {
				t.Errorf("%s: %v", tag, err)
			}
			nothingAt(t, dst)
		}
	}
	// One that is refused keeps all of them from being loaded.
	dst := "oci:" + filepath.Join(t.TempDir(), "l")
	if _, err := c.Load(t.Context(), []string{file}, dst, LoadOptions{Trust: c.trust}); ClassOf(err) != ClassRefused {
		t.Errorf("all: %v", err)
	}
	nothingAt(t, dst)
	res, err := c.Load(t.Context(), []string{file}, dst, LoadOptions{Trust: c.trust, Artifacts: []string{"index"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Artifacts) != 1 || res.Artifacts[0].Digest != index.Digest.String() || len(res.Artifacts[0].Verification) != 1 || res.Artifacts[0].Verification[0].Digest != c.root.Digest {
		t.Errorf("%+v", res.Artifacts)
	}
	// The signatures of the model in it came along.
	if _, err := c.Verify(t.Context(), dst+"@"+c.root.Digest.String(), c.trust); err != nil {
		t.Error(err)
	}
}

// An index of which one model was signed by somebody else is refused.
func TestLoadOfAnIndexWithAStranger(t *testing.T) {
	c := newCarriage(t)
	private, _ := plainKey(t)
	if _, err := c.Push(t.Context(), makeModel(t), c.path+":other", PackOptions{Set: map[string]string{"version": "2.0.0"}, Signer: &SignOptions{Key: private, Password: password}}); err != nil {
		t.Fatal(err)
	}
	other, err := c.layout.Resolve(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	c.index(t, "index", c.root, other)
	file := c.save(t, c.file, "index")
	dst := "oci:" + filepath.Join(t.TempDir(), "l")
	var refusal *verify.Refusal
	if _, err := c.Load(t.Context(), []string{file}, dst, LoadOptions{Trust: c.trust}); !errors.As(err, &refusal) {
		t.Errorf("it is not refused: %v", err)
	}
	nothingAt(t, dst)
}

// A model under the tag of a list of referrers would hide what is attached to
// another one, in registries without a referrers API.
func TestLoadToTheTagOfAList(t *testing.T) {
	c := newCarriage(t)
	if err := c.layout.Tag(t.Context(), c.root, "sha256-"+strings.Repeat("ab", 32)); err != nil {
		t.Fatal(err)
	}
	dst := "oci:" + filepath.Join(t.TempDir(), "l")
	var no *NotLoadableError
	if _, err := c.Load(t.Context(), []string{c.tarred(t)}, dst, LoadOptions{Trust: c.trust}); !errors.As(err, &no) || ClassOf(err) != ClassRefused {
		t.Errorf("it is loaded: %v", err)
	} else if !strings.Contains(no.Next(), "another tag") {
		t.Errorf("advice: %s", no.Next())
	}
	nothingAt(t, dst)
	if _, err := c.Load(t.Context(), []string{c.file}, dst, LoadOptions{Trust: c.trust, Artifacts: []string{"v1"}}); err != nil {
		t.Errorf("the other tag: %v", err)
	}
}

// What is damaged is named, and so is what finds out where.
func TestLoadOfADamagedBlob(t *testing.T) {
	c := newCarriage(t)
	c.save(t, c.file, "v1")
	raw, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), c.file, archive.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	links := struct{ Layers []ocispec.Descriptor }{}
	manifest, err := a.Blob(c.root.Digest)
	if err == nil {
		err = json.NewDecoder(manifest).Decode(&links)
	}
	if err != nil {
		t.Fatal(err)
	}
	layer, err := a.Blob(links.Layers[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	raw[layer.Spans()[0].Offset] ^= 1
	if err := os.WriteFile(c.file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		dst := "oci:" + filepath.Join(t.TempDir(), "l")
		_, err := c.Load(t.Context(), []string{c.file}, dst, LoadOptions{SkipVerificationUnsafe: true, DryRun: dry})
		var damaged *DamagedError
		if !errors.As(err, &damaged) || damaged.File != c.file || ClassOf(err) != ClassIntegrity {
			t.Errorf("dry %t: %v", dry, err)
		}
	}
}

// The advice names what load has: it moves no tag by what that holds.
func TestLoadOverAnotherArtifact(t *testing.T) {
	c := newCarriage(t)
	c.save(t, c.file, "v1")
	c.image(t, "v1")
	_, err := c.Load(t.Context(), []string{c.file}, c.path, LoadOptions{Trust: c.trust})
	var advised interface{ Next() string }
	if ClassOf(err) != ClassDrift || !errors.As(err, &advised) || strings.Contains(advised.Next(), "--expect") || !strings.Contains(advised.Next(), "--overwrite") {
		t.Errorf("%v", err)
	}
}

// The same name for two artifacts is nothing that anybody can mean.
func TestLoadOfArchivesThatContradict(t *testing.T) {
	c := newCarriage(t)
	first := c.save(t, c.file, "v1")
	c.index(t, "v1", c.root)
	second := c.save(t, filepath.Join(t.TempDir(), "b.tar"), "v1")
	dst := "oci:" + filepath.Join(t.TempDir(), "l")
	if _, err := c.Load(t.Context(), []string{first, second}, dst, LoadOptions{Trust: c.trust}); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), second) {
		t.Errorf("both are v1: %v", err)
	}
	nothingAt(t, dst)
	// Twice the same is once.
	res, err := c.Load(t.Context(), []string{first, first, c.save(t, filepath.Join(t.TempDir(), "c.tar"), "v1"), "archive:" + first}, dst, LoadOptions{Trust: c.trust, Artifacts: []string{c.root.Digest.String()}})
	if err != nil || len(res.Artifacts) != 1 || len(res.Files) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

// What was accepted is remembered under the name of the destination, when it is
// there, and not by a dry run.
func TestLoadRemembers(t *testing.T) {
	c := newCarriage(t)
	file := c.save(t, c.file, "v1")
	dst := "oci:" + filepath.Join(t.TempDir(), "l")
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	text := `version: 1
default: reject
scopes:
  - prefix: "*"
    requirements:
      - signature: {signers: [{name: k, key: ` + c.trust.Keys[0] + `}]}
      - freshness: {remember: true}
`
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := LoadOptions{Trust: TrustOptions{PolicyFiles: []string{policy}}, DryRun: true}
	accepted := filepath.Join(c.o.StateDir, acceptedFile)
	if _, err := c.Load(t.Context(), []string{file}, dst, o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(accepted); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dry run remembers: %v", err)
	}
	nothingAt(t, dst)
	o.DryRun = false
	if _, err := c.Load(t.Context(), []string{file}, dst, o); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(accepted)
	if err != nil || !bytes.Contains(raw, []byte(c.root.Digest)) {
		t.Errorf("%s, %v", raw, err)
	}
}

// A dry run and a load say the same about each blob and manifest; a second load
// finds all of them, and sends nothing.
func TestLoadAsItWasPlanned(t *testing.T) {
	c := newCarriage(t)
	file := c.save(t, c.file, "v1")
	dst := "oci:" + filepath.Join(t.TempDir(), "l")
	said := func(dry bool) (items map[digest.Digest]transfer.Outcome, tag TagState) {
		t.Helper()
		res, err := c.Load(t.Context(), []string{file}, dst, LoadOptions{Trust: c.trust, DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		items = map[digest.Digest]transfer.Outcome{}
		for _, i := range res.Artifacts[0].Items {
			items[i.Digest] = i.Outcome
		}
		return items, res.Artifacts[0].Tag.State
	}
	same := func(a, b map[digest.Digest]transfer.Outcome) bool {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		return bytes.Equal(x, y)
	}
	planned, plannedTag := said(true)
	done, doneTag := said(false)
	if !same(planned, done) || plannedTag != TagCreate || doneTag != TagCreate || len(done) < 5 {
		t.Errorf("planned: %v %s\ndone: %v %s", planned, plannedTag, done, doneTag)
	}
	again, againTag := said(true)
	twice, twiceTag := said(false)
	if !same(again, twice) || againTag != TagSame || twiceTag != TagSame {
		t.Errorf("planned again: %v %s\ndone again: %v %s", again, againTag, twice, twiceTag)
	}
	for d, outcome := range twice {
		if outcome != transfer.Existed {
			t.Errorf("%s is %s the second time", d, outcome)
		}
	}
}

// A site policy holds besides what the caller names, and keeps anything from being
// loaded unverified.
func TestLoadUnderASitePolicy(t *testing.T) {
	c := newCarriage(t)
	file := c.save(t, c.file, "v1")
	_, stranger := plainKey(t)
	site := policyBy(t, stranger, "enforce")
	dst := "oci:" + filepath.Join(t.TempDir(), "l")
	o := LoadOptions{Trust: c.trust}
	o.Trust.SitePolicyFiles = []string{site}
	if _, err := c.Load(t.Context(), []string{file}, dst, o); ClassOf(err) != ClassRefused {
		t.Errorf("against the policy of the site: %v", err)
	}
	o.SkipVerificationUnsafe = true
	var skipped *SitePolicyError
	if _, err := c.Load(t.Context(), []string{file}, dst, o); !errors.As(err, &skipped) {
		t.Errorf("without verification: %v", err)
	}
	nothingAt(t, dst)
	o.Trust.SitePolicyFiles = nil
	res, err := c.Load(t.Context(), []string{file}, dst, o)
	if err != nil || res.Artifacts[0].Verification[0].Decision != verify.Skipped {
		t.Errorf("%+v, %v", res, err)
	}
}
