package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/modseal/modseal/e2e/registrytest"
)

// insideLoopback says to the second of the two processes that it is in the
// namespace.
const insideLoopback = "MODSEAL_E2E_INSIDE_LOOPBACK"

// loopback is a program of its own: loopback NAME=KIND… -- COMMAND ARG… runs the
// command in a network namespace that has a loopback interface and nothing else,
// with registries of these kinds in it. Their addresses are in the environment.
// What they store stays in .registry-NAME, where the script can start the same
// registry again.
func loopback() {
	if os.Getenv(insideLoopback) == "" {
		enterLoopback()
	}
	code, err := runLoopback(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "loopback:", err)
		code = 127
	}
	os.Exit(code)
}

// enterLoopback begins this program anew in a namespace.
func enterLoopback() {
	command := namespace()
	self, err := exec.LookPath(os.Args[0])
	if err == nil {
		command = append(append(command, self), os.Args[1:]...)
		var path string
		if path, err = exec.LookPath(command[0]); err == nil {
			err = syscall.Exec(path, command, append(os.Environ(), insideLoopback+"=1"))
		}
	}
	fmt.Fprintln(os.Stderr, "loopback:", err)
	os.Exit(127)
}

func runLoopback(args []string) (code int, err error) {
	if err := raiseLoopback(); err != nil {
		return 0, fmt.Errorf("loopback interface: %w", err)
	}
	for len(args) > 0 && args[0] != "--" {
		name, kind, _ := strings.Cut(args[0], "=")
		dir, err := filepath.Abs(".registry-" + name)
		if err != nil {
			return 0, err
		}
		r, startErr := registrytest.Start(registrytest.Kind(kind), dir)
		if startErr != nil {
			return 0, startErr
		}
		defer func() { err = errors.Join(err, r.Close()) }()
		if err := os.Setenv(name, r.Host); err != nil {
			return 0, err
		}
		args = args[1:]
	}
	if len(args) < 2 {
		return 0, errors.New("usage: loopback NAME=KIND… -- COMMAND ARG…")
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// raiseLoopback brings the loopback interface of this namespace up
// (netdevice(7)).
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return err
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
