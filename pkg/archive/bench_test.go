package archive_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// BenchmarkWrite writes a model of four shards, 512 MiB together: from files, as a
// layout has them, and from a registry over loopback, to one file and to parts.
func BenchmarkWrite(b *testing.B) {
	const shards, size = 4, 128 << 20
	dir := b.TempDir()
	g := newGoods()
	var layers [][]byte
	for i := range shards {
		layers = append(layers, randomBytes(uint64(100+i), size))
	}
	g.model(b, "registry.example.com/team/llama", "v1", layers...)
	files := map[string]string{}
	for d, raw := range g.blobs {
		files[d.String()] = filepath.Join(dir, d.Encoded())
		if err := os.WriteFile(files[d.String()], raw, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, files[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]])
	}))
	defer server.Close()
	fetcher := newFetcher(b, server.URL)
	for name, bring := range map[string]func(ocispec.Descriptor) archive.InputBlob{
		"files": func(d ocispec.Descriptor) archive.InputBlob {
			return archive.FileBlob(d, d.Digest.String(), func() (*os.File, error) { return os.Open(files[d.Digest.String()]) })
		},
		"registry": func(d ocispec.Descriptor) archive.InputBlob {
			return archive.InputBlob{Descriptor: d, Name: d.Digest.String(), Bring: func(ctx context.Context, to *partial.File, moved func(int64)) error {
				return fetcher.Download(ctx, d, to, moved)
			}}
		},
	} {
		in := g.in
		in.Blobs = nil
		for _, blob := range g.in.Blobs {
			in.Blobs = append(in.Blobs, bring(blob.Descriptor))
		}
		p, err := archive.NewPlan(in)
		if err != nil {
			b.Fatal(err)
		}
		for parts, partSize := range map[string]int64{"one file": 0, "parts": 100 << 20} {
			b.Run(name+"/"+parts, func(b *testing.B) {
				b.SetBytes(p.Size())
				for b.Loop() {
					if _, err := archive.Write(b.Context(), p, filepath.Join(b.TempDir(), "a.tar"), archive.WriteOptions{PartSize: partSize}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func newFetcher(b *testing.B, url string) *transfer.Fetcher {
	b.Helper()
	c, err := remote.NewClient(remote.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	repo, err := c.Repository(remote.Reference{Registry: strings.TrimPrefix(url, "http://"), Repository: "team/model"})
	if err != nil {
		b.Fatal(err)
	}
	return transfer.NewFetcher(repo)
}
