package statefile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/internal/statefile"
)

func skipWindows(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no state is kept on Windows")
	}
}

func TestReplaceAndRemove(t *testing.T) {
	skipWindows(t)
	dir := filepath.Join(t.TempDir(), "a", "b")
	name := filepath.Join(dir, "state")
	f, err := statefile.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := f.Replace([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Read(10); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
		// The lock is on what has the name now.
		if _, err := statefile.Lock(name); !errors.Is(err, statefile.ErrBusy) {
			t.Errorf("locked twice: %v", err)
		}
	}
	if _, err := statefile.Read(name, 2); !errors.Is(err, statefile.ErrForeign) {
		t.Errorf("a file above the limit: %v", err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if f, err = statefile.Lock(name); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file that nothing was written to is there")
	}
}

// What a killed writer left beside is in nobody's way.
func TestWhatAKilledWriterLeft(t *testing.T) {
	skipWindows(t)
	name := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(name+".new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := statefile.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Replace([]byte("whole")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := statefile.Read(name, 10); err != nil || string(got) != "whole" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(name + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is still there")
	}
}

// Writers that add to the file, some of which remove it in between, never write
// at the same time, and no reader sees half of anything.
func TestManyWriters(t *testing.T) {
	skipWindows(t)
	name := filepath.Join(t.TempDir(), "state")
	var inside atomic.Int32
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			raw, err := statefile.Read(name, 1<<20)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
				return
			}
			if len(raw) > 0 && !bytes.HasSuffix(raw, []byte("\n")) {
				t.Errorf("half a file: %q", raw)
				return
			}
		}
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 25 {
				f, err := statefile.LockWithin(t.Context(), name, time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two writers at once")
				}
				raw, err := f.Read(1 << 20)
				if err == nil {
					err = f.Replace(append(raw, strconv.Itoa(n)+"\n"...))
				}
				inside.Add(-1)
				end := f.Close
				if (n+i)%5 == 0 {
					end = f.Remove
				}
				if err := errors.Join(err, end()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	close(done)
	wg.Wait()
}

func TestForeignFilesAreNotBelieved(t *testing.T) {
	skipWindows(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "state")
	real := filepath.Join(dir, "real")
	if err := os.WriteFile(real, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, make := range map[string]func() error{
		"a link":      func() error { return os.Symlink(real, name) },
		"a directory": func() error { return os.Mkdir(name, 0o700) },
		"written by all": func() error {
			return errors.Join(os.WriteFile(name, []byte("x"), 0o600), os.Chmod(name, 0o622))
		},
		"another user's": func() error {
			err := os.WriteFile(name, []byte("x"), 0o600)
			if os.Geteuid() != 0 {
				return errors.Join(err, os.Chmod(name, 0o606)) // only root gives files away
			}
			return errors.Join(err, os.Chown(name, 12345, -1))
		},
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if raw, err := statefile.Read(name, 10); !errors.Is(err, statefile.ErrForeign) {
			t.Errorf("%s: read %q, %v", what, raw, err)
		}
		if _, err := statefile.Lock(name); !errors.Is(err, statefile.ErrForeign) {
			t.Errorf("%s: lock: %v", what, err)
		}
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}
