package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/remote"
)

// always is a rate that every source has.
const always = 1

// From a fast source, a blob is sent as it comes: one request on either side, and
// nothing in the spool.
func TestPour(t *testing.T) {
	checkGoroutines(t)
	s := newSpooled(t, 3, remote.Options{})
	s.directFrom = always
	p := newReporter()
	if _, err := s.copy(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.check(t)
	for _, raw := range s.layers {
		d := describe("", raw).Digest.String()
		if n := p.moved[d]; n != spooledSize {
			t.Errorf("%d bytes of %d were reported", n, spooledSize)
		}
		if got := len(s.srcReg.seen(http.MethodGet, d)); got != 1 {
			t.Errorf("%d requests for a layer", got)
		}
	}
	if got := s.dstReg.carried(spooledSize); got != "PUT PUT PUT" {
		t.Errorf("the layers went by %q", got)
	}
}

// Bytes that are not the blob do not become a whole upload, whatever the registry
// would have done with them.
func TestPourOfWrongBytes(t *testing.T) {
	for name, wrong := range map[string]func([]byte) []byte{
		"another byte": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"too few":      func(b []byte) []byte { return b[:len(b)-1] },
		"too many":     func(b []byte) []byte { return append(b, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpooled(t, 1, remote.Options{})
			s.directFrom = always
			victim := describe("", s.layers[0])
			s.srcReg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, victim.Digest.String()) {
					next.ServeHTTP(w, r)
					return
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(wrong(bytes.Clone(s.layers[0]))))
			})
			_, err := s.copy(t.Context(), nil)
			var bad *integrity.Error
			if !errors.As(err, &bad) || bad.Want != victim.Digest {
				t.Fatal(err)
			}
			for _, r := range s.dstReg.seen(http.MethodPut, "/blobs/") {
				if r.received.Load() >= spooledSize {
					t.Error("the registry got a whole body")
				}
			}
			s.wantEmpty(t)
		})
	}
}

// A source that gives little is not waited for with an open upload: its blobs come
// into the spool first.
func TestPourOfASlowSource(t *testing.T) {
	s := newSpooled(t, 2, remote.Options{})
	s.directFrom = 1 << 50 // faster than anything
	var stalls atomic.Int32
	s.srcReg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isBlobGet(r) && strings.HasSuffix(r.URL.Path, describe("", s.layers[0]).Digest.String()) && stalls.Add(1) == 1 {
			w.Header().Set("Content-Length", "9437184")
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write(s.layers[0][:1<<20])
			w.(http.Flusher).Flush()
			s.srcReg.stall(r)
			return
		}
		next.ServeHTTP(w, r)
	})
	if _, err := s.copy(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s.check(t)
}

// A destination that breaks off gets what it lacks, and no more.
func TestPourGoesOn(t *testing.T) {
	s := newSpooled(t, 1, remote.Options{})
	s.directFrom = always
	s.dstReg.setFault(breaks(spooledSize/2, 1))
	if _, err := s.copy(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s.check(t)
	if n := received(s.dstReg); n > spooledSize+spooledSize/8 {
		t.Errorf("%d bytes were sent of %d", n, spooledSize)
	}
}

// So does one whose copy was interrupted, in another process.
func TestPourGoesOnLater(t *testing.T) {
	s := newSpooled(t, 1, remote.Options{})
	s.directFrom = always
	ctx, cancel := context.WithCancel(t.Context())
	var sent atomic.Int64
	s.srcReg.setFault(given(&sent, spooledSize*2/3, cancel))
	if _, err := s.copy(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.srcReg.setFault(nil)
	s.dstReg.forget()
	result, err := s.copy(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.check(t)
	if n := received(s.dstReg); n >= spooledSize || result.Kept == 0 {
		t.Errorf("%d bytes were sent again of %d, %d are said to be kept", n, spooledSize, result.Kept)
	}
}
