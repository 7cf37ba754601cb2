package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/store"
)

func mustOpen(t testing.TB, path string) *archive.Archive {
	t.Helper()
	a, err := archive.Open(t.Context(), path, archive.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// refer adds a manifest about the one of s.
func (s *small) refer(artifactType string, about ocispec.Descriptor) ocispec.Descriptor {
	raw := mustJSON(ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: ocispec.DescriptorEmptyJSON, Subject: &about,
	})
	return s.push(raw, ocispec.MediaTypeImageManifest, artifactType, nil)
}

func subject(s *small) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(s.manifest), Size: int64(len(s.manifest))}
}

func referrers(t testing.TB, r interface {
	Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error
}, about ocispec.Descriptor, artifactType string,
) []ocispec.Descriptor {
	t.Helper()
	var out []ocispec.Descriptor
	err := r.Referrers(t.Context(), about, artifactType, func(page []ocispec.Descriptor) error {
		out = append(out, page...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whole or in parts of any size, an archive answers what its layout would.
func TestAnArchiveAnswersAsItsLayout(t *testing.T) {
	s := newSmall()
	signature := s.refer("application/vnd.example.signature", subject(s))
	s.refer("application/vnd.example.sbom", subject(s))
	s.refer("application/vnd.example.note", signature)
	raw := tarOf(s.entries())
	layout := layoutOf(t, s.entries())
	open := map[string]*archive.Archive{"whole": mustOpen(t, put(t, "x.tar", raw))}
	for name, size := range map[string]int{"in large parts": 3000, "in small parts": 100} {
		dir := t.TempDir()
		splitInto(t, dir, "x.tar", raw, size)
		open[name] = mustOpen(t, filepath.Join(dir, "x.tar.001"))
	}
	for name, a := range open {
		t.Run(name, func(t *testing.T) {
			for _, reference := range []string{"v1", subject(s).Digest.String(), signature.Digest.String()} {
				want, err := layout.Resolve(t.Context(), reference)
				if err != nil {
					t.Fatal(err)
				}
				got, err := a.Resolve(t.Context(), reference)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s: %v\n%s", reference, err, diff)
				}
			}
			if got, err := a.Resolve(t.Context(), "example.com/team/llama:v1"); err != nil || got.Digest != subject(s).Digest {
				t.Errorf("by its full name: %v, %v", got, err)
			}
			for _, artifactType := range []string{"", "application/vnd.example.signature"} {
				want, got := referrers(t, layout, subject(s), artifactType), referrers(t, a, subject(s), artifactType)
				if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
					t.Errorf("referrers %q: %s", artifactType, diff)
				}
			}
			checkBytes(t, a, s)
		})
	}
}

// layoutOf writes entries as files, and opens them as a layout.
func layoutOf(t testing.TB, entries []entry) *store.Layout {
	t.Helper()
	dir := t.TempDir()
	for _, e := range entries {
		name := filepath.Join(dir, filepath.FromSlash(e.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, name, e.data)
	}
	l, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func checkBytes(t *testing.T, a *archive.Archive, s *small) {
	t.Helper()
	for _, want := range [][]byte{s.layer, s.config, s.manifest} {
		d := digest.FromBytes(want)
		rc, err := a.Fetch(t.Context(), ocispec.Descriptor{Digest: d})
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		b, err := a.Blob(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := rc.(*ingest.Section); ok != (len(b.Spans()) == 1) {
			t.Errorf("%T of %d spans", rc, len(b.Spans()))
		}
		if err := iotest.TestReader(rc, want); err != nil {
			t.Error(err)
		}
		var joined []byte
		for _, span := range b.Spans() {
			part := make([]byte, span.Size)
			if _, err := span.File.ReadAt(part, span.Offset); err != nil {
				t.Fatal(err)
			}
			joined = append(joined, part...)
		}
		if !bytes.Equal(joined, want) {
			t.Errorf("spans have %q, not %q", joined, want)
		}
		if at, ok := rc.(io.ReaderAt); !ok {
			t.Errorf("%T cannot be read anywhere", rc)
		} else if got, err := io.ReadAll(io.NewSectionReader(at, 1, 1)); err != nil || !bytes.Equal(got, want[1:2]) {
			t.Errorf("%q, %v", got, err)
		}
		for size, there := range map[int64]bool{int64(len(want)): true, int64(len(want)) + 1: false} {
			if ok, err := a.Exists(t.Context(), ocispec.Descriptor{Digest: d, Size: size}); ok != there || err != nil {
				t.Errorf("with %d bytes: %v, %v", size, ok, err)
			}
		}
	}
	if _, err := a.Fetch(t.Context(), ocispec.Descriptor{Digest: digest.FromString("none")}); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := a.Fetch(t.Context(), ocispec.Descriptor{Digest: "sha256:../../etc/passwd"}); err == nil {
		t.Error("a path was fetched")
	}
}

func TestAnArchiveIsNotWrittenTo(t *testing.T) {
	s := newSmall()
	file := put(t, "x.tar", tarOf(s.entries()))
	a := mustOpen(t, file)
	before := readFile(t, file)
	if err := a.Push(t.Context(), subject(s), bytes.NewReader(s.manifest)); !errors.Is(err, archive.ErrReadOnly) {
		t.Errorf("push: %v", err)
	}
	if err := a.Tag(t.Context(), subject(s), "v2"); !errors.Is(err, archive.ErrReadOnly) {
		t.Errorf("tag: %v", err)
	}
	if !bytes.Equal(before, readFile(t, file)) {
		t.Error("it was changed")
	}
}

// A file that takes the place of an archive that is open is not taken for it.
func TestAnotherFileInItsPlace(t *testing.T) {
	s := newSmall()
	file := put(t, "x.tar", tarOf(s.entries()))
	a := mustOpen(t, file)
	mustRemove(t, file)
	mustWrite(t, file, bytes.Repeat([]byte("x"), 10_000))
	rc, err := a.Fetch(t.Context(), ocispec.Descriptor{Digest: digest.FromBytes(s.layer)})
	if err != nil {
		return
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, s.layer) {
		t.Errorf("%q, %v", got, err)
	}
}

func labels(t testing.TB, a *archive.Archive) []string {
	t.Helper()
	artifacts, err := a.Artifacts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, artifact := range artifacts {
		out = append(out, artifact.Label())
		if d, err := a.Resolve(t.Context(), artifact.Label()); err != nil || d.Digest != artifact.Descriptor.Digest {
			t.Errorf("%s: %v, %v", artifact.Label(), d, err)
		}
	}
	return out
}

func TestArtifacts(t *testing.T) {
	another := func(text string) []byte {
		return mustJSON(ocispec.Manifest{
			MediaType: ocispec.MediaTypeImageManifest, ArtifactType: text, Config: ocispec.DescriptorEmptyJSON,
		})
	}
	manifest := ocispec.MediaTypeImageManifest
	names := func(tag, name string) map[string]string {
		return map[string]string{ocispec.AnnotationRefName: tag, artifacttypes.AnnotationImageName: name}
	}
	for name, tt := range map[string]struct {
		make func(s *small)
		want []string
	}{
		"one": {func(*small) {}, []string{"v1"}},
		"what is attached is none": {func(s *small) {
			d := s.refer("x", subject(s))
			list := mustJSON(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}})
			s.push(list, ocispec.MediaTypeImageIndex, "", map[string]string{ocispec.AnnotationRefName: strings.Replace(subject(s).Digest.String(), ":", "-", 1)})
		}, []string{"v1"}},
		"without a name": {func(s *small) { s.index.Manifests[0].Annotations = nil }, []string{"DIGEST"}},
		"two without a name": {func(s *small) {
			s.push(another("x"), manifest, "", nil)
		}, []string{digest.FromBytes(another("x")).String(), "v1"}},
		"children of an index are none": {func(s *small) {
			index := mustJSON(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{subject(s)}})
			s.index.Manifests[0].Annotations = nil
			s.push(index, ocispec.MediaTypeImageIndex, "", names("all", ""))
		}, []string{"all"}},
		"one tag of two repositories, as docker save has it": {func(s *small) {
			s.push(another("x"), manifest, "", names("v1", "example.com/other:v1"))
		}, []string{"example.com/other:v1", "example.com/team/llama:v1"}},
		"full names as tags": {func(s *small) {
			s.index.Manifests[0].Annotations[ocispec.AnnotationRefName] = "example.com/team/llama:v1"
			s.push(another("x"), manifest, "", names("example.com/other:v1", "example.com/other:v1"))
		}, []string{"example.com/other:v1", "example.com/team/llama:v1"}},
		"two tags of one": {func(s *small) { s.add(s.entryOf(names("latest", "example.com/team/llama:latest"))) }, []string{"latest"}},
		"a tag twice": {func(s *small) {
			s.index.Manifests[0].Annotations = map[string]string{ocispec.AnnotationRefName: "v1"}
			s.push(another("x"), manifest, "", map[string]string{ocispec.AnnotationRefName: "v1"})
		}, []string{"DIGEST", digest.FromBytes(another("x")).String()}},
		"its own manifest is none": {func(s *small) { s.own(s.says(nil), nil) }, []string{"v1"}},
		"by digest, with contents": {func(s *small) {
			s.index.Manifests[0].Annotations = nil
			s.own(s.says(func(a *map[string]any) { (*a)["name"] = "example.com/team/llama@" + subject(s).Digest.String() }), nil)
		}, []string{"DIGEST"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSmall()
			s.others = append(s.others, blobOf([]byte("x")))
			tt.make(s)
			want := slices.Clone(tt.want)
			for i := range want {
				if want[i] == "DIGEST" {
					want[i] = subject(s).Digest.String()
				}
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, labels(t, mustOpen(t, put(t, "x.tar", tarOf(s.entries()))))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A tag finds what only one repository has, and is refused where several have it.
func TestTagsOfSeveralRepositories(t *testing.T) {
	s := newSmall()
	full := func(name string) map[string]string {
		return map[string]string{ocispec.AnnotationRefName: name, artifacttypes.AnnotationImageName: name}
	}
	other := mustJSON(ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: ocispec.DescriptorEmptyJSON})
	s.index.Manifests[0].Annotations = full("example.com/a:v1")
	d := s.push(other, ocispec.MediaTypeImageManifest, "", full("example.com/b:v1"))
	s.add(s.entryOf(full("example.com/a:v2")))
	a := mustOpen(t, put(t, "x.tar", tarOf(s.entries())))
	if got, err := a.Resolve(t.Context(), "v2"); err != nil || got.Digest != subject(s).Digest {
		t.Errorf("v2: %v, %v", got, err)
	}
	if got, err := a.Resolve(t.Context(), "example.com/b:v1"); err != nil || got.Digest != d.Digest {
		t.Errorf("b: %v, %v", got, err)
	}
	var ambiguous *store.AmbiguousError
	if got, err := a.Resolve(t.Context(), "v1"); !errors.As(err, &ambiguous) || len(ambiguous.Names) != 2 {
		t.Errorf("v1: %v, %v", got, err)
	}
	if _, err := a.Resolve(t.Context(), "v3"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("v3: %v", err)
	}
}

func TestWhatAnArchiveSaysOfItself(t *testing.T) {
	s := newSmall()
	trust, policy := []byte(`{"trust":1}`), []byte("apiVersion: x\n")
	s.others = append(s.others, blobOf(trust), blobOf(policy))
	s.own(s.says(nil), func(m *ocispec.Manifest) {
		m.Layers = append(
			m.Layers,
			ocispec.Descriptor{MediaType: artifacttypes.MediaTypeTrust, Digest: digest.FromBytes(trust), Size: int64(len(trust))},
			ocispec.Descriptor{MediaType: artifacttypes.MediaTypePolicy, Digest: digest.FromBytes(policy), Size: int64(len(policy))},
			ocispec.Descriptor{MediaType: "application/vnd.example.later", Digest: digest.FromBytes(policy), Size: int64(len(policy))},
		)
	})
	a := mustOpen(t, put(t, "x.tar", tarOf(s.entries())))
	if c, ok := a.Contents(); !ok || len(c.Artifacts) != 1 || c.Tool.Name != "modseal" {
		t.Errorf("%+v, %v", c, ok)
	}
	if got, ok, err := a.Trust(); !bytes.Equal(got, trust) || !ok || err != nil {
		t.Errorf("%q, %v, %v", got, ok, err)
	}
	if got, ok, err := a.Policy(); !bytes.Equal(got, policy) || !ok || err != nil {
		t.Errorf("%q, %v, %v", got, ok, err)
	}
	if _, ok := a.Manifest(); !ok {
		t.Error("no manifest")
	}
	plain := mustOpen(t, put(t, "x.tar", tarOf(newSmall().entries())))
	if _, ok := plain.Contents(); ok {
		t.Error("contents out of nothing")
	}
	if _, ok, err := plain.Trust(); ok || err != nil {
		t.Errorf("trust out of nothing: %v", err)
	}
}

// Any name of a set opens it; a part alone says what is missing.
func TestLocate(t *testing.T) {
	dir := t.TempDir()
	raw := tarOf(newSmall().entries())
	set := splitInto(t, dir, "x.tar", raw, 1400)
	list := filepath.Join(dir, "x.tar.parts.json")
	for _, name := range []string{"x.tar", "x.tar.parts.json", "x.tar.000", "x.tar.004"} {
		if got, err := archive.Locate(filepath.Join(dir, name)); got != list || err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if a := mustOpen(t, list); a.Path() != list || a.Size() != int64(len(raw)) || a.Parts() == nil {
		t.Errorf("%s, %d", a.Path(), a.Size())
	}

	// Parts of several media.
	media := t.TempDir()
	for _, p := range set.Parts[2:] {
		if err := os.Rename(filepath.Join(dir, p.Name), filepath.Join(media, p.Name)); err != nil {
			t.Fatal(err)
		}
	}
	var parts *archive.PartsError
	if _, err := archive.Open(t.Context(), list, archive.OpenOptions{}); !errors.As(err, &parts) || len(parts.Bad) != 3 {
		t.Errorf("%v", err)
	}
	a, err := archive.Open(t.Context(), list, archive.OpenOptions{Beside: []string{t.TempDir(), media}})
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Close()

	// Without the list.
	mustRemove(t, list)
	var e *archive.Error
	for _, name := range []string{"x.tar", "x.tar.000", "x.tar.001"} {
		if _, err := archive.Open(t.Context(), filepath.Join(dir, name), archive.OpenOptions{}); !errors.As(err, &e) || !e.Damaged || !strings.Contains(e.Next, "bring x.tar.parts.json") {
			t.Errorf("%s: %v", name, err)
		}
	}

	// An archive that is merely called like a part.
	mustWrite(t, filepath.Join(dir, "backup.2026"), raw)
	mustOpen(t, filepath.Join(dir, "backup.2026"))
}
