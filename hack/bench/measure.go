//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A command is one command line of a tool.
type command struct {
	Args   []string
	Dir    string   // where it runs; "" is the current directory
	Stdout string   `json:",omitempty"` // the file that its output goes to; "" is nowhere
	Env    []string // all of it
}

// Cost is what commands took, one after the other.
type Cost struct {
	Wall   time.Duration // nanoseconds
	User   time.Duration
	System time.Duration
	// Peak is the largest resident set of any of the processes, in bytes.
	Peak int64
	// Read is what they read with read calls, in bytes, -1 where the system
	// does not tell: rchar of /proc/PID/io, which counts files, whether they are
	// cached or not, sendfile, and sockets.
	Read int64
}

func (c *Cost) add(d Cost) {
	c.Wall += d.Wall
	c.User += d.User
	c.System += d.System
	c.Peak = max(c.Peak, d.Peak)
	c.Read += d.Read
}

// measureArg makes this program the one that measures: it reads commands from
// standard input, runs them, and writes their cost to standard output. It is a
// process of its own since Linux counts the memory of the process that starts a
// program as that program's, and this one is small.
const measureArg = "measure-commands"

// measure runs the commands in a process that measures them. The error of a
// command that fails has the end of what it said.
func measure(ctx context.Context, commands []command) (Cost, error) {
	self, err := os.Executable()
	if err != nil {
		return Cost{}, err
	}
	input, err := json.Marshal(commands)
	if err != nil {
		return Cost{}, err
	}
	var stdout bytes.Buffer
	var stderr tail
	cmd := exec.CommandContext(ctx, self, measureArg)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	endAsGroup(cmd)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return Cost{}, fmt.Errorf("it did not end within the time limit: %w", ctx.Err())
		}
		return Cost{}, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var c Cost
	return c, json.Unmarshal(stdout.Bytes(), &c)
}

// measureCommands is the other side.
func measureCommands(in io.Reader, out io.Writer) error {
	var commands []command
	if err := json.NewDecoder(in).Decode(&commands); err != nil {
		return err
	}
	var total Cost
	for _, c := range commands {
		cost, err := measureOne(c)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(abbreviated(c.Args), " "), err)
		}
		total.add(cost)
	}
	return json.NewEncoder(out).Encode(total)
}

func measureOne(c command) (cost Cost, err error) {
	var stdout io.Writer
	if c.Stdout != "" {
		f, err := os.Create(c.Stdout)
		if err != nil {
			return Cost{}, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		stdout = f
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:noctx // ends with this process, which is what measure ends
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Stdout, cmd.Stderr = stdout, os.Stderr
	endWithParent(cmd)
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return Cost{}, err
	}
	read, err := awaitRead(cmd.Process.Pid)
	if err != nil {
		return Cost{}, err
	}
	if err := cmd.Wait(); err != nil {
		return Cost{}, err
	}
	return Cost{
		Wall: time.Since(start), User: cmd.ProcessState.UserTime(), System: cmd.ProcessState.SystemTime(),
		Peak: peakMemory(cmd.ProcessState), Read: read,
	}, nil
}

// abbreviated leaves out of a long command line what repeats.
func abbreviated(args []string) []string {
	const most = 12
	if len(args) <= most {
		return args
	}
	return append(append([]string(nil), args[:most]...), fmt.Sprintf("… (%d more)", len(args)-most))
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 2000
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - most; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }
