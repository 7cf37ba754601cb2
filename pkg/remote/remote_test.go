package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/remote"
)

// front is what a test puts before a real registry: it answers some requests
// itself and hands the others on.
type front func(w http.ResponseWriter, r *http.Request, next http.Handler)

func newRegistry(t *testing.T, conf config.Config, f front) (host string) {
	t.Helper()
	conf.Storage.StoreType = config.StoreMem
	s := olareg.New(conf)
	var h http.Handler = s
	if f != nil {
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, s) })
	}
	ts := httptest.NewServer(h)
	t.Cleanup(func() {
		ts.Close()
		_ = s.Close()
	})
	return strings.TrimPrefix(ts.URL, "http://")
}

func newRepository(t *testing.T, host string, o remote.Options) *remote.Repository {
	t.Helper()
	if o.RetryFor == 0 {
		o.RetryFor = 600 * time.Millisecond
	}
	c, err := remote.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	repo, err := c.Repository(registry.Reference{Registry: host, Repository: "team/model"})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// pushManifest pushes a small manifest with one layer.
func pushManifest(t *testing.T, repo *remote.Repository, content string) (ocispec.Descriptor, []byte) {
	t.Helper()
	layer := describe("text/plain", []byte(content))
	cfg := describe(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	raw, err := artifacttypes.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.test", Config: cfg, Layers: []ocispec.Descriptor{layer},
	})
	if err != nil {
		t.Fatal(err)
	}
	desc := describe(ocispec.MediaTypeImageManifest, raw)
	for _, b := range []struct {
		d   ocispec.Descriptor
		raw []byte
	}{{layer, []byte(content)}, {cfg, []byte("{}")}, {desc, raw}} {
		if err := repo.Push(t.Context(), b.d, bytes.NewReader(b.raw)); err != nil {
			t.Fatal(err)
		}
	}
	return desc, raw
}

func fetch(ctx context.Context, repo *remote.Repository, d ocispec.Descriptor) ([]byte, error) {
	rc, err := repo.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

func TestRepository(t *testing.T) {
	repo := newRepository(t, newRegistry(t, config.Config{}, nil), remote.Options{})
	ctx := t.Context()

	if _, err := repo.Resolve(ctx, "v1"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("Resolve of a tag that is not there: %v", err)
	}
	desc, raw := pushManifest(t, repo, "hello")
	if err := repo.Tag(ctx, desc, "v1"); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"v1", desc.Digest.String()} {
		got, err := repo.Resolve(ctx, ref)
		if err != nil || got.Digest != desc.Digest || got.Size != desc.Size || got.MediaType != desc.MediaType {
			t.Errorf("Resolve(%s) = %v, %v", ref, got, err)
		}
	}
	if got, err := fetch(ctx, repo, desc); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("Fetch of the manifest = %q, %v", got, err)
	}
	layer := describe("text/plain", []byte("hello"))
	if got, err := fetch(ctx, repo, layer); err != nil || string(got) != "hello" {
		t.Errorf("Fetch of a blob = %q, %v", got, err)
	}
	absent := describe("text/plain", []byte("absent"))
	longer := layer
	longer.Size++
	for _, c := range []struct {
		name string
		d    ocispec.Descriptor
		want bool
	}{{"manifest", desc, true}, {"blob", layer, true}, {"absent", absent, false}, {"other length", longer, false}} {
		if ok, err := repo.Exists(ctx, c.d); err != nil || ok != c.want {
			t.Errorf("Exists(%s) = %v, %v", c.name, ok, err)
		}
	}
	if _, err := repo.Fetch(ctx, absent); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("Fetch of an absent blob: %v", err)
	}
	if err := repo.Push(ctx, layer, strings.NewReader("hello")); err != nil {
		t.Errorf("second Push of a blob: %v", err)
	}
	var bad *integrity.Error
	if err := repo.Push(ctx, layer, strings.NewReader("hullo")); !errors.As(err, &bad) {
		t.Errorf("Push of other bytes: %v", err)
	}
	var tags []string
	if err := repo.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil || len(tags) != 1 || tags[0] != "v1" {
		t.Errorf("Tags = %q, %v", tags, err)
	}
	var refs []ocispec.Descriptor
	if err := repo.Referrers(ctx, desc, "", func(p []ocispec.Descriptor) error { refs = append(refs, p...); return nil }); err != nil || len(refs) != 0 {
		t.Errorf("Referrers = %v, %v", refs, err)
	}
}

func TestEmptyBlob(t *testing.T) {
	repo := newRepository(t, newRegistry(t, config.Config{}, nil), remote.Options{})
	empty := describe("application/octet-stream", nil)
	if err := repo.Push(t.Context(), empty, bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	if ok, err := repo.Exists(t.Context(), empty); err != nil || !ok {
		t.Errorf("Exists = %v, %v", ok, err)
	}
}

func TestResolveWithoutDigestHeader(t *testing.T) {
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/manifests/v") {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
			return
		}
		next.ServeHTTP(w, r)
	})
	repo := newRepository(t, host, remote.Options{})
	desc, _ := pushManifest(t, repo, "x")
	if err := repo.Tag(t.Context(), desc, "v1"); err == nil {
		got, err := repo.Resolve(t.Context(), "v1")
		if err != nil || got.Digest != desc.Digest {
			t.Errorf("Resolve = %v, %v", got, err)
		}
	} else {
		t.Fatal(err)
	}
}

func TestNoReferrersAPI(t *testing.T) {
	off := false
	answers := map[string]struct {
		conf config.Config
		f    front
	}{
		"405": {conf: config.Config{API: config.ConfigAPI{Referrer: config.ConfigAPIReferrer{Enabled: &off}}}},
		"200 text/html": {f: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/referrers/") {
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, "<html>welcome</html>")
				return
			}
			next.ServeHTTP(w, r)
		}},
	}
	for _, code := range []int{400, 404, 501} {
		answers[fmt.Sprint(code)] = struct {
			conf config.Config
			f    front
		}{f: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/referrers/") {
				http.Error(w, "no", code)
				return
			}
			next.ServeHTTP(w, r)
		}}
	}
	for name, a := range answers {
		t.Run(name, func(t *testing.T) {
			repo := newRepository(t, newRegistry(t, a.conf, a.f), remote.Options{})
			desc, _ := pushManifest(t, repo, "x")
			err := repo.Referrers(t.Context(), desc, "", func([]ocispec.Descriptor) error { return nil })
			if !errors.Is(err, errdef.ErrUnsupported) {
				t.Errorf("Referrers: %v, want ErrUnsupported", err)
			}
		})
	}
}

// Credentials must not follow a redirect, and the range must.
func TestRedirect(t *testing.T) {
	var mu sync.Mutex
	var seen []http.Header
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Clone())
		_, _ = io.WriteString(w, "hello")
	}))
	defer cdn.Close()
	var authorized atomic.Bool
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		authorized.Store(true)
		http.Redirect(w, r, cdn.URL+"/signed?token=1", http.StatusTemporaryRedirect)
	})
	repo := newRepository(t, host, remote.Options{Credential: func(context.Context, string) (auth.Credential, error) {
		return auth.Credential{Username: "u", Password: "hunter2secret"}, nil
	}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, repo.URL("blobs", digest.FromString("hello").String()).String(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=1-3")
	resp, err := repo.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got, err := fetch(t.Context(), repo, describe("text/plain", []byte("hello"))); err != nil || string(got) != "hello" {
		t.Errorf("Fetch = %q, %v", got, err)
	}
	if !authorized.Load() || len(seen) != 2 {
		t.Fatalf("the redirect was not followed: %d", len(seen))
	}
	for _, h := range seen {
		if h.Get("Authorization") != "" {
			t.Error("the redirect target got the credentials")
		}
	}
	if seen[0].Get("Range") != "bytes=1-3" {
		t.Errorf("Range = %q", seen[0].Get("Range"))
	}
}

func TestTLS(t *testing.T) {
	s := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}})
	ts := httptest.NewTLSServer(s)
	defer s.Close()
	defer ts.Close()
	host := strings.TrimPrefix(ts.URL, "https://")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pemOf(ts.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]remote.Options{"CAFile": {CAFile: ca}, "Insecure": {Insecure: true}} {
		repo := newRepository(t, host, o)
		desc, _ := pushManifest(t, repo, "x")
		if _, err := repo.Resolve(t.Context(), desc.Digest.String()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := remote.NewClient(remote.Options{ClientCert: ca}); err == nil {
		t.Error("a client certificate without its key is taken")
	}
	if _, err := remote.NewClient(remote.Options{CAFile: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("CAFile that is not there: %v", err)
	}
	// Another CA: not to be cured by trying again.
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, otherCA(t), 0o600); err != nil {
		t.Fatal(err)
	}
	repo := newRepository(t, host, remote.Options{CAFile: other, RetryFor: time.Minute})
	start := time.Now()
	if _, err := repo.Resolve(t.Context(), "v1"); err == nil || remote.IsTransport(err) || time.Since(start) > 30*time.Second {
		t.Errorf("err = %v after %v", err, time.Since(start))
	}
}
