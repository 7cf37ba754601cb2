//go:build linux

package main

import (
	"encoding/json"
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
}

func newMachine() machine { return machine{Cores: runtime.NumCPU(), Go: runtime.Version()} }

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
}

// figure returns false when there are none that count.
func (r *report) figure(name string, w work) (figure, bool) {
	f := figure{up: -1, down: -1, diskPeak: -1, diskAfter: -1}
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
		f.peak = max(f.peak, run.Peak)
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
