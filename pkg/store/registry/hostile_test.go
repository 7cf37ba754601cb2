package registry_test

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	protocol "github.com/modseal/modseal/pkg/registry"
	"github.com/modseal/modseal/pkg/store/registry"
)

// No name leads out of the directory, or into the files of a layout.
func TestNamesStayInside(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "served")
	c := serve(t, dir)
	other := serve(t, filepath.Join(parent, "outside"))
	secret := other.pushBlob("model", "secret").Digest.String()
	if err := os.Symlink(filepath.Join(parent, "outside"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	c.pushBlob("team", "content")
	for _, name := range []string{
		"../outside/model", "link/model", "team/../../outside/model", "%2e%2e/outside/model", "team/%2e%2e/%2e%2e/outside/model",
		"Team", "team//x", "/team", "team/", ".team", "team/.modseal-tmp", "team/blobs", "team/blobs/sha256", "team/index.json", "oci-layout/x", "team\\x",
		strings.Repeat("a/", 130) + "a", strings.Repeat("a", 256),
	} {
		for _, request := range []string{
			"GET /blobs/" + secret, "HEAD /blobs/" + secret, "GET /tags/list", "GET /manifests/v1",
			"POST /blobs/uploads/", "POST /blobs/uploads/?digest=" + secret, "PUT /manifests/v1", "DELETE /blobs/" + secret,
		} {
			method, path, _ := strings.Cut(request, " ")
			got := c.ask(method, "/v2/"+name+path, strings.NewReader("secret"))
			if got.status < http.StatusBadRequest || got.status == http.StatusInternalServerError && !strings.HasPrefix(name, "link") {
				t.Errorf("%s %s: %d %s", method, name+path, got.status, got.body)
			}
		}
	}
	if got := other.want(http.StatusOK, "GET", "/v2/model/blobs/"+secret, ""); got.body != "secret" {
		t.Error("the layout outside was changed")
	}
	for _, d := range []string{"sha256:..", "sha256:../../index.json", "sha256:%2e%2e%2f%2e%2e%2findex.json", "md5:0", "sha256:", "index.json"} {
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			if got := c.ask(method, "/v2/team/blobs/"+d, nil); got.status != http.StatusBadRequest && got.status != http.StatusNotFound {
				t.Errorf("%s of %s: %d", method, d, got.status)
			}
		}
	}
}

// Repositories lie below each other, and each is one of its own.
func TestRepositoriesBelowEachOther(t *testing.T) {
	c := serve(t, t.TempDir())
	for _, name := range []string{"a/b", "a", "a/b/c"} {
		raw, _ := c.image(name, "text", nil)
		c.want(http.StatusCreated, "PUT", "/v2/"+name+"/manifests/"+strings.ReplaceAll(name, "/", "-"), raw, ct, image)
	}
	for name, want := range map[string]string{"a": `["a"]`, "a/b": `["a-b"]`, "a/b/c": `["a-b-c"]`} {
		if got := c.want(http.StatusOK, "GET", "/v2/"+name+"/tags/list", ""); !strings.Contains(got.body, want) {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}

// A directory that somebody removed is gone, and another that has its name is served.
func TestDirectoryIsReplaced(t *testing.T) {
	c := serve(t, t.TempDir())
	raw, _ := c.image("a/b", "text", nil)
	c.want(http.StatusCreated, "PUT", "/v2/a/b/manifests/v1", raw, ct, image)
	if err := os.RemoveAll(filepath.Join(c.dir, "a")); err != nil {
		t.Fatal(err)
	}
	c.want(http.StatusNotFound, "GET", "/v2/a/b/manifests/v1", "")
	c.image("a/b", "text", nil)
	c.want(http.StatusCreated, "PUT", "/v2/a/b/manifests/v2", raw, ct, image)
	if _, err := os.Stat(filepath.Join(c.dir, "a", "b", ocispec.ImageIndexFile)); err != nil {
		t.Error(err)
	}
	c.want(http.StatusNotFound, "GET", "/v2/a/b/manifests/v1", "")
	c.want(http.StatusOK, "GET", "/v2/a/b/manifests/v2", "")
}

// A directory of files is not made a layout.
func TestFilesAreLeftAlone(t *testing.T) {
	c := serve(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(c.dir, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(c.dir, "model"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "model", "weights"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.want(http.StatusForbidden, "POST", "/v2/model/blobs/uploads/", ""); got.code() != "DENIED" {
		t.Errorf("%s", got.body)
	}
	c.want(http.StatusNotFound, "GET", "/v2/notes/tags/list", "")
}

func TestReadOnly(t *testing.T) {
	c := serve(t, t.TempDir())
	raw, desc := c.image("r", "text", nil)
	c.want(http.StatusCreated, "PUT", "/v2/r/manifests/v1", raw, ct, image)
	at := c.begin("r")
	before := files(t, c.dir)

	backend, err := registry.Open(c.dir, true)
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	// The protocol refuses first; what holds the layouts refuses, too.
	for _, why := range []string{"it is read-only", ""} {
		server := httptest.NewServer(protocol.New(backend, protocol.Options{ReadOnly: why}))
		ro := &client{t: t, dir: c.dir, backend: backend, url: server.URL}
		ro.want(http.StatusOK, "GET", "/v2/r/manifests/v1", "")
		ro.want(http.StatusOK, "HEAD", "/v2/r/blobs/"+digest.FromString("text").String(), "")
		for _, request := range []string{
			"POST /v2/r/blobs/uploads/", "POST /v2/new/blobs/uploads/", "PATCH " + at, "PUT " + at + "?digest=" + desc.Digest.String(), "DELETE " + at,
			"PUT /v2/r/manifests/v2", "DELETE /v2/r/manifests/v1", "DELETE /v2/r/blobs/" + digest.FromString("text").String(),
		} {
			method, path, _ := strings.Cut(request, " ")
			got := ro.ask(method, path, strings.NewReader(raw), ct, image)
			if want := map[string]int{"": http.StatusForbidden}[why]; got.status != want && (why == "" || got.status != http.StatusMethodNotAllowed || !strings.Contains(got.body, why)) {
				t.Errorf("%q: %s: %d %s", why, request, got.status, got.body)
			}
		}
		server.Close()
	}
	if after := files(t, c.dir); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
}

// files lists a directory.
func files(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() {
			fmt.Fprintln(&list, name, info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

// However many repositories somebody asks for, few are open; and what is not there is
// not made.
func TestManyRepositories(t *testing.T) {
	c := serve(t, t.TempDir())
	for i := range registry.MaxOpen + 20 {
		c.pushBlob(fmt.Sprintf("r/%d", i), "content")
		c.want(http.StatusNotFound, "GET", fmt.Sprintf("/v2/none/%d/tags/list", i), "")
	}
	if open, _ := c.backend.Held(); open > registry.MaxOpen {
		t.Errorf("%d are open", open)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "none")); err == nil {
		t.Error("asking made a directory")
	}
	c.want(http.StatusOK, "GET", "/v2/r/0/blobs/"+digest.FromString("content").String(), "")
}

// Many clients of two servers over one directory lose nothing of each other.
func TestTwoServersManyClients(t *testing.T) {
	dir := t.TempDir()
	servers := []*client{serve(t, dir), serve(t, dir)}
	_, subject := servers[0].image("shared/model", "subject", nil)
	var wg sync.WaitGroup
	const clients, each = 4, 5
	for n := range clients {
		wg.Go(func() {
			c := servers[n%len(servers)]
			for i := range each {
				raw, desc := c.image("shared/model", fmt.Sprintf("text-%d-%d", n, i), &subject)
				c.want(http.StatusCreated, "PUT", fmt.Sprintf("/v2/shared/model/manifests/t-%d-%d", n, i), raw, ct, image)
				c.want(http.StatusOK, "GET", "/v2/shared/model/manifests/"+desc.Digest.String(), "")
			}
		})
	}
	wg.Wait()
	for _, c := range servers {
		if _, found := c.referrers("shared/model", subject.Digest, ""); len(found) != clients*each {
			t.Errorf("%d referrers, not %d", len(found), clients*each)
		}
		if got := c.want(http.StatusOK, "GET", "/v2/shared/model/tags/list", ""); strings.Count(got.body, `"t-`) != clients*each {
			t.Errorf("%s", got.body)
		}
	}
}

// Whatever is asked for, the answer is one of the specification, and nothing is
// written but below the directory.
func FuzzRequest(f *testing.F) {
	parent := f.TempDir()
	backend, err := registry.Open(filepath.Join(parent, "served"), false)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = backend.Close() })
	handler := protocol.New(backend, protocol.Options{})
	d := digest.FromString("content").String()
	for _, s := range []struct{ method, path, query, ranges, body string }{
		{"POST", "/v2/a/blobs/uploads/", "digest=" + d, "", "content"},
		{"POST", "/v2/a/blobs/uploads/", "mount=" + d + "&from=b", "", ""},
		{"PATCH", "/v2/a/blobs/uploads/QUJD", "", "0-6", "content"},
		{"PUT", "/v2/a/manifests/v1", "", "", `{"schemaVersion":2,"config":{}}`},
		{"PUT", "/v2/a/manifests/", "", "", ""},
		{"GET", "/v2/a/manifests/", "", "", ""},
		{"DELETE", "/v2/../a/manifests/v1", "", "", ""},
		{"GET", "/v2/a/tags/list", "n=1&last=v", "", ""},
		{"GET", "/v2/a/referrers/" + d, "after=x&artifactType=y", "", ""},
		{"PUT", "/v2/a/blobs/uploads/", "", "", ""},
	} {
		f.Add(s.method, s.path, s.query, s.ranges, s.body)
	}
	f.Fuzz(func(t *testing.T, method, path, query, ranges, body string) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", strings.NewReader(body))
		req.Method, req.URL = method, &url.URL{Path: path, RawQuery: query}
		req.Header.Set("Content-Range", ranges)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %q?%q: %d %s", method, path, query, w.Code, w.Body)
		}
		if raw, _ := io.ReadAll(w.Body); w.Code >= http.StatusBadRequest && (answer{body: string(raw)}).code() == "" {
			t.Errorf("%s %q?%q: %d with %q, which is no error of the specification", method, path, query, w.Code, raw)
		}
		entries, err := os.ReadDir(parent)
		if err != nil || len(entries) != 1 {
			t.Errorf("%s %q: beside the directory there is %v, %v", method, path, entries, err)
		}
	})
}
