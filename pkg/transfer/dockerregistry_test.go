package transfer_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/olareg/olareg/config"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// newDockerRegistry starts docker-registry 2.8, the installed base, where it is
// installed (Debian: docker-registry).
func newDockerRegistry(t *testing.T) *remote.Repository {
	t.Helper()
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), host)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	c, err := remote.NewClient(remote.Options{RetryFor: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	repo, err := c.Repository(registry.Reference{Registry: host, Repository: "team/model"})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func TestDockerRegistry(t *testing.T) {
	repo := newDockerRegistry(t)
	for _, size := range []int{0, 1, 100_000, 5 << 20} {
		raw := randomBytes(size)
		for _, hashFirst := range []bool{false, true} {
			var c counter
			got, err := transfer.NewUploader(repo, transfer.UploadOptions{HashFirst: hashFirst}).Ingest(t.Context(), c.blob(raw))
			if err != nil || got.Digest != describe("", raw).Digest {
				t.Fatalf("%d bytes: %v, %v", size, got, err)
			}
			if c.opens.Load() != 1 {
				t.Errorf("%d bytes, hash first %v: opened %d times", size, hashFirst, c.opens.Load())
			}
			stored(t, repo, raw)
		}
	}
	src := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	if _, err := transfer.Copy(t.Context(), src, repo, g.index, transfer.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	g.check(t, repo)
	back := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	if _, err := transfer.Copy(t.Context(), repo, back, g.index, transfer.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	g.check(t, back)
}
