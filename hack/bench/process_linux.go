package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endAsGroup makes a cancelled command end with all that it started.
func endAsGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// endWithParent makes a command end when this process does, in whatever way. It
// must be started by a thread that lives as long.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// awaitRead waits until the process has ended and returns what it had read,
// which is known until somebody takes its exit code.
func awaitRead(pid int) (int64, error) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return 0, os.NewSyscallError("waitid", err)
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return -1, nil // a kernel may be built without, or keep it to root
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte("rchar: ")); ok {
			return strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		}
	}
	return -1, nil
}

func peakMemory(p *os.ProcessState) int64 {
	return p.SysUsage().(*syscall.Rusage).Maxrss << 10 // kilobytes
}

// processCPU is the time of a running process, in steps of 10 ms.
func processCPU(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in brackets may have spaces; utime and stime are fields 14 and 15.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, i := range []int{11, 12} {
		if i >= len(fields) {
			return 0
		}
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	const hertz = 100 // USER_HZ, which is 100 on all of Go's architectures
	return time.Duration(ticks) * time.Second / hertz
}

// watchReads watches the files of a directory until the returned function is
// called, which tells how many of them somebody has read from.
func watchReads(dir string) (func() (int, error), error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_ACCESS); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	return func() (int, error) {
		defer func() { _ = unix.Close(fd) }()
		read := map[string]bool{}
		buffer := make([]byte, 64<<10)
		for {
			n, err := unix.Read(fd, buffer)
			switch {
			case err == unix.EAGAIN:
				return len(read), nil
			case err == unix.EINTR:
				continue
			case err != nil:
				return 0, os.NewSyscallError("read", err)
			}
			for events := buffer[:n]; len(events) >= unix.SizeofInotifyEvent; {
				mask := binary.NativeEndian.Uint32(events[4:])
				end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
				// The name of a directory's own event is empty.
				if name := unix.ByteSliceToString(events[unix.SizeofInotifyEvent:end]); mask&unix.IN_ISDIR == 0 && name != "" {
					read[name] = true
				}
				events = events[end:]
			}
		}
	}, nil
}

// describeMachine tells what the numbers depend on, and nothing that names it.
func describeMachine() machine {
	m := newMachine()
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var uname unix.Utsname
	if unix.Uname(&uname) == nil {
		release, _, _ := strings.Cut(unix.ByteSliceToString(uname.Release[:]), "-")
		m.Kernel = "Linux " + release
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	return m
}

// free is how many bytes can still be stored below dir.
func free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// storage names the kind of file system of a directory.
func storage(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return "unknown"
	}
	switch s.Type {
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return fmt.Sprintf("file system 0x%x", s.Type)
}
