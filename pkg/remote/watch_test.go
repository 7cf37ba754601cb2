package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/olareg/olareg/config"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/modseal/modseal/pkg/remote"
)

// newServer serves h until the end of the test, over HTTP/2 when asked to. done
// is closed before the server waits for its requests.
func newServer(t *testing.T, h2 bool, h func(w http.ResponseWriter, r *http.Request, done <-chan struct{})) string {
	t.Helper()
	done := make(chan struct{})
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r, done) }))
	if h2 {
		ts.EnableHTTP2 = true
		ts.StartTLS()
	} else {
		ts.Start()
	}
	t.Cleanup(func() {
		close(done)
		ts.Close()
	})
	_, host, _ := strings.Cut(ts.URL, "://")
	return host
}

// A registry that begins an answer and then says nothing is given up, whoever
// reads the answer.
func TestSilentBody(t *testing.T) {
	manifest := describe(ocispec.MediaTypeImageManifest, []byte("manifest"))
	blob := describe("text/plain", []byte("blob"))
	fetchOf := func(d ocispec.Descriptor) func(ctx context.Context, repo *remote.Repository) error {
		return func(ctx context.Context, repo *remote.Repository) error {
			_, err := fetch(ctx, repo, d)
			return err
		}
	}
	resolve := func(ctx context.Context, repo *remote.Repository) error {
		_, err := repo.Resolve(ctx, "v1")
		return err
	}
	for name, c := range map[string]struct {
		silent string // in the path that is answered with headers alone
		call   func(ctx context.Context, repo *remote.Repository) error
	}{
		"manifest": {"/manifests/", fetchOf(manifest)},
		"blob":     {"/blobs/", fetchOf(blob)},
		"resolve":  {"/manifests/", resolve},
		"token":    {"/token", resolve},
		"tags": {"/tags/", func(ctx context.Context, repo *remote.Repository) error {
			return repo.Tags(ctx, "", func([]string) error { return nil })
		}},
		"referrers": {"/referrers/", func(ctx context.Context, repo *remote.Repository) error {
			return repo.Referrers(ctx, manifest, "", func([]ocispec.Descriptor) error { return nil })
		}},
		"blob of the engine": {"/blobs/", func(ctx context.Context, repo *remote.Repository) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, repo.URL("blobs", blob.Digest.String()).String(), http.NoBody)
			if err != nil {
				return err
			}
			resp, err := repo.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.ReadAll(resp.Body)
			return repo.Explain(ctx, "fetch", err)
		}},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", name, h2), func(t *testing.T) {
				t.Parallel()
				host := newServer(t, h2, func(w http.ResponseWriter, r *http.Request, done <-chan struct{}) {
					switch {
					case r.Method == http.MethodHead && c.silent != "/token":
						w.WriteHeader(http.StatusMethodNotAllowed)
					case strings.Contains(r.URL.Path, c.silent):
						w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
						w.Header().Set("Content-Length", "500")
						w.WriteHeader(http.StatusOK)
						w.(http.Flusher).Flush()
						<-done
					default:
						w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s://%s/token",service="x"`, map[bool]string{true: "https", false: "http"}[h2], r.Host))
						w.WriteHeader(http.StatusUnauthorized)
					}
				})
				repo := newRepository(t, host, remote.Options{Stall: 50 * time.Millisecond, Insecure: h2, PlainHTTP: !h2})
				ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
				defer cancel()
				err := c.call(ctx, repo)
				if err == nil || ctx.Err() != nil || !remote.IsTransport(err) || !remote.Retryable(err) ||
					!strings.HasSuffix(err.Error(), "nothing came for 50ms") {
					t.Errorf("err = %v", err)
				}
			})
		}
	}
}

// An answer may take longer than the limit, as long as it goes on.
func TestSlowBody(t *testing.T) {
	raw := []byte(strings.Repeat("x", 10))
	host := newServer(t, false, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		for i := range raw {
			_, _ = w.Write(raw[i : i+1])
			w.(http.Flusher).Flush()
			time.Sleep(60 * time.Millisecond)
		}
	})
	repo := newRepository(t, host, remote.Options{Stall: 400 * time.Millisecond})
	if got, err := fetch(t.Context(), repo, describe("text/plain", raw)); err != nil || len(got) != len(raw) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Only what broke while a registry was asked is the fault of the transport.
func TestIsTransportIsOfTheTransport(t *testing.T) {
	for name, err := range map[string]error{
		"a truncated tar": fmt.Errorf("layer: %w", io.ErrUnexpectedEOF),
		"an empty file":   io.EOF,
		"a broken pipe":   &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE},
		"a taken port":    &net.OpError{Op: "listen", Err: syscall.EADDRINUSE},
		"a file name":     errors.New("http2: no such file"),
	} {
		if remote.IsTransport(err) || remote.Retryable(err) {
			t.Errorf("%s is called a transport error", name)
		}
	}
	body := `{"tags":["a"`
	host := newServer(t, false, func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
		switch {
		case strings.Contains(r.URL.Path, "/tags/"):
			_, _ = io.WriteString(w, body) // all of it, as far as HTTP knows
		case strings.Contains(r.URL.Path, "/blobs/"):
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, body)
		default:
			panic(http.ErrAbortHandler)
		}
	})
	repo := newRepository(t, host, remote.Options{RetryFor: -1})
	if err := repo.Tags(t.Context(), "", func([]string) error { return nil }); !errors.Is(err, io.ErrUnexpectedEOF) || remote.IsTransport(err) {
		t.Errorf("a listing that is no JSON: %v", err)
	}
	const broke = "the connection broke"
	if _, err := fetch(t.Context(), repo, describe("text/plain", make([]byte, 100))); !remote.IsTransport(err) || !strings.HasSuffix(err.Error(), broke) {
		t.Errorf("a body that was cut: %v", err)
	}
	if _, err := repo.Resolve(t.Context(), "v1"); !remote.IsTransport(err) || !strings.HasSuffix(err.Error(), broke) {
		t.Errorf("no answer: %v", err)
	}
	host = newServer(t, true, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		_, _ = io.WriteString(w, body)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	repo = newRepository(t, host, remote.Options{RetryFor: -1, Insecure: true})
	if _, err := fetch(t.Context(), repo, describe("text/plain", make([]byte, 100))); !remote.IsTransport(err) || !strings.HasSuffix(err.Error(), broke) {
		t.Errorf("a body that was cut over HTTP/2: %v", err)
	}
}

// What a registry may order by Retry-After is bounded, whatever it gives in
// between.
func TestOrdersAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		moved int64
		most  time.Duration
	}{
		"a byte each": {1, 5 * time.Minute},
		"a MiB each":  {1 << 20, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := newRepository(t, "registry.example", remote.Options{}).Attempts()
				start, n := time.Now(), 0
				busy := &errcode.ErrorResponse{StatusCode: http.StatusServiceUnavailable}
				for n < 100 && attempts.Wait(t.Context(), busy, http.Header{"Retry-After": {"90"}}) {
					n++
					attempts.Progress(c.moved, 1<<40)
				}
				if took := time.Since(start); took > c.most || took < c.most-90*time.Second {
					t.Errorf("gave up after %v", took)
				}
			})
		})
	}
}

// A budget is refilled by enough bytes, or by the last one.
func TestProgress(t *testing.T) {
	for name, c := range map[string]struct {
		moved, left int64
		more        bool
	}{
		"a byte":       {1, 1, false},
		"enough":       {1 << 20, 1, true},
		"the last one": {1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := newRepository(t, "registry.example", remote.Options{RetryFor: time.Minute}).Attempts()
				busy := &errcode.ErrorResponse{StatusCode: http.StatusServiceUnavailable}
				for attempts.Wait(t.Context(), busy, nil) {
				}
				attempts.Progress(c.moved, c.left)
				time.Sleep(time.Minute)
				if got := attempts.Wait(t.Context(), busy, nil); got != c.more {
					t.Errorf("another try: %v", got)
				}
			})
		})
	}
	// Small steps add up.
	synctest.Test(t, func(t *testing.T) {
		attempts := newRepository(t, "registry.example", remote.Options{RetryFor: time.Minute}).Attempts()
		cut := &errcode.ErrorResponse{StatusCode: http.StatusBadGateway}
		for i := range 200 {
			if !attempts.Wait(t.Context(), cut, nil) {
				t.Fatalf("gave up after %d tries", i)
			}
			attempts.Progress(300<<10, 1<<40)
		}
	})
}

// docker-registry says in the detail what was asked for, as an object.
func TestErrorTextHasNoDetail(t *testing.T) {
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		text := `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"no/such"}}]}`
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, text)
	})
	repo := newRepository(t, host, remote.Options{})
	desc := describe("text/plain", []byte("x"))
	_, err := repo.Fetch(t.Context(), desc)
	want := "registry " + host + ": team/model: fetch " + desc.Digest.String() + ": status 404: name unknown: repository name not known to registry"
	if !errors.Is(err, errdef.ErrNotFound) || err.Error() != want {
		t.Errorf("err = %v\nwant  %s", err, want)
	}
	var response *errcode.ErrorResponse
	if !errors.As(err, &response) || response.Errors[0].Detail == nil {
		t.Error("the detail is out of reach")
	}
}
