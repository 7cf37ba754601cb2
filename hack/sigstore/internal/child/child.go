// Package child runs servers as processes that end with the one that started
// them.
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

// Command is how a server is started.
type Command struct {
	Name    string // for messages
	Program string // "": this very program
	Args    []string
	Log     string // the file that its output goes to
	Health  string // a URL that is answered with 200 once it is up
}

// Start runs a server, which must call EndWithParent, and returns once it is up.
func Start(ctx context.Context, c Command) (*Process, error) {
	if c.Program == "" {
		var err error
		if c.Program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	out, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &Process{Name: c.Name, cmd: exec.Command(c.Program, c.Args...), done: make(chan struct{})} //nolint:noctx // a child is told to go by Stop, which gives it time
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := p.await(ctx, c.Health); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w (see %s)", c.Name, err, c.Log)
	}
	return p, nil
}

// EndWithParent waits until the process that started this one with Start is
// gone, and ends this one as SIGTERM does.
func EndWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	if self, err := os.FindProcess(os.Getpid()); err == nil && self.Signal(syscall.SIGTERM) == nil {
		time.Sleep(patience)
	}
	os.Exit(1)
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
