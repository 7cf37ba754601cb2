package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive/registry"
	"github.com/modseal/modseal/pkg/store"
)

// fixture is a registry over a layout, which is read like an archive.
type fixture struct {
	t      *testing.T
	layout *store.Layout
	url    string
	image  ocispec.Descriptor
	blob   []byte
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func (f *fixture) push(mediaType string, raw []byte) ocispec.Descriptor {
	f.t.Helper()
	desc := describe(mediaType, raw)
	if err := f.layout.Push(f.t.Context(), desc, bytes.NewReader(raw)); err != nil {
		f.t.Fatal(err)
	}
	return desc
}

func (f *fixture) manifest(m ocispec.Manifest) ocispec.Descriptor {
	f.t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	raw, err := artifacttypes.Marshal(m)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.push(ocispec.MediaTypeImageManifest, raw)
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	layout, err := store.Create(filepath.Join(t.TempDir(), "layout"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = layout.Close() })
	f := &fixture{t: t, layout: layout, blob: bytes.Repeat([]byte("0123456789"), 1000)}
	config := f.push("application/vnd.oci.empty.v1+json", []byte("{}"))
	f.image = f.manifest(ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{f.push("application/octet-stream", f.blob)}})
	server := httptest.NewServer(registry.New(layout, registry.Names{
		"team/llama": {"v1": f.image, "v2": f.image, "v3": f.image},
		"empty":      {},
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// attach adds a referrer of the image, of a type and with an annotation that is n
// bytes long.
func (f *fixture) attach(artifactType string, number, n int) ocispec.Descriptor {
	f.t.Helper()
	config := describe("application/vnd.oci.empty.v1+json", []byte("{}"))
	return f.manifest(ocispec.Manifest{
		ArtifactType: artifactType, Config: config, Layers: []ocispec.Descriptor{config}, Subject: &f.image,
		Annotations: map[string]string{"number": fmt.Sprint(number), "long": strings.Repeat("a", n)},
	})
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (f *fixture) ask(method, path string, header ...string) answer {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

func TestManifestsByTagAndDigest(t *testing.T) {
	f := newFixture(t)
	for _, reference := range []string{"v1", f.image.Digest.String()} {
		got := f.ask(http.MethodGet, "/v2/team/llama/manifests/"+reference)
		if got.status != http.StatusOK || digest.FromBytes(got.body) != f.image.Digest {
			t.Errorf("%s: %d, %s", reference, got.status, got.body)
		}
		for name, want := range map[string]string{
			"Content-Type": ocispec.MediaTypeImageManifest, "Docker-Content-Digest": f.image.Digest.String(),
			"Content-Length": fmt.Sprint(f.image.Size),
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q, not %q", reference, name, got.header.Get(name), want)
			}
		}
		head := f.ask(http.MethodHead, "/v2/team/llama/manifests/"+reference)
		if head.status != http.StatusOK || len(head.body) != 0 || head.header.Get("Content-Length") != fmt.Sprint(f.image.Size) {
			t.Errorf("HEAD of %s: %d, %v", reference, head.status, head.header)
		}
	}
}

func TestBlobsAndTheirRanges(t *testing.T) {
	f := newFixture(t)
	path := "/v2/team/llama/blobs/" + digest.FromBytes(f.blob).String()
	if got := f.ask(http.MethodGet, path); got.status != http.StatusOK || !bytes.Equal(got.body, f.blob) {
		t.Errorf("%d, %d bytes", got.status, len(got.body))
	}
	if got := f.ask(http.MethodHead, path); got.status != http.StatusOK || got.header.Get("Content-Length") != fmt.Sprint(len(f.blob)) {
		t.Errorf("HEAD: %d, %v", got.status, got.header)
	}
	for asked, want := range map[string]string{"bytes=5-9": "56789", "bytes=9998-": "89", "bytes=-3": "789"} {
		got := f.ask(http.MethodGet, path, "Range", asked)
		if got.status != http.StatusPartialContent || string(got.body) != want {
			t.Errorf("%s: %d, %q, not %q", asked, got.status, got.body, want)
		}
	}
	if got := f.ask(http.MethodGet, path, "Range", "bytes=10000-"); got.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range beyond the end: %d", got.status)
	}
}

// What is wrong is said with the code of the specification, and nothing can be
// written.
func TestErrors(t *testing.T) {
	f := newFixture(t)
	none := digest.FromString("nothing").String()
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/v2/team/llama/manifests/v4", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/team/llama/manifests/" + none, 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/team/llama/manifests/sha256:x", 404, "MANIFEST_UNKNOWN"},
		// A blob is no manifest, whatever somebody asks for.
		{"GET", "/v2/team/llama/manifests/" + digest.FromBytes(f.blob).String(), 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/team/llama/blobs/" + none, 404, "BLOB_UNKNOWN"},
		{"GET", "/v2/team/llama/blobs/sha256:..", 400, "DIGEST_INVALID"},
		{"GET", "/v2/team/llama/referrers/x", 400, "DIGEST_INVALID"},
		{"GET", "/v2/team/other/manifests/v1", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/team/other/tags/list", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/Team/manifests/v1", 400, "NAME_INVALID"},
		{"GET", "/v2/team/llama/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"},
		{"GET", "/v2/team/llama/uploads/v1", 404, "UNSUPPORTED"},
		{"GET", "/v2/x", 404, "UNSUPPORTED"},
		{"GET", "/", 404, "UNSUPPORTED"},
		{"PUT", "/v2/team/llama/manifests/v1", 405, "UNSUPPORTED"},
		{"DELETE", "/v2/team/llama/manifests/v1", 405, "UNSUPPORTED"},
		{"POST", "/v2/team/llama/blobs/uploads/", 405, "UNSUPPORTED"},
	} {
		got := f.ask(c.method, c.path)
		var said struct {
			Errors []struct{ Code, Message string }
		}
		if err := json.Unmarshal(got.body, &said); err != nil || len(said.Errors) != 1 || said.Errors[0].Message == "" {
			t.Errorf("%s %s: %q is no error of the specification: %v", c.method, c.path, got.body, err)
			continue
		}
		if got.status != c.status || said.Errors[0].Code != c.code {
			t.Errorf("%s %s: %d %s, not %d %s", c.method, c.path, got.status, said.Errors[0].Code, c.status, c.code)
		}
	}
	if got := f.ask(http.MethodPost, "/v2/team/llama/blobs/uploads/"); got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow is %q", got.header.Get("Allow"))
	}
	for _, path := range []string{"/v2/", "/v2"} {
		if got := f.ask(http.MethodGet, path); got.status != http.StatusOK || string(got.body) != "{}" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestTagsInPages(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		query string
		tags  []string
		next  string
	}{
		{"", []string{"v1", "v2", "v3"}, ""},
		{"?n=2", []string{"v1", "v2"}, `</v2/team/llama/tags/list?last=v2&n=2>; rel="next"`},
		{"?n=2&last=v2", []string{"v3"}, ""},
		{"?n=3", []string{"v1", "v2", "v3"}, ""},
		{"?n=0", nil, ""},
		{"?last=v1", []string{"v2", "v3"}, ""},
		{"?last=v9", nil, ""},
	} {
		got := f.ask(http.MethodGet, "/v2/team/llama/tags/list"+c.query)
		var list struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal(got.body, &list); err != nil {
			t.Fatal(err)
		}
		if list.Name != "team/llama" || !slices.Equal(list.Tags, c.tags) || got.header.Get("Link") != c.next {
			t.Errorf("%q: %+v, Link %q", c.query, list, got.header.Get("Link"))
		}
		// An empty list is a list.
		if bytes.Contains(got.body, []byte("null")) {
			t.Errorf("%q: %s", c.query, got.body)
		}
	}
}

// referrers follows the pages of a list.
func (f *fixture) referrers(query string) (found []ocispec.Descriptor, pages int) {
	f.t.Helper()
	path := "/v2/team/llama/referrers/" + f.image.Digest.String() + query
	for path != "" {
		got := f.ask(http.MethodGet, path)
		var index ocispec.Index
		if err := json.Unmarshal(got.body, &index); err != nil || got.header.Get("Content-Type") != ocispec.MediaTypeImageIndex {
			f.t.Fatalf("%s is no index (%v): %s", path, err, got.body)
		}
		if index.Manifests == nil || len(got.body) > artifacttypes.MaxManifestBytes {
			f.t.Fatalf("%s: a list of %d bytes, nil %t", path, len(got.body), index.Manifests == nil)
		}
		if filtered := got.header.Get("OCI-Filters-Applied"); (filtered == "artifactType") != (query != "") {
			f.t.Errorf("%s: OCI-Filters-Applied is %q", path, filtered)
		}
		found, path = append(found, index.Manifests...), ""
		if next := got.header.Get("Link"); next != "" {
			path = strings.TrimSuffix(strings.TrimPrefix(next, "<"), `>; rel="next"`)
		}
		pages++
	}
	return found, pages
}

func TestReferrers(t *testing.T) {
	f := newFixture(t)
	if found, _ := f.referrers(""); len(found) != 0 {
		t.Fatalf("nothing is attached, and %v is listed", found)
	}
	a, b := f.attach("type/a", 1, 10), f.attach("type/b", 2, 10)
	found, pages := f.referrers("")
	if len(found) != 2 || pages != 1 {
		t.Fatalf("%d on %d pages", len(found), pages)
	}
	for _, d := range found {
		if d.ArtifactType == "" || d.Annotations["number"] == "" {
			t.Errorf("%+v lacks the type or the annotations of the manifest", d)
		}
	}
	if found, _ = f.referrers("?artifactType=type/b"); len(found) != 1 || found[0].Digest != b.Digest {
		t.Errorf("of type b there is %v, not %v; %v is of type a", found, b, a)
	}
	if found, _ = f.referrers("?artifactType=type/c"); len(found) != 0 {
		t.Errorf("of type c there is nothing, and %v is listed", found)
	}
}

// Clients bound an answer: long annotations go into pages, each entry once.
func TestManyReferrersInPages(t *testing.T) {
	f := newFixture(t)
	want := map[digest.Digest]bool{}
	for i := range 5 {
		want[f.attach("type/a", i, 1<<20).Digest] = true
	}
	for _, query := range []string{"", "?artifactType=type/a"} {
		found, pages := f.referrers(query)
		got := map[digest.Digest]bool{}
		for _, d := range found {
			got[d.Digest] = want[d.Digest]
		}
		if len(found) != 5 || len(got) != 5 || pages < 3 {
			t.Errorf("%q: %d entries, %d of them different, on %d pages", query, len(found), len(got), pages)
		}
	}
}

// A manifest that is damaged is not served: a client that does not compare would
// take it.
func TestDamagedManifest(t *testing.T) {
	f := newFixture(t)
	name := filepath.Join(f.layout.Path(), "blobs", "sha256", f.image.Digest.Encoded())
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-3] ^= 1
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	got := f.ask(http.MethodGet, "/v2/team/llama/manifests/v1")
	if got.status != http.StatusInternalServerError || got.header.Get("Docker-Content-Digest") != "" || !bytes.Contains(got.body, []byte("hash")) {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
}

// Whatever is asked for, the answer is one of the specification, and never content
// that was not asked for by its digest or tag.
func FuzzRequest(f *testing.F) {
	layout, err := store.Create(filepath.Join(f.TempDir(), "layout"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = layout.Close() })
	content := []byte("content")
	blob := describe("application/octet-stream", content)
	if err := layout.Push(f.Context(), blob, bytes.NewReader(content)); err != nil {
		f.Fatal(err)
	}
	handler := registry.New(layout, registry.Names{"team/llama": {"v1": blob}})
	for _, path := range []string{
		"/v2/", "/v2/team/llama/tags/list", "/v2/team/llama/manifests/v1", "/v2/team/llama/blobs/" + blob.Digest.String(),
		"/v2/team/llama/referrers/" + blob.Digest.String(), "/v2/../x", "/v2/team/llama/blobs/sha256:../../oci-layout", "/v2//manifests/", "/v2/a/b/c/d",
	} {
		f.Add(path, "n=1&last=v&artifactType=x&after=y", "bytes=0-3")
	}
	f.Fuzz(func(t *testing.T, path, query, ranges string) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		req.URL.Path, req.URL.RawQuery = path, query
		req.Header.Set("Range", ranges)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		switch {
		case w.Code >= http.StatusInternalServerError:
			t.Errorf("%q?%q: %d %s", path, query, w.Code, w.Body)
		case w.Code >= http.StatusBadRequest && w.Code != http.StatusRequestedRangeNotSatisfiable && !json.Valid(w.Body.Bytes()):
			t.Errorf("%q?%q: %d with %q, which is no error of the specification", path, query, w.Code, w.Body)
		case w.Code < http.StatusMultipleChoices && w.Header().Get("Docker-Content-Digest") != "" && !strings.Contains(path, blob.Digest.String()) && path != "/v2/team/llama/manifests/v1":
			t.Errorf("%q?%q gives %s", path, query, w.Header())
		}
	})
}
