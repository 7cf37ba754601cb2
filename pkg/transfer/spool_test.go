package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// spooled is an artifact with large blobs in a registry, and another registry.
type spooled struct {
	srcReg, dstReg *testRegistry
	src, dst       *remote.Repository
	root           ocispec.Descriptor
	layers         [][]byte
	dir            string // of the spool
	state          string
	directFrom     int64
}

const spooledSize = 9 << 20

func newSpooled(t *testing.T, layers int, o remote.Options) *spooled {
	t.Helper()
	s := &spooled{
		srcReg: newRegistry(t, config.Config{}, nil), dstReg: newRegistry(t, config.Config{}, nil),
		dir: t.TempDir(), state: t.TempDir(), directFrom: -1,
	}
	s.src, s.dst = s.srcReg.repository(t, "team/model", o), s.dstReg.repository(t, "team/model", o)
	push := func(mediaType string, raw []byte) ocispec.Descriptor {
		desc := describe(mediaType, raw)
		if err := s.src.Push(t.Context(), desc, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: push(ocispec.MediaTypeEmptyJSON, []byte("{}")),
	}
	for range layers {
		s.layers = append(s.layers, randomBytes(spooledSize))
		m.Layers = append(m.Layers, push("application/x-test", s.layers[len(s.layers)-1]))
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	s.root = push(ocispec.MediaTypeImageManifest, raw)
	s.srcReg.forget()
	return s
}

func (s *spooled) copy(ctx context.Context, p *reporter) (*transfer.CopyResult, error) {
	o := transfer.CopyOptions{SpoolDir: s.dir, DirectFrom: s.directFrom, Upload: transfer.UploadOptions{StateDir: s.state}}
	if p != nil {
		o.Progress = p
	}
	return transfer.Copy(ctx, s.src, s.dst, s.root, o)
}

// check checks that all of it has arrived and nothing is left behind.
func (s *spooled) check(t *testing.T) {
	t.Helper()
	for _, raw := range s.layers {
		rc, err := s.dst.Fetch(t.Context(), describe("application/x-test", raw))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("a layer is another: %v", err)
		}
		_ = rc.Close()
	}
	s.wantEmpty(t)
}

func (s *spooled) wantEmpty(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 0 {
		t.Errorf("in the spool is still %v", entries)
	}
}

// received returns how many bytes of uploads a registry got.
func received(g *testRegistry) (n int64) {
	for _, r := range append(g.seen(http.MethodPatch, ""), g.seen(http.MethodPut, "/blobs/")...) {
		n += r.received.Load()
	}
	return n
}

// given counts what a registry sends of blobs, and calls reached once after most
// bytes.
func given(n *atomic.Int64, most int64, reached func()) front {
	var done atomic.Bool
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&hookWriter{ResponseWriter: w, wrote: func(m int) {
			if n.Add(int64(m)) > most && done.CompareAndSwap(false, true) {
				reached()
			}
		}}, r)
	}
}

type hookWriter struct {
	http.ResponseWriter
	wrote func(int)
}

func (h *hookWriter) Write(p []byte) (int, error) {
	n, err := h.ResponseWriter.Write(p)
	h.wrote(n)
	return n, err
}

func (h *hookWriter) Flush() { h.ResponseWriter.(http.Flusher).Flush() }

func TestSpool(t *testing.T) {
	for name, layers := range map[string]int{"sent on while it comes": 1, "sent when it is whole": 3} {
		t.Run(name, func(t *testing.T) {
			checkGoroutines(t)
			s := newSpooled(t, layers, remote.Options{})
			p := newReporter()
			if _, err := s.copy(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			s.check(t)
			for _, raw := range s.layers {
				d := describe("", raw).Digest
				if n := p.moved[d.String()]; n != spooledSize {
					t.Errorf("%d bytes of %d were reported", n, spooledSize)
				}
				if got := len(s.srcReg.seen(http.MethodGet, d.String())); got != 1 {
					t.Errorf("%d requests for a layer", got)
				}
			}
			if n := received(s.dstReg); n != int64(layers)*spooledSize+2 {
				t.Errorf("%d bytes were sent", n)
			}
			// Once more: nothing moves.
			s.srcReg.forget()
			if _, err := s.copy(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if n := len(s.srcReg.seen(http.MethodGet, "/blobs/")); n != 0 {
				t.Errorf("%d blobs were fetched again", n)
			}
		})
	}
}

// A copy that is interrupted in the middle of a layer goes on there.
func TestSpoolGoesOn(t *testing.T) {
	for name, layers := range map[string]int{"one": 1, "several": 3} {
		t.Run(name, func(t *testing.T) {
			s := newSpooled(t, layers, remote.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			var sent atomic.Int64
			s.srcReg.setFault(given(&sent, int64(layers)*spooledSize*2/3, cancel))
			if _, err := s.copy(ctx, nil); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			s.srcReg.setFault(nil)
			s.srcReg.forget()
			if _, err := s.copy(t.Context(), newReporter()); err != nil {
				t.Fatal(err)
			}
			s.check(t)
			if n, total := s.requested(t), int64(layers)*spooledSize; n >= total {
				t.Errorf("%d bytes were asked for of %d, of which some had come", n, total)
			}
		})
	}
}

// requested returns how many bytes of layers the source was asked for.
func (s *spooled) requested(t *testing.T) (n int64) {
	t.Helper()
	for _, raw := range s.layers {
		for _, r := range s.srcReg.seen(http.MethodGet, describe("", raw).Digest.String()) {
			var from, to int64 = 0, spooledSize - 1
			if h := r.header.Get("Range"); h != "" {
				if _, err := fmt.Sscanf(h, "bytes=%d-%d", &from, &to); err != nil {
					t.Fatal(h, err)
				}
			}
			n += to - from + 1
		}
	}
	return n
}

// A destination that fails does not have anything fetched again.
func TestSpoolKeepsWhatCame(t *testing.T) {
	s := newSpooled(t, 3, remote.Options{})
	s.dstReg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.ContentLength == spooledSize {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
	if _, err := s.copy(t.Context(), nil); !remote.IsUnauthorized(err) {
		t.Fatal(err)
	}
	s.dstReg.setFault(nil)
	kept := int64(0)
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !strings.Contains(e.Name(), ".") {
			kept += info.Size()
		}
	}
	if kept == 0 {
		t.Fatal("nothing was kept: this test shows nothing")
	}
	s.srcReg.forget()
	if _, err := s.copy(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s.check(t)
	if n, most := s.requested(t), 3*spooledSize-kept; n > most {
		t.Errorf("%d bytes were asked for, not %d", n, most)
	}
}

// Bytes that are not what they should be get nowhere.
func TestSpoolOfWrongBytes(t *testing.T) {
	for name, layers := range map[string]int{"one": 1, "several": 3} {
		t.Run(name, func(t *testing.T) {
			s := newSpooled(t, layers, remote.Options{})
			victim := describe("", s.layers[0]).Digest
			s.srcReg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, victim.String()) {
					next.ServeHTTP(w, r)
					return
				}
				wrong := bytes.Clone(s.layers[0])
				wrong[len(wrong)-1] ^= 1
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(wrong))
			})
			_, err := s.copy(t.Context(), nil)
			var bad *integrity.Error
			if !errors.As(err, &bad) || bad.Want != victim {
				t.Fatal(err)
			}
			exists, err := s.dst.Exists(t.Context(), describe("application/x-test", s.layers[0]))
			if err != nil || exists {
				t.Errorf("the wrong layer is there: %v", err)
			}
			// The others may have come, this one must not stay.
			entries, err := os.ReadDir(s.dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.Contains(e.Name(), victim.Encoded()) {
					t.Errorf("%s is still there", e.Name())
				}
			}
			s.srcReg.setFault(nil)
			if _, err := s.copy(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			s.check(t)
		})
	}
}

// Two copies of the same blobs at once do not disturb each other.
func TestSpoolOfTwo(t *testing.T) {
	s := newSpooled(t, 2, remote.Options{})
	other := s.dstReg.repository(t, "other/model", remote.Options{})
	done := make(chan error, 2)
	for _, dst := range []*remote.Repository{s.dst, other} {
		go func() {
			_, err := transfer.Copy(t.Context(), s.src, dst, s.root, transfer.CopyOptions{SpoolDir: s.dir, DirectFrom: s.directFrom})
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	s.check(t)
	s.dst = other
	s.check(t)
}

// Of two copies to one place, one brings each blob, and the other finds it there.
func TestSpoolOfTwoToOnePlace(t *testing.T) {
	s := newSpooled(t, 3, remote.Options{})
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := s.copy(t.Context(), nil)
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got, want := s.requested(t), int64(len(s.layers)*spooledSize); got != want {
		t.Errorf("%d bytes of layers were fetched, and all of them are %d", got, want)
	}
	s.check(t)
}

// What an earlier copy to several left of a blob that is too small for the spool
// otherwise is used, and removed.
func TestSpoolHoldsASmallBlob(t *testing.T) {
	s := newSpooled(t, 1, remote.Options{})
	config := describe("", []byte("{}")).Digest
	if err := os.WriteFile(filepath.Join(s.dir, "sha256-"+config.Encoded()), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.copy(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s.check(t)
	if n := len(s.srcReg.seen(http.MethodGet, "/blobs/"+config.String())); n != 0 {
		t.Errorf("it was fetched %d times", n)
	}
}
