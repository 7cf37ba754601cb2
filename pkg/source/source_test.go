//go:build unix

package source_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/source"
)

// write makes files below a new directory; a name that ends with / makes an
// empty directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(full, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(content), 0o644))
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func paths(tree *source.Tree) []string {
	var out []string
	for _, f := range tree.Files {
		out = append(out, f.Path)
	}
	return out
}

const safetensors = "\x02\x00\x00\x00\x00\x00\x00\x00{}"

func TestWalkOrdersByBytesAndLeavesOutByRule(t *testing.T) {
	dir := write(t, map[string]string{
		"model/tok.txt": "vocab\n", "model.safetensors": safetensors, "config.json": "{}", "empty.bin": "",
		".git/HEAD": "x", ".gitignore": "x", "sub/.git/HEAD": "kept", "a/__pycache__/x.pyc": "x", ".cache/x": "x", "b/.DS_Store": "x",
		"skip/me.tmp": "x", "nothing/": "", ".modseal-partial/ab": "x",
	})
	tree, err := source.Walk(t.Context(), dir, source.Options{Exclude: []string{"**/*.tmp"}})
	must(t, err)
	// "." sorts before "/": by bytes, not by components (OMS 1.0 §5).
	want := []string{"config.json", "empty.bin", "model.safetensors", "model/tok.txt", "sub/.git/HEAD"}
	if diff := cmp.Diff(want, paths(tree)); diff != "" {
		t.Error(diff)
	}
	excluded := []string{".cache/", ".git/", ".gitignore", ".modseal-partial/", "a/__pycache__/", "b/.DS_Store", "skip/me.tmp"}
	if diff := cmp.Diff(excluded, tree.Excluded); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"nothing"}, tree.EmptyDirs); diff != "" {
		t.Error(diff)
	}
}

func TestRoles(t *testing.T) {
	elf := "\x7fELF" + strings.Repeat("\x00", 60)
	for name, tt := range map[string]struct {
		content string
		role    artifacttypes.Role
		proven  bool
	}{
		"model.safetensors":       {safetensors, artifacttypes.RoleWeight, true},
		"weights.txt":             {safetensors, artifacttypes.RoleWeight, true}, // the content wins over the name
		"model.gguf":              {"GGUF\x03\x00\x00\x00" + strings.Repeat("\x00", 16), artifacttypes.RoleWeight, true},
		"clf.joblib.gz":           {"\x1f\x8b\x08", artifacttypes.RoleWeight, false},
		"clf.pkl.xz":              {"\xfd7zXZ\x00", artifacttypes.RoleWeight, false},
		"config.json":             {"{}", artifacttypes.RoleWeightConfig, false},
		"merges.txt":              {"a b", artifacttypes.RoleWeightConfig, false},
		"tokenizer.model":         {"\x0a\x0b", artifacttypes.RoleWeightConfig, false},
		"README":                  {"hello", artifacttypes.RoleDoc, false},
		"README.zh.md":            {"hello", artifacttypes.RoleDoc, false},
		"LICENSE.apache-2.0":      {"hello", artifacttypes.RoleDoc, false},
		"licenses_of_others.py":   {"import os", artifacttypes.RoleCode, false},
		"changelog":               {"hello", artifacttypes.RoleDoc, false},
		"run":                     {"#!/bin/sh\n", artifacttypes.RoleCode, true},
		"modeling.py":             {"import torch", artifacttypes.RoleCode, false},
		"train.parquet":           {"PAR1", artifacttypes.RoleDataset, false},
		"notes":                   {"données", artifacttypes.RoleDoc, false},
		"blob":                    {"\x00\x01", artifacttypes.RoleWeightConfig, false},
		"tool":                    {elf, artifacttypes.RoleWeightConfig, false},
		"sub/UPPER.SAFETENSORS":   {safetensors, artifacttypes.RoleWeight, true},
		"pytorch_model.bin.index": {"\x00", artifacttypes.RoleWeightConfig, false},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := source.Walk(t.Context(), write(t, map[string]string{name: tt.content}), source.Options{})
			must(t, err)
			f := tree.Files[0]
			if f.Role != tt.role || f.Proven != tt.proven {
				t.Errorf("role %s, proven %v; want %s, %v", f.Role, f.Proven, tt.role, tt.proven)
			}
		})
	}
}

func TestARuleOfTheUserWins(t *testing.T) {
	dir := write(t, map[string]string{"data/a.json": "{}", "b.json": "{}"})
	tree, err := source.Walk(t.Context(), dir, source.Options{Roles: []source.RoleRule{{Pattern: "data/**", Role: artifacttypes.RoleDataset}}})
	must(t, err)
	if tree.Files[1].Role != artifacttypes.RoleDataset || tree.Files[0].Role != artifacttypes.RoleWeightConfig {
		t.Errorf("got %+v", tree.Files)
	}
}

func TestSymlinksAreRefusedByName(t *testing.T) {
	dir := write(t, map[string]string{"model.safetensors": safetensors})
	must(t, os.Symlink("model.safetensors", filepath.Join(dir, "latest")))
	must(t, os.Symlink("/etc", filepath.Join(dir, "etc")))
	_, err := source.Walk(t.Context(), dir, source.Options{})
	var links *source.SymlinkError
	if !errors.As(err, &links) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"etc", "latest"}, links.Links); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(err.Error(), `"etc"`) {
		t.Errorf("the link is not named: %v", err)
	}
}

func TestFollowSymlinks(t *testing.T) {
	outside := write(t, map[string]string{"secret": "x"})
	for name, tt := range map[string]struct {
		target string
		want   []string
		says   string
	}{
		"file inside":      {"a/x.json", []string{"a/x.json", "link"}, ""},
		"directory inside": {"a", []string{"a/x.json", "link/x.json"}, ""},
		"outside":          {outside + "/secret", nil, "outside the directory"},
		"outside by dots":  {"../../../../../../../../../../../etc/passwd", nil, "outside the directory"},
		"to itself":        {".", nil, "leads back"},
		"to nothing":       {"missing", nil, "does not exist"},
		"to a device":      {"/dev/null", nil, "outside the directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"a/x.json": "{}"})
			must(t, os.Symlink(tt.target, filepath.Join(dir, "link")))
			tree, err := source.Walk(t.Context(), dir, source.Options{FollowSymlinks: true})
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), `"link"`) {
					t.Fatalf("got %v", err)
				}
				return
			}
			must(t, err)
			if diff := cmp.Diff(tt.want, paths(tree)); diff != "" {
				t.Error(diff)
			}
			for i := range tree.Files {
				f, err := tree.Files[i].Open()
				must(t, err)
				content, err := io.ReadAll(f)
				must(t, errors.Join(err, f.Close()))
				if string(content) != "{}" {
					t.Errorf("%s holds %q", tree.Files[i].Path, content)
				}
			}
		})
	}
}

func TestASnapshotOfTheHubCacheIsFollowedIntoItsBlobs(t *testing.T) {
	cache := t.TempDir()
	repo := filepath.Join(cache, "models--acme--tiny")
	snapshot := filepath.Join(repo, "snapshots", strings.Repeat("a", 40))
	must(t, os.MkdirAll(snapshot, 0o755))
	must(t, os.MkdirAll(filepath.Join(repo, "blobs"), 0o755))
	must(t, os.WriteFile(filepath.Join(repo, "blobs", "1234"), []byte(safetensors), 0o644))
	must(t, os.Symlink("../../blobs/1234", filepath.Join(snapshot, "model.safetensors")))

	tree, err := source.Walk(t.Context(), snapshot, source.Options{FollowSymlinks: true})
	must(t, err)
	if diff := cmp.Diff([]string{"model.safetensors"}, paths(tree)); diff != "" {
		t.Fatal(diff)
	}
	f, err := tree.Files[0].Open()
	must(t, err)
	defer f.Close()
	if content, err := io.ReadAll(f); err != nil || string(content) != safetensors {
		t.Errorf("%q, %v", content, err)
	}
	// The refs beside the blobs are not part of the cache's content.
	must(t, os.WriteFile(filepath.Join(repo, "token"), []byte("secret"), 0o600))
	must(t, os.Symlink("../../token", filepath.Join(snapshot, "token.json")))
	if _, err := source.Walk(t.Context(), snapshot, source.Options{FollowSymlinks: true}); err == nil {
		t.Error("a link to a neighbour of the blobs was followed")
	}
}

func TestWhatNoModelCanHoldIsAnError(t *testing.T) {
	t.Run("named pipe", func(t *testing.T) {
		dir := write(t, map[string]string{"a": "x"})
		must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
		if _, err := source.Walk(t.Context(), dir, source.Options{}); !errors.Is(err, source.ErrIrregular) {
			t.Error(err)
		}
	})
	t.Run("name with a backslash", func(t *testing.T) {
		if _, err := source.Walk(t.Context(), write(t, map[string]string{`a\b`: "x"}), source.Options{}); !errors.Is(err, artifacttypes.ErrUnsafePath) {
			t.Error(err)
		}
	})
	t.Run("name with a newline", func(t *testing.T) {
		if _, err := source.Walk(t.Context(), write(t, map[string]string{"a\nb": "x"}), source.Options{}); !errors.Is(err, artifacttypes.ErrUnsafePath) {
			t.Error(err)
		}
	})
	t.Run("names that differ by case", func(t *testing.T) {
		if _, err := source.Walk(t.Context(), write(t, map[string]string{"README.md": "x", "readme.md": "y"}), source.Options{}); !errors.Is(err, artifacttypes.ErrUnsafePath) {
			t.Error(err)
		}
	})
	t.Run("Git LFS pointer", func(t *testing.T) {
		pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n"
		if _, err := source.Walk(t.Context(), write(t, map[string]string{"model.safetensors": pointer}), source.Options{}); !errors.Is(err, source.ErrLFSPointer) {
			t.Error(err)
		}
	})
	t.Run("no file", func(t *testing.T) {
		if _, err := source.Walk(t.Context(), write(t, map[string]string{".git/HEAD": "x"}), source.Options{}); !errors.Is(err, source.ErrEmpty) {
			t.Error(err)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		if _, err := source.Walk(t.Context(), filepath.Join(t.TempDir(), "missing"), source.Options{}); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("bad pattern", func(t *testing.T) {
		if _, err := source.Walk(t.Context(), write(t, map[string]string{"a": "x"}), source.Options{Exclude: []string{"[a"}}); err == nil {
			t.Error("no error")
		}
	})
}

func TestAModelMayBeOneFile(t *testing.T) {
	dir := write(t, map[string]string{"model.gguf": "GGUF\x03\x00\x00\x00" + strings.Repeat("\x00", 16)})
	tree, err := source.Walk(t.Context(), filepath.Join(dir, "model.gguf"), source.Options{})
	must(t, err)
	if !tree.Single || len(tree.Files) != 1 || tree.Files[0].Path != "model.gguf" {
		t.Errorf("got %+v", tree)
	}
}

func TestAnotherFileUnderTheSameNameIsNoticed(t *testing.T) {
	dir := write(t, map[string]string{"config.json": "{}"})
	name := filepath.Join(dir, "config.json")
	list := func() *source.File {
		tree, err := source.Walk(t.Context(), dir, source.Options{})
		must(t, err)
		return &tree.Files[0]
	}
	f := list()
	must(t, f.Unchanged())
	must(t, os.WriteFile(name, []byte("{ }"), 0o644))
	if err := f.Unchanged(); !errors.Is(err, source.ErrChanged) {
		t.Errorf("another size: %v", err)
	}
	f = list()
	must(t, os.Remove(name))
	must(t, os.Symlink("/etc/passwd", name))
	if _, err := f.Open(); err == nil {
		t.Error("a link that took the place of the file was opened")
	}
	must(t, os.Remove(name))
	if err := f.Unchanged(); !errors.Is(err, source.ErrChanged) {
		t.Errorf("removed: %v", err)
	}
}

// Who replaces the directory, or one in it, shows nobody other files.
func TestAnotherDirectoryUnderTheSameNameIsNoticed(t *testing.T) {
	other := write(t, map[string]string{"a/b/config.json": "[]"})
	for _, swapped := range []string{".", "a", "a/b"} {
		dir := write(t, map[string]string{"a/b/config.json": "{}"})
		tree, err := source.Walk(t.Context(), dir, source.Options{})
		must(t, err)
		f := &tree.Files[0]
		must(t, os.Rename(filepath.Join(dir, swapped), dir+"-listed"))
		must(t, os.Symlink(filepath.Join(other, swapped), filepath.Join(dir, swapped)))
		if r, err := f.Open(); err == nil {
			b, err := io.ReadAll(r)
			must(t, err)
			must(t, r.Close())
			if string(b) != "{}" || swapped != "." {
				t.Errorf("%s: read %q", swapped, b)
			}
		} else if swapped == "." {
			t.Error(err)
		}
		if err := f.Unchanged(); err == nil {
			t.Errorf("%s: the file is said to be unchanged", swapped)
		}
		if err := f.Untouched(); err == nil {
			t.Errorf("%s: the file is said to be untouched", swapped)
		}
	}
}

func TestOnlyTheOwnersBitCounts(t *testing.T) {
	dir := write(t, map[string]string{"a.sh": "#!/bin/sh\n", "b.sh": "#!/bin/sh\n"})
	must(t, os.Chmod(filepath.Join(dir, "a.sh"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "b.sh"), 0o677))
	tree, err := source.Walk(t.Context(), dir, source.Options{})
	must(t, err)
	if !tree.Files[0].Executable || tree.Files[1].Executable {
		t.Errorf("got %+v", tree.Files)
	}
}

func TestTheContentIsNotReadWhereRolesAreNotAsked(t *testing.T) {
	dir := write(t, map[string]string{"a": "x"})
	opened := 0
	_, err := source.Walk(t.Context(), dir, source.Options{NoRoles: true, Open: func(root *os.Root, name string) (*os.File, error) {
		opened++
		return root.Open(name)
	}})
	must(t, err)
	if opened != 0 {
		t.Errorf("%d files were opened", opened)
	}
}

func TestWalkTakesManyFiles(t *testing.T) {
	dir := t.TempDir()
	for i := range 3000 {
		must(t, os.WriteFile(filepath.Join(dir, "f"+strings.Repeat("x", i%50)+string(rune('a'+i%26))+strings.Repeat("y", i/1300)), bytes.Repeat([]byte("x"), i%7), 0o644))
	}
	tree, err := source.Walk(t.Context(), dir, source.Options{})
	must(t, err)
	got := paths(tree)
	for i := 1; i < len(got); i++ {
		if got[i-1] >= got[i] {
			t.Fatalf("%q does not come before %q", got[i-1], got[i])
		}
	}
}
