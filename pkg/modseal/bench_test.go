//go:build unix

package modseal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"

	"github.com/modseal/modseal/pkg/sign"
)

// The benchmarks move a model of benchSize bytes in four shards over loopback,
// through a registry that stores on disk, in this process.
const (
	benchSize   = 256 << 20
	benchShards = 4
)

func benchModel(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	for i := range benchShards {
		const n = benchSize / benchShards
		header := fmt.Sprintf(`{"w%d":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, i, n, n)
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, benchShards)))
		if err != nil {
			b.Fatal(err)
		}
		if err := binary.Write(f, binary.LittleEndian, uint64(len(header))); err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(f, io.MultiReader(strings.NewReader(header), io.LimitReader(rand.Reader, n))); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// benchRegistry returns the address of a registry.
func benchRegistry(b *testing.B) string {
	b.Helper()
	registry := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreDir, RootDir: b.TempDir()}})
	server := httptest.NewServer(registry)
	b.Cleanup(func() {
		server.Close()
		if err := registry.Close(); err != nil {
			b.Error(err)
		}
	})
	return strings.TrimPrefix(server.URL, "http://")
}

func benchClient(b *testing.B) (*Client, *SignOptions, TrustOptions) {
	b.Helper()
	keys, err := Keygen(filepath.Join(b.TempDir(), "k"), sign.P256, []byte("pw"))
	if err != nil {
		b.Fatal(err)
	}
	c, err := New(Options{StateDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	return c, &SignOptions{Key: keys.PrivateKey, Password: password}, TrustOptions{Keys: []string{keys.PublicKey}}
}

func BenchmarkPush(b *testing.B) {
	dir, host := benchModel(b), benchRegistry(b)
	c, signer, _ := benchClient(b)
	b.SetBytes(benchSize)
	n := 0
	for b.Loop() {
		n++ // a repository of its own each time: every layer is new
		if _, err := c.Push(b.Context(), dir, fmt.Sprintf("%s/bench/%d:v1", host, n), PackOptions{Signer: signer}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPushAgain(b *testing.B) {
	dir, host := benchModel(b), benchRegistry(b)
	c, signer, _ := benchClient(b)
	push := func() {
		if _, err := c.Push(b.Context(), dir, host+"/bench:v1", PackOptions{Signer: signer}); err != nil {
			b.Fatal(err)
		}
	}
	push()
	b.SetBytes(benchSize)
	for b.Loop() {
		push()
	}
}

func BenchmarkPull(b *testing.B) {
	ref := benchRegistry(b) + "/bench:v1"
	c, signer, trust := benchClient(b)
	if _, err := c.Push(b.Context(), benchModel(b), ref, PackOptions{Signer: signer}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, err := c.Pull(b.Context(), ref, b.TempDir(), PullOptions{Trust: trust}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPullAgain is a pull of what is there: nothing but the verification
// and a look at the files.
func BenchmarkPullAgain(b *testing.B) {
	ref, out := benchRegistry(b)+"/bench:v1", b.TempDir()
	c, signer, trust := benchClient(b)
	if _, err := c.Push(b.Context(), benchModel(b), ref, PackOptions{Signer: signer}); err != nil {
		b.Fatal(err)
	}
	pull := func() {
		if _, err := c.Pull(b.Context(), ref, out, PullOptions{Trust: trust}); err != nil {
			b.Fatal(err)
		}
	}
	pull()
	for b.Loop() {
		pull()
	}
}

func BenchmarkPackLayout(b *testing.B) {
	dir := benchModel(b)
	c, signer, _ := benchClient(b)
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, err := c.Push(b.Context(), dir, "oci:"+b.TempDir()+":v1", PackOptions{Signer: signer}); err != nil {
			b.Fatal(err)
		}
	}
}
