package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// readParts reads what a reader of a header would: forward, with gaps.
func readParts(t *testing.T, r io.ReaderAt, raw []byte) {
	t.Helper()
	for _, at := range [][2]int{{0, 8}, {8, 1000}, {5000, 70_000}, {len(raw) - 10, 10}} {
		p := make([]byte, at[1])
		if n, err := r.ReadAt(p, int64(at[0])); n != len(p) || err != nil {
			t.Fatalf("%d bytes at %d: %d, %v", at[1], at[0], n, err)
		}
		if !bytes.Equal(p, raw[at[0]:at[0]+at[1]]) {
			t.Fatalf("%d bytes at %d are others", at[1], at[0])
		}
	}
}

func TestRangesAskForNoOtherByte(t *testing.T) {
	raw := randomBytes(300_000)
	reg, repo, desc := newBlob(t, raw)
	r, err := transfer.NewFetcher(repo).Ranges(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	readParts(t, r, raw)
	var asked int64
	for _, req := range reg.seen(http.MethodGet, "/blobs/") {
		var start, end int64
		if n, _ := fmt.Sscanf(req.header.Get("Range"), "bytes=%d-%d", &start, &end); n != 2 {
			t.Fatalf("a request without a closed range: %q", req.header.Get("Range"))
		}
		asked += end - start + 1
	}
	if want := int64(8 + 1000 + 70_000 + 10); asked != want || r.Received() != want {
		t.Errorf("asked for %d bytes, received %d, want %d", asked, r.Received(), want)
	}
	if n, err := r.ReadAt(make([]byte, 20), int64(len(raw)-5)); n != 5 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(make([]byte, 1), int64(len(raw))); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// Registries that answer ranges in ways of their own are asked no more often than
// they must be: one that gives all or nothing is asked once.
func TestRangesFromOddRegistries(t *testing.T) {
	raw := randomBytes(300_000)
	tests := map[string]struct {
		requests int
		answer   func(w http.ResponseWriter, r *http.Request, start, end int)
	}{
		"200 for a range": {1, func(w http.ResponseWriter, _ *http.Request, _, _ int) { _, _ = w.Write(raw) }},
		"shorter parts": {10, func(w http.ResponseWriter, _ *http.Request, start, end int) {
			end = min(end, start+9_999)
			part(w, raw, fmt.Sprintf("bytes %d-%d/%d", start, end, len(raw)), start, end)
		}},
		"another start": {2, func(w http.ResponseWriter, _ *http.Request, _, end int) {
			part(w, raw, fmt.Sprintf("bytes 1-%d/%d", end, len(raw)), 1, end)
		}},
		"416": {2, func(w http.ResponseWriter, _ *http.Request, _, _ int) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg, repo, desc := newBlob(t, raw)
			reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				var start, end int
				if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &start, &end); n == 2 && isBlobGet(r) {
					tt.answer(w, r, start, end)
					return
				}
				next.ServeHTTP(w, r)
			})
			r, err := transfer.NewFetcher(repo).Ranges(t.Context(), desc)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			readParts(t, r, raw)
			if n := len(reg.seen(http.MethodGet, "/blobs/")); n > tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

func TestRangesOfWhatIsNotThere(t *testing.T) {
	_, repo, _ := newBlob(t, randomBytes(10))
	r, err := transfer.NewFetcher(repo).Ranges(t.Context(), describe("application/x-test", randomBytes(20)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.ReadAt(make([]byte, 5), 0); remote.StatusCode(err) != http.StatusNotFound {
		t.Errorf("got %v", err)
	}
}
