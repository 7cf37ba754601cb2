//go:build unix

package modseal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/store"
)

// interrupting cancels a pull once so many bytes moved, and adds up what it is
// told.
type interrupting struct {
	mu            sync.Mutex
	after         int64
	cancel        context.CancelCauseFunc
	planned       int64
	moved, reused map[string]int64
	finished      map[string]bool
}

func newInterrupting(after int64, cancel context.CancelCauseFunc) *interrupting {
	return &interrupting{after: after, cancel: cancel, moved: map[string]int64{}, reused: map[string]int64{}, finished: map[string]bool{}}
}

func (i *interrupting) Plan(_ int, n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.planned += n
}

func (*interrupting) Start(string, int64) {}

func (i *interrupting) Advance(name string, n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.moved[name] += n
	if i.after -= n; i.after <= 0 && i.cancel != nil {
		i.cancel(errStopped)
	}
}

func (i *interrupting) Reuse(name string, n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reused[name] += n
}

func (i *interrupting) Finish(name string, _ bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.finished[name] = true
}

var errStopped = errors.New("stopped by the test")

// rangesSeen is a registry that notes the ranges that were asked for of one blob,
// and may give other bytes.
type rangesSeen struct {
	http.Handler
	blob string

	mu   sync.Mutex
	seen []string
	lie  []byte // given in the place of the blob
	most int    // bytes of it that an answer has before it stalls; 0 for all
}

func (s *rangesSeen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, s.blob) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Header.Get("Range"))
		lie, most := s.lie, s.most
		s.mu.Unlock()
		if lie != nil {
			_, _ = w.Write(lie)
			return
		}
		if most > 0 {
			w = &stalling{ResponseWriter: w, left: most, gone: r.Context().Done()}
		}
	}
	s.Handler.ServeHTTP(w, r)
}

// take returns the ranges that were asked for, and forgets them; nothing stalls from
// then on.
func (s *rangesSeen) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen, s.most = nil, 0
	return seen
}

// stalling writes some bytes and no more until the client is gone: who is stopped on the
// way could have all of them otherwise before it knows.
type stalling struct {
	http.ResponseWriter
	left int
	gone <-chan struct{}
}

func (s *stalling) Write(b []byte) (int, error) {
	n, err := s.ResponseWriter.Write(b[:min(len(b), s.left)])
	if s.left -= n; err != nil || n == len(b) {
		return n, err
	}
	if f, ok := s.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	<-s.gone
	return n, errStopped
}

// interrupted is a model of one large file of which a pull into dir was stopped.
func interrupted(t *testing.T) (ref, dir string, weights []byte, registry *rangesSeen) {
	t.Helper()
	weights = make([]byte, 6<<20)
	_, _ = rand.Read(weights)
	model := t.TempDir()
	if err := os.WriteFile(filepath.Join(model, "weights.bin"), weights, 0o600); err != nil {
		t.Fatal(err)
	}
	store := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}})
	registry = &rangesSeen{Handler: store, blob: digest.FromBytes(weights).String(), most: 4 << 20}
	server := httptest.NewServer(registry)
	t.Cleanup(func() {
		server.Close()
		_ = store.Close()
	})
	ref, dir = strings.TrimPrefix(server.URL, "http://")+"/team/model:v1", filepath.Join(t.TempDir(), "out")
	if _, err := newClient(t).Push(t.Context(), model, ref, PackOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	c, err := New(Options{StateDir: t.TempDir(), Progress: newInterrupting(2<<20, cancel)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Pull(ctx, ref, dir, PullOptions{SkipVerificationUnsafe: true})
	var incomplete *materialize.IncompleteError
	if !errors.Is(err, errStopped) || !errors.As(err, &incomplete) || incomplete.Parts != 1 || incomplete.Bytes < 2<<20 {
		t.Fatalf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "weights.bin")); err == nil {
		t.Error("the file has its name already")
	}
	registry.take()
	return ref, dir, weights, registry
}

func pullAgain(t *testing.T, ref, dir string, o PullOptions) (*PullResult, *interrupting, error) {
	t.Helper()
	p := newInterrupting(0, nil)
	c, err := New(Options{StateDir: t.TempDir(), Progress: p})
	if err != nil {
		t.Fatal(err)
	}
	o.SkipVerificationUnsafe = true
	res, err := c.Pull(t.Context(), ref, dir, o)
	return res, p, err
}

func wantWeights(t *testing.T, dir string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(dir, "weights.bin")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes, %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, materialize.StagingName)); err == nil {
		t.Error("the staging directory is still there")
	}
}

func TestPullGoesOnInAFile(t *testing.T) {
	ref, dir, weights, registry := interrupted(t)
	res, p, err := pullAgain(t, ref, dir, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantWeights(t, dir, weights)
	size := int64(len(weights))
	if n := p.reused["weights.bin"]; n < 2<<20 || p.moved["weights.bin"] != size-n || res.Files.BytesFetched != size-n || p.planned != size || !p.finished["weights.bin"] {
		t.Errorf("%d of %d reused, %d moved, %d planned", n, size, p.moved["weights.bin"], p.planned)
	}
	if seen := registry.take(); len(seen) != 1 || !strings.HasPrefix(seen[0], "bytes=") {
		t.Errorf("asked for were %q", seen)
	}
}

func TestPullThatIsNotToGoOn(t *testing.T) {
	ref, dir, weights, registry := interrupted(t)
	if _, _, err := pullAgain(t, ref, dir, PullOptions{NoResume: true}); err != nil {
		t.Fatal(err)
	}
	wantWeights(t, dir, weights)
	if seen := registry.take(); len(seen) != 1 || seen[0] != "" {
		t.Errorf("asked for were %q", seen)
	}
}

// unfinished is the file of the layer that was interrupted.
func unfinished(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, materialize.StagingName, "*.part"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	return names[0]
}

// Whoever changes what is kept is found out at the end, and then all of it is
// fetched again.
func TestPullOverATamperedPart(t *testing.T) {
	for name, tamper := range map[string]func(t *testing.T, part string){
		"data": func(t *testing.T, part string) {
			f, err := os.OpenFile(part, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte("EVIL"), 1000); err != nil {
				t.Fatal(err)
			}
		},
		"journal": func(t *testing.T, part string) {
			raw, err := os.ReadFile(part + ".journal")
			if err != nil {
				t.Fatal(err)
			}
			// It says that all of it is there.
			lie := bytes.ReplaceAll(raw, []byte(`"written":[{"start":0,`), []byte(`"written":[{"start":0,"end":6291456}],"front":0,"durable":[{"start":0,`))
			if bytes.Equal(lie, raw) {
				t.Fatalf("nothing to change in %s", raw)
			}
			if err := os.WriteFile(part+".journal", lie, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ref, dir, weights, registry := interrupted(t)
			tamper(t, unfinished(t, dir))
			_, p, err := pullAgain(t, ref, dir, PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			wantWeights(t, dir, weights)
			if n := p.reused["weights.bin"] + p.moved["weights.bin"]; n != int64(len(weights)) {
				t.Errorf("%d bytes were told", n)
			}
			if seen := registry.take(); len(seen) == 0 || len(seen) > 2 || seen[len(seen)-1] != "" {
				t.Errorf("asked for were %q", seen)
			}
		})
	}
}

// A registry that has other bytes is asked once more for all of them, and then
// told so: nothing is kept.
func TestPullOfABlobThatIsBad(t *testing.T) {
	ref, dir, weights, registry := interrupted(t)
	bad := bytes.Clone(weights)
	bad[5<<20] ^= 1
	registry.mu.Lock()
	registry.lie = bad
	registry.mu.Unlock()
	_, _, err := pullAgain(t, ref, dir, PullOptions{})
	var wrong *integrity.Error
	if !errors.As(err, &wrong) || wrong.Want != digest.FromBytes(weights) || wrong.Got != digest.FromBytes(bad) || ClassOf(err) != ClassIntegrity {
		t.Errorf("%v", err)
	}
	if n := len(registry.take()); n != 2 {
		t.Errorf("%d requests", n)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%v is left", entries)
	}
}

// A large tar goes on where it was, too.
func TestPullGoesOnInATar(t *testing.T) {
	if testing.Short() {
		t.Skip("moves a tar of 65 MiB")
	}
	content := make([]byte, 65<<20)
	_, _ = rand.Read(content)
	tarball := tarOf(t, "weights.bin", string(content))
	path := filepath.Join(t.TempDir(), "layout")
	layout, err := store.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	putModel(t, layout, tarball, "v1")
	if err := layout.Close(); err != nil {
		t.Fatal(err)
	}
	mem := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}})
	registry := &rangesSeen{Handler: mem, blob: digest.FromBytes(tarball).String(), most: 40 << 20}
	server := httptest.NewServer(registry)
	defer func() {
		server.Close()
		_ = mem.Close()
	}()
	ref, dir := strings.TrimPrefix(server.URL, "http://")+"/team/model:v1", filepath.Join(t.TempDir(), "out")
	if _, err := newClient(t).Copy(t.Context(), "oci:"+path+":v1", ref, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	c, err := New(Options{StateDir: t.TempDir(), Progress: newInterrupting(20<<20, cancel)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(ctx, ref, dir, PullOptions{SkipVerificationUnsafe: true}); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	registry.take()
	res, _, err := pullAgain(t, ref, dir, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantWeights(t, dir, content)
	if n := res.Files.BytesFetched; n > int64(len(tarball))-20<<20 {
		t.Errorf("%d of %d bytes were fetched again", n, len(tarball))
	}
	if seen := registry.take(); len(seen) == 0 || seen[0] == "" {
		t.Errorf("asked for were %q", seen)
	}
}
