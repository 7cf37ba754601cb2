package referrer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/referrer"
)

func TestFallbackTagKeepsForeignEntries(t *testing.T) {
	repo := newRepository(t, newRegistry(t, false, nil))
	ctx := t.Context()
	subject := newSubject(t, repo)
	foreign := push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, &subject, "foreign"))
	list := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"x-unknown":{"kept":true}}],"annotations":{"a":"b"}}`,
		ocispec.MediaTypeImageIndex, foreign.MediaType, foreign.Digest, foreign.Size)
	tag := referrer.FallbackTag(subject.Digest)
	if err := repo.Tag(ctx, push(t, repo, ocispec.MediaTypeImageIndex, []byte(list)), tag); err != nil {
		t.Fatal(err)
	}
	mine, err := referrer.Attach(ctx, repo, subject, attachment("x"))
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := referrer.List(ctx, repo, subject)
	if err != nil || len(nodes) != 2 {
		t.Fatalf("List = %v, %v", digests(nodes), err)
	}
	desc, err := repo.Resolve(ctx, tag)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := repo.Fetch(ctx, desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	var index struct {
		Manifests   []map[string]any  `json:"manifests"`
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.NewDecoder(rc).Decode(&index); err != nil {
		t.Fatal(err)
	}
	if index.Manifests[0]["x-unknown"] == nil || index.Annotations["a"] != "b" {
		t.Errorf("what others wrote is lost: %v", index)
	}
	entry := index.Manifests[1]
	if entry["digest"] != mine.Digest.String() || entry["artifactType"] != artifacttypes.MediaTypeBundle || entry["annotations"] == nil {
		t.Errorf("entry = %v", entry)
	}
}

func TestFallbackTagInUseForSomethingElse(t *testing.T) {
	repo := newRepository(t, newRegistry(t, false, nil))
	ctx := t.Context()
	subject := newSubject(t, repo)
	other := push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, nil, "other"))
	tag := referrer.FallbackTag(subject.Digest)
	if err := repo.Tag(ctx, other, tag); err != nil {
		t.Fatal(err)
	}
	if nodes, err := referrer.List(ctx, repo, subject); err != nil || len(nodes) != 0 {
		t.Errorf("List = %v, %v", nodes, err)
	}
	var inUse *referrer.FallbackTagError
	if _, err := referrer.Attach(ctx, repo, subject, attachment("x")); !errors.As(err, &inUse) || inUse.Tag != tag {
		t.Errorf("Attach: %v", err)
	}
	if got, err := repo.Resolve(ctx, tag); err != nil || got.Digest != other.Digest {
		t.Errorf("the tag was overwritten: %v, %v", got, err)
	}
}

func TestFallbackEntriesThatAreGone(t *testing.T) {
	// A registry that refuses an index with an entry that is not there.
	repo := newRepository(t, newRegistry(t, false, nil))
	ctx := t.Context()
	subject := newSubject(t, repo)
	if _, err := referrer.Attach(ctx, repo, subject, attachment("x")); err != nil {
		t.Fatal(err)
	}
	gone := describe(ocispec.MediaTypeImageManifest, manifest(t, &subject, "gone"))
	sparse := true
	s := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}, API: config.ConfigAPI{
		Referrer: config.ConfigAPIReferrer{Enabled: new(bool)}, Manifest: config.ConfigAPIManifest{SparseIndex: &sparse},
	}})
	strict := &atomic.Bool{}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strict.Load() && strings.Contains(r.URL.Path, "/manifests/") {
			raw, _ := io.ReadAll(r.Body)
			if bytes.Contains(raw, []byte(gone.Digest)) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(raw))
		}
		s.ServeHTTP(w, r)
	}))
	defer s.Close()
	defer ts.Close()
	repo = newRepository(t, strings.TrimPrefix(ts.URL, "http://"))
	subject = newSubject(t, repo)
	index := marshal(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{gone}})
	if err := repo.Tag(ctx, push(t, repo, ocispec.MediaTypeImageIndex, index), referrer.FallbackTag(subject.Digest)); err != nil {
		t.Fatal(err)
	}
	strict.Store(true)
	mine, err := referrer.Attach(ctx, repo, subject, attachment("x"))
	if err != nil {
		t.Fatal(err)
	}
	if nodes, err := referrer.List(ctx, repo, subject); err != nil || len(nodes) != 1 || nodes[0].Descriptor.Digest != mine.Digest {
		t.Errorf("List = %v, %v", digests(nodes), err)
	}
}

// A migrated registry has the API and lists nothing of what its fallback tags
// hold.
func TestEmptyAPIReadsFallbackTag(t *testing.T) {
	repo := newRepository(t, newRegistry(t, false, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/referrers/") && r.Header.Get("X-Old") == "" {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
			return
		}
		next.ServeHTTP(w, r)
	}))
	ctx := t.Context()
	subject := newSubject(t, repo)
	r := push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, &subject, "r"))
	index := marshal(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{r}})
	if err := repo.Tag(ctx, push(t, repo, ocispec.MediaTypeImageIndex, index), referrer.FallbackTag(subject.Digest)); err != nil {
		t.Fatal(err)
	}
	if nodes, err := referrer.List(ctx, repo, subject); err != nil || len(nodes) != 1 {
		t.Errorf("List = %v, %v", digests(nodes), err)
	}
}
