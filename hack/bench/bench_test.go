//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"

	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

// startOlareg starts a registry that stores in dir, or in memory when dir is
// empty.
func startOlareg(t *testing.T, dir string) string {
	t.Helper()
	storage := config.ConfigStorage{StoreType: config.StoreMem}
	if dir != "" {
		storage = config.ConfigStorage{StoreType: config.StoreDir, RootDir: dir}
	}
	s := olareg.New(config.Config{Storage: storage})
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return strings.TrimPrefix(server.URL, "http://")
}

// The model must be one that a strict reader takes, and of the size asked for.
func TestModelIsValid(t *testing.T) {
	const size = 3 << 20
	m, err := writeModel(filepath.Join(t.TempDir(), "m"), size, 3)
	if err != nil {
		t.Fatal(err)
	}
	if m.size < size || m.size > size+64<<10 {
		t.Errorf("%d bytes, want a little more than %d", m.size, size)
	}
	shards := 0
	for _, name := range m.files {
		if !strings.HasSuffix(name, ".safetensors") {
			continue
		}
		shards++
		f, err := os.Open(filepath.Join(m.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := safetensors.Read(f, info.Size()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if shards != 3 {
		t.Errorf("%d shards, want 3", shards)
	}
}

func TestChangedModelDiffersInOneShard(t *testing.T) {
	dir := t.TempDir()
	const size, shards = 4 << 20, 4
	m, err := writeModel(filepath.Join(dir, "a"), size, shards)
	if err != nil {
		t.Fatal(err)
	}
	next, err := writeChanged(m, filepath.Join(dir, "b"), size, shards)
	if err != nil {
		t.Fatal(err)
	}
	if len(next.files) != len(m.files) || next.size != m.size {
		t.Errorf("%d files of %d bytes, want %d of %d", len(next.files), next.size, len(m.files), m.size)
	}
	var different []string
	for _, name := range m.files {
		if sameFile(filepath.Join(m.dir, name), filepath.Join(next.dir, name)) != nil {
			different = append(different, name)
		}
	}
	if len(different) != 1 || different[0] != shardName(shards-1, shards) {
		t.Errorf("%v differ, want the last shard alone", different)
	}
}

// The floor is only a floor if it does the work: what it pulls is what it
// pushed, through a copy and by ranges as well.
func TestFloorDoesTheWork(t *testing.T) {
	source, destination := startOlareg(t, ""), startOlareg(t, "")
	m, err := writeModel(filepath.Join(t.TempDir(), "m"), 80<<20, 2) // more than one range each
	if err != nil {
		t.Fatal(err)
	}
	from, to := source+"/bench/m:v1", destination+"/bench/m:v1"
	out, ranges, loaded := t.TempDir(), t.TempDir(), t.TempDir()
	archive, again := filepath.Join(t.TempDir(), "m.tar"), destination+"/bench/loaded:v1"
	for _, args := range [][]string{
		{"push", m.dir, from},
		{"copy", from, to},
		{"pull", to, out},
		{"ranges", to, ranges},
		{"save", from, archive},
		{"load", archive, again},
		{"pull", again, loaded},
	} {
		if err := floor(t.Context(), args); err != nil {
			t.Fatalf("floor %s: %v", args[0], err)
		}
	}
	for _, dir := range []string{out, ranges, loaded} {
		if err := same(m, dir); err != nil {
			t.Error(err)
		}
	}
}

// A floor that takes any bytes would be faster than is honest.
func TestFloorRefusesOtherBytes(t *testing.T) {
	dir := t.TempDir()
	host := startOlareg(t, dir)
	m, err := writeModel(filepath.Join(t.TempDir(), "m"), 4<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref := host + "/bench/m:v1"
	if err := floor(t.Context(), []string{"push", m.dir, ref}); err != nil {
		t.Fatal(err)
	}
	if err := changeBytes(dir); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "m.tar")
	if err := floor(t.Context(), []string{"save", ref, archive}); err == nil {
		t.Error("floor save takes bytes that were changed in the registry")
	}
	for _, how := range []string{"pull", "ranges"} {
		if err := floor(t.Context(), []string{how, ref, t.TempDir()}); err == nil {
			t.Errorf("floor %s takes bytes that were changed in the registry", how)
		}
	}
	other := startOlareg(t, "")
	if err := floor(t.Context(), []string{"copy", ref, other + "/bench/m:v1"}); err == nil {
		t.Error("floor copy passes on bytes that were changed in the registry")
	}
}

func TestProxyCounts(t *testing.T) {
	const sent, answered = 300 << 10, 700 << 10
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(make([]byte, answered))
	}))
	defer server.Close()
	for _, rate := range []int64{0, 1 << 30} {
		p, err := startProxy(t.Context(), strings.TrimPrefix(server.URL, "http://"), rate)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Post("http://"+p.host, "text/plain", strings.NewReader(strings.Repeat("x", sent)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != answered {
			t.Fatalf("%d bytes and %v, want %d", n, err, answered)
		}
		answer.Body.Close()
		const headers = 1 << 10
		up, down := p.counted()
		if up < sent || up > sent+headers || down < answered || down > answered+headers {
			t.Errorf("rate %d: counted %d up and %d down, want a little more than %d and %d", rate, up, down, sent, answered)
		}
		if up, down := p.counted(); up != 0 || down != 0 {
			t.Errorf("rate %d: counted again: %d up and %d down", rate, up, down)
		}
	}
}

func TestWatchReads(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read, err := watchReads(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "a"} {
		if _, err := os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	if n, err := read(); err != nil || n != 2 {
		t.Errorf("%d files were read (%v), want 2", n, err)
	}
}

func TestDiskUsageCountsNamesOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 64<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	alone := diskUsage(dir)
	if alone < 64<<10 {
		t.Fatalf("%d bytes, want at least %d", alone, 64<<10)
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if both := diskUsage(dir); both != alone {
		t.Errorf("with a second name it takes %d bytes, not %d", both, alone)
	}
}

// TestMain lets the test binary be what measure and the floor start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == measureArg {
		exit(measureCommands(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func TestMeasure(t *testing.T) {
	const size = 8 << 20
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	env := os.Environ()
	cost, err := measure(t.Context(), []command{{Args: []string{"cat", name}, Env: env, Stdout: name + ".1"}, {Args: []string{"cat", name}, Env: env}})
	if err != nil {
		t.Fatal(err)
	}
	if cost.Read >= 0 && (cost.Read < 2*size || cost.Read > 2*size+1<<20) {
		t.Errorf("it read %d bytes, want twice %d", cost.Read, size)
	}
	if cost.Wall <= 0 || cost.Peak <= 0 || cost.Peak > 64<<20 {
		t.Errorf("wall %v, peak %d", cost.Wall, cost.Peak)
	}
	if err := sameFile(name, name+".1"); err != nil {
		t.Error(err)
	}
	if _, err := measure(t.Context(), []command{{Args: []string{"sh", "-c", "echo no luck >&2; exit 3"}, Env: env}}); err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("error %v does not say why the command failed", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := measure(ctx, []command{{Args: []string{"sleep", "600"}, Env: env}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v of a command that does not end, want one that says so", err)
	}
}
