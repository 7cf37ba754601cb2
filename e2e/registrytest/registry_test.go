package registrytest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/modseal/modseal/e2e/registrytest"
)

// With no fault set a front is only a mirror, and it counts right; with one set
// it does what it says. What scripts show rests on that.
func TestFront(t *testing.T) {
	for _, kind := range registrytest.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			if why := kind.Missing(); why != "" {
				t.Skip(why)
			}
			r, err := registrytest.Start(kind, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}()
			content := make([]byte, 300_000)
			if _, err := rand.Read(content); err != nil {
				t.Fatal(err)
			}
			repo := repository(t, r)
			desc, err := oras.PushBytes(context.Background(), repo, "application/octet-stream", content)
			if err != nil {
				t.Fatal(err)
			}
			want(t, r, "sessions", 1)
			want(t, r, "blob-uploads", 1)
			want(t, r, "blob-upload-bytes", int64(len(content)))

			if got := fetch(t, repo, desc); !bytes.Equal(got, content) {
				t.Errorf("%d other bytes than were pushed", len(got))
			}
			want(t, r, "blob-downloads", 1)
			want(t, r, "blob-download-bytes", int64(len(content)))

			flipped := bytes.Clone(content)
			flipped[1234] ^= 1
			r.FlipByte(desc.Digest, 1234, 0, false)
			if got := fetch(t, repo, desc); !bytes.Equal(got, flipped) {
				t.Error("FlipByte changes more, or less, than that byte")
			}
			r.Heal()

			r.Resize(desc.Digest, 1000)
			if got := fetch(t, repo, ocispec.Descriptor{Digest: desc.Digest, Size: 1000}); !bytes.Equal(got, content[:1000]) {
				t.Errorf("Resize gives %d bytes, not the first 1000", len(got))
			}
			r.Heal()

			r.Cut(desc.Digest, 5000, 1)
			rc, err := repo.Blobs().Fetch(context.Background(), desc)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(rc)
			rc.Close()
			if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != 5000 {
				t.Errorf("Cut gives %d bytes and %v", len(got), err)
			}
			if got := fetch(t, repo, desc); !bytes.Equal(got, content) {
				t.Error("Cut does not end after its times")
			}
		})
	}
}

func repository(t *testing.T, r *registrytest.Registry) *remote.Repository {
	t.Helper()
	repo, err := remote.NewRepository(r.Host + "/team/model")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	return repo
}

func fetch(t *testing.T, repo *remote.Repository, desc ocispec.Descriptor) []byte {
	t.Helper()
	if _, err := digest.Parse(desc.Digest.String()); err != nil {
		t.Fatal(err)
	}
	rc, err := repo.Blobs().Fetch(context.Background(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	content, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func want(t *testing.T, r *registrytest.Registry, counter string, n int64) {
	t.Helper()
	if got := r.Count(counter); got != n {
		t.Errorf("%s is %d, want %d", counter, got, n)
	}
}
