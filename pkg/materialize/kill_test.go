//go:build unix

package materialize_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/verify"
)

// TestKilledBetweenRenames: the next pull finishes what a killed one began, and
// the record never said more than was true.
func TestKilledBetweenRenames(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := three(t)
	dir := filepath.Join(t.TempDir(), "dir")
	manifest := filepath.Join(t.TempDir(), "manifest")
	put(t, filepath.Dir(manifest), "manifest", string(m.manifest))
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), "MODSEAL_TEST_KILL="+dir, "MODSEAL_TEST_LAYOUT="+m.layout.Path(),
		"MODSEAL_TEST_MANIFEST="+manifest, "MODSEAL_TEST_RECORD="+m.record)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it was not killed: %v\n%s", err, out)
	}
	visible := 0
	for name, content := range tree(t, dir) {
		if !strings.HasPrefix(name, materialize.StagingName) {
			visible++
			if len(content)%1000 != 0 || content == "" {
				t.Errorf("%s has %d bytes", name, len(content))
			}
		}
	}
	if visible != 1 {
		t.Fatalf("%d files are in place after a kill behind the first rename", visible)
	}
	if _, err := os.Stat(m.record); err == nil {
		t.Error("there is a record already")
	}
	r := m.mustPull(t, dir, materialize.Options{})
	if n := m.source.count(); n != 0 {
		t.Errorf("%d layers were fetched again", n)
	}
	want := every(materialize.Written, "b.bin", "z/last.bin")
	want["a.bin"] = materialize.Reused
	wantOutcomes(t, r, want)
}

// init makes the test binary the process that is killed.
func init() {
	dir := os.Getenv("MODSEAL_TEST_KILL")
	if dir == "" {
		return
	}
	fmt.Fprintln(os.Stderr, "still alive:", pullAndDie(dir))
	os.Exit(1)
}

func pullAndDie(dir string) error {
	ctx := context.Background()
	layout, err := store.Open(os.Getenv("MODSEAL_TEST_LAYOUT"))
	if err != nil {
		return err
	}
	manifest, err := os.ReadFile(os.Getenv("MODSEAL_TEST_MANIFEST"))
	if err != nil {
		return err
	}
	v, err := verify.SkipUnsafe(ctx, verify.Subject{Manifest: manifest, Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest)),
	}})
	if err != nil {
		return err
	}
	_, err = materialize.Materialize(ctx, v, layout, dir, materialize.Options{StateFile: os.Getenv("MODSEAL_TEST_RECORD"), Progress: killer{}})
	return err
}

// killer kills the process when the first file is in place.
type killer struct{}

func (killer) Plan(int, int64)       {}
func (killer) Start(string, int64)   {}
func (killer) Reuse(string, int64)   {}
func (killer) Advance(string, int64) {}
func (killer) Finish(string, bool) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	time.Sleep(time.Minute)
}
