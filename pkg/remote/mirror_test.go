package remote_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/remote"
)

// server is an address of a real registry that keeps what it was asked.
type server struct {
	host string
	http *httptest.Server

	mu    sync.Mutex
	front front
	log   []*http.Request
}

func (s *server) set(f front) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.front, s.log = f, nil
}

func (s *server) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// serve starts a server of what store holds.
func serve(t *testing.T, store http.Handler) *server {
	t.Helper()
	s := &server{}
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.log = append(s.log, r.Clone(r.Context()))
		f := s.front
		s.mu.Unlock()
		if f == nil {
			store.ServeHTTP(w, r)
			return
		}
		f(w, r, store)
	}))
	t.Cleanup(s.http.Close)
	s.host = strings.TrimPrefix(s.http.URL, "http://")
	return s
}

// mirrored is a registry with mirrors that hold the same, and a model in it.
type mirrored struct {
	registry *server
	mirrors  []*server
	manifest ocispec.Descriptor
	raw      []byte
	layer    ocispec.Descriptor
	dir      string // of hosts.toml
}

func newMirrored(t *testing.T, mirrors int) *mirrored {
	t.Helper()
	store := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}})
	t.Cleanup(func() { _ = store.Close() })
	m := &mirrored{registry: serve(t, store), dir: t.TempDir()}
	for range mirrors {
		m.mirrors = append(m.mirrors, serve(t, store))
	}
	repo := newRepository(t, m.registry.host, remote.Options{})
	m.manifest, m.raw = pushManifest(t, repo, "hello")
	if err := repo.Tag(t.Context(), m.manifest, "v1"); err != nil {
		t.Fatal(err)
	}
	m.layer = describe("text/plain", []byte("hello"))
	m.registry.set(nil)
	return m
}

// hosts writes the hosts.toml of the registry; M0, M1 … stand for the addresses
// of mirrors.
func (m *mirrored) hosts(t *testing.T, text string) {
	t.Helper()
	for i, s := range m.mirrors {
		text = strings.ReplaceAll(text, fmt.Sprintf("M%d", i), s.http.URL)
	}
	writeHosts(t, m.dir, m.registry.host, text)
}

func writeHosts(t *testing.T, root, registry, text string) {
	t.Helper()
	host, port, _ := strings.Cut(registry, ":")
	dir := filepath.Join(root, host)
	if port != "" {
		dir += "_" + port + "_"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m *mirrored) open(t *testing.T, o remote.Options) (*remote.Client, *remote.Repository) {
	t.Helper()
	o.HostsDir = m.dir
	if o.RetryFor == 0 {
		o.RetryFor = 600 * time.Millisecond
	}
	c, err := remote.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	repo, err := c.Repository(remote.Reference{Registry: m.registry.host, Repository: "team/model"})
	if err != nil {
		t.Fatal(err)
	}
	return c, repo
}

func TestMirrorsInOrder(t *testing.T) {
	m := newMirrored(t, 2)
	m.hosts(t, "[host.\"M1\"]\ncapabilities = [\"pull\"]\n[host.\"M0\"]\ncapabilities = [\"pull\"]\n")
	c, repo := m.open(t, remote.Options{})
	for _, d := range []ocispec.Descriptor{m.manifest, m.layer} {
		if got, err := fetch(t.Context(), repo, d); err != nil || digest.FromBytes(got) != d.Digest {
			t.Errorf("Fetch = %q, %v", got, err)
		}
	}
	if desc, err := repo.Resolve(t.Context(), m.manifest.Digest.String()); err != nil || desc.Digest != m.manifest.Digest || desc.Size != m.manifest.Size || desc.MediaType != m.manifest.MediaType {
		t.Errorf("Resolve = %v, %v", desc, err)
	}
	if n := len(m.mirrors[0].seen()) + len(m.registry.seen()); n != 0 {
		t.Errorf("%d requests to others than the first mirror", n)
	}
	seen := m.mirrors[1].seen()
	if len(seen) != 3 {
		t.Errorf("%d requests", len(seen))
	}
	for _, r := range seen {
		if r.URL.Query().Get("ns") != m.registry.host {
			t.Errorf("%s: ns is %q", r.URL, r.URL.Query().Get("ns"))
		}
	}
	var hosts []string
	for _, e := range repo.Endpoints() {
		hosts = append(hosts, e.Host())
		if e.IsMirror() == (e.Host() == m.registry.host) {
			t.Errorf("IsMirror of %s is %v", e.Host(), e.IsMirror())
		}
		if ns := e.BlobURL(m.layer.Digest).Query().Get("ns"); (ns == m.registry.host) != e.IsMirror() {
			t.Errorf("BlobURL of %s is %s", e.Host(), e.BlobURL(m.layer.Digest))
		}
	}
	if want := []string{m.mirrors[1].host, m.mirrors[0].host, m.registry.host}; !slices.Equal(hosts, want) {
		t.Errorf("Endpoints = %v, want %v", hosts, want)
	}
	if got := c.Sources(); len(got) != 1 || got[0] != (remote.Source{Host: m.mirrors[1].host, Mirror: true, Bytes: 2*m.manifest.Size + m.layer.Size}) {
		t.Errorf("Sources = %v", got)
	}
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("Warnings = %q", w)
	}
}

func status(code int) front {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(code) }
}

// body changes the body of every answer.
func changed(change func([]byte) []byte) front {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for _, k := range []string{"Content-Type", "Docker-Content-Digest"} {
			w.Header().Set(k, rec.Header().Get(k))
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(change(rec.Body.Bytes()))
	}
}

// Whatever a mirror does, the content comes from somewhere, and it is right.
func TestMirrorFallsThrough(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	for name, c := range map[string]struct {
		front    front
		warning  string // empty: nothing to tell
		requests int    // of each fetch
	}{
		"404":             {status(404), "", 1},
		"410":             {status(410), "", 1},
		"400":             {status(400), "", 1},
		"403":             {status(403), "status 403", 1},
		"429":             {status(429), "status 429", 1},
		"500":             {status(500), "status 500", 1},
		"503":             {status(503), "status 503", 1},
		"505":             {status(505), "status 505", 1},
		"204":             {status(204), "", 1},
		"401 for nothing": {status(401), "status 401", 1},
		"cut":             {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, "the connection broke", 0},
		"endless redirect": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		}, "redirects", 10},
		"redirect to where nothing is": {
			func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(w, r, "http://127.0.0.1:1/x", http.StatusTemporaryRedirect)
			}, "connection refused", 1,
		},
		"401 Basic": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
		}, "credentials", 1},
		"a flipped byte":   {changed(func(b []byte) []byte { b[0] ^= 1; return b }), "something else", 1},
		"too short":        {changed(func(b []byte) []byte { return b[:len(b)-1] }), "something else", 1},
		"too long":         {changed(func(b []byte) []byte { return append(b, 0) }), "something else", 1},
		"nothing":          {changed(func([]byte) []byte { return nil }), "something else", 1},
		"a page in HTML":   {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, "<html>") }, "something else", 1},
		"without end":      {changed(func(b []byte) []byte { return append(b, make([]byte, 8<<20)...) }), "something else", 1},
		"a partial answer": {status(206), "", 1},
		"a body that stalls": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.WriteString(w, "h")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-released:
			}
		}, "nothing came", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirrored(t, 1)
			m.hosts(t, "[host.\"M0\"]\n")
			client, repo := m.open(t, remote.Options{Stall: 100 * time.Millisecond})
			for i, d := range []ocispec.Descriptor{m.manifest, m.layer} {
				m.mirrors[0].set(c.front)
				m.registry.set(nil)
				if i > 0 {
					_, repo = m.open(t, remote.Options{Stall: 100 * time.Millisecond})
				}
				got, err := fetch(t.Context(), repo, d)
				if err != nil || digest.FromBytes(got) != d.Digest {
					t.Errorf("Fetch = %q, %v", got, err)
				}
				if n := len(m.mirrors[0].seen()); c.requests > 0 && n != c.requests || n == 0 {
					t.Errorf("the mirror was asked %d times", n)
				}
				if n := len(m.registry.seen()); n != 1 {
					t.Errorf("the registry was asked %d times", n)
				}
			}
			warnings := strings.Join(client.Warnings(), "\n")
			if c.warning == "" && warnings != "" || !strings.Contains(warnings, c.warning) {
				t.Errorf("Warnings = %q, want %q", warnings, c.warning)
			}
			if c.warning != "" && !strings.HasPrefix(warnings, "mirror "+m.mirrors[0].host) {
				t.Errorf("Warnings = %q", warnings)
			}
		})
	}
}

func TestMirrorThatIsNotThere(t *testing.T) {
	m := newMirrored(t, 0)
	m.hosts(t, "[host.\"http://127.0.0.1:1\"]\n[host.\"https://no-such-host.invalid\"]\ndial_timeout = \"1s\"\n")
	client, repo := m.open(t, remote.Options{})
	start := time.Now()
	desc, err := repo.Resolve(t.Context(), "v1")
	if err != nil || desc.Digest != m.manifest.Digest {
		t.Errorf("Resolve = %v, %v", desc, err)
	}
	if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
		t.Errorf("Fetch = %q, %v", got, err)
	}
	// Not the time for which a registry is tried again.
	if waited := time.Since(start); waited > 45*time.Second {
		t.Errorf("it took %v", waited)
	}
	if w := client.Warnings(); len(w) != 2 {
		t.Errorf("Warnings = %q", w)
	}
}

// A mirror that keeps failing, or lied once, is asked when nobody else can.
func TestBadMirrorIsAskedLast(t *testing.T) {
	m := newMirrored(t, 2)
	m.hosts(t, "[host.\"M0\"]\n[host.\"M1\"]\n")
	_, repo := m.open(t, remote.Options{})
	order := func() string {
		var s []string
		for _, e := range repo.Endpoints() {
			for i, x := range append([]*server{m.registry}, m.mirrors...) {
				if e.Host() == x.host {
					s = append(s, [...]string{"registry", "M0", "M1"}[i])
				}
			}
		}
		return strings.Join(s, " ")
	}
	do := func(i int) {
		t.Helper()
		e := repo.Endpoints()[i]
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.BlobURL(m.layer.Digest).String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := e.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	for _, step := range []struct {
		front front
		want  string
	}{
		{status(404), "M0 M1 registry"},
		{status(404), "M0 M1 registry"},
		{status(503), "M0 M1 registry"},
		{nil, "M0 M1 registry"}, // it works: forgotten
		{status(503), "M0 M1 registry"},
		{status(503), "M1 registry M0"},
	} {
		m.mirrors[0].set(step.front)
		do(0)
		if got := order(); got != step.want {
			t.Errorf("after %d: %s, want %s", len(m.mirrors[0].seen()), got, step.want)
		}
	}
	// It comes back when it works again.
	m.mirrors[0].set(nil)
	do(2)
	if got := order(); got != "M0 M1 registry" {
		t.Error(got)
	}
	// A lie is not forgotten.
	repo.Endpoints()[0].Blame(errors.New("wrong bytes"))
	do(2)
	if got := order(); got != "M1 registry M0" {
		t.Error(got)
	}
	// The registry itself stays where it is, whoever blames it.
	repo.Endpoints()[1].Blame(errors.New("wrong bytes"))
	if got := order(); got != "M1 registry M0" {
		t.Error(got)
	}
	// Bodies that break off count, those that the caller gave up do not.
	m.mirrors[1].set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "he")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	for range 2 {
		do(0)
	}
	if got := order(); got != "registry M0 M1" {
		t.Error(got)
	}
}

func TestResolveThroughMirrors(t *testing.T) {
	m := newMirrored(t, 2)
	m.hosts(t, "[host.\"M0\"]\ncapabilities = [\"pull\"]\n[host.\"M1\"]\ncapabilities = [\"pull\", \"resolve\"]\n")
	_, repo := m.open(t, remote.Options{})
	resolve := func(reference string) {
		t.Helper()
		desc, err := repo.Resolve(t.Context(), reference)
		if err != nil || desc.Digest != m.manifest.Digest || desc.Size != m.manifest.Size || desc.MediaType != m.manifest.MediaType {
			t.Errorf("Resolve(%s) = %v, %v", reference, desc, err)
		}
	}
	asked := func(want ...int) {
		t.Helper()
		got := []int{len(m.mirrors[0].seen()), len(m.mirrors[1].seen()), len(m.registry.seen())}
		if !slices.Equal(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
		m.mirrors[0].set(nil)
		m.mirrors[1].set(nil)
		m.registry.set(nil)
	}
	resolve("v1")
	asked(0, 1, 0)
	resolve(m.manifest.Digest.String())
	asked(1, 0, 0)
	// A cache that says 404 to HEAD: it is not asked so.
	m.mirrors[1].set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodHead {
			w.WriteHeader(404)
			return
		}
		next.ServeHTTP(w, r)
	})
	resolve("v1")
	asked(0, 1, 0)
	// A tag that a mirror does not know is not absent.
	m.mirrors[1].set(status(404))
	resolve("v1")
	asked(0, 1, 1)
	// Another manifest under the digest, of another size and type.
	m.mirrors[0].set(changed(func(b []byte) []byte { return append(b, '\n') }))
	m.mirrors[1].set(changed(func(b []byte) []byte { b[1] ^= 1; return b }))
	resolve(m.manifest.Digest.String())
	asked(1, 1, 1)
	// Absent everywhere is what the registry says.
	if _, err := repo.Resolve(t.Context(), "v2"); !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), m.registry.host) {
		t.Errorf("Resolve of what is not there: %v", err)
	}
}

// With nobody to resolve tags, that is said, and digests work.
func TestNobodyResolves(t *testing.T) {
	m := newMirrored(t, 1)
	m.hosts(t, "server = \"M0\"\ncapabilities = [\"pull\"]\n")
	_, repo := m.open(t, remote.Options{})
	if _, err := repo.Resolve(t.Context(), "v1"); err == nil || !strings.Contains(err.Error(), "hosts.toml") || !strings.Contains(err.Error(), "digest") {
		t.Error(err)
	}
	if _, err := repo.Resolve(t.Context(), m.manifest.Digest.String()); err != nil {
		t.Error(err)
	}
	if n := len(m.registry.seen()); n != 0 {
		t.Errorf("the registry was asked %d times", n)
	}
}

// A server field with another host puts it in the place of the registry for all
// that is read, and for nothing that is written.
func TestServerInThePlaceOfTheRegistry(t *testing.T) {
	m := newMirrored(t, 1)
	m.hosts(t, "server = \"M0\"\n")
	_, repo := m.open(t, remote.Options{})
	if desc, err := repo.Resolve(t.Context(), "v1"); err != nil || desc.Digest != m.manifest.Digest {
		t.Errorf("Resolve = %v, %v", desc, err)
	}
	if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
		t.Errorf("Fetch = %q, %v", got, err)
	}
	var tags []string
	if err := repo.Tags(t.Context(), "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil || !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("Tags = %v, %v", tags, err)
	}
	if err := repo.Referrers(t.Context(), m.manifest, "", func([]ocispec.Descriptor) error { return nil }); err != nil {
		t.Error(err)
	}
	e := repo.Endpoints()
	if len(e) != 1 || e[0].Host() != m.mirrors[0].host || e[0].IsMirror() || repo.Origin().Host() != e[0].Host() {
		t.Errorf("Endpoints = %v", e)
	}
	if n := len(m.registry.seen()); n != 0 {
		t.Errorf("the registry was asked %d times", n)
	}
	// It is tried again like a registry: there is no other.
	failures := 2
	m.mirrors[0].set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if failures--; failures >= 0 {
			w.WriteHeader(503)
			return
		}
		next.ServeHTTP(w, r)
	})
	if got, err := fetch(t.Context(), repo, m.manifest); err != nil || !bytes.Equal(got, m.raw) {
		t.Errorf("Fetch = %q, %v", got, err)
	}
	// A failure names whom it was.
	m.mirrors[0].set(status(404))
	if _, err := fetch(t.Context(), repo, m.layer); !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), m.mirrors[0].host) {
		t.Error(err)
	}
	m.mirrors[0].set(nil)
	if err := repo.Push(t.Context(), describe("text/plain", []byte("new")), strings.NewReader("new")); err != nil {
		t.Error(err)
	}
	if n := len(m.mirrors[0].seen()); n != 0 {
		t.Errorf("a push went to the mirror: %d requests", n)
	}
}

// The registry's list counts while there is one; a mirror's list can be of use
// only when it cannot be reached.
func TestReferrersThroughMirrors(t *testing.T) {
	m := newMirrored(t, 2)
	m.hosts(t, "[host.\"M0\"]\ncapabilities = [\"pull\"]\n[host.\"M1\"]\n")
	lie := func(n int) front {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			var entries []string
			for i := range n {
				d := digest.FromString(fmt.Sprint(i))
				entries = append(entries, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":3}`, ocispec.MediaTypeImageManifest, d))
			}
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			fmt.Fprintf(w, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, strings.Join(entries, ","))
		}
	}
	_, repo := m.open(t, remote.Options{})
	count := func(repo *remote.Repository) (n int, err error) {
		err = repo.Referrers(t.Context(), m.manifest, "", func(page []ocispec.Descriptor) error { n += len(page); return nil })
		return n, err
	}
	m.mirrors[0].set(lie(0))
	m.mirrors[1].set(lie(limits.Referrers * 2))
	m.registry.set(lie(1))
	if n, err := count(repo); n != 1 || err != nil {
		t.Errorf("%d referrers, %v", n, err)
	}
	if n := len(m.mirrors[0].seen()) + len(m.mirrors[1].seen()); n != 0 {
		t.Errorf("mirrors were asked %d times", n)
	}
	// No API there: it is not looked for elsewhere, the tag is.
	m.registry.set(status(404))
	if _, err := count(repo); !errors.Is(err, errdef.ErrUnsupported) {
		t.Error(err)
	}
	if n := len(m.mirrors[0].seen()) + len(m.mirrors[1].seen()); n != 0 {
		t.Errorf("mirrors were asked %d times", n)
	}
	fallback := strings.Replace(m.manifest.Digest.String(), ":", "-", 1)
	if _, err := repo.Resolve(t.Context(), fallback); !errors.Is(err, errdef.ErrNotFound) {
		t.Error(err)
	}
	if n := len(m.mirrors[0].seen()) + len(m.mirrors[1].seen()); n != 0 {
		t.Errorf("mirrors were asked for the fallback tag %d times", n)
	}
	// Not reached: who may resolve is asked, page by page, and nobody else.
	m.registry.set(func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
	pages := 3
	m.mirrors[1].set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if pages--; pages > 0 {
			w.Header().Set("Link", fmt.Sprintf("<%s?page=%d>; rel=\"next\"", r.URL.Path, pages))
		}
		lie(2)(w, r, next)
	})
	_, repo = m.open(t, remote.Options{})
	if n, err := count(repo); n != 6 || err != nil {
		t.Errorf("%d referrers, %v", n, err)
	}
	if seen := m.mirrors[1].seen(); len(seen) != 3 {
		t.Errorf("%d requests", len(seen))
	} else {
		for _, r := range seen {
			if r.URL.Query().Get("ns") != m.registry.host {
				t.Errorf("%s has no ns", r.URL)
			}
		}
	}
	// From then on the registry is asked when the mirror cannot: to wait for it
	// once is enough.
	before := len(m.registry.seen())
	m.mirrors[1].set(lie(2))
	if n, err := count(repo); n != 2 || err != nil || len(m.registry.seen()) != before {
		t.Errorf("%d referrers, %v, %d requests to the registry", n, err, len(m.registry.seen())-before)
	}
	// A page that leads elsewhere is not followed.
	stranger := serve(t, http.NotFoundHandler())
	m.mirrors[1].set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Link", fmt.Sprintf("<%s/x>; rel=\"next\"", stranger.http.URL))
		lie(2)(w, r, next)
	})
	if _, err := count(repo); err == nil || len(stranger.seen()) != 0 {
		t.Errorf("%v, %d requests", err, len(stranger.seen()))
	}
	// Nobody to resolve: the failure of the registry is told.
	m.hosts(t, "[host.\"M0\"]\ncapabilities = [\"pull\"]\n")
	m.mirrors[0].set(nil)
	_, repo = m.open(t, remote.Options{})
	if _, err := count(repo); !remote.IsTransport(err) || len(m.mirrors[0].seen()) != 0 {
		t.Errorf("%v, %d requests", err, len(m.mirrors[0].seen()))
	}
}

// What is written goes to the registry, whatever a mirror is said to take, and
// so does the question whether it is there.
func TestPushPassesMirrors(t *testing.T) {
	m := newMirrored(t, 1)
	m.hosts(t, "[host.\"M0\"]\ncapabilities = [\"pull\", \"resolve\", \"push\"]\n")
	_, repo := m.open(t, remote.Options{})
	repo = repo.Direct()
	if ok, err := repo.Exists(t.Context(), m.layer); !ok || err != nil {
		t.Errorf("Exists = %v, %v", ok, err)
	}
	desc, _ := pushManifest(t, repo, "other")
	if err := repo.Tag(t.Context(), desc, "v2"); err != nil {
		t.Error(err)
	}
	if got, err := repo.Resolve(t.Context(), "v2"); err != nil || got.Digest != desc.Digest {
		t.Errorf("Resolve = %v, %v", got, err)
	}
	if e := repo.Endpoints(); len(e) != 1 || e[0].IsMirror() {
		t.Errorf("Endpoints = %v", e)
	}
	if n := len(m.mirrors[0].seen()); n != 0 {
		t.Errorf("the mirror was asked %d times", n)
	}
}

func TestRegistryWithoutPush(t *testing.T) {
	m := newMirrored(t, 0)
	m.hosts(t, "capabilities = [\"pull\", \"resolve\"]\n")
	_, repo := m.open(t, remote.Options{})
	for what, err := range map[string]error{
		"a manifest": repo.Push(t.Context(), m.manifest, bytes.NewReader(m.raw)),
		"a blob":     repo.Push(t.Context(), describe("text/plain", []byte("new")), strings.NewReader("new")),
		"a tag":      repo.Tag(t.Context(), m.manifest, "v2"),
	} {
		if err == nil || !strings.Contains(err.Error(), "hosts.toml") || !strings.Contains(err.Error(), "push") {
			t.Errorf("push of %s: %v", what, err)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, repo.URL("blobs", "uploads").String()+"/", http.NoBody)
	if resp, err := repo.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("an upload was begun")
	}
	if n := len(m.registry.seen()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// Blobs that are too large to be checked in memory are not taken from a mirror
// on this way.
func TestLargeBlobPassesMirrors(t *testing.T) {
	m := newMirrored(t, 1)
	m.hosts(t, "[host.\"M0\"]\n")
	_, repo := m.open(t, remote.Options{})
	large := m.layer
	large.Size = limits.MirrorBytes + 1
	if got, err := fetch(t.Context(), repo, large); err != nil || string(got) != "hello" {
		t.Errorf("Fetch = %q, %v", got, err)
	}
	if n := len(m.mirrors[0].seen()); n != 0 {
		t.Errorf("the mirror was asked %d times", n)
	}
}

func TestOverridePath(t *testing.T) {
	m := newMirrored(t, 1)
	for root, prefix := range map[string]string{
		"M0/v2/hub\"]\noverride_path = true": "/v2/hub/team/model/",
		"M0/hub\"]":                          "/hub/v2/team/model/",
		"M0/hub/v2/\"]":                      "/hub/v2/team/model/",
		"M0\"]\noverride_path = true":        "/team/model/",
		"M0\"]":                              "/v2/team/model/",
	} {
		m.hosts(t, "[host.\""+root)
		_, repo := m.open(t, remote.Options{})
		m.mirrors[0].set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if rest, ok := strings.CutPrefix(r.URL.Path, prefix); ok {
				r.URL.Path = "/v2/team/model/" + rest
				next.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(404)
		})
		m.registry.set(nil)
		if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" || len(m.registry.seen()) != 0 {
			t.Errorf("%s: Fetch = %q, %v, the registry was asked %d times", root, got, err, len(m.registry.seen()))
		}
	}
}

func TestHostsErrors(t *testing.T) {
	m := newMirrored(t, 0)
	if _, err := remote.NewClient(remote.Options{HostsDir: filepath.Join(m.dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	file := filepath.Join(m.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.NewClient(remote.Options{HostsDir: file}); err == nil {
		t.Error("a file was taken for a directory")
	}
	for text, want := range map[string]string{
		"unknown = 1": "unknown",
		"[host.\"https://a\"]\nca = \"none.pem\"":            "none.pem",
		"[host.\"https://a\"]\nclient = \"hosts.toml\"":      "client certificate",
		"[host.\"https://a\"]\nca = \"hosts.toml\"":          "no certificate",
		"[host.\"https://a\"]\nca = \".\"":                   "no regular file",
		"capabilities = [\"resolve\"]":                       "pull",
		"server = \"https://a\"\ncapabilities = [\"push\"]":  "pull",
		"[host.\"https://a\"]\nclient = [[\"hosts.toml\"]]":  "client",
		"ca = \"none.pem\"\n[host.\"https://a\"]":            "none.pem",
		"[host.\"https://a\"]\nca = \"large.pem\"":           "more than",
		"[host.\"http://a.example\".header]\nCookie = \"x\"": "Cookie",
	} {
		m.hosts(t, text)
		dir, _ := filepath.Glob(filepath.Join(m.dir, "127*"))
		if err := os.WriteFile(filepath.Join(dir[0], "large.pem"), make([]byte, limits.HostsPEMBytes+1), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := remote.NewClient(remote.Options{HostsDir: m.dir})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Repository(remote.Reference{Registry: m.registry.host, Repository: "team/model"})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "hosts.toml") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
