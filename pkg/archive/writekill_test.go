//go:build unix

package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/partial"
)

// killable is an archive of some 14 MiB, most of it in blobs that are worth a
// journal.
func killable(t testing.TB) *goods {
	t.Helper()
	g := newGoods()
	g.model(t, "registry.example.com/team/llama", "v1", randomBytes(11, 6<<20), randomBytes(12, 5<<20+511), randomBytes(13, 1<<20), randomBytes(14, 77))
	g.model(t, "registry.example.com/team/llama", "v2", randomBytes(11, 6<<20), randomBytes(15, 2<<20))
	return g
}

// Processes that are killed at any moment: from the first byte to the last rename.
// The next one goes on, what has its final name is whole, and in the end it is the
// archive that nobody disturbed.
func TestKilledWriter(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	clean := write(t, killable(t).plan(t), filepath.Join(t.TempDir(), "a.tar"), archive.WriteOptions{})
	want := joined(t, clean)
	_, blobs := killable(t).plan(t).Blobs()
	kills, rounds := 0, 0
	var brought int64
	for part := int64(0); kills < 50; part = 1<<20 - part {
		dir := t.TempDir()
		for i := 0; ; i++ {
			if i > 60 {
				t.Fatal("it gets nowhere")
			}
			done, killed := runWriter(t, dir, part)
			kills += killed
			onlyWhole(t, dir, part, want)
			if done {
				break
			}
		}
		w := write(t, killable(t).plan(t), filepath.Join(dir, "a.tar"), archive.WriteOptions{PartSize: part})
		if !w.Existed || !bytes.Equal(joined(t, w), want) {
			t.Fatalf("the bytes are others: %+v", w)
		}
		left := len(names(t, dir)) - 1 // the count of what was brought
		if left != 1 && part == 0 || part > 0 && left != len(w.Parts)+1 {
			t.Errorf("left are %v", names(t, dir))
		}
		n, err := os.Stat(filepath.Join(dir, "brought"))
		if err != nil {
			t.Fatal(err)
		}
		brought += n.Size() * killPiece
		rounds++
	}
	t.Logf("%d kills in %d archives; %.2f times the bytes were brought", kills, rounds, float64(brought)/float64(blobs*int64(rounds)))
}

// runWriter runs a process that is killed, or comes to its end. Half of them are
// killed after some time, which is also before and after the bytes.
func runWriter(t *testing.T, dir string, part int64) (done bool, killed int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	limit := int64(1 << 40)
	byTime := rand.IntN(2) == 0
	if !byTime {
		limit = rand.Int64N(16 << 20)
	}
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), "MODSEAL_TEST_ARCHIVE="+dir, "MODSEAL_TEST_PART="+strconv.FormatInt(part, 10), "MODSEAL_TEST_LIMIT="+strconv.FormatInt(limit, 10))
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if byTime {
		timer := time.AfterFunc(time.Duration(rand.Int64N(int64(200*time.Millisecond))), func() { _ = c.Process.Kill() })
		defer timer.Stop()
	}
	err = c.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return false, 1
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return true, 0
}

// onlyWhole: what opens the archive is there only when all of it is.
func onlyWhole(t *testing.T, dir string, part int64, want []byte) {
	t.Helper()
	name := filepath.Join(dir, "a.tar")
	if part > 0 {
		name = archive.PartsName(name)
	}
	if _, err := os.Stat(name); err != nil {
		return
	}
	var got []byte
	if part == 0 {
		got = readFile(t, name)
	} else {
		for i := int64(0); i*part < int64(len(want)); i++ {
			got = append(got, readFile(t, filepath.Join(dir, archive.PartName("a.tar", int(i))))...)
		}
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s is there and is not whole", name)
	}
}

const killPiece = 64 << 10

// init makes the test binary the process that is killed.
func init() {
	dir := os.Getenv("MODSEAL_TEST_ARCHIVE")
	if dir == "" {
		return
	}
	if err := writeAndDie(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// deadline kills the process once so many bytes came.
type deadline struct {
	mu    sync.Mutex
	left  int64
	count *os.File // a byte for each piece
}

func (d *deadline) passed(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = d.count.Write([]byte{0})
	if d.left -= n; d.left <= 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func writeAndDie(dir string) error {
	part, err := strconv.ParseInt(os.Getenv("MODSEAL_TEST_PART"), 10, 64)
	if err != nil {
		return err
	}
	limit, err := strconv.ParseInt(os.Getenv("MODSEAL_TEST_LIMIT"), 10, 64)
	if err != nil {
		return err
	}
	count, err := os.OpenFile(filepath.Join(dir, "brought"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	g := killable(new(testing.T))
	d := &deadline{left: limit, count: count}
	for i := range g.in.Blobs {
		b := &g.in.Blobs[i]
		raw := g.blobs[b.Descriptor.Digest]
		b.Bring = func(_ context.Context, to *partial.File, moved func(int64)) error {
			for _, s := range to.Missing() {
				for at := s.Start; at < s.End; at += killPiece {
					n, err := to.WriteFrom(bytes.NewReader(raw[at:min(at+killPiece, s.End)]), at)
					if err != nil {
						return err
					}
					moved(n)
					d.passed(n)
				}
			}
			return nil
		}
	}
	p, err := archive.NewPlan(g.in)
	if err != nil {
		return err
	}
	_, err = archive.Write(context.Background(), p, filepath.Join(dir, "a.tar"), archive.WriteOptions{PartSize: part})
	return err
}
