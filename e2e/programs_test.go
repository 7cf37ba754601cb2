package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/modseal/modseal/e2e/registrytest"
)

// exits CODE COMMAND ARG… : the command ends with exactly that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 2, neg, "exits CODE COMMAND ARG…")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCode(ts, ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Check(err)
	return -1
}

// maxrss MIB COMMAND ARG… : the command succeeds and is never larger in memory.
// "modseal" is the real binary here.
func maxrss(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 2, neg, "maxrss MIB COMMAND ARG…")
	limit, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	peakFile := ts.MkAbs(".maxrss")
	ts.Check(ts.Exec("measure", append([]string{peakFile, realProgram(ts, args[1])}, args[2:]...)...))
	peak, err := strconv.ParseInt(strings.TrimSpace(ts.ReadFile(peakFile)), 10, 64)
	ts.Check(err)
	ts.Logf("peak memory: %d MiB", peak>>20)
	if peak > limit<<20 {
		ts.Fatalf("%s had %d MiB in memory at its peak, more than %d", args[1], peak>>20, limit)
	}
}

// measure is a program of its own: measure FILE COMMAND ARG… runs the command,
// writes its peak memory in bytes to FILE and ends as it ended. It stands
// between since Linux counts the memory of the process that starts a program as
// that program's, and a test process that runs registries is large.
func measure() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	}
	peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if runtime.GOOS != "darwin" {
		peak <<= 10 // kilobytes, but for macOS
	}
	if err := os.WriteFile(os.Args[1], []byte(strconv.FormatInt(peak, 10)), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// within A B SIZE : the number A is at most SIZE more than B, which is not nothing.
func within(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "within A B SIZE")
	a, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	b, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	if limit := parseSize(ts, args[2]); b <= 0 || a > b+limit {
		ts.Fatalf("%d is more than %d and %d", a, b, limit)
	}
}

func realProgram(ts *testscript.TestScript, name string) string {
	if name != "modseal" {
		return name
	}
	path, err := binary()
	ts.Check(err)
	return path
}

// interrupt NAME up|down BYTES CODE COMMAND ARG… starts the command, sends it
// SIGINT once that many bytes of blobs went to or came from the registry NAME,
// and expects the exit code. Its output is in the files interrupted.out and
// interrupted.err.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	const text = "interrupt NAME up|down BYTES CODE COMMAND ARG…"
	usage(ts, len(args) >= 5, neg, text)
	want, err := strconv.Atoi(args[3])
	ts.Check(err)
	ended := signalAfter(ts, text, args[:3], syscall.SIGINT, "interrupted", args[4:])
	if got := exitCode(ts, ended); got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

// sigkill NAME up|down BYTES COMMAND ARG… is interrupt with SIGKILL, of which the
// command dies without a chance to clean up. Its output is in the files
// killed.out and killed.err.
func sigkill(ts *testscript.TestScript, neg bool, args []string) {
	const text = "sigkill NAME up|down BYTES COMMAND ARG…"
	usage(ts, len(args) >= 4, neg, text)
	ended := signalAfter(ts, text, args[:3], syscall.SIGKILL, "killed", args[3:])
	var exit *exec.ExitError
	if !errors.As(ended, &exit) {
		ts.Fatalf("it ended with %v, not by SIGKILL", ended)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		ts.Fatalf("it ended with %v, not by SIGKILL", ended)
	}
}

// signalAfter starts a command, sends it a signal once the bytes that when
// names (NAME up|down BYTES) have passed a registry, and returns how it ended.
// The registry holds back all further bytes until then, so that the command
// cannot end before the signal reaches it. Its output goes to the files
// out.out and out.err.
func signalAfter(ts *testscript.TestScript, text string, when []string, sig syscall.Signal, out string, command []string) error {
	r := named(ts, when[0])
	direction := registrytest.Direction(when[1])
	usage(ts, direction == registrytest.Up || direction == registrytest.Down, false, text)
	reached := r.StopAfter(direction, parseSize(ts, when[2]))
	defer r.Continue()

	var stdout, stderr bytes.Buffer
	cmd := exec.Command(realProgram(ts, command[0]), command[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ts.Check(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-reached:
		ts.Check(cmd.Process.Signal(sig))
	case err := <-done:
		ts.Fatalf("it ended before %s bytes went %s: %v\n%s", when[2], when[1], err, stderr.Bytes())
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		ts.Fatalf("within a minute no %s bytes went %s (%v)\n%s", when[2], when[1], <-done, stderr.Bytes())
	}
	var ended error
	select {
	case ended = <-done:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		ts.Fatalf("it does not end after %v (%v)\n%s", sig, <-done, stderr.Bytes())
	}
	ts.Logf("%s%s", stdout.Bytes(), stderr.Bytes())
	ts.Check(os.WriteFile(ts.MkAbs(out+".out"), stdout.Bytes(), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(out+".err"), stderr.Bytes(), 0o644))
	return ended
}

// environment of the script for a program that is not started by Exec.
func environment(ts *testscript.TestScript) []string {
	env := os.Environ()
	for _, name := range []string{
		"PATH", "HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
		"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "MODSEAL_PASSWORD", "COSIGN_PASSWORD", "SOURCE_DATE_EPOCH",
	} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// serve NAME DIR ARG… runs "modseal serve DIR --listen 127.0.0.1:0 ARG…" until
// the script ends; $NAME becomes its host:port. It must end well when told to.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 2, neg, "serve NAME DIR ARG…")
	cmd := exec.Command(realProgram(ts, "modseal"), append([]string{"serve", args[1], "--listen", "127.0.0.1:0"}, args[2:]...)...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	log, err := os.Create(filepath.Join(ts.MkAbs("."), ".serve-"+args[0]+".log"))
	ts.Check(err)
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		// 130 is how an interrupted command ends, 0 how a stopped server may.
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 130 {
			ts.Logf("modseal serve: %v", err)
		}
		log.Close()
	})
	for range 1200 {
		text, err := os.ReadFile(log.Name())
		ts.Check(err)
		if m := listening.FindSubmatch(text); m != nil {
			ts.Setenv(args[0], string(m[1]))
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := io.ReadAll(mustOpen(ts, log.Name()))
	ts.Fatalf("modseal serve does not listen:\n%s", text)
}

func mustOpen(ts *testscript.TestScript, name string) *os.File {
	f, err := os.Open(name)
	ts.Check(err)
	return f
}
