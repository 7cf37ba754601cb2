package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/store"
)

// source is a blob that counts how often it is opened and read.
type source struct {
	content io.Reader
	opened  int
	read    int64
	closed  int
	fail    error // instead of the end
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.content.Read(p)
	s.read += int64(n)
	if err == io.EOF && s.fail != nil {
		err = s.fail
	}
	return n, err
}
func (s *source) Close() error { s.closed++; return nil }

func (s *source) blob(size int64) ingest.Blob {
	return ingest.Blob{Name: "model.bin", MediaType: "test/weights", Size: size, Open: func() (io.ReadCloser, error) {
		s.opened++
		return s, nil
	}}
}

func TestIngestReadsOnce(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	content := strings.Repeat("weights ", 1<<17)
	s := &source{content: strings.NewReader(content)}
	desc, err := l.Ingest(t.Context(), s.blob(int64(len(content))))
	if err != nil {
		t.Fatal(err)
	}
	want := ocispec.Descriptor{MediaType: "test/weights", Digest: digest.FromString(content), Size: int64(len(content))}
	if desc.Digest != want.Digest || desc.Size != want.Size || desc.MediaType != want.MediaType {
		t.Errorf("%v, want %v", desc, want)
	}
	if s.opened != 1 || s.closed != 1 || s.read != want.Size {
		t.Errorf("opened %d times, closed %d times, %d bytes read", s.opened, s.closed, s.read)
	}
	if got := fetch(t, l, want); got != content {
		t.Error("other bytes came back")
	}
	noTemps(t, l)
}

func TestIngestKeepsWhatIsThere(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	put := func(content string) os.FileInfo {
		desc, err := l.Ingest(t.Context(), (&source{content: strings.NewReader(content)}).blob(int64(len(content))))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(l.Path(), "blobs", "sha256", desc.Digest.Encoded()))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := put("weights")
	if again := put("weights"); !os.SameFile(first, again) || !again.ModTime().Equal(first.ModTime()) {
		t.Error("the blob was rewritten")
	}
	// One that is cut short is not that blob.
	name := filepath.Join(l.Path(), "blobs", "sha256", digest.FromString("weights").Encoded())
	if err := os.Truncate(name, 3); err != nil {
		t.Fatal(err)
	}
	if put("weights"); readFile(t, name) != "weights" {
		t.Error("the truncated blob was kept")
	}
	noTemps(t, l)
}

func TestIngestFailsCleanly(t *testing.T) {
	cancelled, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	broken := errors.New("disk on fire")
	var size *ingest.SizeError
	for name, c := range map[string]struct {
		ctx  context.Context
		s    *source
		size int64
		want func(error) bool
	}{
		"it shrank":      {t.Context(), &source{content: strings.NewReader("abc")}, 5, func(err error) bool { return errors.As(err, &size) }},
		"it grew":        {t.Context(), &source{content: strings.NewReader("abcdefgh")}, 5, func(err error) bool { return errors.As(err, &size) }},
		"it cannot read": {t.Context(), &source{content: strings.NewReader("abc"), fail: broken}, 5, func(err error) bool { return errors.Is(err, broken) }},
		"cancelled":      {cancelled, &source{content: strings.NewReader("abcde")}, 5, func(err error) bool { return errors.Is(err, stop) }},
	} {
		l := mustCreate(t, t.TempDir())
		if _, err := l.Ingest(c.ctx, c.s.blob(c.size)); err == nil || !c.want(err) {
			t.Errorf("%s: %v", name, err)
		}
		if c.s.closed != c.s.opened {
			t.Errorf("%s: the source was left open", name)
		}
		noTemps(t, l)
		if entries, _ := os.ReadDir(filepath.Join(l.Path(), "blobs", "sha256")); len(entries) != 0 {
			t.Errorf("%s: there is now %v", name, entries)
		}
	}
}

// Memory does not grow with the blob; a quarter gibibyte stands for the 16 GiB
// of a real one.
func TestIngestTakesConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 64 MiB")
	}
	l := mustCreate(t, t.TempDir())
	const size = 64 << 20
	s := &source{content: io.LimitReader(zeros{}, size)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := l.Ingest(t.Context(), s.blob(size)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestPushVerifies(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	right := []byte("the right bytes")
	m := newManifest("one", testArtifact, nil)
	for name, c := range map[string]struct {
		desc    ocispec.Descriptor
		content string
	}{
		"flipped byte":           {blobOf("text/plain", right), "the right bytez"},
		"cut":                    {blobOf("text/plain", right), "the right"},
		"too long":               {blobOf("text/plain", right), "the right bytes and more"},
		"manifest, flipped byte": {m.desc, strings.Replace(string(m.raw), "one", "eno", 1)},
	} {
		var bad *integrity.Error
		if err := l.Push(t.Context(), c.desc, strings.NewReader(c.content)); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
		if there, err := l.Exists(t.Context(), c.desc); there || err != nil {
			t.Errorf("%s: it is there: %v", name, err)
		}
	}
	noTemps(t, l)
	sha512 := ocispec.Descriptor{MediaType: "text/plain", Digest: digest.SHA512.FromBytes(right), Size: int64(len(right))}
	if err := l.Push(t.Context(), sha512, bytes.NewReader(right)); err != nil || fetch(t, l, sha512) != string(right) {
		t.Errorf("sha512: %v", err)
	}
	if err := l.Push(t.Context(), ocispec.Descriptor{MediaType: "x", Digest: "sha256:../../../x", Size: 1}, strings.NewReader("x")); err == nil {
		t.Error("a path was pushed as a digest")
	}
}

func TestFetchDoesNotVerify(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	desc := blobOf("text/plain", []byte("weights"))
	if _, err := l.Fetch(t.Context(), desc); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if err := l.Push(t.Context(), desc, strings.NewReader("weights")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.Path(), "blobs", "sha256", desc.Digest.Encoded()), "weightz")
	if got := fetch(t, l, desc); got != "weightz" {
		t.Errorf("%q", got)
	}
	rc, err := l.Fetch(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, ok := rc.(io.ReaderAt); !ok {
		t.Error("headers of weights cannot be read without reading all of it")
	}
}

func TestConcurrentIngestOfOneBlob(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := l.Ingest(t.Context(), (&source{content: strings.NewReader("same")}).blob(4)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := fetch(t, l, blobOf("", []byte("same"))); got != "same" {
		t.Errorf("%q", got)
	}
	noTemps(t, l)
}

func fetch(t *testing.T, l *store.Layout, desc ocispec.Descriptor) string {
	t.Helper()
	rc, err := l.Fetch(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	raw, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func noTemps(t *testing.T, l *store.Layout) {
	t.Helper()
	if entries, _ := os.ReadDir(filepath.Join(l.Path(), ".modseal-tmp")); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}
