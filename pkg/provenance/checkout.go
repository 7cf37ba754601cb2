package provenance

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Bounds on a checkout.
const (
	// maxLevels bounds how far above a directory its checkout is looked for.
	maxLevels = 64
	// maxRefFile bounds HEAD and the file of a ref: a name, or a commit ID.
	maxRefFile = 4 << 10
	// maxRefDepth bounds how many refs point to the next one, as git does.
	maxRefDepth = 5
)

// ErrNoCheckout means that there is no git checkout at or above a directory.
var ErrNoCheckout = errors.New("not in a git checkout")

// FromCheckout returns the commit that is checked out in the git work tree that dir
// lies in, and the repository that it was cloned from. Files are read, and no git is
// run: the configuration of a repository can name programs that git would run, and
// the repository may be a stranger's. So nobody knows whether the files are those of
// the commit, which the result says.
//
// Errors wrap [ErrNoCheckout] when there is none.
func FromCheckout(dir string) (Source, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Source{}, err
	}
	// A name that was mistyped must not lead to the checkout above it.
	if _, err := os.Stat(dir); err != nil {
		return Source{}, err
	}
	for range maxLevels {
		git := filepath.Join(dir, ".git")
		if _, err := os.Lstat(git); err == nil {
			return readCheckout(git)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return Source{}, ErrNoCheckout
}

// checkout is where git keeps what it knows of a work tree, and what work trees of
// one repository share (https://git-scm.com/docs/gitrepository-layout).
type checkout struct{ own, common string }

func readCheckout(git string) (Source, error) {
	c := checkout{own: git, common: git}
	if info, err := os.Stat(git); err != nil || !info.IsDir() {
		text, err := readLine(git)
		if err != nil {
			return Source{}, err
		}
		target, ok := strings.CutPrefix(text, "gitdir: ")
		if !ok {
			return Source{}, fmt.Errorf("%s: neither a directory nor a gitdir file", git)
		}
		c.own = below(filepath.Dir(git), target)
		c.common = c.own
	}
	if common, err := readLine(filepath.Join(c.own, "commondir")); err == nil {
		c.common = below(c.own, common)
	}
	s := Source{Checkout: true}
	var err error
	if s.Ref, s.Commit, err = c.head(); err != nil {
		return Source{}, fmt.Errorf("%s: %w", git, err)
	}
	// A repository that was never cloned from anywhere has none.
	if s.Repository, err = c.origin(); err != nil {
		return Source{}, err
	}
	return s, nil
}

func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// head returns the branch that is checked out, empty for none, and the commit.
func (c checkout) head() (ref, id string, err error) {
	text, err := readLine(filepath.Join(c.own, "HEAD"))
	if err != nil {
		return "", "", err
	}
	for range maxRefDepth {
		target, symbolic := strings.CutPrefix(text, "ref: ")
		if !symbolic {
			if !commit.MatchString(text) {
				return "", "", errors.New("HEAD leads to no commit")
			}
			return ref, text, nil
		}
		if target == "refs/heads/.invalid" {
			return "", "", errors.New("its refs are kept as a reftable, which is not read here")
		}
		// What is not the name of a ref is a path to somewhere else.
		if !strings.HasPrefix(target, "refs/") || !fs.ValidPath(target) || target != cleanText(target) {
			return "", "", fmt.Errorf("HEAD names %q, which is no ref", target)
		}
		ref = target
		if text, err = c.ref(target); err != nil {
			return "", "", err
		}
	}
	return "", "", errors.New("HEAD leads from ref to ref")
}

// ref returns what a ref holds: a file of its own, or a line of the packed ones.
func (c checkout) ref(name string) (string, error) {
	for _, dir := range []string{c.own, c.common} {
		text, err := readLine(filepath.Join(dir, filepath.FromSlash(name)))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	f, err := openRegular(filepath.Join(c.common, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s has no commit yet", name)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, limits.PackedRefsBytes))
	lines.Buffer(nil, maxRefFile)
	for lines.Scan() {
		if id, packed, ok := strings.Cut(lines.Text(), " "); ok && packed == name {
			return id, nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("packed-refs: %w", err)
	}
	return "", fmt.Errorf("%s has no commit yet", name)
}

// origin returns where the repository was cloned from: the remote origin, or the
// only one. Empty means that there is none, or that its name is a path of this
// machine.
func (c checkout) origin() (string, error) {
	f, err := openRegular(filepath.Join(c.common, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limits.GitConfigBytes+1))
	if err != nil {
		return "", err
	}
	if len(text) > limits.GitConfigBytes {
		return "", fmt.Errorf("%s: more than %d bytes", f.Name(), limits.GitConfigBytes)
	}
	remotes := gitRemotes(text)
	address, ok := remotes["origin"]
	if !ok && len(remotes) == 1 {
		for _, only := range remotes {
			address = only
		}
	}
	repository, _ := plainRepository(address)
	return repository, nil
}

// gitRemotes returns the first URL of each remote in a git configuration
// (https://git-scm.com/docs/git-config#_syntax). Other files that it includes are
// not read.
func gitRemotes(config []byte) map[string]string {
	remotes := map[string]string{}
	remote := ""
	for line := range bytes.Lines(config) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "[") {
			remote = ""
			if name, ok := strings.CutPrefix(text, `[remote "`); ok {
				remote, _, _ = strings.Cut(name, `"]`)
			}
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if !ok || remote == "" || !strings.EqualFold(strings.TrimSpace(key), "url") {
			continue
		}
		if _, there := remotes[remote]; !there {
			remotes[remote] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return remotes
}

// readLine returns the text of a small file without the line break at its end.
func readLine(name string) (string, error) {
	f, err := openRegular(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRefFile+1))
	if err == nil && len(b) > maxRefFile {
		err = fmt.Errorf("%s: more than %d bytes", name, maxRefFile)
	}
	return strings.TrimSpace(string(b)), err
}

// openRegular opens nothing that could keep its reader waiting, such as a pipe.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: no regular file", name)
	}
	return os.Open(name)
}
