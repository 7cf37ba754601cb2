package materialize_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/verify"
)

func small(t testing.TB) *model {
	return newModel(t,
		typedRaw(artifacttypes.RoleDoc, "README.md", "# model", false),
		typedRaw(artifacttypes.RoleWeightConfig, "config.json", "{}", false),
		raw("empty.bin", ""),
		typedRaw(artifacttypes.RoleCode, "scripts/run.sh", "#!/bin/sh", true),
		raw("weights/a.safetensors", strings.Repeat("weights", 100_000)),
	)
}

var smallTree = map[string]string{
	"README.md": "# model", "config.json": "{}", "empty.bin": "", "scripts/run.sh": "#!/bin/sh",
	"weights/a.safetensors": strings.Repeat("weights", 100_000),
}

var smallPaths = []string{"README.md", "config.json", "empty.bin", "scripts/run.sh", "weights/a.safetensors"}

func TestWritesTheFiles(t *testing.T) {
	m := small(t)
	dir := filepath.Join(t.TempDir(), "new", "dir")
	r := m.mustPull(t, dir, materialize.Options{})
	wantTree(t, dir, smallTree)
	wantOutcomes(t, r, every(materialize.Written, smallPaths...))
	if r.Digest != m.desc.Digest || r.Dir != dir || len(r.Unknown) != 0 || len(r.Warnings) != 0 {
		t.Errorf("%+v", r)
	}
	if want := int64(700_000 + 7 + 2 + 9); r.BytesFetched != want {
		t.Errorf("%d bytes fetched, want %d", r.BytesFetched, want)
	}
	if n := m.source.count(); n != 4 {
		t.Errorf("%d fetches: an empty file needs none, every other one", n)
	}
	for name, want := range map[string]fs.FileMode{"README.md": 0o644, "scripts/run.sh": 0o755} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestSecondPullFetchesNothing(t *testing.T) {
	m := small(t)
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	m.source.count()
	for name, o := range map[string]materialize.Options{
		"by the record":         {},
		"by the bytes":          {Check: true},
		"by the bytes, no file": {StateFile: filepath.Join(t.TempDir(), "none")},
	} {
		r := m.mustPull(t, dir, o)
		wantOutcomes(t, r, every(materialize.Reused, smallPaths...))
		if n := m.source.count(); n != 0 || r.BytesFetched != 0 {
			t.Errorf("%s: %d fetches", name, n)
		}
	}
	wantTree(t, dir, smallTree)
}

func TestZeroVerifiedIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	_, err := materialize.Materialize(t.Context(), verify.Verified{}, small(t).source, dir, materialize.Options{})
	if !errors.Is(err, materialize.ErrNotVerified) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory was made")
	}
}

func TestDamagedFilesAreRepaired(t *testing.T) {
	m := small(t)
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	put(t, dir, "README.md", "# edited, longer")
	put(t, dir, "config.json", "[]")
	if err := os.Remove(filepath.Join(dir, "scripts/run.sh")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "empty.bin"), fs.ModeSetuid|0o644); err != nil {
		t.Fatal(err)
	}
	r := m.mustPull(t, dir, materialize.Options{})
	wantOutcomes(t, r, map[string]materialize.Outcome{
		"README.md": materialize.Repaired, "config.json": materialize.Repaired, "empty.bin": materialize.Repaired,
		"scripts/run.sh": materialize.Written, "weights/a.safetensors": materialize.Reused,
	})
	wantTree(t, dir, smallTree)
	if info, err := os.Stat(filepath.Join(dir, "empty.bin")); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What is in the way and not modseal's is named and kept, and nothing else is
// written; unless its bytes are the right ones, or the user says so.
func TestForeignFiles(t *testing.T) {
	m := small(t)
	dir := t.TempDir()
	put(t, dir, "README.md", "# model")
	put(t, dir, "config.json", "precious")
	_, err := m.pull(t, dir, materialize.Options{})
	if !errors.Is(err, materialize.ErrForeignFile) || !strings.Contains(err.Error(), filepath.Join(dir, "config.json")) {
		t.Fatalf("%v", err)
	}
	wantTree(t, dir, map[string]string{"README.md": "# model", "config.json": "precious"})
	if n := m.source.count(); n != 0 {
		t.Errorf("%d layers were fetched before it was noticed", n)
	}
	r := m.mustPull(t, dir, materialize.Options{Overwrite: true})
	wantTree(t, dir, smallTree)
	wantOutcomes(t, r, with(every(materialize.Written, smallPaths...), every(materialize.Reused, "README.md")))
}

func TestNewVersionReplacesTheOld(t *testing.T) {
	old := newModel(t, raw("keep.bin", "same"), raw("change.bin", "one"), raw("gone.bin", "gone"),
		raw("edited.bin", "edited"), raw("sub/deep/gone.bin", "gone"), raw("becomes/dir", "x"), raw("becomes-file/a", "y"))
	dir := t.TempDir()
	old.mustPull(t, dir, materialize.Options{})
	put(t, dir, "edited.bin", "by a person")
	put(t, dir, "notes.txt", "mine")

	next := newModel(t, raw("keep.bin", "same"), raw("change.bin", "two"), raw("becomes/dir/file", "z"), raw("becomes-file", "w"))
	next.record = old.record
	r := next.mustPull(t, dir, materialize.Options{})
	wantTree(t, dir, map[string]string{
		"keep.bin": "same", "change.bin": "two", "becomes/dir/file": "z", "becomes-file": "w",
		"edited.bin": "by a person", "notes.txt": "mine",
	})
	wantOutcomes(t, r, map[string]materialize.Outcome{
		"keep.bin": materialize.Reused, "change.bin": materialize.Written, "becomes/dir/file": materialize.Written,
		"becomes-file": materialize.Written, "gone.bin": materialize.Removed, "sub/deep/gone.bin": materialize.Removed,
		"becomes/dir": materialize.Removed, "becomes-file/a": materialize.Removed,
	})
	if !slices.Equal(r.Unknown, []string{"edited.bin", "notes.txt"}) {
		t.Errorf("unknown %q", r.Unknown)
	}
	if _, err := os.Stat(filepath.Join(dir, "sub")); err == nil {
		t.Error("an empty directory was left")
	}
	if r := next.mustPull(t, dir, materialize.Options{}); len(r.Files) != 4 {
		t.Errorf("the next pull reports %v", outcomes(r))
	}
}

func TestKeepStale(t *testing.T) {
	old := newModel(t, raw("a", "1"), raw("b", "2"))
	dir := t.TempDir()
	old.mustPull(t, dir, materialize.Options{})
	next := newModel(t, raw("a", "1"))
	next.record = old.record
	r := next.mustPull(t, dir, materialize.Options{KeepStale: true})
	wantTree(t, dir, map[string]string{"a": "1", "b": "2"})
	if !slices.Equal(r.Unknown, []string{"b"}) {
		t.Errorf("unknown %q", r.Unknown)
	}
}

func TestIncludeAndRoles(t *testing.T) {
	m := newModel(t,
		typedRaw(artifacttypes.RoleDoc, "README.md", "doc", false),
		raw("unet/fp16/w.safetensors", "fp16"), raw("unet/w.safetensors", "fp32"),
		tarLayer(member{name: "tokenizer/a.json", content: "a"}, member{name: "tokenizer/b.txt", content: "b"}),
	)
	for name, c := range map[string]struct {
		o    materialize.Options
		want map[string]string
		tar  bool
	}{
		"glob":          {materialize.Options{Include: []string{"**/*.safetensors"}}, map[string]string{"unet/fp16/w.safetensors": "fp16", "unet/w.safetensors": "fp32"}, true},
		"single star":   {materialize.Options{Include: []string{"unet/*"}}, map[string]string{"unet/w.safetensors": "fp32"}, true},
		"two globs":     {materialize.Options{Include: []string{"README.md", "unet/fp16/**"}}, map[string]string{"README.md": "doc", "unet/fp16/w.safetensors": "fp16"}, true},
		"role":          {materialize.Options{Roles: []artifacttypes.Role{artifacttypes.RoleDoc}}, map[string]string{"README.md": "doc"}, false},
		"tar members":   {materialize.Options{Include: []string{"**/*.json"}}, map[string]string{"tokenizer/a.json": "a"}, true},
		"role and glob": {materialize.Options{Roles: []artifacttypes.Role{artifacttypes.RoleWeightConfig}, Include: []string{"**/b*"}}, map[string]string{"tokenizer/b.txt": "b"}, true},
	} {
		dir := t.TempDir()
		c.o.StateFile = filepath.Join(t.TempDir(), "record")
		r, err := m.pull(t, dir, c.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantTree(t, dir, c.want)
		if len(r.Unknown) != 0 {
			t.Errorf("%s: unknown %q", name, r.Unknown)
		}
		m.source.mu.Lock()
		if got := slices.Contains(m.source.fetched, m.verified.Model().Layers[3].Descriptor.Digest); got != c.tar {
			t.Errorf("%s: the tar layer was fetched: %v", name, got)
		}
		m.source.mu.Unlock()
		m.source.count()
	}
	if _, err := m.pull(t, t.TempDir(), materialize.Options{Include: []string{"*.gguf"}}); !errors.Is(err, materialize.ErrNothingSelected) {
		t.Errorf("a glob that matches nothing: %v", err)
	}
	if _, err := m.pull(t, t.TempDir(), materialize.Options{Include: []string{"[a"}}); !errors.Is(err, doublestar.ErrBadPattern) {
		t.Errorf("a broken glob: %v", err)
	}
}

// A partial pull after a full one removes nothing of the same version.
func TestPartialPullKeepsTheRest(t *testing.T) {
	m := newModel(t, raw("a", "1"), raw("b", "2"), tarLayer(member{name: "c", content: "3"}))
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	r := m.mustPull(t, dir, materialize.Options{Include: []string{"a"}})
	wantOutcomes(t, r, every(materialize.Reused, "a"))
	wantTree(t, dir, map[string]string{"a": "1", "b": "2", "c": "3"})
	m.source.count()
	wantOutcomes(t, m.mustPull(t, dir, materialize.Options{}), every(materialize.Reused, "a", "b", "c"))
	if n := m.source.count(); n != 0 {
		t.Errorf("%d fetches after the record was kept over a partial pull", n)
	}
}

func TestEqualFilesAreFetchedOnce(t *testing.T) {
	m := newModel(t, raw("a", "same"), typedRaw(artifacttypes.RoleCode, "b.sh", "same", true), raw("c/d", "same"), raw("e", "other"))
	dir := t.TempDir()
	r := m.mustPull(t, dir, materialize.Options{})
	wantTree(t, dir, map[string]string{"a": "same", "b.sh": "same", "c/d": "same", "e": "other"})
	if n := m.source.count(); n != 2 || r.BytesFetched != 9 {
		t.Errorf("%d fetches, %d bytes", n, r.BytesFetched)
	}
	if info, err := os.Stat(filepath.Join(dir, "b.sh")); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	first, _ := os.Stat(filepath.Join(dir, "a"))
	second, _ := os.Stat(filepath.Join(dir, "c/d"))
	if os.SameFile(first, second) {
		t.Error("equal files are hard links of each other")
	}
}

func TestUnknownFilesAreListedWithinBounds(t *testing.T) {
	m := newModel(t, raw("a", "1"))
	dir := t.TempDir()
	for i := range 1001 {
		put(t, dir, filepath.Join("mine", digest.FromString(string(rune(i))).Encoded()), "")
	}
	r := m.mustPull(t, dir, materialize.Options{})
	if len(r.Unknown) != 1000 || !r.MoreUnknown {
		t.Errorf("%d listed, more: %v", len(r.Unknown), r.MoreUnknown)
	}
}

// Ten thousand small files are one pass over one layer.
func TestManySmallFiles(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	m := newModel(t, tarLayer(numbered(n)...))
	dir := t.TempDir()
	r := m.mustPull(t, dir, materialize.Options{})
	if got := m.source.count(); got != 1 || len(r.Files) != n {
		t.Errorf("%d fetches, %d files", got, len(r.Files))
	}
	r = m.mustPull(t, dir, materialize.Options{})
	if got := m.source.count(); got != 0 || slices.ContainsFunc(r.Files, func(f materialize.FileResult) bool { return f.Outcome != materialize.Reused }) {
		t.Errorf("%d fetches for a second pull", got)
	}
}

// Memory does not follow the size of a file.
func TestConstantMemory(t *testing.T) {
	const size = 32 << 20
	content := strings.Repeat("x", size)
	m := newModel(t, raw("big.bin", content), tarLayer(member{name: "big.txt", content: content}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m.mustPull(t, t.TempDir(), materialize.Options{})
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
}
