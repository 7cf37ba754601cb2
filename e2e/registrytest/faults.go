package registrytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A fault changes how some requests are answered.
type fault struct {
	match func(r *http.Request, at route) bool
	// skip lets that many matching requests pass first; times is how many are
	// changed after that, 0 means all.
	skip, times int
	hits        int
	serve       func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

// strikes counts a matching request and says whether it is to be changed.
func (ft *fault) strikes() bool {
	ft.hits++
	return ft.hits > ft.skip && (ft.times == 0 || ft.hits <= ft.skip+ft.times)
}

func (f *Front) add(faults ...*fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, faults...)
}

// Heal removes all faults.
func (f *Front) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// handler is the registry as the faults make it look for one request.
func (f *Front) handler(r *http.Request, at route) http.Handler {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.next
	for _, ft := range f.faults {
		if !ft.match(r, at) || !ft.strikes() {
			continue
		}
		next := h
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ft.serve(w, r, next) })
	}
	return h
}

// content matches GET requests for the bytes with that digest: a blob, or a
// manifest by digest.
func content(d digest.Digest) func(*http.Request, route) bool {
	return func(r *http.Request, at route) bool {
		return r.Method == http.MethodGet && (at.kind == "blobs" || at.kind == "manifests") && at.rest == d.String()
	}
}

// rewrite answers with what change makes of the registry's answer.
func rewrite(change func(head http.Header, status int, body []byte) []byte) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		body := change(rec.Header(), rec.Code, rec.Body.Bytes())
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body)
	}
}

// FlipByte changes one byte of the content d whenever it is fetched.
func (f *Front) FlipByte(d digest.Digest, offset int64) {
	f.add(&fault{match: content(d), serve: rewrite(func(head http.Header, _ int, body []byte) []byte {
		if i := offset - rangeStart(head); i >= 0 && i < int64(len(body)) {
			body[i] ^= 1
		}
		return body
	})})
}

var contentRange = regexp.MustCompile(`^bytes (\d+)-`)

func rangeStart(head http.Header) int64 {
	m := contentRange.FindStringSubmatch(head.Get("Content-Range"))
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Resize makes the content d n bytes long whenever it is fetched: what is
// missing is left off, what is too much is zero. The registry seems to store
// it so: ranges beyond the end get 416.
func (f *Front) Resize(d digest.Digest, n int64) {
	f.add(&fault{match: content(d), serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		whole := r.Clone(r.Context())
		whole.Header.Del("Range")
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, whole)
		body := append(rec.Body.Bytes(), make([]byte, n)...)[:n]
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Docker-Content-Digest", d.String())
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}})
}

// Cut ends the connection after n bytes of an answer with the content d, the
// first times times.
func (f *Front) Cut(d digest.Digest, n int64, times int) {
	f.add(&fault{match: content(d), times: times, serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&cutWriter{ResponseWriter: w, left: n}, r)
	}})
}

type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= w.left {
		w.left -= int64(len(p))
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// CutUpload ends the connection after n bytes of a blob upload, the first times
// times.
func (f *Front) CutUpload(n int64, times int) {
	match := func(r *http.Request, at route) bool {
		return at.kind == "uploads" && (r.Method == http.MethodPatch || r.Method == http.MethodPut) && r.ContentLength > n
	}
	f.add(&fault{match: match, times: times, serve: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		buf := make([]byte, n)
		for read := 0; read < len(buf); {
			m, err := r.Body.Read(buf[read:])
			if read += m; err != nil {
				break
			}
		}
		panic(http.ErrAbortHandler)
	}})
}

// MoveTag answers the first request for a tag truthfully and all later ones
// with the manifest other.
func (f *Front) MoveTag(repo, tag string, other digest.Digest) {
	match := func(r *http.Request, at route) bool {
		return (r.Method == http.MethodGet || r.Method == http.MethodHead) && at.kind == "manifests" && at.repo == repo && at.rest == tag
	}
	f.add(&fault{match: match, skip: 1, serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		moved := r.Clone(r.Context())
		moved.URL.Path = "/v2/" + repo + "/manifests/" + other.String()
		next.ServeHTTP(w, moved)
	}})
}

// Status answers requests of a method whose path matches with a status, the
// first times times (0: always), and with a Retry-After header when it is not
// empty.
func (f *Front) Status(method string, path *regexp.Regexp, status, times int, retryAfter string) {
	match := func(r *http.Request, _ route) bool {
		return (method == "ANY" || r.Method == method) && path.MatchString(r.URL.Path)
	}
	f.add(&fault{match: match, times: times, serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors":[{"code":"UNKNOWN","message":"fault %d"}]}`, status)
	}})
}

// referrersOf matches requests for the referrers of subject.
func referrersOf(subject digest.Digest) func(*http.Request, route) bool {
	return func(_ *http.Request, at route) bool { return at.kind == "referrers" && at.rest == subject.String() }
}

// AddReferrer lists d as a referrer of subject, whatever d is.
func (f *Front) AddReferrer(subject digest.Digest, d ocispec.Descriptor) {
	f.changeReferrers(subject, func(index *ocispec.Index) { index.Manifests = append(index.Manifests, d) })
}

// LieAboutReferrers changes every entry of the list of referrers of subject.
func (f *Front) LieAboutReferrers(subject digest.Digest, lie func(d *ocispec.Descriptor)) {
	f.changeReferrers(subject, func(index *ocispec.Index) {
		for i := range index.Manifests {
			lie(&index.Manifests[i])
		}
	})
}

// ManyReferrers lists n referrers of subject that do not exist, perPage of them
// in an answer (0: all in one).
func (f *Front) ManyReferrers(subject digest.Digest, n, perPage int) {
	if perPage <= 0 {
		perPage = n
	}
	f.add(&fault{match: referrersOf(subject), serve: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		first, _ := strconv.Atoi(r.URL.Query().Get("from"))
		last := min(first+perPage, n)
		index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
		index.SchemaVersion = 2
		for i := first; i < last; i++ {
			index.Manifests = append(index.Manifests, ocispec.Descriptor{
				MediaType:    ocispec.MediaTypeImageManifest,
				ArtifactType: "application/vnd.dev.sigstore.bundle.v0.3+json",
				Digest:       digest.FromString(strconv.Itoa(i)),
				Size:         700,
			})
		}
		body, _ := json.Marshal(index) // of plain values
		if last < n {
			w.Header().Set("Link", fmt.Sprintf(`<%s?from=%d>; rel="next"`, r.URL.Path, last))
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}})
}

func (f *Front) changeReferrers(subject digest.Digest, change func(*ocispec.Index)) {
	f.add(&fault{match: referrersOf(subject), serve: rewrite(func(_ http.Header, status int, body []byte) []byte {
		var index ocispec.Index
		if status != http.StatusOK || json.Unmarshal(body, &index) != nil {
			return body
		}
		change(&index)
		changed, _ := json.Marshal(index) // it was JSON a moment ago
		return changed
	})})
}

// ParseLie reads "size=700", "mediaType=…", "artifactType=…" or "digest=…" into
// a change of a descriptor.
func ParseLie(text string) (func(*ocispec.Descriptor), error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return nil, fmt.Errorf("%q is not KEY=VALUE", text)
	}
	switch key {
	case "size":
		n, err := strconv.ParseInt(value, 10, 64)
		return func(d *ocispec.Descriptor) { d.Size = n }, err
	case "mediaType":
		return func(d *ocispec.Descriptor) { d.MediaType = value }, nil
	case "artifactType":
		return func(d *ocispec.Descriptor) { d.ArtifactType = value }, nil
	case "digest":
		return func(d *ocispec.Descriptor) { d.Digest = digest.Digest(value) }, nil
	}
	return nil, fmt.Errorf("%q: a descriptor has no %q to lie about", text, key)
}
