package registrytest

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Front stands before a registry: it counts requests and bytes, asks for a
// password when one is set, and applies faults.
type Front struct {
	next http.Handler

	mu             sync.Mutex
	user, password string
	faults         []*fault
	active         int // requests that are being answered
	counts         map[string]int64
	log            []string
	gates          map[Direction]*gate
	closed         chan struct{}
}

// Direction of bytes, seen from the client.
type Direction string

// Up are bytes of blobs that the client sends, down those that it fetches.
const (
	Up   Direction = "up"
	Down Direction = "down"
)

// gate stops the bytes of one direction after a number of them.
type gate struct {
	left    int64
	reached chan struct{} // closed once left is used up
	once    sync.Once
}

func newFront(next http.Handler) *Front {
	return &Front{next: next, counts: map[string]int64{}, gates: map[Direction]*gate{}, closed: make(chan struct{})}
}

// RequirePassword makes the registry answer 401 to requests without these
// credentials (Basic).
func (f *Front) RequirePassword(user, password string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.user, f.password = user, password
}

// Count returns a number by its name:
//
//	requests              all requests
//	sessions              blob upload sessions begun
//	blob-uploads          requests that brought bytes of a blob
//	blob-upload-bytes     those bytes
//	blob-downloads        GET requests of blobs that were answered with bytes
//	blob-download-bytes   those bytes
//	manifest-gets, manifest-puts, tag-gets (GET or HEAD by tag), referrer-gets
func (f *Front) Count(name string) int64 {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[name]
}

// Reset forgets counts and log.
func (f *Front) Reset() {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.counts)
	f.log = nil
}

// Log returns the requests since the last reset, one "METHOD path status" each.
func (f *Front) Log() []string {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.log...)
}

// settle waits for requests that are being answered: a client may have its
// answer before the front has counted it. One that a gate holds is not waited
// for.
func (f *Front) settle() {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		active, gated := f.active, len(f.gates) > 0
		f.mu.Unlock()
		if active == 0 || gated {
			return
		}
	}
}

// StopAfter lets n more bytes of blobs pass in direction d and then holds them
// back. The channel is closed when that happens.
func (f *Front) StopAfter(d Direction, n int64) <-chan struct{} {
	g := &gate{left: n, reached: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gates[d] = g
	return g.reached
}

// Continue lets bytes pass again: of requests that come, not of those that
// were held, which are cut.
func (f *Front) Continue() {
	f.release()
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.gates)
	f.closed = make(chan struct{})
}

// release cuts the connections that a gate holds.
func (f *Front) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
}

// route is what a request is about.
type route struct {
	repo, kind, rest string // kind: blobs, uploads, manifests, referrers, tags, or ""
}

var routes = regexp.MustCompile(`^/v2/(.+)/(blobs/uploads|blobs|manifests|referrers|tags)/(.*)$`)

func parseRoute(r *http.Request) route {
	m := routes.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return route{}
	}
	return route{repo: m[1], kind: strings.TrimPrefix(m[2], "blobs/"), rest: m[3]}
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.active++
	f.mu.Unlock()
	at := parseRoute(r)
	body := &countingBody{ReadCloser: r.Body, front: f, gated: at.kind == "uploads"}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = body
	}
	out := &countingWriter{ResponseWriter: w, front: f, status: http.StatusOK, gated: r.Method == http.MethodGet && at.kind == "blobs"}
	defer f.record(r, at, body, out)
	if !f.authorized(r) {
		out.Header().Set("WWW-Authenticate", `Basic realm="registrytest"`)
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(out, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		return
	}
	f.handler(r, at).ServeHTTP(out, r)
}

func (f *Front) authorized(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	user, password, _ := r.BasicAuth()
	return f.user == "" || user == f.user && password == f.password
}

func (f *Front) record(r *http.Request, at route, in *countingBody, out *countingWriter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active--
	f.log = append(f.log, r.Method+" "+r.URL.Path+" "+strconv.Itoa(out.status))
	f.counts["requests"]++
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch at.kind {
	case "uploads":
		if r.Method == http.MethodPost {
			f.counts["sessions"]++
		}
		if in.n > 0 {
			f.counts["blob-uploads"]++
			f.counts["blob-upload-bytes"] += in.n
		}
	case "blobs":
		if r.Method == http.MethodGet && out.status < 300 {
			f.counts["blob-downloads"]++
			f.counts["blob-download-bytes"] += out.n
		}
	case "manifests":
		switch {
		case r.Method == http.MethodPut:
			f.counts["manifest-puts"]++
		case r.Method == http.MethodGet:
			f.counts["manifest-gets"]++
		}
		if reading && !strings.Contains(at.rest, ":") {
			f.counts["tag-gets"]++
		}
	case "referrers":
		f.counts["referrer-gets"]++
	}
}

// pass waits until n more bytes may go in direction d; false means never.
func (f *Front) pass(d Direction, n int) bool {
	f.mu.Lock()
	g, closed := f.gates[d], f.closed
	if g == nil || g.left >= int64(n) {
		if g != nil {
			g.left -= int64(n)
		}
		f.mu.Unlock()
		return true
	}
	f.mu.Unlock()
	g.once.Do(func() { close(g.reached) })
	<-closed
	return false
}

type countingBody struct {
	io.ReadCloser
	front *Front
	gated bool
	n     int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if b.gated && n > 0 && !b.front.pass(Up, n) {
		panic(http.ErrAbortHandler)
	}
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	front  *Front
	gated  bool
	status int
	n      int64
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.gated && !w.front.pass(Down, len(p)) {
		panic(http.ErrAbortHandler)
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

// Unwrap is for [http.ResponseController].
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
