//go:build linux

// Command bench measures modseal against every peer that it finds, and against
// the least code that does the same work: the same model, the same registry, in
// one run, one tool after the other. docs/bench.md says how, and what came out.
//
//	go run ./hack/bench           the whole, as make bench does it
//	go run ./hack/bench -quick    a small model: whether it works, not how fast
//
// It writes bench.md, bench.json and bench.svg into the directory -out. How fast
// something is decides nothing about its exit code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options of a run, as they are reported.
type options struct {
	size, huge   int64
	rate         int64 // bytes a second
	shards       int
	small        int
	repeat       int
	kind         string
	patience     time.Duration
	limit        time.Duration
	out, storage string
	only, names  string
	program      string
	readme       string
	quick        bool
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case measureArg:
			runtime.LockOSThread() // the thread whose end ends the commands
			exit(measureCommands(os.Stdin, os.Stdout))
		case floorArg:
			exit(floor(context.Background(), os.Args[2:]))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, parse(), os.Stderr)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func parse() options {
	o := options{size: 2 << 30, huge: 1 << 30, rate: 50e6}
	flag.Func("size", "bytes of the model (default 2GiB)", sizeFlag(&o.size))
	flag.Func("huge", "bytes of the one huge file (default 1GiB)", sizeFlag(&o.huge))
	flag.Func("rate", "bytes a second that a throttled connection gets (default 50MB)", sizeFlag(&o.rate))
	flag.IntVar(&o.shards, "shards", 4, "files that the model's weights are in")
	flag.IntVar(&o.small, "small", 10_000, "number of small files")
	flag.IntVar(&o.repeat, "runs", 5, "how often each work is measured")
	flag.DurationVar(&o.patience, "patience", time.Minute, "a peer that would take longer in all for one group of works is measured less often than -runs, but at least twice")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "how long one work of one tool may take; one that takes longer has no number")
	flag.StringVar(&o.kind, "registry", "distribution", "kind of registry: distribution, olareg or docker-registry")
	flag.StringVar(&o.storage, "storage", "/dev/shm", "directory for models, registries and what is pulled")
	flag.StringVar(&o.out, "out", "docs", "directory for bench.md, bench.json and bench.svg")
	flag.StringVar(&o.readme, "readme", "", "file in which the block of the benchmarks is written anew")
	flag.StringVar(&o.only, "only", "", "groups of works to measure, of models,copy,archive,huge,small (default all)")
	flag.StringVar(&o.names, "tools", "", "tools to measure besides modseal, such as oras,floor (default all that are found)")
	flag.StringVar(&o.program, "modseal", "", "modseal program to measure (default: built from this source)")
	flag.BoolVar(&o.quick, "quick", false, "a small model and two runs: whether it works, not how fast")
	flag.Parse()
	if o.quick {
		o.size, o.huge, o.small, o.repeat, o.patience = 64<<20, 64<<20, 1100, 2, 5*time.Second
	}
	return o
}

// sizeFlag reads bytes with a unit: 2GiB, 64MiB, 50MB.
func sizeFlag(to *int64) func(string) error {
	return func(s string) error {
		unit := int64(1)
		for suffix, u := range map[string]int64{"GiB": 1 << 30, "MiB": 1 << 20, "GB": 1e9, "MB": 1e6} {
			if number, ok := strings.CutSuffix(s, suffix); ok {
				s, unit = number, u
				break
			}
		}
		var n float64
		if _, err := fmt.Sscanf(s, "%g", &n); err != nil || n <= 0 {
			return errors.New("want a size such as 2GiB or 50MB")
		}
		*to = int64(n * float64(unit))
		return nil
	}
}

func run(ctx context.Context, o options, log io.Writer) (err error) {
	started := time.Now()
	// The model and its changed shard, the same in the registry, in the storage
	// of a tool that has one, and pulled.
	if left, err := free(o.storage); err != nil {
		return err
	} else if need := 5 * max(o.size, o.huge); left < need {
		return fmt.Errorf("%s has %s left and it may take %s: give another directory by -storage or a smaller model by -size", o.storage, bytesText(left), bytesText(need))
	}
	dir, err := os.MkdirTemp(o.storage, "modseal-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{options: o, dir: dir, log: log, why: map[string]map[work]string{}}
	if err := b.build(ctx); err != nil {
		return err
	}
	absent, err := b.findTools()
	if err != nil {
		return err
	}
	r := report{Date: started.UTC(), Machine: describeMachine(), Absent: absent, Storage: storage(dir), Versions: map[string]string{}}
	for _, t := range b.tools {
		r.Versions[t.name] = versionOf(ctx, t)
		fmt.Fprintf(log, "%-8s %s\n", t.name, r.Versions[t.name])
	}
	if err := b.everything(ctx); err != nil {
		return err
	}
	r.fill(b, time.Since(started))
	if err := r.write(o.out); err != nil {
		return err
	}
	if o.readme != "" {
		if err := r.updateBlock(o.readme, "docs/bench.svg"); err != nil {
			return err
		}
	}
	fmt.Println(r.markdownTargets())
	return nil
}

// build builds what is measured and the registry, and makes the key pair.
func (b *bench) build(ctx context.Context) error {
	if b.options.program == "" {
		b.options.program = filepath.Join(b.dir, "modseal")
		if err := goBuild(ctx, ".", b.options.program, "./cmd/modseal"); err != nil {
			return err
		}
	}
	b.program = filepath.Join(b.dir, "registry-program")
	if err := goBuild(ctx, "e2e", b.program, "./cmd/registry"); err != nil {
		return err
	}
	home, err := b.home()
	if err != nil {
		return err
	}
	program, err := filepath.Abs(b.options.program)
	if err != nil {
		return err
	}
	_, err = b.limited(ctx, []command{{
		Args: []string{program, "keygen", "--output-key-prefix", filepath.Join(b.dir, "bench")}, Env: b.environment(home),
	}})
	return err
}

// goBuild builds a program of this repository, which is the current directory.
func goBuild(ctx context.Context, module, output, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", output, pkg)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, output)
	}
	return nil
}

// findTools looks in bin/peers before PATH.
func (b *bench) findTools() (absent []string, err error) {
	peers, err := filepath.Abs(filepath.Join("bin", "peers"))
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("PATH", peers+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b.tools, absent = found(tools(self, b.options.program))
	if len(b.tools) == 0 || b.tools[0].name != "modseal" {
		return nil, fmt.Errorf("there is no modseal at %s", b.options.program)
	}
	b.modseal = b.tools[0]
	if b.names != "" {
		wanted := append(strings.Split(b.names, ","), b.modseal.name)
		b.tools = slices.DeleteFunc(b.tools, func(t tool) bool { return !slices.Contains(wanted, t.name) })
	}
	return absent, nil
}

// everything measures group after group; each removes its models at its end.
func (b *bench) everything(ctx context.Context) error {
	groups := []struct {
		name string
		f    func() error
	}{
		{"models", func() error {
			m, err := writeModel(filepath.Join(b.dir, "model"), b.size, b.shards)
			if err != nil {
				return err
			}
			next, err := writeChanged(m, filepath.Join(b.dir, "model-changed"), b.size, b.shards)
			if err != nil {
				return err
			}
			return b.models(ctx, m, next)
		}},
		{"copy", func() error {
			m, err := writeModel(filepath.Join(b.dir, "model"), b.size, b.shards)
			if err != nil {
				return err
			}
			return b.copies(ctx, m)
		}},
		{"archive", func() error {
			m, err := writeModel(filepath.Join(b.dir, "model"), b.size, b.shards)
			if err != nil {
				return err
			}
			return b.archives(ctx, m)
		}},
		{"huge", func() error {
			m, err := writeModel(filepath.Join(b.dir, "model"), b.huge, 1)
			if err != nil {
				return err
			}
			return b.throttled(ctx, m)
		}},
		{"small", func() error {
			m, err := writeSmall(filepath.Join(b.dir, "model"), b.small)
			if err != nil {
				return err
			}
			return b.smallFiles(ctx, m)
		}},
	}
	for _, g := range groups {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), g.name) {
			continue
		}
		if err := g.f(); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		for _, name := range []string{"model", "model-changed"} {
			if err := os.RemoveAll(filepath.Join(b.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
