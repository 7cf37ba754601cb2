package registry_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
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
	protocol "github.com/modseal/modseal/pkg/registry"
	"github.com/modseal/modseal/pkg/store/registry"
)

// client asks a registry over a directory.
type client struct {
	t       *testing.T
	dir     string
	backend *registry.Registry
	url     string
}

func serve(t *testing.T, dir string) *client {
	t.Helper()
	backend, err := registry.Open(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(protocol.New(backend, protocol.Options{}))
	t.Cleanup(func() {
		server.Close()
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	return &client{t: t, dir: dir, backend: backend, url: server.URL}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// code is that of the error.
func (a answer) code() string {
	var said struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || len(said.Errors) != 1 {
		return ""
	}
	return said.Errors[0].Code
}

func (c *client) ask(method, path string, body io.Reader, header ...string) answer {
	c.t.Helper()
	path = strings.TrimPrefix(path, c.url)
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// want asks, and fails unless the answer has this status.
func (c *client) want(status int, method, path, body string, header ...string) answer {
	c.t.Helper()
	got := c.ask(method, path, strings.NewReader(body), header...)
	if got.status != status {
		c.t.Fatalf("%s %s: %d, not %d: %s", method, path, got.status, status, got.body)
	}
	return got
}

// begin begins an upload and returns where it is.
func (c *client) begin(repository string) string {
	c.t.Helper()
	return c.want(http.StatusAccepted, "POST", "/v2/"+repository+"/blobs/uploads/", "").header.Get("Location")
}

func (c *client) pushBlob(repository, content string) ocispec.Descriptor {
	c.t.Helper()
	desc := describe(ocispec.MediaTypeEmptyJSON, digest.FromString(content), content)
	at := c.begin(repository)
	separator := "?"
	if strings.Contains(at, "?") { // as olareg has it
		separator = "&"
	}
	c.want(http.StatusCreated, "PUT", at+separator+"digest="+desc.Digest.String(), content)
	return desc
}

func describe(mediaType string, d digest.Digest, content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// image pushes the blobs of a manifest and returns its bytes.
func (c *client) image(repository, text string, subject *ocispec.Descriptor) (string, ocispec.Descriptor) {
	c.t.Helper()
	raw, err := artifacttypes.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "type/" + text,
		Config: c.pushBlob(repository, "{}"), Layers: []ocispec.Descriptor{c.pushBlob(repository, text)}, Subject: subject,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return string(raw), describe(ocispec.MediaTypeImageManifest, digest.FromBytes(raw), string(raw))
}

const (
	ct    = "Content-Type"
	image = ocispec.MediaTypeImageManifest
)

// A blob comes in one part or in many, with its ranges said or not, and in one request.
func TestUploads(t *testing.T) {
	c := serve(t, t.TempDir())
	content := "one two three"
	for name, push := range map[string]func(repository, query string) answer{
		"POST": func(repository, query string) answer {
			return c.ask("POST", "/v2/"+repository+"/blobs/uploads/"+query, strings.NewReader(content))
		},
		"POST of unknown length": func(repository, query string) answer {
			return c.ask("POST", "/v2/"+repository+"/blobs/uploads/"+query, io.MultiReader(strings.NewReader(content)))
		},
		"PUT": func(repository, query string) answer {
			return c.ask("PUT", c.begin(repository)+query, strings.NewReader(content))
		},
		"one stream": func(repository, query string) answer {
			at := c.want(http.StatusAccepted, "PATCH", c.begin(repository), content).header
			return c.ask("PUT", at.Get("Location")+query, nil)
		},
		"parts, and the last with PUT": func(repository, query string) answer {
			at := c.begin(repository)
			for i, part := range []string{"o", "ne ", "two "} {
				from := []int{0, 1, 4}[i]
				to := from + len(part) - 1
				got := c.want(http.StatusAccepted, "PATCH", at, part, "Content-Range", fmt.Sprintf("%d-%d", from, to)).header
				if at = got.Get("Location"); got.Get("Range") != fmt.Sprintf("0-%d", to) {
					t.Errorf("Range is %q after %d", got.Get("Range"), to)
				}
			}
			if status := c.want(http.StatusNoContent, "GET", at, "").header; status.Get("Range") != "0-7" || status.Get("Location") != at {
				t.Errorf("the status is %v", status)
			}
			return c.ask("PUT", at+query, strings.NewReader("three"), "Content-Range", "8-12")
		},
		"streams": func(repository, query string) answer {
			at := c.begin(repository)
			for _, part := range []string{"one ", "two ", "three"} {
				c.want(http.StatusAccepted, "PATCH", at, part)
			}
			return c.ask("PUT", at+query, nil)
		},
	} {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			repository := "r/" + string(algorithm) + "-" + strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(name), ",", ""), " ", "-")
			d := algorithm.FromString(content)
			got := push(repository, "?digest="+d.String())
			want := "/v2/" + repository + "/blobs/" + d.String()
			if got.status != http.StatusCreated || got.header.Get("Location") != want || got.header.Get("Docker-Content-Digest") != d.String() {
				t.Errorf("%s: %d %v %s", repository, got.status, got.header, got.body)
			}
			if blob := c.want(http.StatusOK, "GET", want, ""); blob.body != content {
				t.Errorf("%s: it is %q", repository, blob.body)
			}
			head := c.want(http.StatusOK, "HEAD", want, "")
			if head.header.Get("Content-Length") != "13" || head.header.Get("Docker-Content-Digest") != d.String() {
				t.Errorf("%s: HEAD says %v", repository, head.header)
			}
		}
	}
}

// What is not right about an upload is said, and nothing comes of it; what was right
// of it can be gone on with, and it can be ended.
func TestUploadsThatGoWrong(t *testing.T) {
	c := serve(t, t.TempDir())
	at := c.begin("r")
	d := digest.FromString("12345").String()
	c.want(http.StatusAccepted, "PATCH", at, "123", "Content-Range", "0-2")
	for _, wrong := range []struct {
		ranges string
		status int
		code   string
	}{
		{"0-1", http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID"},
		{"4-5", http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID"},
		{"5-4", http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID"},
		{"x", http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID"},
		{"3-8", http.StatusBadRequest, "SIZE_INVALID"},
	} {
		for _, method := range []string{"PATCH", "PUT"} {
			got := c.want(wrong.status, method, at+"?digest="+d, "45", "Content-Range", wrong.ranges)
			if got.code() != wrong.code {
				t.Errorf("%s of %s: %s", method, wrong.ranges, got.body)
			}
			if wrong.ranges == "0-1" && (got.header.Get("Range") != "0-2" || got.header.Get("Location") != at) {
				t.Errorf("where to go on: %v", got.header)
			}
		}
	}
	c.want(http.StatusBadRequest, "PUT", at+"?digest=sha256:1", "")
	c.want(http.StatusBadRequest, "PUT", at, "")
	if got := c.want(http.StatusBadRequest, "PUT", at+"?digest="+digest.SHA384.FromString("12345").String(), ""); got.code() != "DIGEST_INVALID" {
		t.Errorf("sha384: %s", got.body)
	}
	c.want(http.StatusCreated, "PUT", at+"?digest="+d, "45", "Content-Range", "3-4")

	at = c.begin("r")
	if got := c.want(http.StatusBadRequest, "PUT", at+"?digest="+d, "other"); got.code() != "DIGEST_INVALID" {
		t.Errorf("other bytes: %s", got.body)
	}
	if got := c.want(http.StatusBadRequest, "POST", "/v2/r/blobs/uploads/?digest="+d, "other"); got.code() != "DIGEST_INVALID" {
		t.Errorf("other bytes at once: %s", got.body)
	}
	c.want(http.StatusNotFound, "GET", "/v2/r/blobs/"+digest.FromString("other").String(), "")

	at = c.begin("r")
	c.want(http.StatusAccepted, "PATCH", at, "123")
	c.want(http.StatusNoContent, "DELETE", at, "")
	for _, gone := range []string{at, "/v2/r/blobs/uploads/!", "/v2/r/blobs/uploads/" + strings.Repeat("QUJD", 10), "/v2/other/blobs/uploads/QUJD"} {
		for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
			got := c.ask(method, gone+"?digest="+d, strings.NewReader("4"))
			if got.status != http.StatusNotFound && got.status != http.StatusBadRequest || got.code() == "" {
				t.Errorf("%s %s: %d %s", method, gone, got.status, got.body)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(c.dir, "r", ".modseal-*", "*")); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// An upload goes on with another server over the same directory, and after a restart.
func TestUploadGoesOnElsewhere(t *testing.T) {
	dir := t.TempDir()
	one, two := serve(t, dir), serve(t, dir)
	at := one.begin("team/model")
	for i, c := range []*client{one, two, one, two, serve(t, dir)} {
		c.want(http.StatusAccepted, "PATCH", at, "12", "Content-Range", fmt.Sprintf("%d-%d", 2*i, 2*i+1))
	}
	d := digest.FromString("1212121212").String()
	two.want(http.StatusCreated, "PUT", at+"?digest="+d, "")
	if got := one.want(http.StatusOK, "GET", "/v2/team/model/blobs/"+d, ""); got.body != "1212121212" {
		t.Errorf("it is %q", got.body)
	}
}

// What came before a connection broke is there, and the upload goes on from it.
func TestUploadOverABrokenConnection(t *testing.T) {
	c := serve(t, t.TempDir())
	const content = "what came, and the rest"
	d := digest.FromString(content).String()
	for _, method := range []string{"PATCH", "PUT"} {
		at := c.begin("r")
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s %s?digest=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nwhat came", method, at, d)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn) // until the server has noticed
		_ = conn.Close()
		if got := c.want(http.StatusNoContent, "GET", at, ""); got.header.Get("Range") != "0-8" {
			t.Errorf("%s: there is %v", method, got.header)
		}
		c.want(http.StatusAccepted, "PATCH", at, content[9:], "Content-Range", fmt.Sprintf("9-%d", len(content)-1))
		c.want(http.StatusCreated, "PUT", at+"?digest="+d, "")
	}
}

func TestMount(t *testing.T) {
	c := serve(t, t.TempDir())
	blob := c.pushBlob("from/here", "content").Digest
	wide := digest.SHA512.FromString("content")
	c.want(http.StatusCreated, "POST", "/v2/from/here/blobs/uploads/?digest="+wide.String(), "content")
	for _, d := range []digest.Digest{blob, wide} {
		got := c.want(http.StatusCreated, "POST", "/v2/to/there/blobs/uploads/?mount="+d.String()+"&from=from/here", "")
		if got.header.Get("Location") != "/v2/to/there/blobs/"+d.String() {
			t.Errorf("%v", got.header)
		}
		if got := c.want(http.StatusOK, "GET", got.header.Get("Location"), ""); got.body != "content" {
			t.Errorf("it is %q", got.body)
		}
	}
	none := digest.FromString("none").String()
	for _, query := range []string{"mount=" + none + "&from=from/here", "mount=" + none + "&from=no/where", "mount=" + blob.String(), "mount=" + blob.String() + "&from=../from"} {
		got := c.want(http.StatusAccepted, "POST", "/v2/to/another/blobs/uploads/?"+query, "")
		c.want(http.StatusCreated, "PUT", got.header.Get("Location")+"?digest="+blob.String(), "content")
	}
	c.want(http.StatusBadRequest, "POST", "/v2/to/another/blobs/uploads/?mount=x&from=from/here", "")
	// What is damaged is not passed on.
	name := filepath.Join(c.dir, "from", "here", "blobs", "sha256", blob.Encoded())
	if err := os.WriteFile(name, []byte("CONTENT"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.want(http.StatusAccepted, "POST", "/v2/to/third/blobs/uploads/?mount="+blob.String()+"&from=from/here", "")
	c.want(http.StatusNotFound, "GET", "/v2/to/third/blobs/"+blob.String(), "")
}

func TestRanges(t *testing.T) {
	c := serve(t, t.TempDir())
	path := "/v2/r/blobs/" + c.pushBlob("r", "0123456789").Digest.String()
	for asked, want := range map[string]string{
		"bytes=2-4": "234", "bytes=8-": "89", "bytes=-3": "789", "bytes=0-0": "0", "bytes=5-100": "56789",
	} {
		if got := c.want(http.StatusPartialContent, "GET", path, "", "Range", asked); got.body != want || got.header.Get("Content-Range") == "" {
			t.Errorf("%s: %q, %v", asked, got.body, got.header)
		}
	}
	for _, asked := range []string{"bytes=10-", "bytes=11-12"} {
		if got := c.want(http.StatusRequestedRangeNotSatisfiable, "GET", path, "", "Range", asked); got.header.Get("Content-Range") != "bytes */10" {
			t.Errorf("%s: %v", asked, got.header)
		}
	}
}

func TestManifests(t *testing.T) {
	c := serve(t, t.TempDir())
	raw, desc := c.image("team/model", "one", nil)
	for reference, status := range map[string]int{
		"v1": http.StatusCreated, desc.Digest.String(): http.StatusCreated, digest.SHA512.FromString(raw).String(): http.StatusCreated,
		digest.FromString("other").String(): http.StatusBadRequest, digest.SHA512.FromString("other").String(): http.StatusBadRequest,
		"v1?digest=" + digest.FromString("other").String(): http.StatusBadRequest, ".v": http.StatusBadRequest,
		desc.Digest.String() + "?tag=t1&tag=t2": http.StatusCreated, desc.Digest.String() + "?tag=.t3": http.StatusBadRequest,
	} {
		got := c.ask("PUT", "/v2/team/model/manifests/"+reference, strings.NewReader(raw), ct, image)
		if got.status != status {
			t.Errorf("%s: %d %s", reference, got.status, got.body)
		}
		if status == http.StatusCreated && !strings.HasSuffix(got.header.Get("Location"), got.header.Get("Docker-Content-Digest")) {
			t.Errorf("%s: %v", reference, got.header)
		}
		if strings.Contains(reference, "tag=t1") && !slices.Equal(got.header["Oci-Tag"], []string{"t1", "t2"}) {
			t.Errorf("%s: %v", reference, got.header)
		}
	}
	for _, reference := range []string{"v1", "t1", "t2", desc.Digest.String(), digest.SHA512.FromString(raw).String()} {
		for _, method := range []string{"GET", "HEAD"} {
			got := c.want(http.StatusOK, method, "/v2/team/model/manifests/"+reference, "")
			if got.header.Get(ct) != image || got.header.Get("Content-Length") != fmt.Sprint(len(raw)) || method == "GET" && got.body != raw {
				t.Errorf("%s %s: %v %q", method, reference, got.header, got.body)
			}
			if d := got.header.Get("Docker-Content-Digest"); strings.Contains(reference, ":") && d != reference || !strings.Contains(reference, ":") && d != desc.Digest.String() {
				t.Errorf("%s %s is %s", method, reference, d)
			}
		}
	}
	// Without a type it is the one that the manifest says.
	c.want(http.StatusCreated, "PUT", "/v2/team/model/manifests/v2", raw)

	blob := strings.Replace(raw, digest.FromString("one").String(), digest.FromString("none").String(), 1)
	long := `{"mediaType":"` + image + `","annotations":{"a":"` + strings.Repeat("a", artifacttypes.MaxManifestBytes) + `"}}`
	for name, wrong := range map[string]struct {
		body, mediaType string
		status          int
		code            string
	}{
		"a blob is missing": {blob, image, http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN"},
		"no JSON":           {"{", image, http.StatusBadRequest, "MANIFEST_INVALID"},
		"another type":      {raw, ocispec.MediaTypeImageIndex, http.StatusBadRequest, "MANIFEST_INVALID"},
		"an unknown type":   {raw, "text/plain", http.StatusBadRequest, "MANIFEST_INVALID"},
		"too long":          {long, image, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID"},
	} {
		for _, body := range []io.Reader{strings.NewReader(wrong.body), io.MultiReader(strings.NewReader(wrong.body))} {
			if got := c.ask("PUT", "/v2/team/model/manifests/wrong", body, ct, wrong.mediaType); got.status != wrong.status || got.code() != wrong.code {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
	}
	c.want(http.StatusNotFound, "GET", "/v2/team/model/manifests/wrong", "")
}

func (c *client) referrers(repository string, subject digest.Digest, query string) (answer, []ocispec.Descriptor) {
	c.t.Helper()
	got := c.want(http.StatusOK, "GET", "/v2/"+repository+"/referrers/"+subject.String()+query, "")
	var index ocispec.Index
	if err := json.Unmarshal([]byte(got.body), &index); err != nil || index.Manifests == nil || got.header.Get(ct) != ocispec.MediaTypeImageIndex {
		c.t.Fatalf("%v: %v %s", err, got.header, got.body)
	}
	return got, index.Manifests
}

func TestReferrers(t *testing.T) {
	c := serve(t, t.TempDir())
	// Nobody has such a subject, and nobody such a repository.
	if _, found := c.referrers("team/model", digest.FromString("x"), ""); len(found) != 0 {
		t.Errorf("of nothing: %v", found)
	}
	_, subject := c.image("team/model", "subject", nil)
	var pushed []ocispec.Descriptor
	for _, text := range []string{"a", "b"} {
		raw, desc := c.image("team/model", text, &subject)
		// The subject may come later.
		got := c.want(http.StatusCreated, "PUT", "/v2/team/model/manifests/"+desc.Digest.String(), raw, ct, image)
		if got.header.Get("Oci-Subject") != subject.Digest.String() {
			t.Errorf("%v", got.header)
		}
		pushed = append(pushed, desc)
	}
	if got, found := c.referrers("team/model", subject.Digest, ""); len(found) != 2 || got.header.Get("Oci-Filters-Applied") != "" {
		t.Errorf("%v %v", got.header, found)
	}
	got, found := c.referrers("team/model", subject.Digest, "?artifactType=type/b")
	if len(found) != 1 || found[0].Digest != pushed[1].Digest || found[0].ArtifactType != "type/b" || got.header.Get("Oci-Filters-Applied") != "artifactType" {
		t.Errorf("%v %v", got.header, found)
	}
	c.want(http.StatusAccepted, "DELETE", "/v2/team/model/manifests/"+pushed[0].Digest.String(), "")
	if _, found := c.referrers("team/model", subject.Digest, ""); len(found) != 1 || found[0].Digest != pushed[1].Digest {
		t.Errorf("without one of them: %v", found)
	}
}

func TestDeletionsAndWhatIsCollected(t *testing.T) {
	c := serve(t, t.TempDir())
	keep, kept := c.image("r", "kept", nil)
	drop, dropped := c.image("r", "dropped", nil)
	c.want(http.StatusCreated, "PUT", "/v2/r/manifests/kept", keep, ct, image)
	c.want(http.StatusCreated, "PUT", "/v2/r/manifests/dropped", drop, ct, image)
	loose := c.pushBlob("r", "loose").Digest.String()

	c.want(http.StatusAccepted, "DELETE", "/v2/r/manifests/dropped", "")
	c.want(http.StatusNotFound, "DELETE", "/v2/r/manifests/dropped", "")
	c.want(http.StatusOK, "GET", "/v2/r/manifests/"+dropped.Digest.String(), "")
	c.want(http.StatusAccepted, "DELETE", "/v2/r/manifests/"+dropped.Digest.String(), "")
	c.want(http.StatusNotFound, "GET", "/v2/r/manifests/"+dropped.Digest.String(), "")
	c.want(http.StatusAccepted, "DELETE", "/v2/r/blobs/"+loose, "")
	c.want(http.StatusNotFound, "GET", "/v2/r/blobs/"+loose, "")
	c.want(http.StatusNotFound, "DELETE", "/v2/r/blobs/"+loose, "")
	c.want(http.StatusNotFound, "DELETE", "/v2/r/blobs/"+kept.Digest.String(), "")
	c.want(http.StatusNotFound, "DELETE", "/v2/other/manifests/kept", "")

	layer := "/v2/r/blobs/" + digest.FromString("dropped").String()
	c.want(http.StatusOK, "HEAD", layer, "")
	at := c.begin("r")
	c.want(http.StatusAccepted, "PATCH", at, "begun")
	c.backend.CollectNow(t.Context())
	c.want(http.StatusNotFound, "HEAD", layer, "")
	c.want(http.StatusOK, "HEAD", "/v2/r/blobs/"+digest.FromString("kept").String(), "")
	// An upload that somebody may go on with keeps the repository among those to look at.
	if _, written := c.backend.Held(); written != 1 {
		t.Errorf("%d repositories are to be collected", written)
	}
	c.want(http.StatusNoContent, "DELETE", at, "")
	c.backend.CollectNow(t.Context())
	if open, written := c.backend.Held(); open != 0 || written != 0 {
		t.Errorf("%d repositories are open, %d are to be collected", open, written)
	}
}
