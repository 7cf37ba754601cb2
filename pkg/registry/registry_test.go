package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/registry"
)

// ask asks a registry over what some functions do.
func ask(t *testing.T, backend *ociregistry.Funcs, o registry.Options, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	registry.New(backend, o).ServeHTTP(w, req)
	return w
}

// said returns the code of the error and what it says.
func said(t *testing.T, resp *httptest.ResponseRecorder) (code, message string) {
	t.Helper()
	raw := resp.Body.Bytes()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(raw, &body); err != nil || len(body.Errors) != 1 {
		t.Fatalf("%q is no error of the specification: %v", raw, err)
	}
	return body.Errors[0].Code, body.Errors[0].Message
}

var one = digest.FromString("one")

// What a backend says has the status and the code of the specification, from wherever
// it is said.
func TestErrorsOfTheBackend(t *testing.T) {
	var err error
	failing := &ociregistry.Funcs{
		NewError: func(context.Context, string, string) error { return err },
	}
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{ociregistry.ErrNameUnknown, http.StatusNotFound, "NAME_UNKNOWN"},
		{fmt.Errorf("not here: %w", ociregistry.ErrBlobUnknown), http.StatusNotFound, "BLOB_UNKNOWN"},
		{ociregistry.ErrDenied, http.StatusForbidden, "DENIED"},
		{ociregistry.ErrTooManyRequests, http.StatusTooManyRequests, "TOOMANYREQUESTS"},
		{errors.New("the disk is full"), http.StatusInternalServerError, "UNKNOWN"},
	} {
		err = c.err
		for _, request := range []string{
			"GET blobs/" + one.String(), "DELETE blobs/" + one.String(), "GET manifests/v1", "DELETE manifests/v1", "PUT manifests/v1",
			"GET tags/list", "GET referrers/" + one.String(), "POST blobs/uploads/", "POST blobs/uploads/?digest=" + one.String(),
			"POST blobs/uploads/?from=b&mount=" + one.String(), "DELETE blobs/uploads/QUJD",
		} {
			method, path, _ := strings.Cut(request, " ")
			resp := ask(t, failing, registry.Options{}, method, "/v2/a/"+path, "{}")
			code, message := said(t, resp)
			if resp.Code != c.status || code != c.code || !strings.Contains(message, c.err.Error()) {
				t.Errorf("%s with %v: %d %s %q", request, c.err, resp.Code, code, message)
			}
		}
	}
}

// What is no endpoint never comes to the library, which would panic over some of it.
func TestEndpoints(t *testing.T) {
	none := &ociregistry.Funcs{}
	for request, want := range map[string]int{
		"GET /": 404, "GET /v2x": 404, "GET /v2/": 200, "HEAD /v2": 200, "PUT /v2/": 405,
		"GET /v2/a/manifests/": 404, "PUT /v2/a/manifests/": 404, "GET /v2/a/blobs/": 404, "DELETE /v2/a/manifests/": 404,
		"GET /v2/a/manifests/.": 404, "PUT /v2/a/manifests/.": 400, "GET /v2/manifests/v1": 404, "GET /v2//manifests/v1": 400, "GET /v2/A/tags/list": 400,
		"GET /v2/a/blobs/uploads/": 405, "GET /v2/a/blobs/uploads": 405, "PUT /v2/a/blobs/uploads/": 405, "HEAD /v2/a/blobs/uploads/x": 405,
		"POST /v2/a/tags/list": 405, "PUT /v2/a/referrers/" + one.String(): 405, "POST /v2/a/manifests/v1": 405, "PATCH /v2/a/blobs/" + one.String(): 405,
		"GET /v2/_catalog": 404, "GET /v2/a/uploads/x": 404,
	} {
		method, path, _ := strings.Cut(request, " ")
		resp := ask(t, none, registry.Options{}, method, path, "")
		if resp.Code != want {
			t.Errorf("%s: %d, not %d", request, resp.Code, want)
		}
		if want == http.StatusMethodNotAllowed && (resp.Header().Get("Allow") == "" || strings.Contains(resp.Header().Get("Allow"), method)) {
			t.Errorf("%s: Allow is %q", request, resp.Header().Get("Allow"))
		}
		if want >= 400 {
			said(t, resp)
		}
	}
	resp := ask(t, none, registry.Options{ReadOnly: "ask elsewhere"}, http.MethodPut, "/v2/a/manifests/v1", "{}")
	if code, message := said(t, resp); resp.Code != http.StatusMethodNotAllowed || code != "UNSUPPORTED" || message != "ask elsewhere" {
		t.Errorf("read-only: %d %s %s", resp.Code, code, message)
	}
}

// A backend that cannot go back in a blob is a mistake that shows.
func TestBlobsAreContents(t *testing.T) {
	backend := &ociregistry.Funcs{GetBlob_: func(context.Context, string, ociregistry.Digest) (ociregistry.BlobReader, error) {
		return struct{ ociregistry.BlobReader }{registry.NewContent(registry.InMemory([]byte("one")), ocispec.Descriptor{})}, nil
	}}
	if resp := ask(t, backend, registry.Options{}, http.MethodGet, "/v2/a/blobs/"+one.String(), ""); resp.Code != http.StatusInternalServerError {
		t.Errorf("%d", resp.Code)
	}
}

// Lists are cut here, whatever the backend gives; it need not read on.
func TestListsAreCut(t *testing.T) {
	read := 0
	backend := &ociregistry.Funcs{
		Tags_: func(context.Context, string, string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for read = 0; ; read++ {
					if !yield(fmt.Sprintf("v%06d", read), nil) {
						return
					}
				}
			}
		},
		Referrers_: func(context.Context, string, ociregistry.Digest, string) iter.Seq2[ociregistry.Descriptor, error] {
			return func(yield func(ociregistry.Descriptor, error) bool) {
				for read = 0; ; read++ {
					d := digest.NewDigestFromEncoded(digest.SHA256, fmt.Sprintf("%064d", read))
					if !yield(ocispec.Descriptor{Digest: d, ArtifactType: fmt.Sprint("type/", read%2)}, nil) {
						return
					}
				}
			}
		},
	}
	for path, want := range map[string]int{
		"tags/list?n=3": 3, "tags/list?n=0": 0,
		"referrers/" + one.String():                                              500,
		"referrers/" + one.String() + "?artifactType=type/1":                     1000,
		"referrers/" + one.String() + "?after=sha256:" + fmt.Sprintf("%064d", 9): 510,
	} {
		read = -1
		resp := ask(t, backend, registry.Options{}, http.MethodGet, "/v2/a/"+path, "")
		if resp.Code != http.StatusOK || read < want || read > want+1 {
			t.Errorf("%s: %d, %d entries were read, not %d", path, resp.Code, read, want)
		}
		if link := resp.Header().Get("Link"); (link == "") != (want == 0) {
			t.Errorf("%s: Link is %q", path, link)
		}
	}
}
