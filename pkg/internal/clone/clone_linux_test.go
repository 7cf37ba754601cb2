package clone_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/modseal/modseal/pkg/internal/clone"
)

// fileSystems returns a directory of each kind of file system that can be had
// here: the temporary directory, memory, and, made in a file when this runs as
// root with the tools for it, those that share blocks.
func fileSystems(t *testing.T) map[string]string {
	t.Helper()
	dirs := map[string]string{"here": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "clone-"); err == nil { //nolint:usetesting // on the file system that is asked for
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		dirs["tmpfs"] = dir
	} else {
		t.Logf("without tmpfs: %v", err)
	}
	for name, mkfs := range map[string][]string{
		"xfs":   {"mkfs.xfs", "-q", "-m", "reflink=1"},
		"btrfs": {"mkfs.btrfs", "-q"},
	} {
		if dir, err := loop(t, mkfs); err == nil {
			dirs[name] = dir
		} else {
			t.Logf("without %s: %v", name, err)
		}
	}
	return dirs
}

// loop makes a file system in a file and mounts it.
func loop(t *testing.T, mkfs []string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		return "", err
	}
	if os.Getuid() != 0 {
		return "", os.ErrPermission
	}
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	if err := os.Mkdir(mount, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return "", err
	}
	if err := os.Truncate(image, 400<<20); err != nil {
		return "", err
	}
	run := func(args ...string) error {
		out, err := exec.CommandContext(context.Background(), args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Logf("%q: %s", args, out)
		}
		return err
	}
	if err := run(append(mkfs, image)...); err != nil {
		return "", err
	}
	if err := run("mount", "-o", "loop", image, mount); err != nil {
		return "", err
	}
	t.Cleanup(func() {
		if err := run("umount", mount); err != nil {
			t.Error(err)
		}
	})
	return mount, nil
}

// Where blocks can be shared they are, and writing to the source afterwards
// leaves the copy as it was.
func TestReflink(t *testing.T) {
	dirs := fileSystems(t)
	for _, name := range []string{"xfs", "btrfs"} {
		t.Run(name, func(t *testing.T) {
			dir, ok := dirs[name]
			if !ok {
				t.Skipf("there is no %s here: needs root, a loop device and its mkfs", name)
			}
			data := random(t, 3<<20+5)
			src, dst := source(t, dir, data), destination(t, dir)
			if res := copied(t, dst, src, data); res.Method != clone.Reflink {
				t.Errorf("copied by %s", res.Method)
			}
			if err := os.WriteFile(src.Name(), random(t, len(data)), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(dst.Name()); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the copy changed with its source: %v", err)
			}
		})
	}
}

// Files of two file systems share no blocks; they are copied all the same.
func TestAcrossFileSystems(t *testing.T) {
	dirs := fileSystems(t)
	data := append(random(t, 9<<20), make([]byte, 100)...)
	for from, a := range dirs {
		for to, b := range dirs {
			if from != to {
				t.Run(from+" to "+to, func(t *testing.T) {
					res := copied(t, destination(t, subdir(t, b)), source(t, subdir(t, a), data), data)
					if res.Method == clone.Reflink {
						t.Error("blocks are shared by two file systems")
					}
				})
			}
		}
	}
}

// A sparse source gives a sparse copy: holes take no time and no space.
func TestHolesStay(t *testing.T) {
	for name, dir := range fileSystems(t) {
		t.Run(name, func(t *testing.T) {
			dir := subdir(t, dir)
			src := open(t, filepath.Join(dir, "source"), os.O_RDWR|os.O_CREATE)
			const size = 1 << 40
			data := random(t, 64<<10)
			for _, off := range []int64{1 << 30, 1 << 35} {
				if _, err := src.WriteAt(data, off); err != nil {
					t.Fatal(err)
				}
			}
			if err := src.Truncate(size); err != nil {
				t.Fatal(err)
			}
			dst := destination(t, dir)
			if res, err := clone.File(t.Context(), dst, src, size, nil); err != nil || res.Bytes != size {
				t.Fatalf("%+v, %v", res, err)
			}
			for _, off := range []int64{1 << 30, 1 << 35} {
				got := make([]byte, len(data))
				if _, err := dst.ReadAt(got, off); err != nil || !bytes.Equal(got, data) {
					t.Errorf("what is at %d is not what was there: %v", off, err)
				}
			}
			info, err := dst.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if st := info.Sys().(*syscall.Stat_t); info.Size() != size || st.Blocks*512 > 4<<20 {
				t.Errorf("%d bytes take %d of the disk", info.Size(), st.Blocks*512)
			}
		})
	}
}

// What is copied through memory is sparse where the source says nothing of holes.
func TestZerosBecomeHoles(t *testing.T) {
	dirs := fileSystems(t)
	other, ok := dirs["tmpfs"]
	if !ok {
		t.Skip("there is no tmpfs here: everything can be copied by the kernel")
	}
	data := append(random(t, 100<<10), make([]byte, 30<<20)...)
	dst := destination(t, dirs["here"])
	if res := copied(t, dst, source(t, other, data), data); res.Method != clone.Memory {
		t.Skipf("this kernel copies between these file systems by %s", res.Method)
	}
	info, err := dst.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Blocks*512 > 4<<20 {
		t.Errorf("%d bytes take %d of the disk", info.Size(), st.Blocks*512)
	}
}

// Files of /proc say that they are empty, and the kernel does not copy from them.
func TestAFileOfProc(t *testing.T) {
	src := open(t, "/proc/version", os.O_RDONLY)
	want, err := io.ReadAll(src)
	if err != nil || len(want) == 0 {
		t.Skipf("no /proc/version: %v", err)
	}
	if res := copied(t, destination(t, t.TempDir()), src, want); res.Method != clone.Memory {
		t.Errorf("copied by %s", res.Method)
	}
	if _, err := clone.File(t.Context(), destination(t, t.TempDir()), src, int64(len(want))+1, nil); err == nil {
		t.Error("a byte more than there is was copied")
	}
}
