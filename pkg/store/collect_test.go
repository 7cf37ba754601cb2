package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/store"
)

// now collects without grace: what is written here is written by modseal.
var now = store.CollectOptions{Grace: -1}

// reopened closes the layout, which ends what it was writing, and opens it anew.
func reopened(t *testing.T, l *store.Layout) *store.Layout {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return mustCreate(t, l.Path())
}

func collect(t *testing.T, l *store.Layout, o store.CollectOptions) store.CollectResult {
	t.Helper()
	res, err := l.Collect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func pushBlob(t *testing.T, l *store.Layout, content string) ocispec.Descriptor {
	t.Helper()
	d := blobOf("text/plain", []byte(content))
	if err := l.Push(t.Context(), d, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func isThere(t *testing.T, l *store.Layout, d digest.Digest) bool {
	t.Helper()
	_, err := os.Lstat(filepath.Join(l.Path(), "blobs", d.Algorithm().String(), d.Encoded()))
	return err == nil
}

func removed(res store.CollectResult) []digest.Digest {
	var out []digest.Digest
	for _, c := range res.Removed {
		out = append(out, c.Digest)
	}
	return out
}

func wantThere(t *testing.T, l *store.Layout, want bool, ds ...digest.Digest) {
	t.Helper()
	for _, d := range ds {
		if isThere(t, l, d) != want {
			t.Errorf("%s is there: %v", d, !want)
		}
	}
}

func (m manifest) digests() []digest.Digest {
	return []digest.Digest{m.desc.Digest, m.parsed.Config.Digest, m.parsed.Layers[0].Digest}
}

func TestCollectKeepsWhatIsInUse(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	tagged, untagged := newManifest("tagged", testArtifact, nil), newManifest("untagged", testArtifact, nil)
	mustPush(t, l, tagged)
	mustPush(t, l, untagged)
	signature := newManifest("signature", "sig", &tagged.desc)
	mustPush(t, l, signature)
	if err := l.Tag(t.Context(), tagged.desc, "v1"); err != nil {
		t.Fatal(err)
	}
	garbage := pushBlob(t, l, "what a push left")
	l = reopened(t, l)

	// An older list of referrers is garbage too; count it by what is left.
	dry := now
	dry.DryRun = true
	would := collect(t, l, dry)
	if !slices.Contains(removed(would), garbage.Digest) || !isThere(t, l, garbage.Digest) {
		t.Errorf("dry run: %+v", would)
	}
	res := collect(t, l, now)
	if !slices.Equal(removed(would), removed(res)) || would.Bytes != res.Bytes || res.Bytes != garbage.Size || len(res.Untagged) != 0 {
		t.Errorf("%+v, and the dry run said %+v", res, would)
	}
	wantThere(t, l, false, garbage.Digest)
	for _, m := range []manifest{tagged, untagged, signature} {
		wantThere(t, l, true, m.digests()...)
	}
	if found := allReferrers(t, l, tagged.desc, ""); len(found) != 1 {
		t.Errorf("%d referrers", len(found))
	}
	if again := collect(t, l, now); len(again.Removed) != 0 || again.Kept != res.Kept {
		t.Errorf("once more: %+v", again)
	}
}

func TestCollectUntagged(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	keep, drop := newManifest("keep", testArtifact, nil), newManifest("drop", testArtifact, nil)
	keepSig, dropSig := newManifest("sig of keep", "sig", &keep.desc), newManifest("sig of drop", "sig", &drop.desc)
	sigSig := newManifest("sig of sig", "sig", &keepSig.desc)
	subject := newManifest("subject of a tagged one", testArtifact, nil)
	referrer := newManifest("tagged referrer", "sig", &subject.desc)
	child := newManifest("child", testArtifact, nil)
	for _, m := range []manifest{keep, drop, keepSig, dropSig, sigSig, subject, referrer, child} {
		mustPush(t, l, m)
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{child.desc}}
	raw, _ := json.Marshal(index)
	parent := blobOf(ocispec.MediaTypeImageIndex, raw)
	if err := l.Push(t.Context(), parent, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	for tag, d := range map[string]ocispec.Descriptor{"v1": keep.desc, "sig": referrer.desc, "all": parent} {
		if err := l.Tag(t.Context(), d, tag); err != nil {
			t.Fatal(err)
		}
	}
	l = reopened(t, l)
	o := now
	o.Untagged = true
	res := collect(t, l, o)
	want := []digest.Digest{drop.desc.Digest, dropSig.desc.Digest}
	for _, d := range want {
		if !slices.Contains(res.Untagged, d) {
			t.Errorf("%s is still listed: %v", d, res.Untagged)
		}
	}
	for _, m := range []manifest{keep, keepSig, sigSig, subject, referrer, child} {
		wantThere(t, l, true, m.digests()...)
		if _, err := l.Resolve(t.Context(), m.desc.Digest.String()); err != nil {
			t.Error(err)
		}
	}
	wantThere(t, l, true, parent.Digest)
	wantThere(t, l, false, drop.desc.Digest, drop.parsed.Layers[0].Digest, dropSig.desc.Digest, dropSig.parsed.Layers[0].Digest)
	// The list of the referrers of what is gone is gone, the others are not.
	if len(res.Untagged) != 3 {
		t.Errorf("taken out of index.json: %v", res.Untagged)
	}
	for _, c := range []struct{ of, want manifest }{{keep, keepSig}, {keepSig, sigSig}, {subject, referrer}} {
		if found := allReferrers(t, l, c.of.desc, ""); len(found) != 1 || found[0].Digest != c.want.desc.Digest {
			t.Errorf("referrers of %s: %v", c.of.desc.Digest, found)
		}
	}
}

func TestCollectSparesTheYoung(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	old, young := pushBlob(t, l, "old"), pushBlob(t, l, "young")
	justPushed := newManifest("a tool is about to tag this", testArtifact, nil)
	mustPush(t, l, justPushed)
	long := time.Now().Add(-2 * store.DefaultGrace)
	if err := os.Chtimes(filepath.Join(l.Path(), "blobs/sha256", old.Digest.Encoded()), long, long); err != nil {
		t.Fatal(err)
	}
	l = reopened(t, l)
	res := collect(t, l, store.CollectOptions{Untagged: true})
	if !slices.Equal(removed(res), []digest.Digest{old.Digest}) || res.Young != 1 || len(res.Untagged) != 0 {
		t.Errorf("%+v", res)
	}
	wantThere(t, l, true, young.Digest, justPushed.desc.Digest)
}

// Whoever writes, or was told that something exists, keeps collectors away until
// the layout is closed.
func TestCollectWaitsForWriters(t *testing.T) {
	path := t.TempDir()
	first := mustCreate(t, path)
	garbage := pushBlob(t, first, "garbage")
	first = reopened(t, first)
	for name, write := range map[string]func(l *store.Layout) error{
		"exists": func(l *store.Layout) error { _, err := l.Exists(t.Context(), garbage); return err },
		"push":   func(l *store.Layout) error { return l.Push(t.Context(), garbage, strings.NewReader("garbage")) },
		"ingest": func(l *store.Layout) error {
			_, err := l.Ingest(t.Context(), (&source{content: strings.NewReader("same")}).blob(4))
			return err
		},
		"tag": func(l *store.Layout) error { _ = l.Tag(t.Context(), garbage, "x"); return nil },
	} {
		writer := mustCreate(t, path)
		if err := write(writer); err != nil {
			t.Fatal(name, err)
		}
		for _, l := range []*store.Layout{first, writer} {
			if res, err := l.Collect(t.Context(), now); !errors.Is(err, store.ErrBusy) || len(res.Removed) != 0 {
				t.Errorf("%s: %+v, %v", name, res, err)
			}
		}
		wantThere(t, first, true, garbage.Digest)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		wait := now
		wait.Wait = true
		if _, err := first.Collect(ctx, wait); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: it did not wait: %v", name, err)
		}
		cancel()
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	collect(t, first, now)
	wantThere(t, first, false, garbage.Digest)
}

func TestCollectStopsAndGoesOn(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	garbage := pushBlob(t, l, "garbage")
	l = reopened(t, l)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := l.Collect(ctx, now); !errors.Is(err, why) {
		t.Error(err)
	}
	wantThere(t, l, true, garbage.Digest)
	if res := collect(t, l, now); !slices.Equal(removed(res), []digest.Digest{garbage.Digest}) {
		t.Errorf("%+v", res)
	}
}

// What cannot be understood is no reason to remove what it may refer to.
func TestCollectRemovesNothingWhenInDoubt(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, l *store.Layout, m manifest) error{
		"a manifest with a flipped byte": func(t *testing.T, l *store.Layout, m manifest) error {
			write(t, filepath.Join(l.Path(), "blobs/sha256", m.desc.Digest.Encoded()), strings.Replace(string(m.raw), "one", "two", 1))
			return nil
		},
		"index.json that is none": func(t *testing.T, l *store.Layout, _ manifest) error {
			write(t, filepath.Join(l.Path(), "index.json"), "{")
			return nil
		},
		"no index.json": func(_ *testing.T, l *store.Layout, _ manifest) error {
			return os.Remove(filepath.Join(l.Path(), "index.json"))
		},
		"a manifest behind a link": func(_ *testing.T, l *store.Layout, m manifest) error {
			name := filepath.Join(l.Path(), "blobs/sha256", m.desc.Digest.Encoded())
			return errors.Join(os.Rename(name, name+".x"), os.Symlink(m.desc.Digest.Encoded()+".x", name))
		},
		"an index that lists a damaged manifest": func(t *testing.T, l *store.Layout, m manifest) error {
			index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{m.desc}}
			raw, _ := json.Marshal(index)
			write(t, filepath.Join(l.Path(), "blobs/sha256", m.desc.Digest.Encoded()), "damaged")
			return l.Push(t.Context(), blobOf(ocispec.MediaTypeImageIndex, raw), bytes.NewReader(raw))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := mustCreate(t, t.TempDir())
			m := newManifest("one", testArtifact, nil)
			mustPush(t, l, m)
			garbage := pushBlob(t, l, "garbage")
			if err := damage(t, l, m); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l, err := store.Open(l.Path())
			if err == nil {
				defer l.Close()
				var res store.CollectResult
				res, err = l.Collect(t.Context(), now)
				if err == nil || len(res.Removed) != 0 {
					t.Errorf("%+v, %v", res, err)
				}
				var bad *integrity.Error
				if strings.Contains(name, "link") {
					if !errors.Is(err, store.ErrCorrupt) {
						t.Error(err)
					}
				} else if strings.Contains(name, "manifest") && !errors.As(err, &bad) {
					t.Errorf("not by its digest: %v", err)
				}
				wantThere(t, l, true, garbage.Digest)
			}
			if err == nil {
				t.Error("no error")
			}
		})
	}
}

// A layout of a stranger cannot make it remove what is not a blob of the layout.
func TestCollectStaysInside(t *testing.T) {
	elsewhere := t.TempDir()
	name := digest.FromString("somebody's file").Encoded()
	precious := filepath.Join(elsewhere, name)
	write(t, precious, "precious")
	for what, prepare := range map[string]func(t *testing.T, l *store.Layout) error{
		"a directory of blobs that is a link": func(_ *testing.T, l *store.Layout) error {
			return os.Symlink(elsewhere, filepath.Join(l.Path(), "blobs/sha512"))
		},
		"blobs that is a link": func(t *testing.T, l *store.Layout) error {
			blobs := filepath.Join(l.Path(), "blobs")
			mkdir(t, filepath.Join(elsewhere, "sha256"))
			write(t, filepath.Join(elsewhere, "sha256", name), "precious")
			return errors.Join(os.RemoveAll(blobs), os.Symlink(elsewhere, blobs))
		},
		"a blob that is a link": func(_ *testing.T, l *store.Layout) error {
			return os.Symlink(precious, filepath.Join(l.Path(), "blobs/sha256", name))
		},
		"temporaries behind a link": func(_ *testing.T, l *store.Layout) error {
			temps := filepath.Join(l.Path(), ".modseal-tmp")
			return errors.Join(os.RemoveAll(temps), os.Symlink(elsewhere, temps))
		},
		"other names": func(t *testing.T, l *store.Layout) error {
			write(t, filepath.Join(l.Path(), "blobs/sha256/README"), "x")
			mkdir(t, filepath.Join(l.Path(), "blobs/other"))
			write(t, filepath.Join(l.Path(), "blobs/other", name), "x")
			return os.Mkdir(filepath.Join(l.Path(), "blobs/sha256", name), 0o755)
		},
	} {
		t.Run(what, func(t *testing.T) {
			l := reopened(t, mustCreate(t, t.TempDir()))
			if err := prepare(t, l); err != nil {
				t.Fatal(err)
			}
			res, err := l.Collect(t.Context(), now)
			t.Logf("%+v, %v", res, err)
			if len(res.Removed) != 0 {
				t.Errorf("removed: %+v", res.Removed)
			}
			if got, err := os.ReadFile(precious); err != nil || string(got) != "precious" {
				t.Errorf("a file of somebody else: %q, %v", got, err)
			}
			for _, name := range []string{"blobs/sha256/README", "blobs/other/" + name} {
				if _, err := os.Stat(filepath.Join(l.Path(), name)); what == "other names" && err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func mkdir(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(name, 0o755); err != nil {
		t.Fatal(err)
	}
}

// A manifest that refers to itself, or whose referrers go round in a circle, ends.
func TestCollectEndsInCircles(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	m := newManifest("one", testArtifact, nil)
	mustPush(t, l, m)
	// An index that lists what has it as its subject; no hash is in its own bytes,
	// but a list of referrers under a tag may name anything.
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{m.desc}, Subject: &m.desc}
	raw, _ := json.Marshal(list)
	d := blobOf(ocispec.MediaTypeImageIndex, raw)
	if err := l.Push(t.Context(), d, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := l.Tag(t.Context(), m.desc, "v1"); err != nil {
		t.Fatal(err)
	}
	l = reopened(t, l)
	o := now
	o.Untagged = true
	collect(t, l, o)
	wantThere(t, l, true, append(m.digests(), d.Digest)...)
}

// What a tool that knows no lock does in the moment between looking and removing
// is noticed.
func TestCollectBesideAToolWithoutLocks(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	garbage, again := pushBlob(t, l, "garbage"), pushBlob(t, l, "written again")
	l = reopened(t, l)
	res, err := l.CollectBeside(t.Context(), now, func() {
		if err := l.Replace("blobs/sha256/"+again.Digest.Encoded(), []byte("written again")); err != nil {
			t.Error(err)
		}
	})
	if err != nil || !slices.Equal(removed(res), []digest.Digest{garbage.Digest}) || res.Young != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	wantThere(t, l, true, again.Digest)

	res, err = l.CollectBeside(t.Context(), now, func() {
		if err := l.Replace("index.json", []byte(`{"schemaVersion":2,"manifests":[]}`)); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, store.ErrBusy) || len(res.Removed) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	wantThere(t, l, true, again.Digest)
}

// A link that stays inside the layout leads to no blobs either.
func TestCollectFollowsNoLinkInside(t *testing.T) {
	l := reopened(t, mustCreate(t, t.TempDir()))
	name := filepath.Join("mine", digest.SHA512.FromString("x").Encoded())
	mkdir(t, filepath.Join(l.Path(), "mine"))
	write(t, filepath.Join(l.Path(), name), "x")
	if err := os.Symlink("../mine", filepath.Join(l.Path(), "blobs/sha512")); err != nil {
		t.Fatal(err)
	}
	if res, err := l.Collect(t.Context(), now); !errors.Is(err, store.ErrCorrupt) || len(res.Removed) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := os.Stat(filepath.Join(l.Path(), name)); err != nil {
		t.Error(err)
	}
}

// Whoever made the layout may have been killed before its index.json: who writes
// next makes up for it.
func TestCreateMendsWhatWasBegun(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	index := filepath.Join(l.Path(), "index.json")
	want, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	l = reopened(t, l)
	if got, err := os.ReadFile(index); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	collect(t, l, now)
}
