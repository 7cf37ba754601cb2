package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/olareg/olareg/config"

	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/transfer"
)

// sent is how the copy to one of several destinations ended.
type sent struct {
	result *transfer.CopyResult
	err    error
}

// copyToAll copies to several destinations at once, by way of one depot.
func (s *spooled) copyToAll(ctx context.Context, t *testing.T, dsts ...transfer.Target) []sent {
	t.Helper()
	depot, err := transfer.OpenDepot(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer depot.Close()
	berths := make([]*transfer.Berth, len(dsts))
	for i := range dsts {
		berths[i] = depot.Join()
	}
	g, err := transfer.Survey(ctx, s.src, s.root, transfer.SurveyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]sent, len(dsts))
	var running sync.WaitGroup
	for i, dst := range dsts {
		running.Go(func() {
			r, err := transfer.Send(ctx, dst, g, transfer.CopyOptions{Referrers: true, Berth: berths[i], Label: string(rune('a' + i))})
			all[i] = sent{r, err}
			berths[i].Leave(err)
		})
	}
	running.Wait()
	return all
}

// checkIn checks that a destination has all layers.
func (s *spooled) checkIn(t *testing.T, dst transfer.Target) {
	t.Helper()
	for _, raw := range s.layers {
		rc, err := dst.Fetch(t.Context(), describe("application/x-test", raw))
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("a layer is another: %v", err)
		}
		_ = rc.Close()
	}
}

func (s *spooled) wantOnce(t *testing.T) {
	t.Helper()
	for _, r := range s.srcReg.seen(http.MethodGet, "/blobs/") {
		if n := len(s.srcReg.seen(http.MethodGet, r.path)); n != 1 {
			t.Errorf("%d requests for %s", n, r.path)
		}
	}
}

// Registries and a layout get one read of the source, and nothing of it is left.
func TestDepot(t *testing.T) {
	checkGoroutines(t)
	s := newSpooled(t, 3, remote.Options{})
	other := newRegistry(t, noReferrersAPI(), nil).repository(t, "mirror/model", remote.Options{})
	layout, err := store.Create(t.TempDir() + "/layout")
	if err != nil {
		t.Fatal(err)
	}
	defer layout.Close()
	dsts := []transfer.Target{s.dst, other, layout}
	for i, r := range s.copyToAll(t.Context(), t, dsts...) {
		if r.err != nil {
			t.Fatalf("destination %d: %v", i, r.err)
		}
		s.checkIn(t, dsts[i])
	}
	s.wantOnce(t)
	s.wantEmpty(t)
	// One of them has it all: nothing is fetched for the others either.
	s.srcReg.forget()
	for i, r := range s.copyToAll(t.Context(), t, dsts...) {
		if r.err != nil || r.result.Fetched != 0 {
			t.Errorf("destination %d once more: %+v", i, r)
		}
	}
	if n := len(s.srcReg.seen(http.MethodGet, "/blobs/")); n != 0 {
		t.Errorf("%d blobs were fetched again", n)
	}
}

// A destination that stands still does not stop another one; one that fails keeps
// what it did not get, and goes on with it.
func TestDepotOfASlowDestination(t *testing.T) {
	s := newSpooled(t, 3, remote.Options{})
	slow := newRegistry(t, config.Config{}, nil)
	fast := s.dst
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	slow.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.ContentLength == spooledSize {
			// Until the other one has everything.
			for exists, err := false, error(nil); !exists && err == nil; exists, err = fast.Exists(ctx, s.root) {
				time.Sleep(5 * time.Millisecond)
			}
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
	behind := slow.repository(t, "team/model", remote.Options{})
	all := s.copyToAll(ctx, t, fast, behind)
	if all[0].err != nil || !remote.IsUnauthorized(all[1].err) {
		t.Fatalf("%v; %v", all[0].err, all[1].err)
	}
	s.checkIn(t, fast)
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("nothing is kept for the one that failed: %v", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".lock") {
			t.Errorf("%s is still there", e.Name())
		}
	}
	slow.setFault(nil)
	s.srcReg.forget()
	for _, r := range s.copyToAll(t.Context(), t, fast, behind) {
		if r.err != nil {
			t.Fatal(r.err)
		}
	}
	s.checkIn(t, behind)
	if n := s.requested(t); n >= 3*spooledSize {
		t.Errorf("all %d bytes were fetched again", n)
	}
	s.wantEmpty(t)
}

// A source that lies is an error for all, and nothing of it stays.
func TestDepotOfWrongBytes(t *testing.T) {
	s := newSpooled(t, 1, remote.Options{})
	victim := describe("", s.layers[0]).Digest.String()
	s.srcReg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, victim) {
			_, _ = w.Write(make([]byte, spooledSize))
			return
		}
		next.ServeHTTP(w, r)
	})
	other := newRegistry(t, config.Config{}, nil).repository(t, "mirror/model", remote.Options{})
	for i, r := range s.copyToAll(t.Context(), t, s.dst, other) {
		if r.err == nil || !strings.Contains(r.err.Error(), victim) || !strings.HasPrefix(r.err.Error(), "blob "+victim) {
			t.Errorf("destination %d: %v: it is about the source, and names no destination", i, r.err)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), strings.TrimPrefix(victim, "sha256:")) {
			t.Errorf("%s is still there", e.Name())
		}
	}
}

// An interrupt ends all of them, and leaves what goes on.
func TestDepotIsInterrupted(t *testing.T) {
	checkGoroutines(t)
	s := newSpooled(t, 2, remote.Options{})
	other := newRegistry(t, config.Config{}, nil).repository(t, "mirror/model", remote.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	s.srcReg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isBlobGet(r) && strings.HasSuffix(r.URL.Path, describe("", s.layers[1]).Digest.String()) {
			cancel(errInterrupted)
			s.srcReg.stall(r)
			return
		}
		next.ServeHTTP(w, r)
	})
	for i, r := range s.copyToAll(ctx, t, s.dst, other) {
		if !errors.Is(r.err, errInterrupted) {
			t.Errorf("destination %d: %v", i, r.err)
		}
	}
	s.srcReg.setFault(nil)
	for _, r := range s.copyToAll(t.Context(), t, s.dst, other) {
		if r.err != nil {
			t.Fatal(r.err)
		}
	}
	s.wantEmpty(t)
}
