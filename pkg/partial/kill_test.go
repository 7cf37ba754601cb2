//go:build unix

package partial_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/partial"
)

const killSize = 32 << 20

// Processes that are killed at any moment: the next one goes on, and together
// they write hardly more than the blob has.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	raw := randomBytes(killSize)
	root := newRoot(t)
	var written int64
	kills := 0
	for left := int64(killSize); left > 0; {
		limit := 1<<20 + rand.Int64N(16<<20)
		c := exec.CommandContext(t.Context(), self)
		c.Env = append(os.Environ(), "MODSEAL_TEST_PARTIAL="+root.Name(), "MODSEAL_TEST_LIMIT="+strconv.FormatInt(limit, 10))
		out, err := c.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			kills++
		} else if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		f := open(t, root, describe(raw), partial.Options{})
		before := left
		left = 0
		for _, s := range f.Missing() {
			left += s.Len()
		}
		written += limit
		if kept := before - left; kept < min(limit, before)-3<<20 {
			t.Errorf("%d bytes were written and %d kept", limit, kept)
		}
		if kills > 100 {
			t.Fatal("it gets nowhere")
		}
		// Closed as a kill closes it: the journal stays as the killed one left it.
		if left == 0 {
			finish(t, root, f, raw)
		} else if err := f.Suspend(); err != nil {
			t.Fatal(err)
		}
	}
	if kills == 0 {
		t.Error("nothing was killed")
	}
	t.Logf("%d kills, %d bytes written for %d", kills, written, killSize)
}

// init makes the test binary the process that is killed.
func init() {
	dir := os.Getenv("MODSEAL_TEST_PARTIAL")
	if dir == "" {
		return
	}
	if err := writeAndDie(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func writeAndDie(dir string) error {
	limit, err := strconv.ParseInt(os.Getenv("MODSEAL_TEST_LIMIT"), 10, 64)
	if err != nil {
		return err
	}
	raw := randomBytes(killSize)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	f, err := partial.Open(context.Background(), root, name, describe(raw), partial.Options{})
	if err != nil {
		return err
	}
	for _, s := range f.Missing() {
		r := &deadly{r: bytes.NewReader(raw[s.Start:s.End]), left: &limit}
		if _, err := f.WriteFrom(r, s.Start); err != nil {
			return err
		}
	}
	return f.Suspend()
}

// deadly kills the process once so many bytes were read.
type deadly struct {
	r    io.Reader
	left *int64
}

func (d *deadly) Read(p []byte) (int, error) {
	if *d.left <= 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	}
	time.Sleep(time.Millisecond) // as bytes that come over a line
	n, err := d.r.Read(p[:min(len(p), 128<<10)])
	*d.left -= int64(n)
	return n, err
}

// Zeros take no room, not when they come, not when they are copied, and not
// after a resume.
func TestSparse(t *testing.T) {
	const size = 256 << 20
	desc := describe(nil)
	h := desc.Digest.Algorithm().Hash()
	if _, err := io.CopyN(h, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	desc.Size, desc.Digest = size, digest.NewDigest(digest.SHA256, h)
	root := newRoot(t)
	f := open(t, root, desc, partial.Options{})
	if _, err := f.WriteFrom(io.LimitReader(zeros{}, size/2), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Suspend(); err != nil {
		t.Fatal(err)
	}
	f = open(t, root, desc, partial.Options{})
	if f.Taken() != size/2 {
		t.Errorf("%d bytes were taken up", f.Taken())
	}
	if _, err := f.WriteFrom(io.LimitReader(zeros{}, size/2), size/2); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Finish(t.Context(), "blob"); err != nil {
		t.Fatal(err)
	}
	src, err := root.Open("blob")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f = open(t, root, desc, partial.Options{})
	if err := f.CopyFrom(t.Context(), src, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Finish(t.Context(), "copy"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"blob", "copy"} {
		info, err := fs.Stat(root.FS(), n)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); info.Size() != size || st.Blocks*512 > 1<<20 {
			t.Errorf("%s takes %d bytes of disk", filepath.Join(root.Name(), n), st.Blocks*512)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
