package transfer_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

const benchSize = 1 << 30

// repeated is one block again and again.
type repeated struct {
	block []byte
	off   int64
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.off >= benchSize {
		return 0, io.EOF
	}
	n := copy(p, r.block[r.off%int64(len(r.block)):])
	r.off += int64(n)
	return n, nil
}

func (r *repeated) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekEnd:
		off += benchSize
	case io.SeekCurrent:
		off += r.off
	}
	r.off = off
	return off, nil
}

// BenchmarkDownload moves one blob over loopback, with each connection throttled
// to 50 MB/s, and not throttled.
func BenchmarkDownload(b *testing.B) {
	for name, rate := range map[string]int{"50MBps": 50_000_000, "unthrottled": 0} {
		b.Run(name, func(b *testing.B) {
			block := randomBytes(1 << 20)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if rate > 0 {
					w = &slowWriter{w, rate, time.Now(), 0}
				}
				http.ServeContent(w, r, "", time.Time{}, &repeated{block: block})
			}))
			defer server.Close()
			h := digest.SHA256.Hash()
			for range benchSize / len(block) {
				h.Write(block)
			}
			desc := ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.NewDigest(digest.SHA256, h), Size: benchSize}
			c, err := remote.NewClient(remote.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			repo, err := c.Repository(remote.Reference{Registry: strings.TrimPrefix(server.URL, "http://"), Repository: "team/model"})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(benchSize)
			for b.Loop() {
				root, err := os.OpenRoot(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				to, err := partial.Open(b.Context(), root, "blob.part", desc, partial.Options{})
				if err != nil {
					b.Fatal(err)
				}
				if err := transfer.NewFetcher(repo).Download(b.Context(), desc, to, nil); err != nil {
					b.Fatal(err)
				}
				if _, err := to.Finish(b.Context(), "blob"); err != nil {
					b.Fatal(err)
				}
				_ = root.Close()
			}
		})
	}
}
