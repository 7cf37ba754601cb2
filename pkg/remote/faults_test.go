package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/modseal/modseal/pkg/remote"
)

func TestRetry(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter){
		"503": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"429 with Retry-After": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"cut": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			var faults atomic.Int32
			host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				// Every request of its kind fails twice, bodies included.
				if faults.Add(1)%3 != 0 {
					_, _ = io.Copy(io.Discard, r.Body)
					fault(w)
					return
				}
				next.ServeHTTP(w, r)
			})
			repo := newRepository(t, host, remote.Options{RetryFor: 2 * time.Second})
			desc, raw := pushManifest(t, repo, "x")
			if got, err := fetch(t.Context(), repo, desc); err != nil || !bytes.Equal(got, raw) {
				t.Errorf("Fetch = %q, %v", got, err)
			}
		})
	}
}

// A blob that is unknown for a moment is not missing; one that stays unknown is.
func TestManifestOfUnknownBlobs(t *testing.T) {
	for _, tt := range []struct {
		name         string
		refused      int32
		body         string
		status, want int32 // want is how often the manifest was sent
		ok           bool
	}{
		{"for a moment", 2, `{"errors":[{"code":"DIGEST_INVALID","message":"x"},{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, 400, 3, true},
		{"for ever", 99, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, 404, 4, false},
		{"something else", 99, `{"errors":[{"code":"MANIFEST_INVALID","message":"x"}]}`, 400, 1, false},
		{"no reason", 99, `x`, 400, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent atomic.Int32
			host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && sent.Add(1) <= tt.refused {
					_, _ = io.Copy(io.Discard, r.Body)
					w.WriteHeader(int(tt.status))
					_, _ = io.WriteString(w, tt.body)
					return
				}
				next.ServeHTTP(w, r)
			})
			repo := newRepository(t, host, remote.Options{RetryFor: 2 * time.Second})
			raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
			desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
			for what, push := range map[string]func() error{
				"by digest": func() error { return repo.Push(t.Context(), desc, bytes.NewReader(raw)) },
				"by tag":    func() error { return repo.PushTagged(t.Context(), desc, bytes.NewReader(raw), "v1") },
			} {
				sent.Store(0)
				if err := push(); (err == nil) != tt.ok || sent.Load() != tt.want {
					t.Errorf("%s: %v, sent %d times", what, err, sent.Load())
				}
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	var first, second time.Time
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if first.IsZero() {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		second = time.Now()
		next.ServeHTTP(w, r)
	})
	// The order is longer than the budget: it does not count.
	repo := newRepository(t, host, remote.Options{RetryFor: 200 * time.Millisecond})
	_, _ = repo.Resolve(t.Context(), "v1")
	if wait := second.Sub(first); wait < 900*time.Millisecond {
		t.Errorf("tried again after %v, the registry said 1 s", wait)
	}
}

func TestRetryGivesUp(t *testing.T) {
	var n atomic.Int32
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		n.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	})
	repo := newRepository(t, host, remote.Options{RetryFor: 300 * time.Millisecond})
	_, err := repo.Resolve(t.Context(), "v1")
	if remote.StatusCode(err) != http.StatusBadGateway || !remote.IsTransport(err) {
		t.Errorf("err = %v", err)
	}
	if n.Load() < 3 {
		t.Errorf("asked %d times", n.Load())
	}
	n.Store(0)
	repo = newRepository(t, host, remote.Options{RetryFor: -1})
	_, _ = repo.Resolve(t.Context(), "v1")
	if n.Load() != 1 {
		t.Errorf("asked %d times with retries off", n.Load())
	}
}

func TestErrors(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	host := strings.TrimPrefix(dead.URL, "http://")
	dead.Close()
	repo := newRepository(t, host, remote.Options{RetryFor: 50 * time.Millisecond})
	desc := describe("text/plain", []byte("x"))
	_, err := repo.Fetch(t.Context(), desc)
	want := "registry " + host + ": team/model: fetch " + desc.Digest.String() + ": connection refused"
	if err == nil || err.Error() != want {
		t.Errorf("err = %v\nwant  %s", err, want)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) || !remote.IsTransport(err) || remote.IsUnauthorized(err) || remote.StatusCode(err) != 0 {
		t.Errorf("the cause is lost: %#v", err)
	}
	var e *remote.Error
	if !errors.As(err, &e) || e.Registry != host || e.Repository != "team/model" {
		t.Errorf("Error = %+v", e)
	}
}

func TestHostileErrorText(t *testing.T) {
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"%s is a bad password\u001b[2J %s %s"}]}`,
			password, r.Header.Get("Authorization"), strings.Repeat("x", 5000))
	})
	repo := newRepository(t, host, remote.Options{Credential: auth.StaticCredential(host, auth.Credential{Username: "u", Password: "hunter2secret"})})
	_, err := repo.Fetch(t.Context(), describe("text/plain", []byte("x")))
	if !remote.IsUnauthorized(err) {
		t.Fatalf("err = %v", err)
	}
	text := err.Error()
	for _, secret := range []string{"hunter2secret", "dTpodW50ZXIyc2VjcmV0", "\x1b"} {
		if strings.Contains(text, secret) {
			t.Errorf("the error holds %q: %.300s", secret, text)
		}
	}
	if len(text) > 3000 {
		t.Errorf("the error has %d bytes", len(text))
	}
	var response *errcode.ErrorResponse
	if !errors.As(err, &response) {
		t.Error("the answer of the registry is out of reach")
	}
}

func TestCancel(t *testing.T) {
	release := make(chan struct{})
	host := newRegistry(t, config.Config{}, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	repo := newRepository(t, host, remote.Options{})
	cause := errors.New("the user pressed a key")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	_, err := repo.Resolve(ctx, "v1") // never returns, if it does not notice
	if !errors.Is(err, cause) || !errors.Is(err, context.Canceled) || remote.IsTransport(err) {
		t.Errorf("err = %v", err)
	}
}

func TestCancelWhileWaiting(t *testing.T) {
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	repo := newRepository(t, host, remote.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := repo.Resolve(ctx, "v1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("returned after %v", took)
	}
}

func TestFetchIsBounded(t *testing.T) {
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		for range 1000 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	repo := newRepository(t, host, remote.Options{})
	for _, mediaType := range []string{ocispec.MediaTypeImageManifest, "text/plain"} {
		got, err := fetch(t.Context(), repo, ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString("x"), Size: 100})
		if err != nil || len(got) != 101 {
			t.Errorf("%s: %d bytes, %v", mediaType, len(got), err)
		}
	}
}

func TestUploadElsewhereIsRefused(t *testing.T) {
	var got atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) }))
	defer thief.Close()
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", thief.URL+"/v2/x")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		next.ServeHTTP(w, r)
	})
	repo := newRepository(t, host, remote.Options{})
	err := repo.Push(t.Context(), describe("text/plain", []byte("x")), strings.NewReader("x"))
	if err == nil || !strings.Contains(err.Error(), "refused") || got.Load() != 0 {
		t.Errorf("err = %v, %d requests elsewhere", err, got.Load())
	}
}

func TestTagsOfAHostileRegistry(t *testing.T) {
	host := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Link", "<"+r.URL.Path+`?n=1>; rel="next"`)
		_, _ = io.WriteString(w, `{"tags":["good","\u001b[2Jbad","a/b"]}`)
	})
	repo := newRepository(t, host, remote.Options{})
	var tags []string
	err := repo.Tags(t.Context(), "", func(page []string) error { tags = append(tags, page...); return nil })
	if !errors.Is(err, errdef.ErrTooManyPages) {
		t.Errorf("err = %v", err)
	}
	for _, tag := range tags {
		if tag != "good" {
			t.Fatalf("tag %q", tag)
		}
	}
}
