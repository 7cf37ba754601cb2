//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A machine is what numbers depend on.
type machine struct {
	Cores  int
	CPU    string
	Memory int64
	Kernel string
	Go     string
	// Hash is how many bytes a second one core hashes with Go's SHA-256: it is
	// what most of this work is, and it differs by the factor of four between
	// processors with and without instructions for it.
	Hash int64
}

func newMachine() machine {
	return machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Hash: hashRate()}
}

// hashRate is the best of several attempts, as others may use the core.
func hashRate() int64 {
	buffer := make([]byte, 1<<20)
	h := sha256.New()
	best := time.Duration(math.MaxInt64)
	for range 100 {
		start := time.Now()
		_, _ = h.Write(buffer) // never fails
		best = min(best, time.Since(start))
	}
	return int64(float64(len(buffer)) / best.Seconds())
}

// A report is what a run of the bench found.
type report struct {
	Date     time.Time
	Took     time.Duration
	Machine  machine
	Storage  string
	Registry string
	Size     int64
	Shards   int
	Huge     int64
	Rate     int64
	Small    int
	Repeat   int
	Quick    bool
	Versions map[string]string
	Absent   []string
	Why      map[string]map[work]string // why a tool has no number for a work
	Runs     []Run

	tools []tool
}

func (r *report) fill(b *bench, took time.Duration) {
	r.Took, r.Registry, r.Size, r.Shards, r.Huge, r.Rate, r.Small, r.Repeat, r.Quick = took, b.kind, b.size, b.shards, b.huge, b.rate, b.small, b.repeat, b.quick
	r.Runs, r.Why, r.tools = b.runs, map[string]map[work]string{}, b.tools
	for _, t := range b.tools {
		r.Why[t.name] = map[work]string{}
		for w, why := range t.no {
			r.Why[t.name][w] = why
		}
		for w, why := range b.why[t.name] {
			r.Why[t.name][w] = strings.ReplaceAll(why, b.dir, "…")
		}
	}
}

// A figure is what the runs of one tool at one work come to: medians, but for
// what is counted in the warm-up.
type figure struct {
	n                    int
	wall, shortest, most time.Duration
	cpu, registry        time.Duration
	peak                 int64 // the largest of all runs
	read                 int64
	up, down             int64 // -1: not counted
	diskPeak, diskAfter  int64
	filesRead            int // -1: nobody looked
}

// figure returns false when there are none that count.
func (r *report) figure(name string, w work) (figure, bool) {
	f := figure{up: -1, down: -1, diskPeak: -1, diskAfter: -1, filesRead: -1}
	if why, failed := r.Why[name][w]; failed && why != "" {
		return f, false // what it did before it failed counts for nothing
	}
	var walls, cpus, registries, reads []int64
	for _, run := range r.Runs {
		if run.Tool != name || run.Work != w {
			continue
		}
		f.up, f.down = max(f.up, run.Up), max(f.down, run.Down)
		f.diskPeak, f.diskAfter = max(f.diskPeak, run.DiskPeak), max(f.diskAfter, run.DiskAfter)
		f.peak, f.filesRead = max(f.peak, run.Peak), max(f.filesRead, run.FilesRead)
		if run.Round == 0 {
			continue
		}
		f.n++
		walls = append(walls, int64(run.Wall))
		cpus = append(cpus, int64(run.User+run.System))
		registries = append(registries, int64(run.Registry))
		reads = append(reads, run.Read)
	}
	if f.n == 0 {
		return f, false
	}
	f.wall, f.shortest, f.most = time.Duration(median(walls)), time.Duration(slices.Min(walls)), time.Duration(slices.Max(walls))
	f.cpu, f.registry, f.read = time.Duration(median(cpus)), time.Duration(median(registries)), median(reads)
	return f, true
}

// median sorts.
func median(v []int64) int64 {
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// write writes all three forms.
func (r *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"bench.json": string(text) + "\n",
		"bench.md":   r.markdown(),
		"bench.svg":  r.svg(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// updateBlock replaces the block in a file that shows one; a file without the
// markers is left alone.
func (r *report) updateBlock(name, plot string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), blockBegin+"\n")
	_, after, found := strings.Cut(rest, blockEnd+"\n")
	if !ok || !found {
		return nil
	}
	return os.WriteFile(name, []byte(before+r.block(plot)+after), 0o644)
}
