package trust_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modseal/modseal/hack/tufrepo"
	"github.com/modseal/modseal/pkg/trust"
)

// server is a TUF repository on loopback with a trusted root in it.
type server struct {
	*tufrepo.Repository
	root []byte
	src  trust.Source
	http *httptest.Server

	mu       sync.Mutex
	requests []string
	answer   http.HandlerFunc // instead of the repository's; nil for none
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{root: rootJSON(t, newRoot(t))}
	repo, err := tufrepo.New(map[string][]byte{"trusted_root.json": s.root, "signing_config.v0.2.json": signingJSON()}, day.Add(7*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s.Repository = repo
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	s.src = trust.Source{Name: "corp", URL: s.http.URL, Initial: repo.Root()}
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, req.URL.Path)
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		answer(w, req)
		return
	}
	s.Repository.ServeHTTP(w, req)
}

func (s *server) setAnswer(fn http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = fn
}

func (s *server) options(at time.Time) trust.FetchOptions {
	return trust.FetchOptions{Transport: s.http.Client().Transport, UserAgent: "modseal-test", Now: func() time.Time { return at }}
}

// publish makes the repository have another trusted root.
func (s *server) publish(t *testing.T) []byte {
	t.Helper()
	s.root = rootJSON(t, newRoot(t))
	if err := s.Publish(map[string][]byte{"trusted_root.json": s.root}); err != nil {
		t.Fatal(err)
	}
	return s.root
}

// noNetwork fails the test when anything is asked for.
type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	n.t.Errorf("the network was asked for %s", req.URL)
	return nil, errors.New("there is no network")
}

func TestFetch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r, c, err := trust.Fetch(t.Context(), s.src, s.options(day))
	if err != nil {
		t.Fatal(err)
	}
	if string(r.JSON()) != string(s.root) || !r.Fetched.Equal(day) || r.Source != s.src.URL || r.Name != "corp" {
		t.Errorf("%q from %q at %s", r.Name, r.Source, r.Fetched)
	}
	if c == nil || string(c.JSON()) != string(signingJSON()) || !c.Fetched.Equal(day) {
		t.Errorf("signing configuration: %+v", c)
	}
	// A repository without one.
	s.publish(t)
	if r, c, err := trust.Fetch(t.Context(), s.src, s.options(day)); err != nil || c != nil || string(r.JSON()) != string(s.root) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	other, err := tufrepo.New(nil, day.Add(year))
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		change func(*testing.T, *server)
		want   any
		says   string
	}{
		"metadata of another repository": {func(_ *testing.T, s *server) { s.Restore(other.Files()) }, &trust.RepositoryError{}, ""},
		"another beginning of trust":     {func(_ *testing.T, s *server) { s.src.Initial = other.Root() }, &trust.RepositoryError{}, ""},
		"expired": {func(t *testing.T, s *server) {
			s.Expire(day.Add(-time.Second))
			s.publish(t)
		}, &trust.RepositoryError{}, "expired"},
		"target changed": {func(_ *testing.T, s *server) {
			files := s.Files()
			for path := range files {
				if strings.HasSuffix(path, ".trusted_root.json") {
					files[path] = append([]byte(" "), files[path][1:]...)
				}
			}
			s.Restore(files)
		}, &trust.RepositoryError{}, ""},
		"no trusted root": {func(t *testing.T, s *server) {
			if err := s.Publish(map[string][]byte{"x": nil}); err != nil {
				t.Fatal(err)
			}
		}, &trust.RepositoryError{}, "trusted_root.json not found"},
		"trusted root that is none": {func(t *testing.T, s *server) {
			if err := s.Publish(map[string][]byte{"trusted_root.json": []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}, &trust.RepositoryError{}, "invalid trusted root"},
		"signing configuration that is none": {func(t *testing.T, s *server) {
			if err := s.Publish(map[string][]byte{"trusted_root.json": s.root, "signing_config.v0.2.json": []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}, &trust.RepositoryError{}, "invalid signing configuration"},
		"endless data": {func(_ *testing.T, s *server) {
			s.setAnswer(func(w http.ResponseWriter, _ *http.Request) {
				chunk := make([]byte, 64<<10)
				for {
					if _, err := w.Write(chunk); err != nil {
						return
					}
				}
			})
		}, &trust.RepositoryError{}, "longer than"},
		"endless versions of the root": {func(_ *testing.T, s *server) {
			first := s.Root()
			s.setAnswer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(first) })
		}, &trust.RepositoryError{}, ""},
		"server error": {func(_ *testing.T, s *server) {
			s.setAnswer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		}, &trust.FetchError{}, "503"},
		"nothing there": {func(_ *testing.T, s *server) { s.setAnswer(http.NotFound) }, &trust.FetchError{}, "404"},
		"nobody there":  {func(_ *testing.T, s *server) { s.http.Close() }, &trust.FetchError{}, "refused"},
		"connection cut": {func(_ *testing.T, s *server) {
			s.setAnswer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, &trust.FetchError{}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			row.change(t, s)
			_, _, err := trust.Fetch(t.Context(), s.src, s.options(day))
			switch row.want.(type) {
			case *trust.RepositoryError:
				if !errorAs[*trust.RepositoryError](err) || errorAs[*trust.FetchError](err) {
					t.Errorf("got %v, want a RepositoryError", err)
				}
			case *trust.FetchError:
				if !errorAs[*trust.FetchError](err) || errorAs[*trust.RepositoryError](err) {
					t.Errorf("got %v, want a FetchError", err)
				}
			}
			if err != nil && (!strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), s.src.URL)) {
				t.Errorf("%q does not say %q and where", err, row.says)
			}
		})
	}
}

func errorAs[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func TestFetchRefusesSources(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, change := range map[string]func(*trust.Source){
		"no root metadata": func(src *trust.Source) { src.Initial = nil },
		"garbage for it":   func(src *trust.Source) { src.Initial = []byte("x") },
		"timestamp for it": func(src *trust.Source) { src.Initial = s.Files()["/timestamp.json"] },
		"no URL":           func(src *trust.Source) { src.URL = "" },
		"file URL":         func(src *trust.Source) { src.URL = "file:///tmp" },
		"dots for a host":  func(src *trust.Source) { src.URL = "https://.." },
		"login":            func(src *trust.Source) { src.URL = "https://u:p@tuf.example.com" },
		"query":            func(src *trust.Source) { src.URL += "?x" },
		"long URL":         func(src *trust.Source) { src.URL += "/" + strings.Repeat("x", 200) },
		"path as name":     func(src *trust.Source) { src.Name = "../corp" },
	} {
		src := s.src
		change(&src)
		o := s.options(day)
		o.Transport = noNetwork{t}
		if _, _, err := trust.Fetch(t.Context(), src, o); !errors.Is(err, trust.ErrInvalidItem) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFetchIsCancelled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	why := errors.New("the user went home")
	ctx, cancel := context.WithCancelCause(t.Context())
	s.setAnswer(func(_ http.ResponseWriter, req *http.Request) {
		cancel(why)
		<-req.Context().Done()
	})
	if _, _, err := trust.Fetch(ctx, s.src, s.options(day)); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
}

// What was seen once does not go back, whoever controls the network.
func TestFetchRemembers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	old := s.Files()
	o := s.options(day)
	o.CacheDir = t.TempDir()
	s.publish(t)
	if _, _, err := trust.Fetch(t.Context(), s.src, o); err != nil {
		t.Fatal(err)
	}
	s.Restore(maps.Clone(old))
	if _, _, err := trust.Fetch(t.Context(), s.src, o); !errorAs[*trust.RepositoryError](err) {
		t.Errorf("older metadata: %v", err)
	}
	// Without the cache nothing is known of the newer ones.
	if _, _, err := trust.Fetch(t.Context(), s.src, s.options(day)); err != nil {
		t.Error(err)
	}
}

// Keys that were replaced stay replaced, even when the network hides that.
func TestFetchRemembersReplacedKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	old := s.Files()
	o := s.options(day)
	o.CacheDir = t.TempDir()
	if err := s.Rotate(); err != nil {
		t.Fatal(err)
	}
	s.publish(t)
	r, _, err := trust.Fetch(t.Context(), s.src, o)
	if err != nil || string(r.JSON()) != string(s.root) {
		t.Fatalf("after the keys were replaced: %v", err)
	}
	s.mu.Lock()
	s.requests = nil
	s.mu.Unlock()
	if _, _, err := trust.Fetch(t.Context(), s.src, o); err != nil {
		t.Fatal(err)
	}
	if got := s.requests[0]; got != "/3.root.json" {
		t.Errorf("first asked for %s: the newest root metadata were forgotten", got)
	}
	s.Restore(old)
	if _, _, err := trust.Fetch(t.Context(), s.src, o); !errorAs[*trust.RepositoryError](err) {
		t.Errorf("metadata by the old keys: %v", err)
	}
}

func TestPublicGoodSource(t *testing.T) {
	t.Parallel()
	src := trust.PublicGood()
	var asked []string
	o := trust.FetchOptions{Now: func() time.Time { return day }, Transport: transport(func(req *http.Request) (*http.Response, error) {
		asked = append(asked, req.URL.String())
		return nil, errors.New("there is no network")
	})}
	if _, _, err := trust.Fetch(t.Context(), src, o); !errorAs[*trust.FetchError](err) {
		t.Errorf("%v", err)
	}
	if len(asked) != 1 || !strings.HasPrefix(asked[0], "https://tuf-repo-cdn.sigstore.dev/") || !strings.HasSuffix(asked[0], ".root.json") {
		t.Errorf("asked for %q", asked)
	}
	if src.Name = "other"; src.URL == "" {
		t.Fatal("no URL")
	}
	if _, _, err := trust.Fetch(t.Context(), src, o); !errors.Is(err, trust.ErrInvalidItem) {
		t.Errorf("under another name: %v", err)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
