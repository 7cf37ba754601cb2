package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// newBlob puts a blob into a registry of its own.
func newBlob(t *testing.T, raw []byte) (*testRegistry, *remote.Repository, ocispec.Descriptor) {
	t.Helper()
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	desc := describe("application/x-test", raw)
	if err := repo.Push(t.Context(), desc, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	reg.forget()
	return reg, repo, desc
}

func isBlobGet(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

func fetchAll(ctx context.Context, repo *remote.Repository, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := transfer.NewFetcher(repo).Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

// cutAfter gives n bytes of an answer and breaks the connection.
type cutAfter struct {
	http.ResponseWriter
	n int
}

func (c *cutAfter) Write(p []byte) (int, error) {
	if len(p) < c.n {
		c.n -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.n])
	c.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestFetchGoesOnAfterCuts(t *testing.T) {
	raw := randomBytes(4 << 20)
	reg, repo, desc := newBlob(t, raw)
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isBlobGet(r) {
			w = &cutAfter{w, 1 << 20}
		}
		next.ServeHTTP(w, r)
	})
	got, err := fetchAll(t.Context(), repo, desc)
	if err != nil || !bytes.Equal(got, raw) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	gets := reg.seen(http.MethodGet, "/blobs/")
	if len(gets) < 4 || len(gets) > 5 {
		t.Errorf("%d requests", len(gets))
	}
	if gets[0].header.Get("Range") != "" {
		t.Error("the first request has a range")
	}
	for i, g := range gets {
		if g.header.Get("Accept-Encoding") != "identity" {
			t.Errorf("Accept-Encoding: %q", g.header.Get("Accept-Encoding"))
		}
		if want := fmt.Sprintf("bytes=%d-%d", i<<20, len(raw)-1); i > 0 && g.header.Get("Range") != want {
			t.Errorf("request %d: Range %q, want %q", i, g.header.Get("Range"), want)
		}
	}
}

// ranges answers requests with a range in a way of its own, after one cut.
func ranges(t *testing.T, raw []byte, answer func(w http.ResponseWriter, r *http.Request, start, end int)) (*testRegistry, *remote.Repository, ocispec.Descriptor) {
	t.Helper()
	reg, repo, desc := newBlob(t, raw)
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		var start, end int
		switch n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &start, &end); {
		case !isBlobGet(r):
			next.ServeHTTP(w, r)
		case n == 2:
			answer(w, r, start, end)
		case len(reg.seen(http.MethodGet, "/blobs/")) == 1:
			next.ServeHTTP(&cutAfter{w, len(raw) / 3}, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
	return reg, repo, desc
}

func part(w http.ResponseWriter, raw []byte, header string, start, end int) {
	w.Header().Set("Content-Range", header)
	w.Header().Set("Content-Length", strconv.Itoa(end-start+1))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(raw[start : end+1])
}

func TestFetchFromOddRegistries(t *testing.T) {
	raw := randomBytes(300_000)
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request, start, end int){
		"200 for a range": func(w http.ResponseWriter, _ *http.Request, _, _ int) { _, _ = w.Write(raw) },
		"shorter parts": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			end = min(end, start+49_999)
			part(w, raw, fmt.Sprintf("bytes %d-%d/%d", start, end, len(raw)), start, end)
		},
		"unknown total": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, raw, fmt.Sprintf("bytes %d-%d/*", start, end), start, end)
		},
		"another start": func(w http.ResponseWriter, _ *http.Request, _, end int) {
			part(w, raw, fmt.Sprintf("bytes 0-%d/%d", end, len(raw)), 0, end)
		},
		"another total": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, raw, fmt.Sprintf("bytes %d-%d/%d", start, end, len(raw)+1), start, end)
		},
		"no Content-Range": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, raw, "", start, end)
		},
		"longer than its range": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, raw, fmt.Sprintf("bytes %d-%d/%d", start, start+10, len(raw)), start, end)
		},
		"416": func(w http.ResponseWriter, _ *http.Request, _, _ int) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg, repo, desc := ranges(t, raw, answer)
			got, err := fetchAll(t.Context(), repo, desc)
			if err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if n := len(reg.seen(http.MethodGet, "/blobs/")); n > 8 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestFetchIsBounded(t *testing.T) {
	raw := randomBytes(100_000)
	reg, repo, desc := newBlob(t, raw)
	reg.setFault(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	got, err := fetchAll(t.Context(), repo, desc)
	if err != nil || len(got) != len(raw)+1 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// A blob that is shorter than announced is given as it is.
	reg.setFault(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, "short") })
	if got, err := fetchAll(t.Context(), repo, desc); err != nil || string(got) != "short" {
		t.Errorf("%q, %v", got, err)
	}
	// A registry that never serves a range, whatever is tried, is given up.
	var n atomic.Int32
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		n.Add(1)
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		next.ServeHTTP(&cutAfter{w, 50_000}, r)
	})
	repo = reg.repository(t, "team/model", remote.Options{RetryFor: 300 * time.Millisecond})
	if _, err := fetchAll(t.Context(), repo, desc); !remote.IsTransport(err) || n.Load() > 50 {
		t.Errorf("err = %v after %d requests", err, n.Load())
	}
}

func TestFetchErrors(t *testing.T) {
	reg, repo, desc := newBlob(t, randomBytes(1000))
	absent := describe("application/x-test", []byte("absent"))
	_, err := fetchAll(t.Context(), repo, absent)
	if !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), absent.Digest.String()) || !strings.Contains(err.Error(), reg.host) {
		t.Errorf("err = %v", err)
	}
	reg.setFault(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	repo = reg.repository(t, "team/model", remote.Options{RetryFor: 200 * time.Millisecond})
	if _, err := fetchAll(t.Context(), repo, desc); remote.StatusCode(err) != 503 || !remote.IsTransport(err) {
		t.Errorf("err = %v", err)
	}
	bad := desc
	bad.Digest = digest.Digest("sha256:../../x")
	if _, err := fetchAll(t.Context(), repo, bad); err == nil {
		t.Error("a malformed digest became a URL")
	}
}

func TestFetchStalls(t *testing.T) {
	checkGoroutines(t)
	raw := randomBytes(1 << 20)
	reg, _, desc := newBlob(t, raw)
	repo := reg.repository(t, "team/model", remote.Options{Stall: 100 * time.Millisecond})
	var stalls atomic.Int32
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if stalls.Add(1) == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
			_, _ = w.Write(raw[:1000])
			w.(http.Flusher).Flush()
			reg.stall(r)
			return
		}
		next.ServeHTTP(w, r)
	})
	got, err := fetchAll(t.Context(), repo, desc)
	if err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if gets := reg.seen(http.MethodGet, "/blobs/"); len(gets) != 2 || !strings.HasPrefix(gets[1].header.Get("Range"), "bytes=1000-") {
		t.Errorf("%d requests", len(gets))
	}
}

// dripper gives one byte of a blob, then orders its caller to wait, and so on.
type dripper struct {
	size int64
	n    int
}

func (d *dripper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{Request: r, Header: http.Header{}, StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}
	if d.n++; d.n%2 == 0 {
		resp.Header.Set("Retry-After", "90")
		return resp, nil
	}
	var start int64
	resp.StatusCode, resp.ContentLength = http.StatusOK, d.size
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); n == 1 {
		resp.StatusCode, resp.ContentLength = http.StatusPartialContent, 1
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, start, d.size))
	}
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	return resp, nil
}

// A byte now and then does not keep a registry that orders waits from being
// given up.
func TestFetchOfSingleBytesGivesUp(t *testing.T) {
	for _, size := range []int64{1000, 1 << 30} {
		synctest.Test(t, func(t *testing.T) {
			d := &dripper{size: size}
			reg := &testRegistry{host: "registry.example"}
			repo := reg.repository(t, "team/model", remote.Options{Transport: d, RetryFor: 2 * time.Minute})
			start := time.Now()
			_, err := fetchAll(t.Context(), repo, ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.FromString("x"), Size: size})
			if took := time.Since(start); !remote.IsTransport(err) || took > 5*time.Minute {
				t.Errorf("%v after %v and %d requests", err, took, d.n)
			}
		})
	}
}

// A slow reader is no stalled transfer.
func TestSlowReader(t *testing.T) {
	raw := randomBytes(8 << 20)
	reg, _, desc := newBlob(t, raw)
	repo := reg.repository(t, "team/model", remote.Options{Stall: 50 * time.Millisecond})
	rc, err := transfer.NewFetcher(repo).Fetch(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	time.Sleep(200 * time.Millisecond)
	if _, err := io.ReadFull(rc, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	time.Sleep(200 * time.Millisecond)
	if got, err := io.ReadAll(rc); err != nil || len(got) != len(raw)-1000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := len(reg.seen(http.MethodGet, "/blobs/")); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestCancelledFetch(t *testing.T) {
	for _, where := range []string{"before the answer", "in the body", "while waiting to try again"} {
		t.Run(where, func(t *testing.T) {
			checkGoroutines(t)
			raw := randomBytes(1 << 20)
			reg, repo, desc := newBlob(t, raw)
			reg.setFault(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				switch where {
				case "while waiting to try again":
					w.Header().Set("Retry-After", "60")
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				case "in the body":
					w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
					_, _ = w.Write(raw[:1000])
					w.(http.Flusher).Flush()
				}
				reg.stall(r)
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(100*time.Millisecond, func() { cancel(errInterrupted) })
			start := time.Now()
			if _, err := fetchAll(ctx, repo, desc); !errors.Is(err, errInterrupted) {
				t.Errorf("err = %v", err)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("returned after %v", took)
			}
		})
	}
}

// The storage behind a registry refuses an address that is too old: the
// registry gives a new one. It never sees the credentials.
func TestFetchOverExpiringRedirect(t *testing.T) {
	raw := randomBytes(1 << 20)
	var visits atomic.Int32
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the storage got the credentials")
		}
		switch visits.Add(1) {
		case 1:
			http.ServeContent(&cutAfter{w, 400_000}, r, "", time.Time{}, bytes.NewReader(raw))
		case 2, 3:
			w.WriteHeader(http.StatusForbidden)
		default:
			if r.Header.Get("Range") == "" {
				t.Error("the range got lost on the way")
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
		}
	}))
	defer storage.Close()
	reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, storage.URL, http.StatusTemporaryRedirect)
	})
	repo := reg.repository(t, "team/model", remote.Options{Credential: auth.StaticCredential(reg.host, auth.Credential{Username: "u", Password: "pass"})})
	got, err := fetchAll(t.Context(), repo, describe("application/x-test", raw))
	if err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// One that refuses for good is not asked for ever.
	visits.Store(-1000)
	storage.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		w.WriteHeader(http.StatusForbidden)
	})
	if _, err := fetchAll(t.Context(), repo, describe("application/x-test", raw)); err == nil || visits.Load() > -990 {
		t.Errorf("err = %v after %d visits", err, visits.Load()+1000)
	}
}
