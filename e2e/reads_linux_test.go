package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// reads VAR COMMAND ARG… : the command succeeds; VAR is how many bytes it read, of
// files and of connections together, as the kernel counts them. What is sent straight
// from a file counts too.
func reads(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 2, neg, "reads VAR COMMAND ARG…")
	file := ts.MkAbs(".reads")
	ts.Check(ts.Exec("countreads", append([]string{file, realProgram(ts, args[1])}, args[2:]...)...))
	n, err := strconv.ParseInt(ts.ReadFile(file), 10, 64)
	ts.Check(err)
	ts.Logf("read: %d bytes", n)
	ts.Setenv(args[0], strconv.FormatInt(n, 10))
}

// countReads is a program of its own: countreads FILE COMMAND ARG… runs the command,
// writes to FILE how many bytes it read and ends as it ended. What a process read is
// asked when it has ended and before it is waited for.
func countReads() {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(127)
		}
	}
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	fail(cmd.Start())
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			fail(err)
			break
		}
	}
	counts, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", cmd.Process.Pid))
	fail(err)
	read := ""
	for lines := bufio.NewScanner(bytes.NewReader(counts)); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "rchar: "); ok {
			read = n
		}
	}
	fail(os.WriteFile(os.Args[1], []byte(read), 0o644))
	_ = cmd.Wait() // its exit code says it
	os.Exit(cmd.ProcessState.ExitCode())
}
