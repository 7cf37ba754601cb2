package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/store"
)

func TestOpenIsNotFoundWithoutLayout(t *testing.T) {
	for name, path := range map[string]string{
		"no directory":    filepath.Join(t.TempDir(), "missing"),
		"empty directory": t.TempDir(),
	} {
		if _, err := store.Open(path); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCreateLeavesOtherDirectoriesAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "model.safetensors"), "weights")
	if _, err := store.Create(dir); !errors.Is(err, store.ErrNotEmpty) {
		t.Fatalf("a directory with a file in it: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("it now holds %v, %v", entries, err)
	}
}

func TestCreateTwiceKeepsWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	m := mustPush(t, mustCreate(t, dir), newManifest("one", testArtifact, nil))
	if got, err := mustCreate(t, dir).Resolve(t.Context(), m.Digest.String()); err != nil || got.Digest != m.Digest {
		t.Errorf("%v, %v", got, err)
	}
}

func TestResolveByTagAndDigest(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	one := mustPush(t, l, newManifest("one", testArtifact, nil))
	two := mustPush(t, l, newManifest("two", testArtifact, nil))
	for tag, m := range map[string]ocispec.Descriptor{"v1": one, "latest": one, "v2": two} {
		if err := l.Tag(t.Context(), m, tag); err != nil {
			t.Fatal(err)
		}
	}
	// A tag that moves on leaves its manifest there.
	if err := l.Tag(t.Context(), two, "latest"); err != nil {
		t.Fatal(err)
	}
	if err := l.Tag(t.Context(), two, "v1"); err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]ocispec.Descriptor{
		"v1": two, "v2": two, "latest": two, one.Digest.String(): one, two.Digest.String(): two,
	} {
		got, err := l.Resolve(t.Context(), reference)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", reference, err, diff)
		}
	}
	for _, reference := range []string{"v3", digest.FromString("nothing").String(), newManifest("one", "", nil).parsed.Config.Digest.String()} {
		if got, err := l.Resolve(t.Context(), reference); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %v, %v", reference, got, err)
		}
	}
	if got := allTags(t, l, ""); !slices.Equal(got, []string{"latest", "v1", "v2"}) {
		t.Errorf("tags %q", got)
	}
	if got := allTags(t, l, "latest"); !slices.Equal(got, []string{"v1", "v2"}) {
		t.Errorf("tags after latest: %q", got)
	}
}

func TestTagRefuses(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	m := newManifest("one", testArtifact, nil)
	mustPush(t, l, m)
	otherType := m.desc
	otherType.MediaType = ocispec.MediaTypeImageIndex
	for name, c := range map[string]struct {
		desc ocispec.Descriptor
		tag  string
	}{
		"what is not there":      {newManifest("two", testArtifact, nil).desc, "v1"},
		"a blob":                 {m.parsed.Layers[0], "v1"},
		"an index that is none":  {otherType, "v1"},
		"a tag with a slash":     {m.desc, "a/b"},
		"an empty tag":           {m.desc, ""},
		"somebody else's digest": {m.desc, digest.FromString("x").String()},
		"a digest that is none":  {ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:../../x"}, "v1"},
	} {
		if err := l.Tag(t.Context(), c.desc, c.tag); err == nil {
			t.Errorf("%s was tagged %q", name, c.tag)
		}
	}
	if err := l.Tag(t.Context(), m.desc, m.desc.Digest.String()); err != nil {
		t.Errorf("its own digest: %v", err)
	}
	if tags := allTags(t, l, ""); len(tags) != 0 {
		t.Errorf("tags %q", tags)
	}
}

// Whatever the order in which things came, the same content is the same bytes.
func TestIndexIsDeterministic(t *testing.T) {
	subject := newManifest("subject", testArtifact, nil)
	steps := []func(*store.Layout) error{
		func(l *store.Layout) error { return newManifest("a", testArtifact, &subject.desc).push(t.Context(), l) },
		func(l *store.Layout) error { return newManifest("b", testArtifact, &subject.desc).push(t.Context(), l) },
		func(l *store.Layout) error { return newManifest("c", "other", &subject.desc).push(t.Context(), l) },
		func(l *store.Layout) error { return newManifest("d", "other", nil).push(t.Context(), l) },
	}
	read := func(order []int) string {
		l := mustCreate(t, t.TempDir())
		mustPush(t, l, subject)
		for _, i := range order {
			if err := steps[i](l); err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				if err := l.Tag(t.Context(), subject.desc, "v1"); err != nil {
					t.Fatal(err)
				}
			}
		}
		return readFile(t, filepath.Join(l.Path(), "index.json"))
	}
	want := read([]int{0, 1, 2, 3})
	for _, order := range [][]int{{3, 2, 1, 0}, {1, 3, 0, 2}, {0, 0, 2, 1, 3, 1}} {
		if got := read(order); got != want {
			t.Errorf("order %v:\n%s\nnot\n%s", order, got, want)
		}
	}
}

func TestPushingAgainWritesNothing(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject := newManifest("subject", testArtifact, nil)
	mustPush(t, l, subject)
	signature := newManifest("signature", testArtifact, &subject.desc)
	mustPush(t, l, signature)
	index := filepath.Join(l.Path(), "index.json")
	before, err := os.Stat(index)
	if err != nil {
		t.Fatal(err)
	}
	mustPush(t, l, signature)
	mustPush(t, l, subject)
	if after, err := os.Stat(index); err != nil || !os.SameFile(before, after) {
		t.Errorf("index.json was written again: %v", err)
	}
}

func TestCorruptLayouts(t *testing.T) {
	good := newManifest("one", testArtifact, nil)
	for name, c := range map[string]struct {
		file, content string
		link          string
		want          error
	}{
		"truncated index":         {file: "index.json", content: `{"schemaVersion":2,"manif`, want: store.ErrCorrupt},
		"empty index":             {file: "index.json", content: ``, want: store.ErrCorrupt},
		"bytes after the index":   {file: "index.json", content: `{"schemaVersion":2,"manifests":[]}{}`, want: store.ErrCorrupt},
		"index of another schema": {file: "index.json", content: `{"schemaVersion":1,"manifests":[]}`, want: store.ErrCorrupt},
		"a manifest as index":     {file: "index.json", content: `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `"}`, want: store.ErrCorrupt},
		"digest with a path":      {file: "index.json", content: `{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"digest":"sha256:../../../etc/passwd"}]}`, want: store.ErrCorrupt},
		"negative size":           {file: "index.json", content: `{"schemaVersion":2,"manifests":[{"mediaType":"x","size":-1,"digest":"` + good.desc.Digest.String() + `"}]}`, want: store.ErrCorrupt},
		"index is a link":         {file: "index.json", link: "elsewhere.json", want: store.ErrCorrupt},
		"other version":           {file: "oci-layout", content: `{"imageLayoutVersion":"2.0.0"}`, want: errdef.ErrUnsupportedVersion},
		"broken version":          {file: "oci-layout", content: `1.0.0`, want: store.ErrCorrupt},
		"version is a link":       {file: "oci-layout", link: "elsewhere.json", want: store.ErrCorrupt},
	} {
		l := mustCreate(t, t.TempDir())
		mustPush(t, l, good)
		file := filepath.Join(l.Path(), c.file)
		if c.link != "" {
			if err := os.Rename(file, filepath.Join(l.Path(), c.link)); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(c.link, file); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, file, c.content)
		}
		_, err := store.Open(l.Path())
		if !errors.Is(err, c.want) || errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if !strings.Contains(err.Error(), l.Path()) || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%s: the error does not say where: %v", name, err)
		}
		// Nothing repairs it by overwriting it.
		if err := newManifest("two", testArtifact, nil).push(t.Context(), l); c.file == "index.json" && !errors.Is(err, c.want) {
			t.Errorf("%s: push: %v", name, err)
		}
	}
}

func TestOversizeIndex(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	if err := os.Truncate(filepath.Join(l.Path(), "index.json"), limits.LayoutIndexBytes+1); err != nil {
		t.Fatal(err)
	}
	var tooLarge *integrity.TooLargeError
	if _, err := store.Open(l.Path()); !errors.As(err, &tooLarge) || tooLarge.Limit != limits.LayoutIndexBytes {
		t.Errorf("%v", err)
	}
}

func TestBlobThatIsALinkIsRefused(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "secret")
	desc := blobOf("text/plain", []byte("secret"))
	for name, target := range map[string]string{"outside": secret, "inside": "../../index.json"} {
		l := mustCreate(t, t.TempDir())
		if err := os.Symlink(target, filepath.Join(l.Path(), "blobs", "sha256", desc.Digest.Encoded())); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Fetch(t.Context(), desc); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: fetch: %v", name, err)
		}
		if _, err := l.Exists(t.Context(), desc); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: exists: %v", name, err)
		}
		if err := l.Push(t.Context(), desc, strings.NewReader("secret")); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: push: %v", name, err)
		}
	}
	// The directory of the blobs may not lead out of the layout either.
	l := mustCreate(t, t.TempDir())
	blobs := filepath.Join(l.Path(), "blobs", "sha256")
	if err := os.Remove(blobs); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	if err := os.Symlink(outside, blobs); err != nil {
		t.Fatal(err)
	}
	if err := l.Push(t.Context(), desc, strings.NewReader("secret")); err == nil {
		t.Error("a blob was pushed through a link")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("outside there is now %v", entries)
	}
}

func TestPushComparesTypes(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	m := newManifest("one", testArtifact, nil)
	asIndex := m.desc
	asIndex.MediaType = ocispec.MediaTypeImageIndex
	if err := l.Push(t.Context(), asIndex, bytes.NewReader(m.raw)); err == nil {
		t.Error("a manifest was pushed as an index")
	}
	huge := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: m.desc.Digest, Size: 1 << 40}
	var tooLarge *integrity.TooLargeError
	if err := l.Push(t.Context(), huge, bytes.NewReader(m.raw)); !errors.As(err, &tooLarge) {
		t.Errorf("a manifest of a tebibyte: %v", err)
	}
}

// A manifest that a disk has damaged is repaired by pushing it again.
func TestPushRepairsManifest(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	m := newManifest("one", testArtifact, nil)
	mustPush(t, l, m)
	file := filepath.Join(l.Path(), "blobs", "sha256", m.desc.Digest.Encoded())
	write(t, file, strings.Repeat("x", len(m.raw)))
	mustPush(t, l, m)
	if got := readFile(t, file); got != string(m.raw) {
		t.Errorf("it is still %q", got)
	}
}

// Children of an index need no entry of their own.
func TestResolveChildByDigest(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	child := newManifest("child", testArtifact, nil)
	blobs := filepath.Join(l.Path(), "blobs", "sha256")
	write(t, filepath.Join(blobs, child.desc.Digest.Encoded()), string(child.raw))
	got, err := l.Resolve(t.Context(), child.desc.Digest.String())
	if diff := cmp.Diff(child.desc, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	write(t, filepath.Join(blobs, child.desc.Digest.Encoded()), strings.Replace(string(child.raw), "child", "chald", 1))
	var bad *integrity.Error
	if _, err := l.Resolve(t.Context(), child.desc.Digest.String()); !errors.As(err, &bad) {
		t.Errorf("after a flipped byte: %v", err)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
