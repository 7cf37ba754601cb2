package archive_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/archive"
)

// peer returns the path of another tool, or skips the test by its name.
func peer(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path, err := filepath.Abs(filepath.Join("../../bin/peers", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Skipf("%s is missing (make peers)", name)
	}
	return path
}

func run(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.CommandContext(t.Context(), program, args...)
	c.Stdout, c.Stderr = &out, &errs
	c.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := c.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", filepath.Base(program), args, err, out.Bytes(), errs.Bytes())
	}
	return out.Bytes()
}

// The tools of the field take an archive for what it is, and copy from it.
func TestPeersRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.tar")
	g := sample(t, 1)
	write(t, g.plan(t), file, archive.WriteOptions{})
	v1 := g.in.Artifacts[0].Descriptor.Digest
	copied := func(t *testing.T, layout string) {
		t.Helper()
		for _, l := range g.in.Blobs[1:3] { // layers of v1
			d := l.Descriptor.Digest
			if got := readFile(t, filepath.Join(layout, "blobs", d.Algorithm().String(), d.Encoded())); digest.FromBytes(got) != d {
				t.Errorf("%s has other bytes", d)
			}
		}
		readFile(t, filepath.Join(layout, "blobs", v1.Algorithm().String(), v1.Encoded()))
	}
	t.Run("oras", func(t *testing.T) {
		oras := peer(t, "oras")
		if tags := run(t, oras, "repo", "tags", "--oci-layout", file); !bytes.Contains(tags, []byte("v1\n")) || !bytes.Contains(tags, []byte("v2\n")) {
			t.Errorf("tags: %s", tags)
		}
		if found := run(t, oras, "discover", "--oci-layout", file+":v1", "--format", "json"); !bytes.Contains(found, []byte("sigstore")) {
			t.Errorf("referrers: %s", found)
		}
		layout := filepath.Join(t.TempDir(), "l")
		run(t, oras, "cp", "-r", "--from-oci-layout", file+":v1", "--to-oci-layout", layout+":v1")
		copied(t, layout)
	})
	t.Run("skopeo", func(t *testing.T) {
		skopeo := peer(t, "skopeo")
		layout := filepath.Join(t.TempDir(), "l")
		// It knows no artifacts with config types of their own, unless it need not look.
		run(t, skopeo, "copy", "--insecure-policy", "--preserve-digests", "oci-archive:"+file+":v1", "oci:"+layout+":v1")
		copied(t, layout)
	})
	t.Run("regctl", func(t *testing.T) {
		regctl := peer(t, "regctl")
		layout := filepath.Join(t.TempDir(), "l")
		run(t, regctl, "image", "import", "ocidir://"+layout+":v1", file, "--name", "v1")
		copied(t, layout)
	})
}
