package transfer_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/remote"
)

// request is what a registry saw of one request.
type request struct {
	method, path, query string
	header              http.Header
	length              int64
	received            atomic.Int64 // bytes of the body
	status              atomic.Int64
}

// testRegistry is a real registry with a fault in front of it.
type testRegistry struct {
	host string
	mem  *olareg.Server

	released chan struct{} // closed at the end of the test

	mu    sync.Mutex
	log   []*request
	fault front
}

// stall stands still: with the body unread net/http does not notice that the
// client is gone.
func (g *testRegistry) stall(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-g.released:
	}
}

type front func(w http.ResponseWriter, r *http.Request, next http.Handler)

func newRegistry(t *testing.T, conf config.Config, f front) *testRegistry {
	t.Helper()
	conf.Storage.StoreType = config.StoreMem
	reg := &testRegistry{mem: olareg.New(conf), fault: f, released: make(chan struct{})}
	ts := httptest.NewServer(reg)
	t.Cleanup(func() {
		close(reg.released)
		ts.CloseClientConnections()
		ts.Close()
		_ = reg.mem.Close()
	})
	reg.host = strings.TrimPrefix(ts.URL, "http://")
	return reg
}

func (g *testRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry := &request{method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, header: r.Header.Clone(), length: r.ContentLength}
	g.mu.Lock()
	g.log = append(g.log, entry)
	f := g.fault
	g.mu.Unlock()
	// A copy: net/http looks at the body of its own request to decide whether a
	// refusal needs the rest of it.
	own := *r
	own.Body = &countingBody{ReadCloser: r.Body, n: &entry.received}
	r = &own
	recorder := &statusWriter{ResponseWriter: w, status: &entry.status}
	if f != nil {
		f(recorder, r, g.mem)
		return
	}
	g.mem.ServeHTTP(recorder, r)
}

func (g *testRegistry) setFault(f front) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = f
}

// seen returns the requests of a method whose path holds part, and forgets
// nothing.
func (g *testRegistry) seen(method, part string) []*request {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []*request
	for _, r := range g.log {
		if r.method == method && strings.Contains(r.path, part) {
			found = append(found, r)
		}
	}
	return found
}

func (g *testRegistry) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log = nil
}

type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countingBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

type statusWriter struct {
	http.ResponseWriter
	status *atomic.Int64
}

func (s *statusWriter) WriteHeader(code int) {
	s.status.Store(int64(code))
	s.ResponseWriter.WriteHeader(code)
}

func (s *statusWriter) Flush() { s.ResponseWriter.(http.Flusher).Flush() }

func (g *testRegistry) repository(t *testing.T, name string, o remote.Options) *remote.Repository {
	t.Helper()
	if o.RetryFor == 0 {
		o.RetryFor = 2 * time.Second
	}
	c, err := remote.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	repo, err := c.Repository(registry.Reference{Registry: g.host, Repository: name})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// counter is a blob that counts how often it is opened and read.
type counter struct {
	opens atomic.Int64
	read  atomic.Int64
}

func (c *counter) blob(raw []byte) ingest.Blob {
	return ingest.Blob{Name: "weights.bin", MediaType: "application/x-test", Size: int64(len(raw)), Open: func() (io.ReadCloser, error) {
		c.opens.Add(1)
		return &countingBody{ReadCloser: io.NopCloser(bytes.NewReader(raw)), n: &c.read}, nil
	}}
}

// reporter adds up what it is told.
type reporter struct {
	mu      sync.Mutex
	moved   map[string]int64
	lowest  int64
	reused  map[string]bool
	started map[string]int64
}

func newReporter() *reporter {
	return &reporter{moved: map[string]int64{}, reused: map[string]bool{}, started: map[string]int64{}}
}

func (r *reporter) Plan(int, int64) {}

func (r *reporter) Reuse(name string, n int64) { r.Advance(name, n) }

func (r *reporter) Start(name string, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started[name] = size
}

func (r *reporter) Advance(name string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved[name] += n
	r.lowest = min(r.lowest, r.moved[name])
}

func (r *reporter) Finish(name string, reused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reused[name] = reused
}

// checkGoroutines fails the test when it leaves goroutines behind. It must be
// called before what may start them.
func checkGoroutines(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(30 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

var errInterrupted = errors.New("interrupted by the test")
