package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/e2e/registrytest"
	"github.com/modseal/modseal/hack/samplemodel"
)

const (
	// loadKills is how often a load is killed into each kind of place.
	loadKills = 25
	// loadModel is the size of the model in bytes.
	loadModel = 12 << 20
)

// TestLoadKilled kills loads with SIGKILL at 50 random moments, half of them into a
// registry and half into a layout. No tag is there before the load ended well, no
// blob under its name is ever anything but whole, and what is there in the end is,
// byte for byte, what an undisturbed load leaves. A failure prints its seed
// (MODSEAL_E2E_SOAK_SEED).
func TestLoadKilled(t *testing.T) {
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	seed := soakNumber(t, "MODSEAL_E2E_SOAK_SEED", time.Now().UnixNano()%1_000_000)
	k := &loadKiller{t: t, program: program, dir: t.TempDir(), random: rand.New(rand.NewPCG(uint64(seed), 1))}
	t.Logf("seed %d", seed)
	k.prepare()
	t.Run("registry", func(t *testing.T) { k.with(t).registries() })
	t.Run("layout", func(t *testing.T) { k.with(t).layouts() })
}

type loadKiller struct {
	t       *testing.T
	program string
	dir     string
	random  *rand.Rand
}

func (k *loadKiller) with(t *testing.T) *loadKiller {
	c := *k
	c.t = t
	return &c
}

// modseal runs a command that must end well.
func (k *loadKiller) modseal(args ...string) {
	k.t.Helper()
	p := newProcess(k.t, k.program, k.dir, args, soakEnvironment(k.dir))
	if err := p.wait(); err != nil {
		k.t.Fatalf("modseal %s: %v\n%s", strings.Join(args, " "), err, p.output())
	}
}

// prepare saves a signed model into an archive.
func (k *loadKiller) prepare() {
	for _, dir := range []string{"home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(k.dir, dir), 0o700); err != nil {
			k.t.Fatal(err)
		}
	}
	if err := samplemodel.Write(filepath.Join(k.dir, "model"), samplemodel.Options{Size: loadModel}); err != nil {
		k.t.Fatal(err)
	}
	k.modseal("keygen", "--output-key-prefix", "k")
	k.modseal("pack", "model", "oci:source:v1", "--key", "k.key")
	k.modseal("save", "oci:source:v1", "-o", "model.tar", "--key", "k.pub")
}

func (k *loadKiller) load(dst string) *process {
	return newProcess(k.t, k.program, k.dir, []string{"load", "model.tar", dst, "--key", "k.pub", "--quiet"}, soakEnvironment(k.dir))
}

// registries kills loads when a random number of bytes went to a registry.
func (k *loadKiller) registries() {
	clean := k.start()
	k.modseal("load", "model.tar", clean.Host+"/team/llama", "--key", "k.pub", "--quiet")
	want := blobsBelow(k.t, clean.Dir)
	sent := clean.Count("blob-upload-bytes")
	for i := range loadKills {
		r := k.start()
		dst := r.Host + "/team/llama"
		moment := 1 + k.random.Int64N(sent)
		reached := r.StopAfter(registrytest.Up, moment)
		p := k.load(dst)
		what := fmt.Sprintf("kill %d at byte %d", i, moment)
		select {
		case <-reached:
			p.kill()
		case err := <-p.done: // the registry holds it back
			k.t.Fatalf("%s: it ended before, with %v\n%s", what, err, p.output())
		case <-time.After(time.Minute):
			p.kill()
			k.t.Fatalf("%s: it does not come to it\n%s", what, p.output())
		}
		r.Continue()
		k.noTag(dst + ":v1")
		k.modseal("load", "model.tar", dst, "--key", "k.pub", "--quiet")
		k.modseal("verify", dst+":v1", "--key", "k.pub")
		k.compare(what, want, blobsBelow(k.t, r.Dir))
		if err := r.Close(); err != nil {
			k.t.Error(err)
		}
	}
}

func (k *loadKiller) start() *registrytest.Registry {
	r, err := registrytest.Start(registrytest.Olareg, k.t.TempDir())
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = r.Close() })
	return r
}

// layouts kills loads when a random number of bytes is on disk below a layout.
func (k *loadKiller) layouts() {
	k.modseal("load", "model.tar", "oci:clean", "--key", "k.pub", "--quiet")
	clean := filepath.Join(k.dir, "clean")
	want := blobsBelow(k.t, clean)
	index := readAll(k.t, filepath.Join(clean, "index.json"))
	killed := 0
	for i := range loadKills {
		name := fmt.Sprintf("killed-%d", i)
		dir := filepath.Join(k.dir, name)
		moment := k.random.Int64N(loadModel)
		p := k.load("oci:" + name)
		k.waitUntilGrown(p, dir, moment)
		p.kill()
		if p.ended != nil {
			killed++
			k.wholeBlobs(dir)
		}
		k.modseal("load", "model.tar", "oci:"+name, "--key", "k.pub", "--quiet")
		k.modseal("verify", "oci:"+name+":v1", "--key", "k.pub")
		k.compare(name, want, blobsBelow(k.t, dir))
		if got := readAll(k.t, filepath.Join(dir, "index.json")); got != index {
			k.t.Errorf("%s: index.json is\n%s\nnot\n%s", name, got, index)
		}
		_ = os.RemoveAll(dir)
	}
	// Nothing holds a load into a layout back: one that is fast enough is not killed.
	// If that is most of them, the test shows nothing.
	if killed < loadKills/2 {
		k.t.Errorf("only %d of %d loads were killed before they ended", killed, loadKills)
	}
}

// waitUntilGrown waits until so many bytes are on disk below dir, or the process is
// gone.
func (k *loadKiller) waitUntilGrown(p *process, dir string, moment int64) {
	k.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		select {
		case err := <-p.done:
			p.done <- err
			return
		default:
		}
		var size int64
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if info, err := d.Info(); err == nil {
					size += info.Size()
				}
			}
			return nil
		})
		if size > moment {
			return
		}
	}
	p.kill()
	k.t.Fatalf("within a minute there are no %d bytes in %s\n%s", moment, dir, p.output())
}

// noTag: what was killed has not set the tag.
func (k *loadKiller) noTag(reference string) {
	k.t.Helper()
	p := newProcess(k.t, k.program, k.dir, []string{"inspect", reference}, soakEnvironment(k.dir))
	var exit *exec.ExitError
	if err := p.wait(); !errors.As(err, &exit) || exit.ExitCode() != 5 {
		k.t.Errorf("after a load that was killed %s is not absent: %v\n%s", reference, err, p.output())
	}
}

// wholeBlobs: every blob that has its name in a layout is the blob, and no tag is
// there unless all is.
func (k *loadKiller) wholeBlobs(dir string) {
	k.t.Helper()
	for name, sum := range blobsBelow(k.t, dir) {
		if name != sum.Encoded() {
			k.t.Errorf("%s: the blob %s is %s", dir, name, sum)
		}
	}
}

func (k *loadKiller) compare(what string, want, got map[string]digest.Digest) {
	k.t.Helper()
	if !maps.Equal(want, got) {
		k.t.Errorf("%s: there are the blobs %v, not %v", what, got, want)
	}
}

// blobsBelow returns the digests of what has the name of a blob in the OCI layouts
// below dir.
func blobsBelow(t *testing.T, dir string) map[string]digest.Digest {
	t.Helper()
	found := map[string]digest.Digest{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(filepath.Dir(path)) != "sha256" {
			return err
		}
		found[d.Name()] = digest.FromString(readAll(t, path))
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}

func readAll(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
