package transfer_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// Modelled by what issues report, since none of these registries can be run
// here: what each gets, and in which order, when nothing is known of it.
func TestQuirks(t *testing.T) {
	const size, chunk = 12 * mib, 4 * mib
	refuse := func(status int, when func(r *http.Request) bool) front {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if when(r) {
				w.WriteHeader(status)
				return
			}
			next.ServeHTTP(w, r)
		}
	}
	isLater := func(r *http.Request) bool {
		at := r.Header.Get("Content-Range")
		return r.Method == http.MethodPatch && at != "" && !strings.HasPrefix(at, "0-")
	}
	isPatch := func(r *http.Request) bool { return r.Method == http.MethodPatch }
	for _, c := range []struct {
		name string
		mode transfer.Mode
		f    func() front
		want string
		// second is what the next blob gets, now that something was learned.
		second string
	}{
		{
			"GAR answers 405 to PATCH", transfer.ModeAuto,
			func() front { return refuse(http.StatusMethodNotAllowed, isPatch) },
			"POST, PATCH 12582912, DELETE, HEAD, POST, PUT 12582912",
			"HEAD, POST, PUT 12582912",
		},
		{
			"GAR answers 404 to PATCH", transfer.ModeAuto,
			func() front { return refuse(http.StatusNotFound, isPatch) },
			"POST, PATCH 12582912, DELETE, HEAD, POST, PUT 12582912",
			"POST, PATCH 12582912, DELETE, HEAD, POST, PUT 12582912",
		},
		{
			"ECR answers 201 to every PATCH and drops those after the first", transfer.ModeChunks,
			func() front {
				return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if isLater(r) {
						_, _ = io.Copy(io.Discard, r.Body)
						w.WriteHeader(http.StatusCreated)
						return
					}
					next.ServeHTTP(w, r)
				}
			},
			"POST, PATCH 0-4194303, PATCH 4194304-8388607, DELETE, HEAD, POST, PUT 12582912",
			"POST, PATCH 12582912, PUT",
		},
		{
			"a PATCH is taken and not kept", transfer.ModeChunks,
			func() front {
				return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if !isLater(r) {
						next.ServeHTTP(w, r)
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("Location", r.URL.String())
					w.Header().Set("Range", "0-4194303")
					w.WriteHeader(http.StatusAccepted)
				}
			},
			"POST, PATCH 0-4194303, PATCH 4194304-8388607, DELETE, HEAD, POST, PUT 12582912",
			"POST, PATCH 12582912, PUT",
		},
		{
			"GHCR answers 416 to a PATCH with Content-Range above 4 MiB", transfer.ModeChunks,
			func() front {
				return refuse(http.StatusRequestedRangeNotSatisfiable, func(r *http.Request) bool {
					return isPatch(r) && r.Header.Get("Content-Range") != "" && r.ContentLength >= 4*mib
				})
			},
			"POST, PATCH 0-4194303, DELETE, HEAD, POST, PUT 12582912",
			"POST, PATCH 12582912, PUT",
		},
		{
			"ACR answers 413 to a body without a length", transfer.ModeAuto,
			func() front {
				return refuse(http.StatusRequestEntityTooLarge, func(r *http.Request) bool { return r.Method != http.MethodGet && r.ContentLength < 0 })
			},
			"POST, PATCH 12582912, PUT",
			"POST, PATCH 12582912, PUT",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkGoroutines(t)
			reg := newRegistry(t, config.Config{}, c.f())
			repo := reg.repository(t, "team/model", remote.Options{})
			state := filepath.Join(t.TempDir(), "registries.json")
			upload := func() string {
				raw := randomBytes(size)
				reg.forget()
				u := transfer.NewUploader(repo, transfer.UploadOptions{Mode: c.mode, ChunkBytes: chunk, Profiles: transfer.NewProfiles(state)})
				if _, err := u.Ingest(t.Context(), fileBlob(t, raw)); err != nil {
					t.Fatal(err)
				}
				got := reg.methods()
				stored(t, repo, raw)
				return got
			}
			if got := upload(); got != c.want {
				t.Errorf("requests: %s\nwant      %s", got, c.want)
			}
			if got := upload(); got != c.second {
				t.Errorf("second blob: %s\nwant         %s", got, c.second)
			}
		})
	}
}

// Registries of distribution 3 refuse any location but that of their newest
// answer.
func TestTheNewestLocationIsUsed(t *testing.T) {
	var mu sync.Mutex
	newest := map[string]string{} // path of a session → the state that is good
	n := 0
	reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPost && strings.Contains(r.URL.Path, "/uploads/") && r.URL.Query().Get("turn") != newest[r.URL.Path] {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		if l := rec.Header().Get("Location"); strings.Contains(l, "/uploads/") {
			n++
			path, _, _ := strings.Cut(l, "?")
			newest[path] = strconv.Itoa(n)
			sep := "?"
			if strings.Contains(l, "?") {
				sep = "&"
			}
			w.Header().Set("Location", l+sep+"turn="+strconv.Itoa(n))
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	repo := reg.repository(t, "team/model", remote.Options{})
	for _, mode := range transfer.Modes() {
		raw := randomBytes(12 * mib)
		if _, err := transfer.NewUploader(repo, transfer.UploadOptions{Mode: mode, ChunkBytes: 5 * mib}).Ingest(t.Context(), fileBlob(t, raw)); err != nil {
			t.Fatal(err)
		}
		stored(t, repo, raw)
	}
	for _, r := range reg.log {
		if r.status.Load() == http.StatusRequestedRangeNotSatisfiable {
			t.Errorf("%s %s?%s was refused", r.method, r.path, r.query)
		}
	}
}

// OCI-Chunk-Min-Length binds every chunk but the last.
func TestChunksAreAsLongAsTheRegistryWants(t *testing.T) {
	reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			w.Header().Set("OCI-Chunk-Min-Length", strconv.Itoa(5*mib))
		}
		next.ServeHTTP(w, r)
	})
	repo := reg.repository(t, "team/model", remote.Options{})
	u := transfer.NewUploader(repo, transfer.UploadOptions{Mode: transfer.ModeChunks, ChunkBytes: mib})
	if _, err := u.Ingest(t.Context(), fileBlob(t, randomBytes(12*mib))); err != nil {
		t.Fatal(err)
	}
	if got, want := reg.methods(), "POST, PATCH 0-5242879, PATCH 5242880-10485759, PATCH 10485760-12582911, PUT"; got != want {
		t.Errorf("requests: %s\nwant      %s", got, want)
	}
}

// The registry is asked where the digest cache says that a blob may be.
func TestMount(t *testing.T) {
	raw := randomBytes(mib)
	for _, c := range []struct {
		status int // 0: as the registry does
		want   string
	}{
		{0, "HEAD, POST"},
		{401, "HEAD, POST, POST, POST, POST, PUT 1048576"},
		{403, "HEAD, POST, POST, POST, POST, PUT 1048576"},
		{404, "HEAD, POST, POST, POST, POST, PUT 1048576"},
		{405, "HEAD, POST, POST, POST, POST, PUT 1048576"},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			reg := newRegistry(t, config.Config{}, nil)
			cache := digestcache.Open("")
			o := transfer.UploadOptions{Digests: cache}
			d := digest.FromBytes(raw)
			for _, name := range []string{"a/1", "a/2", "a/3", "a/4"} {
				repo := reg.repository(t, name, remote.Options{})
				if _, err := transfer.NewUploader(repo, transfer.UploadOptions{}).Ingest(t.Context(), fileBlob(t, raw)); err != nil {
					t.Fatal(err)
				}
				cache.Saw(reg.host, name, d)
			}
			if c.status != 0 {
				reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if r.URL.Query().Has("mount") {
						w.WriteHeader(c.status)
						return
					}
					next.ServeHTTP(w, r)
				})
			}
			reg.forget()
			repo := reg.repository(t, "b/1", remote.Options{})
			blob := fileBlob(t, raw)
			blob.Known = d
			u := transfer.NewUploader(repo, o)
			if _, err := u.Ingest(t.Context(), blob); err != nil {
				t.Fatal(err)
			}
			if got := reg.methods(); got != c.want {
				t.Errorf("requests: %s\nwant      %s", got, c.want)
			}
			stored(t, repo, raw)
			if s := u.Stats(); (s.Mounted == mib) != (c.status == 0) || (s.Sent == mib) != (c.status != 0) {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

// What is remembered of a file is wrong: its bytes win.
func TestBytesWinOverTheCache(t *testing.T) {
	raw := randomBytes(12 * mib)
	reg := newRegistry(t, config.Config{}, nil)
	repo := reg.repository(t, "team/model", remote.Options{})
	cache := digestcache.Open(filepath.Join(t.TempDir(), "digests"))
	blob := fileBlob(t, raw)
	blob.Known = digest.FromString("something else")
	cache.Remember(blob.Identity, blob.Known)
	got, err := transfer.NewUploader(repo, transfer.UploadOptions{Digests: cache}).Ingest(t.Context(), blob)
	if err != nil || got.Digest != digest.FromBytes(raw) {
		t.Fatalf("%v, %v", got, err)
	}
	stored(t, repo, raw)
	if d := cache.Digest(blob.Identity); d != got.Digest {
		t.Errorf("the cache says %s", d)
	}
}

// A registry that stored something else than was sent is not believed.
func TestStoredAsSomethingElse(t *testing.T) {
	for _, mode := range []transfer.Mode{transfer.ModePut, transfer.ModeStream} {
		reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodPut {
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, r)
				w.Header().Set("Docker-Content-Digest", digest.FromString("else").String())
				w.WriteHeader(rec.Code)
				return
			}
			next.ServeHTTP(w, r)
		})
		repo := reg.repository(t, "team/model", remote.Options{})
		_, err := transfer.NewUploader(repo, transfer.UploadOptions{Mode: mode}).Ingest(t.Context(), fileBlob(t, randomBytes(5*mib)))
		var wrong *integrity.Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
