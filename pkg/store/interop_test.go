package store_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/modseal/modseal/pkg/store"
)

// oras-go opens what we write: tags, digests, referrers as predecessors.
func TestOrasReadsOurLayout(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	subject, signature := attachOne(t, l)
	theirs, err := oci.New(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range []string{"v1", subject.desc.Digest.String()} {
		got, err := theirs.Resolve(t.Context(), reference)
		if err != nil || got.Digest != subject.desc.Digest || got.Size != subject.desc.Size || got.MediaType != subject.desc.MediaType {
			t.Errorf("%s: %v, %v", reference, got, err)
		}
	}
	raw, err := content.FetchAll(t.Context(), theirs, subject.desc)
	if err != nil || !bytes.Equal(raw, subject.raw) {
		t.Errorf("%q, %v", raw, err)
	}
	found, err := registry.Referrers(t.Context(), theirs, subject.desc, testArtifact)
	if err != nil || len(found) != 1 || found[0].Digest != signature.desc.Digest || found[0].ArtifactType != testArtifact {
		t.Errorf("referrers %v, %v", found, err)
	}
}

// We read what oras-go writes, referrers included, and adding to it keeps it.
func TestWeReadTheLayoutOfOras(t *testing.T) {
	dir := t.TempDir()
	theirs, err := oci.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	subject := newManifest("subject", testArtifact, nil)
	signature := newManifest("signature", testArtifact, &subject.desc)
	for _, m := range []manifest{subject, signature} {
		for desc, raw := range map[digest.Digest][]byte{m.parsed.Config.Digest: m.config, m.parsed.Layers[0].Digest: m.layer} {
			d := ocispec.Descriptor{MediaType: "x", Digest: desc, Size: int64(len(raw))}
			if there, _ := theirs.Exists(t.Context(), d); there {
				continue
			}
			if err := theirs.Push(t.Context(), d, bytes.NewReader(raw)); err != nil {
				t.Fatal(err)
			}
		}
		if err := theirs.Push(t.Context(), m.desc, bytes.NewReader(m.raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := theirs.Tag(t.Context(), subject.desc, "v1"); err != nil {
		t.Fatal(err)
	}
	l, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.Resolve(t.Context(), "v1"); err != nil || got.Digest != subject.desc.Digest {
		t.Errorf("%v, %v", got, err)
	}
	if found := allReferrers(t, l, subject.desc, ""); !slices.Equal(digests(found), []digest.Digest{signature.desc.Digest}) {
		t.Errorf("referrers %v", found)
	}
	another := newManifest("another", testArtifact, &subject.desc)
	mustPush(t, l, another)
	if found := allReferrers(t, l, subject.desc, ""); len(found) != 2 {
		t.Errorf("referrers %v", found)
	}
	again, err := oci.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := registry.Referrers(t.Context(), again, subject.desc, "")
	if err != nil || len(found) != 2 {
		t.Errorf("oras-go now finds %v, %v", found, err)
	}
}

// olareg serves the directory that our layout is in, and its referrers API lists
// what we attached before and after it took the layout over.
func TestOlaregServesOurLayout(t *testing.T) {
	root := t.TempDir()
	l := mustCreate(t, filepath.Join(root, "team", "model"))
	subject, first := attachOne(t, l)
	repo := serve(t, root)
	if got, err := repo.Resolve(t.Context(), "v1"); err != nil || got.Digest != subject.desc.Digest {
		t.Errorf("%v, %v", got, err)
	}
	if found := remoteReferrers(t, repo, subject.desc); !slices.Equal(found, []digest.Digest{first.desc.Digest}) {
		t.Fatalf("referrers %v, want %v", found, first.desc.Digest)
	}
	if !strings.Contains(readFile(t, filepath.Join(l.Path(), "index.json")), `"org.olareg.referrer.convert":"true"`) {
		t.Fatal("olareg did not take the layout over, so this test does not show what it should")
	}
	if found := allReferrers(t, l, subject.desc, ""); !slices.Equal(digests(found), []digest.Digest{first.desc.Digest}) {
		t.Errorf("after olareg came we find %v", found)
	}
	second := newManifest("second", testArtifact, &subject.desc)
	other := newManifest("other subject", testArtifact, nil)
	third := newManifest("third", testArtifact, &other.desc)
	for _, m := range []manifest{second, other, third} {
		mustPush(t, l, m)
	}
	time.Sleep(1100 * time.Millisecond) // olareg looks at index.json once a second
	want := []digest.Digest{first.desc.Digest, second.desc.Digest}
	slices.Sort(want)
	if found := remoteReferrers(t, repo, subject.desc); !slices.Equal(found, want) {
		t.Errorf("referrers %v, want %v", found, want)
	}
	if found := remoteReferrers(t, repo, other.desc); !slices.Equal(found, []digest.Digest{third.desc.Digest}) {
		t.Errorf("referrers of a new subject: %v", found)
	}
	// Whoever restarts olareg still finds them.
	if found := remoteReferrers(t, serve(t, root), subject.desc); !slices.Equal(found, want) {
		t.Errorf("after a restart: %v, want %v", found, want)
	}
}

// We open what olareg wrote, referrers included, which it keeps in lists only.
func TestWeReadTheLayoutOfOlareg(t *testing.T) {
	root := t.TempDir()
	repo := serve(t, root)
	subject := newManifest("subject", testArtifact, nil)
	signature := newManifest("signature", testArtifact, &subject.desc)
	for _, m := range []manifest{subject, signature} {
		for i, raw := range [][]byte{m.config, m.layer, m.raw} {
			desc := []ocispec.Descriptor{m.parsed.Config, m.parsed.Layers[0], m.desc}[i]
			if err := repo.Push(t.Context(), desc, bytes.NewReader(raw)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := repo.Tag(t.Context(), subject.desc, "v1"); err != nil {
		t.Fatal(err)
	}
	l, err := store.Open(filepath.Join(root, "team", "model"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.Resolve(t.Context(), "v1"); err != nil || got.Digest != subject.desc.Digest {
		t.Errorf("%v, %v", got, err)
	}
	if tags := allTags(t, l, ""); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("tags %q", tags)
	}
	if found := allReferrers(t, l, subject.desc, testArtifact); !slices.Equal(digests(found), []digest.Digest{signature.desc.Digest}) {
		t.Errorf("referrers %v", found)
	}
	got, err := l.Resolve(t.Context(), signature.desc.Digest.String())
	if err != nil || got.MediaType != ocispec.MediaTypeImageManifest || got.Size != signature.desc.Size {
		t.Errorf("the referrer by its digest: %v, %v", got, err)
	}
}

func attachOne(t *testing.T, l *store.Layout) (subject, referrer manifest) {
	t.Helper()
	subject = newManifest("subject", testArtifact, nil)
	referrer = newManifest("signature", testArtifact, &subject.desc)
	mustPush(t, l, subject)
	if err := l.Tag(t.Context(), subject.desc, "v1"); err != nil {
		t.Fatal(err)
	}
	mustPush(t, l, referrer)
	return subject, referrer
}

// serve runs olareg over root and returns its repository team/model.
func serve(t *testing.T, root string) *remote.Repository {
	t.Helper()
	server := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreDir, RootDir: root}})
	ts := httptest.NewServer(server)
	t.Cleanup(func() {
		ts.Close()
		if err := server.Close(); err != nil && !os.IsNotExist(err) {
			t.Errorf("olareg: %v", err)
		}
	})
	repo, err := remote.NewRepository(strings.TrimPrefix(ts.URL, "http://") + "/team/model")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	return repo
}

// remoteReferrers asks the referrers API, so that no fallback of oras-go helps.
func remoteReferrers(t *testing.T, repo *remote.Repository, subject ocispec.Descriptor) []digest.Digest {
	t.Helper()
	url := "http://" + repo.Reference.Host() + "/v2/team/model/referrers/" + subject.Digest.String()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var index ocispec.Index
	if err := json.NewDecoder(response.Body).Decode(&index); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", response.Status, err)
	}
	found := digests(index.Manifests)
	slices.Sort(found)
	return found
}

func digests(list []ocispec.Descriptor) []digest.Digest {
	all := make([]digest.Digest, 0, len(list))
	for _, d := range list {
		all = append(all, d.Digest)
	}
	return all
}
