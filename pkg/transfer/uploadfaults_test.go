package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/olareg/olareg/config"

	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

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
			// What is behind the cut must not fit into the buffers of a connection: a
			// stream that was read to its end has its digest.
			raw := randomBytes(48 << 20)
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

func TestStalledUpload(t *testing.T) {
	checkGoroutines(t)
	// Longer than a busy machine takes to hash what it was sent: only the
	// registry that stops reading must count as stalled.
	const stall = 3 * time.Second
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
			u := transfer.NewUploader(repo, transfer.UploadOptions{HashFirst: method == http.MethodPut, Stall: stall})
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
			_, err := transfer.NewUploader(repo, transfer.UploadOptions{}).Ingest(ctx, (&counter{}).blob(randomBytes(8<<20)))
			if !errors.Is(err, errInterrupted) || !errors.Is(err, context.Canceled) {
				t.Errorf("err = %v", err)
			}
		})
	}
}
