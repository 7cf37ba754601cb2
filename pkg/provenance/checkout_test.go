package provenance_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/provenance"
)

// tree writes files below a new directory; an empty text makes a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if text == "" {
			full = filepath.Join(full, "x")
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			continue
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const cloned = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://bob:secret@git.example.com/team/llama.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"

func TestFromCheckout(t *testing.T) {
	t.Parallel()
	onMain := provenance.Source{Repository: "https://git.example.com/team/llama.git", Ref: "refs/heads/main", Commit: commit1, Checkout: true}
	for name, row := range map[string]struct {
		files map[string]string
		dir   string
		want  provenance.Source
	}{
		"a branch, from below": {
			map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": commit1 + "\n", ".git/config": cloned, "out/model/x": "x"},
			"out/model", onMain,
		},
		"a packed branch": {
			map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": "# pack-refs with: peeled fully-peeled sorted\n" + commit2 + " refs/heads/dev\n" + commit1 + " refs/heads/main\n^" + commit2 + "\n", ".git/config": cloned},
			".", onMain,
		},
		"a commit without a branch": {
			map[string]string{".git/HEAD": commit2 + "\n", ".git/config": cloned},
			".",
			provenance.Source{Repository: onMain.Repository, Commit: commit2, Checkout: true},
		},
		"a work tree of its own": {
			map[string]string{
				"main/.git/HEAD": "ref: refs/heads/main\n", "main/.git/refs/heads/main": commit2, "main/.git/config": cloned, "main/.git/refs/heads/dev": commit1,
				"main/.git/worktrees/w/HEAD": "ref: refs/heads/dev\n", "main/.git/worktrees/w/commondir": "../..\n", "w/.git": "gitdir: ../main/.git/worktrees/w\n",
			},
			"w",
			provenance.Source{Repository: onMain.Repository, Ref: "refs/heads/dev", Commit: commit1, Checkout: true},
		},
		"no remote": {
			map[string]string{".git/HEAD": commit1, ".git/config": "[core]\n"},
			".",
			provenance.Source{Commit: commit1, Checkout: true},
		},
		"the only remote": {
			map[string]string{".git/HEAD": commit1, ".git/config": "[remote \"up\"]\n  URL = \"git@git.example.com:a/b\"\n"},
			".",
			provenance.Source{Repository: "ssh://git.example.com/a/b", Commit: commit1, Checkout: true},
		},
		"two remotes, neither the origin": {
			map[string]string{".git/HEAD": commit1, ".git/config": "[remote \"a\"]\nurl = https://example.com/a\n[remote \"b\"]\nurl = https://example.com/b\n"},
			".",
			provenance.Source{Commit: commit1, Checkout: true},
		},
		"what may be a login": {
			map[string]string{".git/HEAD": commit1, ".git/config": "[remote \"origin\"]\nurl = oauth2:SECRET@git.example.com:a/b\n"},
			".",
			provenance.Source{Commit: commit1, Checkout: true},
		},
		"cloned from a path": {
			map[string]string{".git/HEAD": commit1, ".git/config": "[remote \"origin\"]\nurl = /home/bob/llama\n"},
			".",
			provenance.Source{Commit: commit1, Checkout: true},
		},
	} {
		got, err := provenance.FromCheckout(filepath.Join(tree(t, row.files), filepath.FromSlash(row.dir)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestFromCheckoutRefuses(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 8<<10)
	for name, row := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no HEAD":                {map[string]string{".git/config": cloned}, "HEAD"},
		"an empty branch":        {map[string]string{".git/HEAD": "ref: refs/heads/main"}, "has no commit yet"},
		"a branch not packed":    {map[string]string{".git/HEAD": "ref: refs/heads/main", ".git/packed-refs": commit1 + " refs/heads/mai\n"}, "has no commit yet"},
		"a ref out of here":      {map[string]string{".git/HEAD": "ref: refs/../../../etc/passwd"}, "which is no ref"},
		"a ref that is absolute": {map[string]string{".git/HEAD": "ref: /etc/passwd"}, "which is no ref"},
		"a ref with an escape":   {map[string]string{".git/HEAD": "ref: refs/heads/\x1b[2J"}, "which is no ref"},
		"refs in a circle":       {map[string]string{".git/HEAD": "ref: refs/heads/a", ".git/refs/heads/a": "ref: refs/heads/b", ".git/refs/heads/b": "ref: refs/heads/a"}, "from ref to ref"},
		"no commit ID":           {map[string]string{".git/HEAD": "0123"}, "no commit"},
		"text in a ref":          {map[string]string{".git/HEAD": "ref: refs/heads/a", ".git/refs/heads/a": "hello"}, "no commit"},
		"a huge HEAD":            {map[string]string{".git/HEAD": big}, "more than 4096 bytes"},
		"a huge packed line":     {map[string]string{".git/HEAD": "ref: refs/heads/a", ".git/packed-refs": big}, "packed-refs"},
		"a huge configuration":   {map[string]string{".git/HEAD": commit1, ".git/config": strings.Repeat(big, 200)}, "config: more than"},
		"a reftable":             {map[string]string{".git/HEAD": "ref: refs/heads/.invalid"}, "reftable"},
		"a file of no meaning":   {map[string]string{".git": "hello"}, "neither a directory nor"},
		"a link to nowhere":      {map[string]string{".git": "gitdir: nowhere"}, "HEAD"},
	} {
		got, err := provenance.FromCheckout(tree(t, row.files))
		if err == nil || !strings.Contains(err.Error(), row.want) || got != (provenance.Source{}) || errors.Is(err, provenance.ErrNoCheckout) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// The repository of these sources is not above the system's temporary files.
	if _, err := provenance.FromCheckout(t.TempDir()); !errors.Is(err, provenance.ErrNoCheckout) {
		t.Errorf("outside of a checkout: %v", err)
	}
	repo := tree(t, map[string]string{".git/HEAD": commit1})
	if s, err := provenance.FromCheckout(filepath.Join(repo, "mistyped")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %+v, %v", s, err)
	}
}

// What git makes is read as git reads it.
func TestFromCheckoutAsGit(t *testing.T) {
	t.Parallel()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is missing")
	}
	dir := t.TempDir()
	run := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.Command(git, append([]string{"-C", in}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run(dir, "init", "-q", "-b", "trunk", "repo")
	repo := filepath.Join(dir, "repo")
	run(repo, "remote", "add", "origin", "https://git.example.com/team/llama")
	run(repo, "commit", "-q", "--allow-empty", "-m", "one")
	check := func(what, in string) {
		t.Helper()
		got, err := provenance.FromCheckout(in)
		want := provenance.Source{Repository: "https://git.example.com/team/llama", Commit: run(in, "rev-parse", "HEAD"), Checkout: true}
		if ref := run(in, "rev-parse", "--symbolic-full-name", "HEAD"); ref != "HEAD" {
			want.Ref = ref
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -git +here:\n%s", what, err, diff)
		}
	}
	check("a commit", repo)
	run(repo, "commit", "-q", "--allow-empty", "-m", "two")
	run(repo, "pack-refs", "--all")
	check("packed", repo)
	run(repo, "worktree", "add", "-q", "-b", "feature/x", filepath.Join(dir, "tree"))
	check("a work tree", filepath.Join(dir, "tree"))
	run(repo, "checkout", "-q", "--detach", "HEAD~1")
	check("detached", repo)
}
