// Package child runs the servers that cannot share a process, since their
// configuration is global: Rekor and the timestamp authority. Each is this very
// program, started again under another name (Main), so that there is one binary
// to build.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// patience is how long a server may take to answer, and then to end.
const patience = 20 * time.Second

// Process is a server that runs.
type Process struct {
	Name string
	cmd  *exec.Cmd
	// stdin stays open as long as this process lives, however it dies: that the
	// child reads to its end tells it to go.
	stdin io.Closer
	done  chan struct{}
	err   error
}

// Start runs the server name with args, whose output goes to logFile, and
// returns once GET health is answered with 200.
func Start(ctx context.Context, name, logFile, health string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &Process{Name: name, cmd: exec.Command(self, append([]string{name}, args...)...), done: make(chan struct{})} //nolint:noctx // a child is told to go by Stop, which gives it time
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := p.await(ctx, health); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w (see %s)", name, err, logFile)
	}
	return p, nil
}

func (p *Process) await(ctx context.Context, health string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, health) {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %w", p.Err())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", health, ctx.Err())
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, u string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the process ended, once Done is closed.
func (p *Process) Err() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// Stop ends the process: with SIGTERM, and with SIGKILL if that is not enough.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	timer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	<-p.done
	p.stdin.Close()
}
