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
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

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
	rc, err := transfer.NewFetcher(repo).Fetch(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || len(got) != 0 {
		t.Errorf("Fetch = %q, %v", got, err)
	}
}

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

// Of more files than there are processors each is read once: hashed and sent out of
// the same buffer. When a connection breaks, what was sent is not sent again.
func TestManyFilesAreReadOnce(t *testing.T) {
	for name, cut := range map[string]bool{"all goes well": false, "a connection breaks": true} {
		t.Run(name, func(t *testing.T) {
			checkGoroutines(t)
			const size = 5 * mib
			files := 2 * runtime.GOMAXPROCS(0)
			// None is opened before all are under way.
			var begun sync.WaitGroup
			begun.Add(files)
			broken := breaks(2*mib, 1)
			reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodPost {
					begun.Done()
					begun.Wait()
				}
				if cut {
					broken(w, r, next)
					return
				}
				next.ServeHTTP(w, r)
			})
			repo := reg.repository(t, "team/model", remote.Options{})
			u := transfer.NewUploader(repo, transfer.UploadOptions{})
			var opened atomic.Int64
			var group sync.WaitGroup
			for range files {
				raw := randomBytes(size)
				blob := fileBlob(t, raw)
				open := blob.Open
				blob.Open = func() (io.ReadCloser, error) {
					opened.Add(1)
					return open()
				}
				group.Go(func() {
					if _, err := u.Ingest(t.Context(), blob); err != nil {
						t.Error(err)
					}
					stored(t, repo, raw)
				})
			}
			group.Wait()
			all := int64(files) * size
			if n := reg.bytesReceived(); n != all {
				t.Errorf("%d bytes were sent, of %d", n, all)
			}
			if n := opened.Load(); n != int64(files) && !cut {
				t.Errorf("%d files were opened %d times", files, n)
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
