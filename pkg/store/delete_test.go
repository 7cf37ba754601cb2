package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/store"
)

func TestUntagLeavesTheManifest(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	m := mustPush(t, l, newManifest("one", testArtifact, nil))
	for _, tag := range []string{"v1", "v2"} {
		if err := l.Tag(t.Context(), m, tag); err != nil {
			t.Fatal(err)
		}
	}
	for i, tag := range []string{"v1", "v2"} {
		if err := l.Untag(t.Context(), tag); err != nil {
			t.Fatal(err)
		}
		if got := allTags(t, l, ""); len(got) != 1-i {
			t.Errorf("without %s the tags are %v", tag, got)
		}
		if _, err := l.Resolve(t.Context(), m.Digest.String()); err != nil {
			t.Errorf("without %s: %v", tag, err)
		}
		if err := l.Untag(t.Context(), tag); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s again: %v", tag, err)
		}
	}
	if err := l.Untag(t.Context(), "../x"); !errors.Is(err, errdef.ErrInvalidReference) {
		t.Errorf("no tag: %v", err)
	}
}

// A manifest that is deleted has no tag any more and is nobody's referrer, and what
// it alone needed can be collected.
func TestDelete(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject := newManifest("model", testArtifact, nil)
	mustPush(t, l, subject)
	one, two := newManifest("one", "type/sig", &subject.desc), newManifest("two", "type/sig", &subject.desc)
	mustPush(t, l, one)
	mustPush(t, l, two)
	if err := l.Tag(t.Context(), one.desc, "v1"); err != nil {
		t.Fatal(err)
	}
	listed := func() []ocispec.Descriptor {
		t.Helper()
		// Through another Layout: what this one remembers shows nothing.
		return allReferrers(t, mustCreate(t, l.Path()), subject.desc, "")
	}
	for i, m := range []manifest{one, two} {
		if err := l.Delete(t.Context(), m.desc.Digest); err != nil {
			t.Fatal(err)
		}
		wantThere(t, l, false, m.desc.Digest)
		for _, reference := range []string{m.desc.Digest.String(), "v1"} {
			if _, err := l.Resolve(t.Context(), reference); !errors.Is(err, errdef.ErrNotFound) {
				t.Errorf("%s after it was deleted: %v", reference, err)
			}
		}
		if got := listed(); len(got) != 1-i {
			t.Errorf("the referrers are %v", got)
		}
		if err := l.Delete(t.Context(), m.desc.Digest); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("again: %v", err)
		}
	}
	collect(t, reopened(t, l), store.CollectOptions{Grace: -1})
	wantThere(t, l, true, subject.digests()...)
	wantThere(t, l, false, one.parsed.Layers[0].Digest, two.parsed.Layers[0].Digest)
}

// A manifest whose bytes are damaged can be deleted, and pushed again.
func TestDeleteOfADamagedManifest(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject := newManifest("model", testArtifact, nil)
	mustPush(t, l, subject)
	m := newManifest("one", "type/sig", &subject.desc)
	mustPush(t, l, m)
	name := filepath.Join(l.Path(), "blobs", "sha256", m.desc.Digest.Encoded())
	raw := append([]byte("x"), m.raw[1:]...)
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	l = reopened(t, l)
	if err := l.Delete(t.Context(), m.desc.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Resolve(t.Context(), m.desc.Digest.String()); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
	mustPush(t, l, m)
	if got := allReferrers(t, l, subject.desc, ""); len(got) != 1 {
		t.Errorf("the referrers are %v", got)
	}
}

func TestDeleteBlob(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	m := newManifest("one", testArtifact, nil)
	mustPush(t, l, m)
	blob := m.parsed.Layers[0].Digest
	if err := l.DeleteBlob(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	wantThere(t, l, false, blob)
	for what, d := range map[string]digest.Digest{"one that is gone": blob, "a manifest": m.desc.Digest, "no digest": "sha256:../../index.json"} {
		err := l.DeleteBlob(t.Context(), d)
		if what == "no digest" {
			if err == nil {
				t.Error("what is no digest is deleted")
			}
			continue
		}
		if !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantThere(t, l, true, m.desc.Digest)
}
