package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
)

// killat NAME METHOD PATH-REGEXP N COMMAND ARG… starts the command and kills it
// with SIGKILL when the Nth such request reaches the registry NAME, which does not
// do it. Its output is in the files killed.out and killed.err.
func killat(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 5, neg, "killat NAME METHOD PATH-REGEXP N COMMAND ARG…")
	r := named(ts, args[0])
	path, err := regexp.Compile(args[2])
	ts.Check(err)
	n, err := strconv.Atoi(args[3])
	ts.Check(err)
	reached := r.HoldAt(args[1], path, n)
	defer r.Heal()
	defer r.Continue()

	var stdout, stderr bytes.Buffer
	cmd := exec.Command(realProgram(ts, args[4]), args[5:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ts.Check(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-reached:
		ts.Check(cmd.Process.Kill())
	case err := <-done:
		ts.Fatalf("it ended before request %d %s %s: %v\n%s\n%s", n, args[1], args[2], err, stderr.Bytes(), strings.Join(r.Log(), "\n"))
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		ts.Fatalf("within a minute there was no request %d %s %s (%v)\n%s", n, args[1], args[2], <-done, stderr.Bytes())
	}
	var exit *exec.ExitError
	if err := <-done; !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		ts.Fatalf("it ended with %v, not by SIGKILL", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("killed.out"), stdout.Bytes(), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("killed.err"), stderr.Bytes(), 0o644))
}

// carried SRC DST [N] : both are the same manifest, every referrer of SRC is listed
// at DST with the same digest, and DST lists N of them.
func carried(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2 || len(args) == 3, neg, "carried SRC DST [N]")
	from, there := referrersOf(ts, args[0]), referrersOf(ts, args[1])
	if len(from) == 0 {
		ts.Fatalf("nothing refers to %s", args[0])
	}
	for _, d := range from {
		if !slices.Contains(there, d) {
			ts.Fatalf("%s has not got %s, which refers to %s", args[1], d, args[0])
		}
	}
	_, a, _ := manifestOf(ts, args[0])
	_, b, _ := manifestOf(ts, args[1])
	if a.Digest != b.Digest {
		ts.Fatalf("%s is %s, and %s is %s", args[0], a.Digest, args[1], b.Digest)
	}
	if len(args) == 3 {
		if n, err := strconv.Atoi(args[2]); err != nil || n != len(there) {
			ts.Fatalf("%d manifests refer to %s, not %s:\n%s", len(there), args[1], args[2], strings.Join(there, "\n"))
		}
	}
}

// referrersOf returns the digests of what refers to an artifact, and makes sure
// that each of them is there.
func referrersOf(ts *testscript.TestScript, reference string) []string {
	repo, desc, _ := manifestOf(ts, reference)
	var out []string
	ts.Check(repo.Referrers(context.Background(), desc, "", func(list []ocispec.Descriptor) error {
		for _, d := range list {
			if _, _, err := fetchManifest(context.Background(), repo, d.Digest.String()); err != nil {
				return err
			}
			out = append(out, d.Digest.String())
		}
		return nil
	}))
	return out
}
