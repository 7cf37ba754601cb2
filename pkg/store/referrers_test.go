package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/store"
)

func TestReferrersFilterAndDescribe(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject := newManifest("subject", testArtifact, nil)
	mustPush(t, l, subject)
	other := newManifest("other", testArtifact, nil)
	mustPush(t, l, other)
	sbom := newManifest("sbom", "application/spdx+json", &subject.desc)
	untyped := newManifest("untyped", "", &subject.desc)
	foreign := newManifest("foreign", "application/spdx+json", &other.desc)
	for _, m := range []manifest{sbom, untyped, foreign} {
		mustPush(t, l, m)
	}
	want := sbom.desc
	want.ArtifactType, want.Annotations = "application/spdx+json", map[string]string{"about": "sbom"}
	if diff := cmp.Diff([]ocispec.Descriptor{want}, allReferrers(t, l, subject.desc, "application/spdx+json")); diff != "" {
		t.Error(diff)
	}
	// Without artifactType it is the config's type (image specification v1.1.1, manifest.md).
	if found := allReferrers(t, l, subject.desc, ocispec.MediaTypeEmptyJSON); !slices.Equal(digests(found), []digest.Digest{untyped.desc.Digest}) {
		t.Errorf("%v", found)
	}
	if found := allReferrers(t, l, subject.desc, ""); len(found) != 2 {
		t.Errorf("%v", found)
	}
	if found := allReferrers(t, l, newManifest("nobody", "", nil).desc, ""); len(found) != 0 {
		t.Errorf("%v", found)
	}
}

func TestReferrersCanComeFirst(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject := newManifest("subject", testArtifact, nil)
	mustPush(t, l, newManifest("signature", testArtifact, &subject.desc))
	mustPush(t, l, subject)
	if found := allReferrers(t, l, subject.desc, ""); len(found) != 1 {
		t.Errorf("%v", found)
	}
}

func TestReferrersArePaged(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject := newManifest("subject", testArtifact, nil)
	mustPush(t, l, subject)
	for i := range 130 {
		mustPush(t, l, newManifest(fmt.Sprint(i), testArtifact, &subject.desc))
	}
	var pages []int
	err := l.Referrers(t.Context(), subject.desc, "", func(page []ocispec.Descriptor) error {
		pages = append(pages, len(page))
		return nil
	})
	if err != nil || !slices.Equal(pages, []int{100, 30}) {
		t.Errorf("%v, %v", pages, err)
	}
	stop := errors.New("enough")
	if err := l.Referrers(t.Context(), subject.desc, "", func([]ocispec.Descriptor) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// A list may lie and may be incomplete: what it names with another subject is
// dropped, what it does not name is found, and what cannot be read stays, so
// that a broken signature does not look like none.
func TestReferrersOfALyingList(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject, listed := attachOne(t, l)
	stranger := newManifest("stranger", testArtifact, nil)
	mustPush(t, l, stranger)
	missing := newManifest("missing", testArtifact, &subject.desc)
	setList(t, l, subject.desc, stranger.desc, missing.desc, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:../x", Size: 1})
	want := []digest.Digest{listed.desc.Digest, missing.desc.Digest}
	slices.Sort(want)
	if found := digests(allReferrers(t, l, subject.desc, "")); !slices.Equal(found, want) {
		t.Errorf("%v, want %v", found, want)
	}
	// Attaching one more drops nothing that somebody listed.
	mustPush(t, l, newManifest("more", testArtifact, &subject.desc))
	if found := allReferrers(t, l, subject.desc, ""); len(found) != 3 {
		t.Errorf("%v", found)
	}
	if !strings.Contains(list(t, l, subject.desc), missing.desc.Digest.Encoded()) {
		t.Error("the list lost an entry")
	}
}

// A user's own tag that looks like a fallback tag is not replaced by a list.
func TestForeignManifestUnderTheFallbackTag(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject := newManifest("subject", testArtifact, nil)
	mustPush(t, l, subject)
	tag := strings.Replace(subject.desc.Digest.String(), ":", "-", 1)
	if err := l.Tag(t.Context(), subject.desc, tag); err != nil {
		t.Fatal(err)
	}
	mustPush(t, l, newManifest("signature", testArtifact, &subject.desc))
	if got, err := l.Resolve(t.Context(), tag); err != nil || got.Digest != subject.desc.Digest {
		t.Errorf("%v, %v", got, err)
	}
	if found := allReferrers(t, l, subject.desc, ""); len(found) != 1 {
		t.Errorf("%v", found)
	}
	if tags := allTags(t, l, ""); !slices.Equal(tags, []string{tag}) {
		t.Errorf("tags %q", tags)
	}
}

// A damaged manifest elsewhere in the layout is nobody's referrer and hides none.
func TestDamagedManifestHidesNoReferrer(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject, signature := attachOne(t, l)
	broken := newManifest("broken", testArtifact, nil)
	mustPush(t, l, broken)
	write(t, filepath.Join(l.Path(), "blobs", "sha256", broken.desc.Digest.Encoded()), "{")
	fresh, err := store.Open(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	if found := digests(allReferrers(t, fresh, subject.desc, "")); !slices.Equal(found, []digest.Digest{signature.desc.Digest}) {
		t.Errorf("%v", found)
	}
	// The referrer itself, damaged, is still listed for its reader to find out.
	write(t, filepath.Join(l.Path(), "blobs", "sha256", signature.desc.Digest.Encoded()), "{")
	fresh, err = store.Open(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	if found := digests(allReferrers(t, fresh, subject.desc, "")); !slices.Equal(found, []digest.Digest{signature.desc.Digest}) {
		t.Errorf("damaged: %v", found)
	}
}

// setList replaces the list under the fallback tag as another tool would.
func setList(t *testing.T, l *store.Layout, subject ocispec.Descriptor, entries ...ocispec.Descriptor) {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries}
	raw, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	desc := blobOf(ocispec.MediaTypeImageIndex, raw)
	if err := l.Push(t.Context(), desc, strings.NewReader(string(raw))); err != nil {
		t.Fatal(err)
	}
	if err := l.Tag(t.Context(), desc, strings.Replace(subject.Digest.String(), ":", "-", 1)); err != nil {
		t.Fatal(err)
	}
}

// list returns the list under the fallback tag.
func list(t *testing.T, l *store.Layout, subject ocispec.Descriptor) string {
	t.Helper()
	desc, err := l.Resolve(t.Context(), strings.Replace(subject.Digest.String(), ":", "-", 1))
	if err != nil {
		t.Fatal(err)
	}
	return fetch(t, l, desc)
}
