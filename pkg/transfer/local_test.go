package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// bundle is a source whose blobs lie one after the other in one file, as in an
// archive.
type bundle struct {
	name  string
	file  *os.File
	size  int64
	at    map[digest.Digest]int64
	descs map[digest.Digest]ocispec.Descriptor
	// shared makes Fetch give a reader that only knows where its bytes lie.
	shared bool
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{name: filepath.Join(t.TempDir(), "bundle"), at: map[digest.Digest]int64{}, descs: map[digest.Digest]ocispec.Descriptor{}}
	var err error
	if b.file, err = os.OpenFile(b.name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.file.Close() })
	b.add(t, "application/x-padding", []byte("what is before"))
	return b
}

func (b *bundle) add(t *testing.T, mediaType string, raw []byte) ocispec.Descriptor {
	t.Helper()
	d := describe(mediaType, raw)
	if _, err := b.file.WriteAt(raw, b.size); err != nil {
		t.Fatal(err)
	}
	b.at[d.Digest], b.descs[d.Digest] = b.size, d
	b.size += d.Size
	return d
}

func (b *bundle) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	d, ok := b.descs[digest.Digest(reference)]
	if !ok {
		return d, errdef.ErrNotFound
	}
	return d, nil
}

func (b *bundle) Fetch(_ context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	at, ok := b.at[target.Digest]
	if !ok {
		return nil, errdef.ErrNotFound
	}
	if b.shared {
		return &span{io.NewSectionReader(b.file, at, target.Size), b.file, at}, nil
	}
	return ingest.OpenSection(b.file, at, target.Size)
}

func (*bundle) Referrers(context.Context, ocispec.Descriptor, string, func([]ocispec.Descriptor) error) error {
	return nil
}

var _ referrer.Source = (*bundle)(nil)

type span struct {
	*io.SectionReader

	file *os.File
	at   int64
}

func (*span) Close() error { return nil }

func (s *span) Section() (*os.File, int64, int64, bool) {
	return s.file, s.at, s.Size(), true
}

// model adds an artifact with one large layer.
func (b *bundle) model(t *testing.T, layer []byte) ocispec.Descriptor {
	t.Helper()
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: b.add(t, ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers: []ocispec.Descriptor{b.add(t, "application/x-test", layer)},
	}
	raw, err := artifacttypes.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	b.add(t, "application/x-padding", []byte("what is behind"))
	return b.add(t, ocispec.MediaTypeImageManifest, raw)
}

const localSize = 5 << 20

func TestCopyFromAFileOfManyBlobs(t *testing.T) {
	refuse := func(method string) front {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == method {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			next.ServeHTTP(w, r)
		}
	}
	for name, c := range map[string]struct {
		fault  front
		shared bool
		want   string // requests with the layer's bytes
	}{
		"sections":                  {nil, false, "PATCH"},
		"readers that know a place": {nil, true, "PATCH"},
		"no streams":                {refuse(http.MethodPatch), false, "PUT"},
		"a connection that breaks":  {breaks(localSize/2, 1), false, "PATCH PATCH"},
	} {
		t.Run(name, func(t *testing.T) {
			src := newBundle(t)
			src.shared = c.shared
			layer := randomBytes(localSize)
			root := src.model(t, layer)
			reg := newRegistry(t, config.Config{}, c.fault)
			dst := reg.repository(t, "team/model", remote.Options{})
			result, err := transfer.Copy(t.Context(), src, dst, root, transfer.CopyOptions{Upload: transfer.UploadOptions{StateDir: t.TempDir()}})
			if err != nil {
				t.Fatal(err)
			}
			if result.Sent < localSize {
				t.Errorf("%d bytes were sent", result.Sent)
			}
			rc, err := dst.Fetch(t.Context(), describe("application/x-test", layer))
			if err != nil {
				t.Fatal(err)
			}
			defer rc.Close()
			if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, layer) {
				t.Errorf("the layer is another: %v", err)
			}
			if got := reg.carried(1 << 20); got != c.want {
				t.Errorf("the layer went by %q, want %q", got, c.want)
			}
		})
	}
}

// carried lists the requests that brought at least so many bytes.
func (g *testRegistry) carried(least int64) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var methods []string
	for _, r := range g.log {
		if r.received.Load() >= least {
			methods = append(methods, r.method)
		}
	}
	return strings.Join(methods, " ")
}

// A file that is damaged is noticed before the registry stores it, whatever the
// registry checks.
func TestCopyFromADamagedFile(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault front
	}{
		{"streams", nil},
		{"no streams", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodPatch {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			next.ServeHTTP(w, r)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := newBundle(t)
			layer := randomBytes(localSize)
			root := src.model(t, layer)
			victim := digest.FromBytes(layer)
			if _, err := src.file.WriteAt([]byte{layer[localSize-1] ^ 1}, src.at[victim]+localSize-1); err != nil {
				t.Fatal(err)
			}
			reg := newRegistry(t, config.Config{}, c.fault)
			dst := reg.repository(t, "team/model", remote.Options{})
			_, err := transfer.Copy(t.Context(), src, dst, root, transfer.CopyOptions{})
			var bad *integrity.Error
			if !errors.As(err, &bad) || bad.Want != victim {
				t.Fatalf("err = %v", err)
			}
			closed := slices.ContainsFunc(reg.seen(http.MethodPut, "/blobs/"), func(r *request) bool {
				return strings.Contains(r.query, victim.Encoded())
			})
			if closed {
				t.Error("the upload was closed")
			}
		})
	}
}
