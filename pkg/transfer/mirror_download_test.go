package transfer_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// mirrored returns the repository of reg with one mirror in front of it.
func mirrored(t *testing.T, reg *testRegistry, mirror http.HandlerFunc) (repo *remote.Repository, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		mirror(w, r)
	}))
	t.Cleanup(server.Close)
	host, port, _ := strings.Cut(reg.host, ":")
	hosts := t.TempDir()
	dir := filepath.Join(hosts, host+"_"+port+"_")
	text := "[host.\"" + server.URL + "\"]\ncapabilities = [\"pull\"]\n"
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return reg.repository(t, "team/model", remote.Options{HostsDir: hosts, RetryFor: time.Second}), asked
}

// A mirror that does not have it, cannot give it, or gives something else: it
// comes from the registry.
func TestDownloadOverMirror(t *testing.T) {
	raw := randomBytes(1 << 20)
	bad := bytes.Clone(raw)
	bad[700_000] ^= 1
	for name, c := range map[string]struct {
		mirror http.HandlerFunc
		lies   bool
		origin int // requests to the registry
	}{
		"good": {mirror: func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
		}},
		"404": {mirror: http.NotFound, origin: 1},
		"502": {mirror: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, origin: 1},
		"gone after a part": {origin: 1, mirror: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			http.ServeContent(&cutAfter{w, 300_000}, r, "", time.Time{}, bytes.NewReader(raw))
		}},
		"another length": {origin: 1, mirror: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw[:5000]) }},
		"a lie": {lies: true, origin: 1, mirror: func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(bad))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			reg, _, desc := newBlob(t, raw)
			repo, asked := mirrored(t, reg, c.mirror)
			f := transfer.NewFetcher(repo)
			to := target(t, desc)
			if err := f.Download(t.Context(), desc, to, nil); err != nil {
				t.Fatal(err)
			}
			_, err := to.Finish(t.Context(), "blob")
			if c.lies {
				var wrong *integrity.Error
				if !errors.As(err, &wrong) {
					t.Fatalf("a lie passed: %v", err)
				}
				if !f.Reject(desc) {
					t.Fatal("nobody else is asked")
				}
				before := asked.Load()
				if err := to.Reset(); err != nil {
					t.Fatal(err)
				}
				_, err = downloadTo(t, f, desc, to)
				if asked.Load() != before {
					t.Error("the liar was asked again")
				}
				if f.Reject(desc) {
					t.Error("the registry's own bytes, as one stream, are tried once more")
				}
				// Not even when nobody else has it.
				other := target(t, desc)
				origin := len(reg.seen(http.MethodGet, "/blobs/"))
				reg.setFault(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { http.NotFound(w, r) })
				if _, lost := downloadTo(t, f, desc, other); lost == nil || asked.Load() != before {
					t.Errorf("the liar was asked again: %v", lost)
				}
				if n := len(reg.seen(http.MethodGet, "/blobs/")); n != origin+1 {
					t.Errorf("%d requests to the registry that has lost it", n-origin)
				}
				c.origin++
			}
			if err != nil {
				t.Error(err)
			}
			if n := len(reg.seen(http.MethodGet, "/blobs/")); n != c.origin {
				t.Errorf("%d requests to the registry, want %d", n, c.origin)
			}
			if asked.Load() == 0 {
				t.Error("the mirror was not asked")
			}
		})
	}
}
