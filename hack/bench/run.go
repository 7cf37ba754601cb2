//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Run is one measurement.
type Run struct {
	Tool  string
	Work  work
	Round int // 0 is the one that warms up and counts; it is in no median
	Cost

	Registry   time.Duration // CPU time of the registries meanwhile, in steps of 10 ms
	Up, Down   int64         // bytes over the wire; -1 where they were not counted
	DiskPeak   int64         // bytes on disk beyond the files of the model, at most; -1 where nobody looked
	DiskAfter  int64         // and once the command had ended
	FilesBytes int64         // bytes of the files of the model
	FilesRead  int           // how many of them were read at all; -1 where nobody looked
}

// bench is one run of everything.
type bench struct {
	options
	dir     string // all that it makes
	tools   []tool
	modseal tool
	program string // e2e/cmd/registry
	log     io.Writer

	runs []Run
	why  map[string]map[work]string // why a tool has no number
	seq  int
}

// fresh is the name of a directory that does not exist yet.
func (b *bench) fresh(name string) string {
	b.seq++
	return filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, b.seq))
}

// environment of a tool: nothing of the user's gets in.
func (b *bench) environment(home string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + filepath.Join(home, "tmp"), "LANG=C.UTF-8",
		"XDG_STATE_HOME=" + filepath.Join(home, "state"), "XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_RUNTIME_DIR=" + filepath.Join(home, "run"),
		"MODSEAL_PASSWORD=bench",
	}
	return env
}

// home makes a new home directory.
func (b *bench) home() (string, error) {
	home := b.fresh("home")
	for _, name := range []string{"tmp", "run"} {
		if err := os.MkdirAll(filepath.Join(home, name), 0o700); err != nil {
			return "", err
		}
	}
	return home, nil
}

// commands turns command lines into what measure takes.
func (b *bench) commands(t tool, w work, p place, home string) []command {
	p.program, p.home = t.program, home
	return b.inEnvironment(t.lines[w](p), p.model.dir, home)
}

func (b *bench) inEnvironment(lines [][]string, dir, home string) []command {
	var commands []command
	for _, args := range lines {
		commands = append(commands, command{Args: args, Dir: dir, Env: b.environment(home)})
	}
	return commands
}

// unmeasured runs a work that only prepares another.
func (b *bench) unmeasured(ctx context.Context, t tool, w work, p place, home string) error {
	_, err := b.limited(ctx, b.commands(t, w, p, home))
	return err
}

func (b *bench) limited(ctx context.Context, commands []command) (Cost, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	return measure(ctx, commands)
}

// circumstances are what is looked at while a work is measured.
type circumstances struct {
	round      int
	registries []*registry
	up, down   *proxy // what counts, or nil; both may be the same
	home       string
	watch      bool // the disk
}

// measured runs a work of a tool and keeps what it cost. A tool that fails is
// left out from then on, with its reason; the error is that of the bench.
func (b *bench) measured(ctx context.Context, t tool, w work, p place, c circumstances) (ok bool, err error) {
	if !t.does(w) || b.why[t.name][w] != "" {
		return b.why[t.name][w] == "", nil
	}
	r := Run{Tool: t.name, Work: w, Round: c.round, Up: -1, Down: -1, DiskPeak: -1, DiskAfter: -1, FilesBytes: p.model.size, FilesRead: -1}
	var most func() int64
	before := diskUsage(c.home)
	if c.watch {
		most = watchDisk(c.home, p.out)
	}
	if w == repush && c.watch {
		read, err := watchReads(p.model.dir)
		if err != nil {
			return false, err
		}
		defer func() {
			n, readErr := read()
			if err = errors.Join(err, readErr); ok {
				b.runs[len(b.runs)-1].FilesRead = n
			}
		}()
	}
	var cpu time.Duration
	for _, registry := range c.registries {
		cpu -= registry.cpu()
	}
	r.Cost, err = b.limited(ctx, b.commands(t, w, p, c.home))
	for _, registry := range c.registries {
		cpu += registry.cpu()
	}
	r.Registry = cpu
	if c.watch {
		written := min(diskUsage(p.out), diskUsage(p.model.dir))
		r.DiskPeak = max(0, most()-before-written)
		r.DiskAfter = max(0, diskUsage(c.home, p.out)-before-written)
	}
	if c.up != nil {
		r.Up, _ = c.up.counted()
	}
	if c.down != nil {
		up, down := c.down.counted()
		if c.up == nil {
			r.Up = up
		}
		r.Down = down
	}
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		b.leaveOut(t, w, err)
		return false, nil
	}
	b.runs = append(b.runs, r)
	fmt.Fprintf(b.log, "%d  %-16s %-16s %8.2f s  cpu %6.2f s  registry %6.2f s  %4d MiB\n",
		c.round, w, t.name, r.Wall.Seconds(), (r.User + r.System).Seconds(), r.Registry.Seconds(), r.Peak>>20)
	return true, nil
}

func (b *bench) leaveOut(t tool, w work, err error) {
	if b.why[t.name] == nil {
		b.why[t.name] = map[work]string{}
	}
	b.why[t.name][w] = err.Error()
	fmt.Fprintf(b.log, "   %-16s %-16s left out: %v\n", w, t.name, err)
}

// enough tells that a tool is so slow at a group of works that it is not asked
// again: it has been measured twice, and another round would take longer in all
// than the bench is patient. modseal and the floor are always asked.
func (b *bench) enough(t tool, works []work, round int) bool {
	if t.name == b.modseal.name || t.name == floorName || round < 3 {
		return false
	}
	var total time.Duration
	for _, r := range b.runs {
		if r.Tool == t.name && slices.Contains(works, r.Work) && r.Round > 0 {
			total += r.Wall
		}
	}
	return total+total/time.Duration(round-1) > b.patience
}
