package registrytest

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"
)

// Front stands before a registry: it counts requests and bytes, asks for a
// password when one is set, and applies faults.
type Front struct {
	next http.Handler
	rate atomic.Int64 // bytes a second of each connection and direction; 0: no limit

	mu        sync.Mutex
	login     login
	rules     []*Rule
	random    *rand.Rand
	clock     func() time.Time
	skew      time.Duration // by which the clock was moved
	active    int           // requests that are being answered
	counts    map[string]int64
	log       []Entry
	gates     map[Direction]*gate
	triggers  []*trigger
	closed    chan struct{}
	elsewhere *httptest.Server // what the registry redirects to; nil until it does
}

func newFront(next http.Handler) *Front {
	return &Front{
		next: next, clock: time.Now, random: rand.New(rand.NewPCG(1, 0)),
		counts: map[string]int64{}, gates: map[Direction]*gate{}, closed: make(chan struct{}),
	}
}

// Now is the time by the registry's clock, which decides what has expired.
func (f *Front) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock().Add(f.skew)
}

// Advance moves the registry's clock.
func (f *Front) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skew += d
}

// SetClock makes the registry believe another clock.
func (f *Front) SetClock(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock, f.skew = now, 0
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.serve(w, r, parseRoute(r))
}

// serve answers one request of a client, at the registry or elsewhere.
func (f *Front) serve(w http.ResponseWriter, r *http.Request, at route) {
	f.serveWith(w, r, at, func(w http.ResponseWriter, r *http.Request) {
		if f.admits(w, r, at) {
			f.handler(at).ServeHTTP(w, r)
		}
	})
}

// serveWith counts and logs a request that do answers.
func (f *Front) serveWith(w http.ResponseWriter, r *http.Request, at route, do http.HandlerFunc) {
	f.mu.Lock()
	f.active++
	f.mu.Unlock()
	body := &countingBody{ReadCloser: r.Body, front: f, gated: at.kind == "uploads"}
	if r.Body != nil && r.Body != http.NoBody {
		// A copy: net/http looks at the body of its own request to decide whether
		// a refusal needs the rest of it.
		own := *r
		own.Body = body
		r = &own
	}
	out := &countingWriter{ResponseWriter: w, front: f, status: http.StatusOK, gated: r.Method == http.MethodGet && at.kind == "blobs"}
	entry := Entry{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Hop: at.hop, at: at,
		Range: rangeOf(r), Length: r.ContentLength, Credentials: r.Header.Get("Authorization") != "",
	}
	ended := false
	defer func() {
		entry.Status, entry.In, entry.Out, entry.Cut = out.status, body.n, out.n, !ended || body.cut
		entry.Session = sessionOf(entry, w.Header().Get("Location"))
		f.record(entry)
		if ended && body.cut {
			panic(http.ErrAbortHandler)
		}
	}()
	if at.hop > 0 && entry.Credentials {
		refuse(out, http.StatusBadRequest, "DENIED", "credentials of the registry were sent to another server")
	} else {
		do(out, r)
	}
	ended = true
}

func rangeOf(r *http.Request) string {
	if s := r.Header.Get("Range"); s != "" {
		return s
	}
	return r.Header.Get("Content-Range")
}

// refuse answers with an error as registries write them.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"errors":[{"code":"`+code+`","message":"`+message+`"}]}`)
}
