package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/olareg/olareg/config"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// target is an unfinished blob on disk.
func target(t testing.TB, desc ocispec.Descriptor) *partial.File {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, err := partial.Open(t.Context(), root, "blob.part", desc, partial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return f
}

// download brings a blob and checks it.
func download(t testing.TB, f *transfer.Fetcher, desc ocispec.Descriptor) (moved int64, err error) {
	t.Helper()
	to := target(t, desc)
	return downloadTo(t, f, desc, to)
}

func downloadTo(t testing.TB, f *transfer.Fetcher, desc ocispec.Descriptor, to *partial.File) (moved int64, err error) {
	t.Helper()
	var n atomic.Int64
	if err := f.Download(t.Context(), desc, to, func(m int64) { n.Add(m) }); err != nil {
		return n.Load(), errors.Join(err, to.Discard())
	}
	if _, err := to.Finish(t.Context(), "blob"); err != nil {
		return n.Load(), errors.Join(err, to.Discard())
	}
	return n.Load(), nil
}

func TestDownload(t *testing.T) {
	for _, size := range []int{0, 1, 100_000, 3 << 20} {
		checkGoroutines(t)
		raw := randomBytes(size)
		reg, repo, desc := newBlob(t, raw)
		n, err := download(t, transfer.NewFetcher(repo), desc)
		if err != nil || n != int64(size) {
			t.Errorf("%d bytes: %d moved, %v", size, n, err)
		}
		gets := reg.seen(http.MethodGet, "/blobs/")
		if len(gets) != min(size, 1) {
			t.Errorf("%d bytes: %d requests", size, len(gets))
		}
		for _, g := range gets {
			if g.header.Get("Range") != "" || g.header.Get("Accept-Encoding") != "identity" {
				t.Errorf("%v", g.header)
			}
		}
	}
}

// What is there already is not asked for.
func TestDownloadOfTheRest(t *testing.T) {
	raw := randomBytes(3 << 20)
	for name, there := range map[string][]partial.Span{
		"the end is missing": {{Start: 0, End: 1 << 20}},
		"a hole":             {{Start: 0, End: 1 << 20}, {Start: 2 << 20, End: 3 << 20}},
		"the beginning":      {{Start: 1 << 20, End: 3 << 20}},
		"three holes":        {{Start: 5, End: 1 << 20}, {Start: 1<<20 + 7, End: 2 << 20}},
		"nothing":            {{Start: 0, End: 3 << 20}},
	} {
		for _, ranged := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", ranges ", ranged), func(t *testing.T) {
				reg, repo, desc := newBlob(t, raw)
				if !ranged {
					reg.setFault(ignoreRanges)
				}
				to := target(t, desc)
				var had int64
				for _, s := range there {
					if _, err := to.WriteAt(raw[s.Start:s.End], s.Start); err != nil {
						t.Fatal(err)
					}
					had += s.Len()
				}
				holes := len(to.Missing())
				n, err := downloadTo(t, transfer.NewFetcher(repo), desc, to)
				if err != nil || n != int64(len(raw))-had {
					t.Errorf("%d bytes moved, %v", n, err)
				}
				gets := reg.seen(http.MethodGet, "/blobs/")
				want := holes
				if !ranged {
					want = min(holes, 1)
				}
				if len(gets) != want {
					t.Errorf("%d requests for %d holes", len(gets), holes)
				}
				for _, g := range gets {
					if g.header.Get("Range") == "" {
						t.Error("a request without a range")
					}
				}
			})
		}
	}
}

func ignoreRanges(w http.ResponseWriter, r *http.Request, next http.Handler) {
	r.Header.Del("Range")
	next.ServeHTTP(w, r)
}

// Every wrong answer to a range, after a cut: nothing of it is written.
func TestDownloadFromOddRegistries(t *testing.T) {
	raw := randomBytes(300_000)
	for name, answer := range oddAnswers(raw) {
		t.Run(name, func(t *testing.T) {
			checkGoroutines(t)
			reg, repo, desc := ranges(t, raw, answer)
			if _, err := download(t, transfer.NewFetcher(repo), desc); err != nil {
				t.Error(err)
			}
			if n := len(reg.seen(http.MethodGet, "/blobs/")); n > 8 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func oddAnswers(raw []byte) map[string]func(w http.ResponseWriter, r *http.Request, start, end int) {
	evil := bytes.Clone(raw) // shows when it is taken
	for i := range evil {
		evil[i] ^= 0xff
	}
	return map[string]func(w http.ResponseWriter, r *http.Request, start, end int){
		"200 for a range": func(w http.ResponseWriter, _ *http.Request, _, _ int) { _, _ = w.Write(raw) },
		"shorter parts": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			end = min(end, start+49_999)
			part(w, raw, fmt.Sprintf("bytes %d-%d/%d", start, end, len(raw)), start, end)
		},
		"unknown total": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, raw, fmt.Sprintf("bytes %d-%d/*", start, end), start, end)
		},
		"another start": func(w http.ResponseWriter, _ *http.Request, _, end int) {
			part(w, evil, fmt.Sprintf("bytes 0-%d/%d", end, len(raw)), 0, end)
		},
		"another total": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, evil, fmt.Sprintf("bytes %d-%d/%d", start, end, len(raw)+1), start, end)
		},
		"no Content-Range": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, evil, "", start, end)
		},
		"longer than its range": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, evil, fmt.Sprintf("bytes %d-%d/%d", start, start+10, len(raw)), start, end)
		},
		"an end beyond the blob": func(w http.ResponseWriter, _ *http.Request, start, end int) {
			part(w, append(bytes.Clone(evil), 0), fmt.Sprintf("bytes %d-%d/*", start, end+1), start, end+1)
		},
		"416": func(w http.ResponseWriter, _ *http.Request, _, _ int) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		},
	}
}

// A blob of another length is an integrity error, whether the registry announces
// it or not, and the answer is not read for ever.
func TestDownloadOfAnotherLength(t *testing.T) {
	raw := randomBytes(300_000)
	for name, got := range map[string][]byte{"shorter": raw[:200_000], "longer": append(bytes.Clone(raw), 1), "empty": nil} {
		for _, announced := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", announced ", announced), func(t *testing.T) {
				checkGoroutines(t)
				reg, repo, desc := newBlob(t, raw)
				reg.setFault(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
					if announced {
						w.Header().Set("Content-Length", strconv.Itoa(len(got)))
					} else {
						w.(http.Flusher).Flush()
					}
					_, _ = w.Write(got)
				})
				var wrong *integrity.Error
				if _, err := download(t, transfer.NewFetcher(repo), desc); !errors.As(err, &wrong) || wrong.Want != desc.Digest {
					t.Errorf("%v", err)
				}
				if n := len(reg.seen(http.MethodGet, "/blobs/")); n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		}
	}
}

func TestDownloadErrors(t *testing.T) {
	checkGoroutines(t)
	reg, repo, desc := newBlob(t, randomBytes(1000))
	f := transfer.NewFetcher(repo)
	absent := describe("application/x-test", []byte("absent"))
	if _, err := download(t, f, absent); !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), absent.Digest.String()) {
		t.Errorf("err = %v", err)
	}
	reg.setFault(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	repo = reg.repository(t, "team/model", remote.Options{RetryFor: 200 * time.Millisecond})
	if _, err := download(t, transfer.NewFetcher(repo), desc); remote.StatusCode(err) != 503 || !remote.IsTransport(err) {
		t.Errorf("err = %v", err)
	}
	// One that cuts every answer at the same place, and has no ranges.
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		next.ServeHTTP(&cutAfter{w, 500}, r)
	})
	reg.forget()
	repo = reg.repository(t, "team/model", remote.Options{RetryFor: 300 * time.Millisecond})
	if _, err := download(t, transfer.NewFetcher(repo), desc); !remote.IsTransport(err) {
		t.Errorf("err = %v", err)
	}
	if n := len(reg.seen(http.MethodGet, "/blobs/")); n > 50 {
		t.Errorf("%d requests", n)
	}
}

// The disk's error is the disk's, at once.
func TestDownloadToAFullDisk(t *testing.T) {
	checkGoroutines(t)
	reg, repo, desc := newBlob(t, randomBytes(1<<20))
	err := transfer.NewFetcher(repo).Download(t.Context(), desc, fullDisk{desc.Size}, nil)
	if !errors.Is(err, errFull) || remote.IsTransport(err) || len(reg.seen(http.MethodGet, "/blobs/")) != 1 {
		t.Errorf("%v", err)
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{ size int64 }

func (d fullDisk) Missing() []partial.Span { return []partial.Span{{Start: 0, End: d.size}} }

func (fullDisk) WriteFrom(r io.Reader, _ int64) (int64, error) {
	_, err := io.CopyN(io.Discard, r, 1000)
	return 1000, errors.Join(errFull, err)
}

func TestCancelledDownload(t *testing.T) {
	checkGoroutines(t)
	raw := randomBytes(1 << 20)
	reg, repo, desc := newBlob(t, raw)
	ctx, cancel := context.WithCancelCause(t.Context())
	reg.setFault(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
		_, _ = w.Write(raw[:400_000])
		w.(http.Flusher).Flush()
		reg.stall(r)
	})
	to := target(t, desc)
	var n atomic.Int64
	err := transfer.NewFetcher(repo).Download(ctx, desc, to, func(m int64) {
		if n.Add(m) == 400_000 {
			cancel(errInterrupted)
		}
	})
	if !errors.Is(err, errInterrupted) {
		t.Errorf("%v", err)
	}
	// What came is there, all of it.
	if m := to.Missing(); len(m) != 1 || m[0].Start != 400_000 {
		t.Errorf("missing are %v", m)
	}
	if err := to.Suspend(); err != nil {
		t.Error(err)
	}
}

// throttled lets each connection have so many bytes a second, and counts how many
// there are at once.
type throttled struct {
	raw  []byte
	rate int
	now  atomic.Int32
	most atomic.Int32
}

func (s *throttled) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if !isBlobGet(r) {
		next.ServeHTTP(w, r)
		return
	}
	if n := s.now.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.now.Add(-1)
	http.ServeContent(&slowWriter{w, s.rate, time.Now(), 0}, r, "", time.Time{}, bytes.NewReader(s.raw))
}

type slowWriter struct {
	http.ResponseWriter
	rate  int
	since time.Time
	n     int
}

func (s *slowWriter) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.n += n
	if ahead := time.Duration(float64(s.n)/float64(s.rate)*float64(time.Second)) - time.Since(s.since); ahead > 5*time.Millisecond {
		time.Sleep(ahead)
	}
	return n, err
}

// Where a connection is slow and several are not, several are used; and what is
// cut, wrong or slow in between changes nothing of the bytes.
func TestDownloadOverSeveralConnections(t *testing.T) {
	raw := randomBytes(48 << 20)
	desc := describe("application/x-test", raw)
	for name, spoil := range map[string]func(w http.ResponseWriter, r *http.Request, n int32) (http.ResponseWriter, bool){
		"fair": func(w http.ResponseWriter, _ *http.Request, _ int32) (http.ResponseWriter, bool) { return w, true },
		"cuts": func(w http.ResponseWriter, _ *http.Request, _ int32) (http.ResponseWriter, bool) {
			return &cutAfter{w, 3 << 20}, true
		},
		"busy": func(w http.ResponseWriter, _ *http.Request, n int32) (http.ResponseWriter, bool) {
			if n == 3 || n == 5 {
				w.WriteHeader(http.StatusTooManyRequests)
				return w, false
			}
			return w, true
		},
		"ranges end": func(w http.ResponseWriter, r *http.Request, n int32) (http.ResponseWriter, bool) {
			if n > 4 {
				r.Header.Del("Range")
			}
			return w, true
		},
		"no more ranges": func(w http.ResponseWriter, r *http.Request, n int32) (http.ResponseWriter, bool) {
			if n > 4 && r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return w, false
			}
			return w, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkGoroutines(t)
			reg, repo, _ := newBlob(t, raw[:1])
			s := &throttled{raw: raw, rate: 20 << 20}
			var n atomic.Int32
			reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if w, ok := spoil(w, r, n.Add(1)); ok {
					s.serve(w, r, next)
				}
			})
			if _, err := download(t, transfer.NewFetcher(repo), desc); err != nil {
				t.Error(err)
			}
			if s.most.Load() < 2 {
				t.Error("it went over one connection")
			}
		})
	}
}

// A server that ignores ranges is asked for one, and the stream that runs is not
// given up for it.
func TestDownloadFromACacheWithoutRanges(t *testing.T) {
	checkGoroutines(t)
	raw := randomBytes(64 << 20)
	reg, repo, _ := newBlob(t, raw[:1])
	desc := describe("application/x-test", raw)
	s := &throttled{raw: raw, rate: 64 << 20}
	var whole atomic.Int32
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Del("Range")
		c := &countingWriter{ResponseWriter: w}
		defer func() {
			if c.n == int64(len(raw)) {
				whole.Add(1)
			}
		}()
		s.serve(c, r, next)
	})
	n, err := download(t, transfer.NewFetcher(repo), desc)
	if err != nil || n != desc.Size {
		t.Errorf("%d bytes, %v", n, err)
	}
	gets := reg.seen(http.MethodGet, "/blobs/")
	if len(gets) > 2 || whole.Load() != 1 || gets[0].header.Get("Range") != "" {
		t.Errorf("%d requests, %d whole answers", len(gets), whole.Load())
	}
}

type countingWriter struct {
	http.ResponseWriter
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// One wrong byte in a range: with several ways to get the blob another is tried,
// and the last one is a plain stream.
func TestReject(t *testing.T) {
	raw := randomBytes(3 << 20)
	bad := bytes.Clone(raw)
	bad[2<<20] ^= 1
	reg, repo, desc := newBlob(t, raw)
	f := transfer.NewFetcher(repo)
	if f.Reject(desc) {
		t.Error("a blob that never came is worth another try")
	}
	reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Range") != "" {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(bad))
			return
		}
		next.ServeHTTP(w, r)
	})
	to := target(t, desc)
	if _, err := to.WriteAt(raw[:1000], 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Download(t.Context(), desc, to, nil); err != nil {
		t.Fatal(err)
	}
	var wrong *integrity.Error
	if _, err := to.Finish(t.Context(), "blob"); !errors.As(err, &wrong) {
		t.Fatalf("%v", err)
	}
	if !f.Reject(desc) {
		t.Fatal("it is not tried as one stream")
	}
	if err := to.Reset(); err != nil {
		t.Fatal(err)
	}
	reg.forget()
	if _, err := downloadTo(t, f, desc, to); err != nil {
		t.Error(err)
	}
	gets := reg.seen(http.MethodGet, "/blobs/")
	if len(gets) != 1 || gets[0].header.Get("Range") != "" {
		t.Errorf("%d requests", len(gets))
	}
	if f.Reject(desc) {
		t.Error("it would be fetched for ever")
	}
}

// Addresses of a storage behind the registry are good for some time only: the
// registry is asked for another, and the storage never sees the credentials.
func TestDownloadOverExpiringRedirect(t *testing.T) {
	raw := randomBytes(1 << 20)
	for name, refusals := range map[string]int32{"expired": 2, "for good": 1000} {
		t.Run(name, func(t *testing.T) {
			var visits atomic.Int32
			storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					t.Error("the storage got the credentials")
				}
				switch n := visits.Add(1); {
				case n == 1:
					http.ServeContent(&cutAfter{w, 400_000}, r, "", time.Time{}, bytes.NewReader(raw))
				case n <= 1+refusals:
					w.WriteHeader(http.StatusForbidden)
				default:
					if r.Header.Get("Range") != fmt.Sprintf("bytes=400000-%d", len(raw)-1) {
						t.Errorf("the range on the way is %q", r.Header.Get("Range"))
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
			n, err := download(t, transfer.NewFetcher(repo), describe("application/x-test", raw))
			if refusals < 10 && (err != nil || n != int64(len(raw))) {
				t.Errorf("%d bytes, %v", n, err)
			}
			if refusals > 10 && (err == nil || visits.Load() > 10) {
				t.Errorf("%v after %d visits", err, visits.Load())
			}
		})
	}
}
