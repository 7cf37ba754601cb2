package transfer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// cutBody ends after n bytes as a connection does that broke.
type cutBody struct {
	io.Reader
	io.Closer
}

func brokenBody(body io.ReadCloser, n int64) io.ReadCloser {
	return &cutBody{io.MultiReader(io.LimitReader(body, n), errReader{io.ErrUnexpectedEOF}), body}
}

// breaks lets the registry have the first n bytes of a body and then breaks the
// connection, the first times times.
func breaks(n int64, times int32) front {
	var cuts atomic.Int32
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if (r.Method == http.MethodPatch || r.Method == http.MethodPut) && r.ContentLength > n && strings.Contains(r.URL.Path, "/uploads/") && cuts.Add(1) <= times {
			r.Body = brokenBody(r.Body, n)
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	}
}

// fileBlob writes raw to a file and returns it as a blob with an identity.
func fileBlob(t *testing.T, raw []byte) ingest.Blob {
	t.Helper()
	name := filepath.Join(t.TempDir(), "weights.bin")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return ingest.Blob{
		Name: "weights.bin", MediaType: "application/x-test", Size: int64(len(raw)), Identity: "1-2-3-4-5",
		Open: func() (io.ReadCloser, error) { return os.Open(name) },
	}
}

// methods lists the requests of uploads, in order, with the bytes of each.
func (g *testRegistry) methods() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, r := range g.log {
		if !strings.Contains(r.path, "/blobs/") || r.method == http.MethodGet && !strings.Contains(r.path, "/uploads/") {
			continue
		}
		text := r.method
		if c := r.header.Get("Content-Range"); c != "" {
			text += " " + c
		} else if r.length > 0 {
			text += fmt.Sprintf(" %d", r.length)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (g *testRegistry) bytesReceived() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	var n int64
	for _, r := range g.log {
		if strings.Contains(r.path, "/uploads/") {
			n += r.received.Load()
		}
	}
	return n
}

// left lists the files below a directory of state but the caches.
func left(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "uploads"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

const mib = 1 << 20

// A connection breaks: the rest is sent, and nothing twice.
func TestABrokenUploadGoesOn(t *testing.T) {
	for _, c := range []struct {
		name string
		o    transfer.UploadOptions
		want string
	}{
		{"stream", transfer.UploadOptions{}, "POST, PATCH 12582912, GET, GET, PATCH 7340032-12582911, PUT"},
		{"put", transfer.UploadOptions{Mode: transfer.ModePut}, "HEAD, POST, PUT 12582912, HEAD, GET, GET, PUT 7340032-12582911"},
	} {
		for _, kind := range []string{"file", "reader"} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				checkGoroutines(t)
				reg := newRegistry(t, config.Config{}, breaks(7*mib, 1))
				repo := reg.repository(t, "team/model", remote.Options{})
				raw := randomBytes(12 * mib)
				blob := fileBlob(t, raw)
				if kind == "reader" {
					blob = (&counter{}).blob(raw)
				}
				p := newReporter()
				c.o.Progress, c.o.StateDir = p, t.TempDir()
				u := transfer.NewUploader(repo, c.o)
				if _, err := u.Ingest(t.Context(), blob); err != nil {
					t.Fatal(err)
				}
				if got := reg.methods(); got != c.want {
					t.Errorf("requests: %s\nwant      %s", got, c.want)
				}
				stored(t, repo, raw)
				if p.moved["weights.bin"] != int64(len(raw)) || p.lowest < 0 {
					t.Errorf("progress: %d, lowest %d", p.moved["weights.bin"], p.lowest)
				}
				if files := left(t, c.o.StateDir); len(files) != 0 {
					t.Errorf("left behind: %v", files)
				}
			})
		}
	}
}

// interrupted begins an upload and cancels it when the registry has n bytes.
func interrupted(t *testing.T, reg *testRegistry, repo *remote.Repository, o transfer.UploadOptions, blob ingest.Blob, n int64) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPatch || r.Method == http.MethodPut {
			r.Body = brokenBody(r.Body, n)
			next.ServeHTTP(httptest.NewRecorder(), r)
			cancel(errInterrupted)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	if _, err := transfer.NewUploader(repo, o).Ingest(ctx, blob); !errors.Is(err, errInterrupted) {
		t.Fatalf("err = %v", err)
	}
	reg.setFault(nil)
}

// What one process began, the next one ends.
func TestAnUploadGoesOnInAnotherProcess(t *testing.T) {
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	raw := randomBytes(12 * mib)
	for _, tc := range []struct {
		name string
		// damage changes what is left, and want is what is sent then.
		damage func(t *testing.T, e map[string]any)
		want   string
	}{
		{"as it was", func(*testing.T, map[string]any) {}, "GET, GET, PATCH 9437184-12582911, PUT"},
		{"no hash", func(_ *testing.T, e map[string]any) { delete(e, "hashState"); delete(e, "hashOffset") }, "GET, GET, PATCH 9437184-12582911, PUT"},
		{"hash of something else", otherHash, "GET, GET, PATCH 9437184-12582911, PUT, DELETE, HEAD, POST, PUT 12582912"},
		{"hash of something else, session unknown", func(t *testing.T, e map[string]any) {
			otherHash(t, e)
			e["location"] = strings.Replace(e["location"].(string), "/uploads/", "/uploads/x", 1)
		}, "GET, POST, PATCH 12582912, PUT, DELETE, HEAD, POST, PUT 12582912"},
		{"offset beyond", func(_ *testing.T, e map[string]any) { e["offset"] = 12 * mib }, "GET, GET, PATCH 9437184-12582911, PUT"},
		{"another host", func(_ *testing.T, e map[string]any) { e["location"] = "http://127.0.0.1:1/v2/x" }, "POST, PATCH 12582912, PUT"},
		{"session unknown", func(_ *testing.T, e map[string]any) {
			e["location"] = strings.Replace(e["location"].(string), "/uploads/", "/uploads/x", 1)
		}, "GET, POST, PATCH 12582912, PUT"},
		{"another version", func(_ *testing.T, e map[string]any) { e["version"] = 99 }, "POST, PATCH 12582912, PUT"},
		{"too old", func(_ *testing.T, e map[string]any) { e["started"] = time.Now().Add(-8 * 24 * time.Hour).Unix() }, "POST, PATCH 12582912, PUT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := transfer.UploadOptions{StateDir: t.TempDir()}
			raw := append(bytes.Clone(raw), tc.name...)[len(tc.name):]
			blob := fileBlob(t, raw)
			interrupted(t, reg, repo, o, blob, 9*mib)
			files := left(t, o.StateDir)
			if len(files) != 1 {
				t.Fatalf("left behind: %v", files)
			}
			name := filepath.Join(o.StateDir, "uploads", files[0])
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var e map[string]any
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatal(err)
			}
			tc.damage(t, e)
			if text, err = json.Marshal(e); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
			reg.forget()
			p := newReporter()
			o.Progress = p
			u := transfer.NewUploader(repo, o)
			if got, err := u.Ingest(t.Context(), blob); err != nil || got.Digest != digest.FromBytes(raw) {
				t.Fatalf("%v, %v", got, err)
			}
			if got := reg.methods(); got != tc.want {
				t.Errorf("requests: %s\nwant      %s", got, tc.want)
			}
			stored(t, repo, raw)
			if p.moved["weights.bin"] != int64(len(raw)) {
				t.Errorf("progress: %d", p.moved["weights.bin"])
			}
			if files := left(t, o.StateDir); len(files) != 0 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
}

// otherHash puts the state of a hash of other bytes into a journal.
func otherHash(t *testing.T, e map[string]any) {
	t.Helper()
	h := sha256.New()
	h.Write(make([]byte, mib))
	state, err := h.(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	e["hashState"], e["hashOffset"] = state, mib
}

// A file that was changed since is another one: what was sent of it is dropped.
func TestAChangedFileBeginsAnew(t *testing.T) {
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	o := transfer.UploadOptions{StateDir: t.TempDir()}
	interrupted(t, reg, repo, o, fileBlob(t, randomBytes(12*mib)), 9*mib)
	raw := randomBytes(10 * mib)
	blob := fileBlob(t, raw)
	blob.Identity = "1-2-30-40-50" // the same inode, another state
	reg.forget()
	if _, err := transfer.NewUploader(repo, o).Ingest(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	if got, want := reg.methods(), "DELETE, POST, PATCH 10485760, PUT"; got != want {
		t.Errorf("requests: %s\nwant      %s", got, want)
	}
	stored(t, repo, raw)
	if files := left(t, o.StateDir); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

// A session never has two writers: who finds another process at it begins one
// of its own.
func TestTwoProcessesHaveTwoSessions(t *testing.T) {
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	o := transfer.UploadOptions{StateDir: t.TempDir()}
	raw := randomBytes(12 * mib)
	blob := fileBlob(t, raw)
	reached, goOn := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPatch && first.CompareAndSwap(false, true) {
			close(reached)
			<-goOn
		}
		next.ServeHTTP(w, r)
	})
	done := make(chan error, 1)
	go func() {
		_, err := transfer.NewUploader(repo, o).Ingest(t.Context(), blob)
		done <- err
	}()
	<-reached
	if _, err := transfer.NewUploader(repo, o).Ingest(t.Context(), blob); err != nil {
		t.Error(err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(reg.seen(http.MethodPost, "/uploads/")); n != 2 {
		t.Errorf("%d sessions", n)
	}
	if n := len(reg.seen(http.MethodGet, "/uploads/")); n != 0 {
		t.Errorf("%d times asked for a session of another", n)
	}
	stored(t, repo, raw)
	if files := left(t, o.StateDir); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

// docker-registry 2.8 drops the session when the connection breaks within a
// body, and keeps whole chunks.
func TestDockerRegistryKeepsChunks(t *testing.T) {
	target, err := url.Parse(newDockerRegistry(t).URL().String())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: target.Host})
		r.Out.Host = r.In.Host // its Locations name the front
	}}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}
	cut := breaks(3*mib, 1)
	reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, _ http.Handler) { cut(w, r, proxy) })
	repo := reg.repository(t, "team/model", remote.Options{})
	raw := randomBytes(10 * mib)
	profiles := filepath.Join(t.TempDir(), "registries.json")
	o := transfer.UploadOptions{ChunkBytes: 4 * mib, StateDir: t.TempDir(), Profiles: transfer.NewProfiles(profiles)}
	if _, err := transfer.NewUploader(repo, o).Ingest(t.Context(), fileBlob(t, raw)); err != nil {
		t.Fatal(err)
	}
	if got, want := reg.methods(), "POST, PATCH 10485760, GET, POST, PATCH 0-4194303, PATCH 4194304-8388607, PATCH 8388608-10485759, PUT"; got != want {
		t.Errorf("broken in a stream: %s\nwant               %s", got, want)
	}
	stored(t, repo, raw)

	// Interrupted between chunks, it goes on behind the last whole one.
	raw = randomBytes(10 * mib)
	blob := fileBlob(t, raw)
	blob.Identity = "9-9-9-9-9"
	reg.forget()
	ctx, cancel := context.WithCancelCause(t.Context())
	var patches atomic.Int32
	cutting := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.Method == http.MethodPatch && patches.Add(1) == 2 {
			cancel(errInterrupted)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}
	reg.setFault(cutting)
	o.Mode = transfer.ModeChunks
	if _, err := transfer.NewUploader(repo, o).Ingest(ctx, blob); !errors.Is(err, errInterrupted) {
		t.Fatal(err)
	}
	reg.setFault(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { proxy.ServeHTTP(w, r) })
	reg.forget()
	if _, err := transfer.NewUploader(repo, o).Ingest(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	if got, want := reg.methods(), "GET, GET, PATCH 4194304-8388607, PATCH 8388608-10485759, PUT"; got != want {
		t.Errorf("between chunks: %s\nwant           %s", got, want)
	}
	stored(t, repo, raw)

	// Broken within a chunk, it loses those before as well: their session ends at
	// another place than it had said. Then there is nothing to gain by chunks.
	raw = randomBytes(10 * mib)
	cut = breaks(3*mib, 2)
	reg.forget()
	reg.setFault(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if strings.HasPrefix(r.Header.Get("Content-Range"), "0-") {
			proxy.ServeHTTP(w, r)
			return
		}
		cut(w, r, proxy)
	})
	o.Mode = transfer.ModeAuto
	if _, err := transfer.NewUploader(repo, o).Ingest(t.Context(), fileBlob(t, raw)); err != nil {
		t.Fatal(err)
	}
	if got, want := reg.methods(), "POST, PATCH 10485760, GET, POST, PATCH 0-4194303, PATCH 4194304-8388607, GET, POST, PATCH 10485760, PUT"; got != want {
		t.Errorf("broken in a chunk: %s\nwant              %s", got, want)
	}
	stored(t, repo, raw)
}
