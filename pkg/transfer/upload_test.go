package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// stored fails the test unless the repository holds raw.
func stored(t *testing.T, repo *remote.Repository, raw []byte) {
	t.Helper()
	rc, err := repo.Fetch(context.WithoutCancel(t.Context()), describe("application/x-test", raw))
	if err != nil {
		t.Error(err)
		return
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("the repository holds something else: %d bytes, %v", len(got), err)
	}
}

func TestIngestReadsOnce(t *testing.T) {
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	raw := randomBytes(3<<20 + 17)
	var c counter
	p := newReporter()
	got, err := transfer.NewUploader(repo, transfer.UploadOptions{Progress: p}).Ingest(t.Context(), c.blob(raw))
	if err != nil {
		t.Fatal(err)
	}
	if want := describe("application/x-test", raw); got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
		t.Errorf("descriptor = %+v", got)
	}
	if c.opens.Load() != 1 || c.read.Load() != int64(len(raw)) {
		t.Errorf("opened %d times, %d of %d bytes read", c.opens.Load(), c.read.Load(), len(raw))
	}
	patches := reg.seen(http.MethodPatch, "/uploads/")
	if len(patches) != 1 {
		t.Fatalf("%d PATCH", len(patches))
	}
	patch := patches[0]
	if patch.length != int64(len(raw)) || patch.header.Get("Content-Range") != "" || patch.header.Get("Expect") != "100-continue" {
		t.Errorf("PATCH: length %d, %v", patch.length, patch.header)
	}
	if puts := reg.seen(http.MethodPut, "/uploads/"); len(puts) != 1 || puts[0].length != 0 {
		t.Errorf("closing PUT: %v", puts)
	}
	if len(reg.seen(http.MethodHead, "")) != 0 {
		t.Error("asked for a digest that was not known")
	}
	stored(t, repo, raw)
	if p.moved["weights.bin"] != int64(len(raw)) || p.started["weights.bin"] != int64(len(raw)) || p.reused["weights.bin"] {
		t.Errorf("progress: %+v", p)
	}
}

func TestHashFirst(t *testing.T) {
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	raw := randomBytes(1 << 20)
	p := newReporter()
	u := transfer.NewUploader(repo, transfer.UploadOptions{HashFirst: true, Progress: p})
	for i := range 2 {
		reg.forget()
		var c counter
		if _, err := u.Ingest(t.Context(), c.blob(raw)); err != nil {
			t.Fatal(err)
		}
		if sent := len(reg.seen(http.MethodPut, "/uploads/")); sent != 1-i || len(reg.seen(http.MethodPatch, "")) != 0 {
			t.Errorf("push %d: %d uploads", i, sent)
		}
		if p.reused["weights.bin"] != (i == 1) {
			t.Errorf("push %d: reused = %v", i, p.reused["weights.bin"])
		}
	}
	stored(t, repo, raw)
}

// A registry that wants one PUT and nothing else: GAR, and others by issues.
func TestIngestFallsBack(t *testing.T) {
	for _, status := range []int{400, 404, 405, 411, 413, 415, 416, 501} {
		for _, size := range []int{100, 1 << 20} {
			t.Run(fmt.Sprintf("%d, %d bytes", status, size), func(t *testing.T) {
				reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if r.Method == http.MethodPatch {
						w.WriteHeader(status)
						return
					}
					next.ServeHTTP(w, r)
				})
				repo := reg.repository(t, "team/model", remote.Options{})
				u := transfer.NewUploader(repo, transfer.UploadOptions{})
				raw := randomBytes(size)
				var c counter
				if _, err := u.Ingest(t.Context(), c.blob(raw)); err != nil {
					t.Fatal(err)
				}
				stored(t, repo, raw)
				var order []string
				for _, r := range reg.log {
					order = append(order, r.method)
				}
				if got, want := strings.Join(order[:6], " "), "POST PATCH DELETE HEAD POST PUT"; got != want {
					t.Errorf("requests: %s, want %s", got, want)
				}
				if size > 64<<10 {
					if n := reg.seen(http.MethodPatch, "")[0].received.Load(); n != 0 {
						t.Errorf("%d bytes were sent for the refusal", n)
					}
					if c.opens.Load() != 2 || c.read.Load() != 2*int64(size) {
						t.Errorf("opened %d times, %d bytes read", c.opens.Load(), c.read.Load())
					}
				}
				// What was learned about the host holds for another repository too.
				reg.forget()
				if _, err := u.Ingest(t.Context(), (&counter{}).blob(randomBytes(size))); err != nil {
					t.Fatal(err)
				}
				learned := status == 405 || status == 411 || status == 415 || status == 416 || status == 501
				if tried := len(reg.seen(http.MethodPatch, "")) > 0; tried == learned {
					t.Errorf("second blob: tried a PATCH: %v", tried)
				}
			})
		}
	}
}

// ECR answers 201 to a PATCH. Here in both moods: the bytes kept, and dropped.
func TestPatchAnswers201(t *testing.T) {
	for _, drops := range []bool{false, true} {
		t.Run(fmt.Sprintf("drops %v", drops), func(t *testing.T) {
			reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method != http.MethodPatch {
					next.ServeHTTP(w, r)
					return
				}
				if drops {
					_, _ = io.Copy(io.Discard, r.Body)
					w.WriteHeader(http.StatusCreated)
					return
				}
				next.ServeHTTP(&status201{w}, r)
			})
			repo := reg.repository(t, "team/model", remote.Options{})
			raw := randomBytes(1 << 20)
			var c counter
			if _, err := transfer.NewUploader(repo, transfer.UploadOptions{}).Ingest(t.Context(), c.blob(raw)); err != nil {
				t.Fatal(err)
			}
			stored(t, repo, raw)
			if want := int64(1); !drops && c.opens.Load() != want {
				t.Errorf("opened %d times", c.opens.Load())
			}
		})
	}
}

type status201 struct{ http.ResponseWriter }

func (s *status201) WriteHeader(int) { s.ResponseWriter.WriteHeader(http.StatusCreated) }

func TestEmptyBlob(t *testing.T) {
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	var c counter
	desc, err := transfer.NewUploader(repo, transfer.UploadOptions{}).Ingest(t.Context(), c.blob(nil))
	if err != nil || desc.Digest != digest.FromBytes(nil) || desc.Size != 0 {
		t.Fatalf("Ingest = %+v, %v", desc, err)
	}
	if len(reg.seen(http.MethodPatch, "")) != 0 {
		t.Error("a PATCH without bytes was sent")
	}
	if ok, err := repo.Exists(t.Context(), desc); err != nil || !ok {
		t.Errorf("Exists = %v, %v", ok, err)
	}
	rc, err := transfer.NewFetcher(repo, transfer.FetchOptions{}).Fetch(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || len(got) != 0 {
		t.Errorf("Fetch = %q, %v", got, err)
	}
}

// cutter breaks the connection within the body of the first n uploads.
func cutter(n int, method string) front {
	var cuts atomic.Int32
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == method && r.ContentLength > 0 && strings.Contains(r.URL.Path, "/uploads/") && int(cuts.Add(1)) <= n {
			_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength*6/10)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	}
}

func TestIngestAfterCut(t *testing.T) {
	for _, c := range []struct {
		name      string
		hashFirst bool
		method    string
		cuts      int
		opens     int64
	}{
		{"one cut stream", false, http.MethodPatch, 1, 2},
		{"streams that never get through", false, http.MethodPatch, 1000, 5}, // three streams, a hash pass, one PUT
		{"two cut PUTs", true, http.MethodPut, 2, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := newRegistry(t, config.Config{}, cutter(c.cuts, c.method))
			repo := reg.repository(t, "team/model", remote.Options{})
			raw := randomBytes(8 << 20)
			var count counter
			p := newReporter()
			u := transfer.NewUploader(repo, transfer.UploadOptions{HashFirst: c.hashFirst, Progress: p})
			if _, err := u.Ingest(t.Context(), count.blob(raw)); err != nil {
				t.Fatal(err)
			}
			stored(t, repo, raw)
			if count.opens.Load() != c.opens {
				t.Errorf("opened %d times, want %d", count.opens.Load(), c.opens)
			}
			if p.moved["weights.bin"] != int64(len(raw)) || p.lowest < 0 {
				t.Errorf("progress: %d, lowest %d", p.moved["weights.bin"], p.lowest)
			}
		})
	}
}

// The commit goes through, and a gateway says it did not.
func TestCommitThatWentThrough(t *testing.T) {
	for _, hashFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("hash first %v", hashFirst), func(t *testing.T) {
			var once sync.Once
			reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				lied := false
				if r.Method == http.MethodPut {
					once.Do(func() {
						lied = true
						next.ServeHTTP(&status504{w}, r)
					})
				}
				if !lied {
					next.ServeHTTP(w, r)
				}
			})
			repo := reg.repository(t, "team/model", remote.Options{})
			raw := randomBytes(1 << 20)
			var c counter
			u := transfer.NewUploader(repo, transfer.UploadOptions{HashFirst: hashFirst})
			if _, err := u.Ingest(t.Context(), c.blob(raw)); err != nil {
				t.Fatal(err)
			}
			stored(t, repo, raw)
			if n := len(reg.seen(http.MethodPut, "/uploads/")); n != 1 {
				t.Errorf("%d PUTs", n)
			}
		})
	}
}

type status504 struct{ http.ResponseWriter }

func (s *status504) WriteHeader(int) { s.ResponseWriter.WriteHeader(http.StatusGatewayTimeout) }

func TestSourceErrorsAreFinal(t *testing.T) {
	broken := errors.New("the disk is on fire")
	for name, c := range map[string]struct {
		open func() (io.ReadCloser, error)
		want func(error) bool
	}{
		"shorter": {
			func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(make([]byte, 99_000))), nil },
			func(err error) bool { var e *ingest.SizeError; return errors.As(err, &e) && e.Got == 99_000 },
		},
		"longer": {
			func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(make([]byte, 100_001))), nil },
			func(err error) bool { var e *ingest.SizeError; return errors.As(err, &e) && e.Got > 100_000 },
		},
		"broken": {
			func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 5000)), errReader{broken})), nil
			},
			func(err error) bool { return errors.Is(err, broken) },
		},
		"not there": {
			func() (io.ReadCloser, error) { return nil, os.ErrNotExist },
			func(err error) bool { return errors.Is(err, os.ErrNotExist) },
		},
	} {
		for _, hashFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, hash first %v", name, hashFirst), func(t *testing.T) {
				reg := newRegistry(t, config.Config{}, nil)
				repo := reg.repository(t, "team/model", remote.Options{})
				_, err := transfer.NewUploader(repo, transfer.UploadOptions{HashFirst: hashFirst}).Ingest(t.Context(),
					ingest.Blob{Name: "w", Size: 100_000, Open: c.open})
				if !c.want(err) {
					t.Errorf("err = %v", err)
				}
				if n := len(reg.seen(http.MethodPatch, "")); n > 1 {
					t.Errorf("tried %d times", n)
				}
				if len(reg.seen(http.MethodPut, "/uploads/")) != 0 {
					t.Error("an upload was finished")
				}
			})
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// bodies records what net/http is given to send.
type bodies struct {
	mu    sync.Mutex
	types []string
}

func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength > 0 {
		b.mu.Lock()
		b.types = append(b.types, fmt.Sprintf("%s %T", r.Method, r.Body))
		b.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestFilesAreSentByTheKernel(t *testing.T) {
	raw := randomBytes(1 << 20)
	path := filepath.Join(t.TempDir(), "w")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var b bodies
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{Transport: &b})
	p := newReporter()
	u := transfer.NewUploader(repo, transfer.UploadOptions{HashFirst: true, Progress: p})
	blob := ingest.Blob{Name: "w", Size: int64(len(raw)), Open: func() (io.ReadCloser, error) { return os.Open(path) }}
	if _, err := u.Ingest(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	stored(t, repo, raw)
	if len(b.types) != 1 || b.types[0] != "PUT *os.File" {
		t.Errorf("bodies: %v", b.types)
	}
	if p.moved["w"] != int64(len(raw)) {
		t.Errorf("progress: %d", p.moved["w"])
	}
	// A file that changed its size is not sent at all.
	blob.Size--
	var size *ingest.SizeError
	if _, err := u.Ingest(t.Context(), blob); !errors.As(err, &size) {
		t.Errorf("err = %v", err)
	}
}

func TestStalledUpload(t *testing.T) {
	checkGoroutines(t)
	for _, method := range []string{http.MethodPatch, http.MethodPut} {
		t.Run(method, func(t *testing.T) {
			var stalled atomic.Bool
			reg := newRegistry(t, config.Config{}, nil)
			reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == method && r.ContentLength > 0 && stalled.CompareAndSwap(false, true) {
					_, _ = io.CopyN(io.Discard, r.Body, 1000)
					reg.stall(r)
					return
				}
				next.ServeHTTP(w, r)
			})
			repo := reg.repository(t, "team/model", remote.Options{})
			raw := randomBytes(32 << 20) // more than the sockets hold
			var c counter
			u := transfer.NewUploader(repo, transfer.UploadOptions{HashFirst: method == http.MethodPut, Stall: 300 * time.Millisecond})
			if _, err := u.Ingest(t.Context(), c.blob(raw)); err != nil {
				t.Fatal(err)
			}
			stored(t, repo, raw)
		})
	}
}

func TestCancelledUpload(t *testing.T) {
	for _, where := range []string{http.MethodPost, http.MethodPatch, http.MethodPut} {
		t.Run(where, func(t *testing.T) {
			checkGoroutines(t)
			reached := make(chan struct{}, 1)
			reg := newRegistry(t, config.Config{}, nil)
			reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == where {
					select {
					case reached <- struct{}{}:
					default:
					}
					_, _ = io.CopyN(io.Discard, r.Body, 1000)
					reg.stall(r)
					return
				}
				next.ServeHTTP(w, r)
			})
			repo := reg.repository(t, "team/model", remote.Options{})
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-reached
				cancel(errInterrupted)
			}()
			start := time.Now()
			_, err := transfer.NewUploader(repo, transfer.UploadOptions{}).Ingest(ctx, (&counter{}).blob(randomBytes(8<<20)))
			if !errors.Is(err, errInterrupted) || !errors.Is(err, context.Canceled) {
				t.Errorf("err = %v", err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("returned after %v", took)
			}
		})
	}
}

func TestUploadWithAuth(t *testing.T) {
	basic, err := config.NewAuthBasicStatic(map[string]string{"alice": "correct-horse"}, false)
	if err != nil {
		t.Fatal(err)
	}
	reg := newRegistry(t, config.Config{Auth: basic}, nil)
	repo := reg.repository(t, "team/model", remote.Options{Credential: auth.StaticCredential(reg.host, auth.Credential{Username: "alice", Password: "correct-horse"})})
	raw := randomBytes(1 << 20)
	var c counter
	if _, err := transfer.NewUploader(repo, transfer.UploadOptions{}).Ingest(t.Context(), c.blob(raw)); err != nil {
		t.Fatal(err)
	}
	stored(t, repo, raw)
	if c.opens.Load() != 1 {
		t.Errorf("opened %d times", c.opens.Load())
	}
	repo = reg.repository(t, "team/model", remote.Options{})
	_, err = transfer.NewUploader(repo, transfer.UploadOptions{}).Ingest(t.Context(), c.blob(raw))
	if !remote.IsUnauthorized(err) || !strings.Contains(err.Error(), "weights.bin") {
		t.Errorf("err = %v", err)
	}
}

func TestManyUploadsAtOnce(t *testing.T) {
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	u := transfer.NewUploader(repo, transfer.UploadOptions{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			raw := randomBytes(200_000)
			if _, err := u.Ingest(t.Context(), (&counter{}).blob(raw)); err != nil {
				t.Error(err)
			}
			stored(t, repo, raw)
		})
	}
	wg.Wait()
}
