package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/store"
)

const (
	artifactsEach = 12
	killsEach     = 8
)

// pushOneByOne is what each writer does: it pushes artifacts, each in the way of
// a command, which opens the layout, writes blobs, then the manifest, then the tag.
func pushOneByOne(dir, worker string) error {
	ctx := context.Background()
	for i := range artifactsEach {
		l, err := store.Create(dir)
		if err != nil {
			return err
		}
		// Something that will never be referred to.
		garbage := []byte(strconv.FormatUint(rand.Uint64(), 16))
		if err := l.Push(ctx, blobOf("text/plain", garbage), bytes.NewReader(garbage)); err != nil {
			return err
		}
		name := "w" + worker + "-" + strconv.Itoa(i)
		m := newManifest(name, testArtifact, nil)
		if err := m.push(ctx, l); err != nil {
			return err
		}
		if err := l.Tag(ctx, m.desc, name); err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// collectAllTheTime is what each collector does, until its input ends.
func collectAllTheTime(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	for ctx.Err() == nil {
		l, err := store.Create(dir)
		if err != nil {
			return err
		}
		res, err := l.Collect(ctx, now)
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrBusy) {
			return err
		}
		if len(res.Removed) > 0 {
			fmt.Fprintln(os.Stderr, "removed", len(res.Removed), "temporaries", res.Temporaries)
		}
		_ = l.Close()
	}
	return nil
}

func role(ctx context.Context, dir, role, worker string, out io.Writer) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self)
	c.Env = append(os.Environ(), "MODSEAL_TEST_LAYOUT="+dir, "MODSEAL_TEST_ROLE="+role, "MODSEAL_TEST_WORKER="+worker)
	c.Stderr = out
	return c, nil
}

// killedAndAgain runs a writer, kills it at random moments, and runs it again
// until it has been killed often enough and then ends by itself.
func killedAndAgain(ctx context.Context, dir, worker string) error {
	for try := 0; ; try++ {
		var out bytes.Buffer
		c, err := role(ctx, dir, "push", worker, &out)
		if err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		if try < killsEach {
			kill := time.AfterFunc(time.Duration(rand.IntN(200))*time.Millisecond, func() { _ = c.Process.Kill() })
			_ = c.Wait() // it may have been faster
			kill.Stop()
			continue
		}
		if err := c.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, out.String())
		}
		return nil
	}
}

// TestCollectBesideProcessesThatAreKilled: whatever is pushed, killed and pushed
// again while others collect is whole in the end, and nothing else is left.
func TestCollectBesideProcessesThatAreKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	var collectors []*exec.Cmd
	var inputs []io.Closer
	outs := make([]bytes.Buffer, 2)
	for i := range outs {
		c, err := role(t.Context(), dir, "collect", "", &outs[i])
		if err != nil {
			t.Fatal(err)
		}
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		collectors, inputs = append(collectors, c), append(inputs, in)
	}
	var wg sync.WaitGroup
	const writers = 2
	for w := range writers {
		wg.Go(func() {
			if err := killedAndAgain(t.Context(), dir, strconv.Itoa(w)); err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
		})
	}
	wg.Wait()
	// One collector ends as told, the other is killed in the middle.
	_ = collectors[1].Process.Kill()
	_ = collectors[1].Wait()
	_ = inputs[0].Close()
	if err := collectors[0].Wait(); err != nil {
		t.Errorf("collector: %v\n%s", err, outs[0].String())
	}
	t.Logf("collectors:\n%s%s", outs[0].String(), outs[1].String())

	l := mustCreate(t, dir)
	res := collect(t, l, now)
	for w := range writers {
		for i := range artifactsEach {
			name := fmt.Sprintf("w%d-%d", w, i)
			m := newManifest(name, testArtifact, nil)
			if got, err := l.Resolve(t.Context(), name); err != nil || got.Digest != m.desc.Digest {
				t.Errorf("%s: %v, %v", name, got.Digest, err)
			}
			for _, d := range m.digests() {
				raw, err := os.ReadFile(filepath.Join(dir, "blobs/sha256", d.Encoded()))
				if err != nil || digest.FromBytes(raw) != d {
					t.Errorf("%s: a blob was lost: %v", name, err)
				}
			}
		}
	}
	if want := 2*writers*artifactsEach + 1; res.Kept != want || res.Young != 0 {
		t.Errorf("%d blobs are left, not %d", res.Kept, want)
	}
	noTemps(t, l)
}

// writeForever is a writer that is in the middle of a blob: it says so, and waits
// to be killed.
func writeForever(dir string) error {
	l, err := store.Create(dir)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write([]byte("half of it"))
		fmt.Fprintln(os.Stderr, "writing")
	}()
	b := (&source{content: r}).blob(1 << 20)
	_, err = l.Ingest(context.Background(), b)
	return err
}

// What a living process writes is never taken, however old it looks; what a
// dead one left is taken at once.
func TestTemporariesOfTheLivingAndTheDead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := role(t.Context(), dir, "write", "", w)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if _, err := io.ReadFull(r, make([]byte, len("writing"))); err != nil {
		t.Fatal(err)
	}
	temps := func() []os.DirEntry {
		entries, err := os.ReadDir(filepath.Join(dir, ".modseal-tmp"))
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	if len(temps()) != 1 {
		t.Fatalf("the writer has %d temporary files", len(temps()))
	}
	long := time.Now().Add(-480 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, ".modseal-tmp", temps()[0].Name()), long, long); err != nil {
		t.Fatal(err)
	}
	l := mustCreate(t, dir)
	if _, err := l.Collect(t.Context(), now); !errors.Is(err, store.ErrBusy) {
		t.Errorf("collected beside a writer: %v", err)
	}
	dry := now
	dry.DryRun = true
	if res := collect(t, l, dry); res.Temporaries != 0 || len(temps()) != 1 {
		t.Errorf("the file of a living process was taken: %+v", res)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if res := collect(t, l, dry); res.Temporaries != 1 || len(temps()) != 1 {
		t.Errorf("dry run: %+v, %d files", res, len(temps()))
	}
	mustCreate(t, dir)
	if len(temps()) != 0 {
		t.Error("what a process left that is dead is still there")
	}
}
