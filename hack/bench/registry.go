//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// A registry that runs as a process of its own, so that what it costs is told
// apart and is the same for all clients.
type registry struct {
	host string // host:port
	dir  string // what it stores

	cmd   *exec.Cmd
	stdin io.Closer
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

const dockerRegistryConfig = `version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: "127.0.0.1:0", secret: loopback}
`

// startRegistry starts one of the given kind on emptied storage. program is
// e2e/cmd/registry; Debian's docker-registry is started without it, so that
// nothing stands between.
func startRegistry(ctx context.Context, program, kind, dir string) (*registry, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "-kind", kind, "-dir", dir)
	if kind == "docker-registry" {
		file := filepath.Join(dir, "config.yml")
		if err := os.WriteFile(file, fmt.Appendf(nil, dockerRegistryConfig, filepath.Join(dir, "data")), 0o644); err != nil {
			return nil, err
		}
		cmd = exec.CommandContext(ctx, "docker-registry", "serve", file)
		cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := os.OpenFile(dir+".log", os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &registry{dir: dir, cmd: cmd, stdin: stdin}
	if r.host, err = awaitAddress(ctx, dir+".log"); err != nil {
		r.stop()
		return nil, fmt.Errorf("registry of kind %s: %w", kind, err)
	}
	return r, nil
}

// awaitAddress reads the log until the address is in it.
func awaitAddress(ctx context.Context, log string) (string, error) {
	limit := time.After(20 * time.Second)
	for {
		f, err := os.Open(log)
		if err != nil {
			return "", err
		}
		var last string
		for lines := bufio.NewScanner(f); lines.Scan(); {
			last = lines.Text()
			if m := listening.FindStringSubmatch(last); m != nil {
				f.Close()
				return m[1], nil
			}
		}
		f.Close()
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-limit:
			return "", fmt.Errorf("it does not listen; its last line is %q", last)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// cpu is what it has used so far.
func (r *registry) cpu() time.Duration { return processCPU(r.cmd.Process.Pid) }

// stop ends the registry and removes what it stored.
func (r *registry) stop() {
	_ = r.cmd.Process.Signal(os.Interrupt)
	_ = r.stdin.Close()
	_ = r.cmd.Wait() // an interrupted server has nothing to say by its exit code
	_ = os.RemoveAll(r.dir)
	_ = os.Remove(r.dir + ".log")
}
