package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Errors that a caller may want to tell apart.
var (
	// ErrEmpty means that there is no file to pack.
	ErrEmpty = errors.New("no files")
	// ErrIrregular is wrapped when an entry is no regular file or directory.
	ErrIrregular = errors.New("not a regular file")
	// ErrChanged is wrapped when a file is not the one that was listed.
	ErrChanged = errors.New("changed while it was read")
)

// SymlinkError names the symbolic links that were found and not followed.
type SymlinkError struct {
	Links []string // paths below the root, at most [maxReported]
	More  int      // how many others there are
	Why   string
}

func (e *SymlinkError) Error() string {
	s := fmt.Sprintf("symbolic link %q: %s", e.Links[0], e.Why)
	if others := len(e.Links) - 1 + e.More; others > 0 {
		s += fmt.Sprintf(" (and %d others)", others)
	}
	return s
}

const maxReported = 20

// Options change what [Walk] takes. The zero value takes every regular file
// but those of [DefaultExcludes].
type Options struct {
	// FollowSymlinks follows links whose target stays inside the directory, or
	// inside the blobs of the Hugging Face cache that the directory is a
	// snapshot of. Without it a link is an error.
	FollowSymlinks bool
	// Exclude holds doublestar patterns of paths to leave out, besides the
	// defaults. A pattern that matches a directory leaves out what is below.
	Exclude []string
	// Roles are rules that decide a role before name and content do; the first
	// that matches wins.
	Roles []RoleRule
	// Ignore, when not nil, decides alone what is left out, in the place of the
	// defaults and of Exclude.
	Ignore func(path string) bool
	// NoRoles leaves the content of files alone: no role, no look at the
	// beginning of a file.
	NoRoles bool
	// Open replaces how files are opened, so that a test can count what is
	// read; nil opens them below the root.
	Open func(root *os.Root, name string) (*os.File, error)
}

// RoleRule gives the files that match a doublestar pattern a role.
type RoleRule struct {
	Pattern string
	Role    artifacttypes.Role
}

// DefaultExcludes says what is never part of a model, as OMS and the tools of
// the field have it: the metadata of version control at the top level, caches
// anywhere, and modseal's own staging directory.
func DefaultExcludes() []string {
	return []string{
		".git", ".github", ".gitignore", ".gitattributes",
		"**/.cache", "**/__pycache__", "**/*.pyc", "**/.DS_Store",
		StagingDir,
	}
}

// StagingDir is where a pull keeps what is not complete yet, below the
// directory it writes to.
const StagingDir = ".modseal-partial"

// Tree is a model as it lies on disk.
type Tree struct {
	Dir       string   // absolute path of the directory, or of the one file
	Single    bool     // the model is one file, named by its base name
	Files     []File   // ascending by the bytes of Path
	Excluded  []string // what was left out by rule; directories end with /
	EmptyDirs []string // directories that hold no file: they are not stored
}

// Size returns the number of bytes of all files.
func (t *Tree) Size() int64 {
	var n int64
	for i := range t.Files {
		n += t.Files[i].Size
	}
	return n
}

// Walk lists the files of the model at name, which is a directory or a file.
func Walk(ctx context.Context, name string, o Options) (*Tree, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return single(abs, info, o)
	}
	for _, pattern := range o.Exclude {
		if err := ValidatePattern(pattern); err != nil {
			return nil, fmt.Errorf("exclude: %w", err)
		}
	}
	for _, rule := range o.Roles {
		if err := ValidatePattern(rule.Pattern); err != nil {
			return nil, fmt.Errorf("role %s: %w", rule.Role, err)
		}
		if !rule.Role.Valid() {
			return nil, fmt.Errorf("role %q of %q is none of %v", rule.Role, rule.Pattern, artifacttypes.Roles())
		}
	}
	w, err := newWalker(abs, o)
	if err != nil {
		return nil, err
	}
	tree, err := w.walk(ctx)
	if err != nil {
		w.close()
	}
	return tree, err
}

func (w *walker) walk(ctx context.Context) (*Tree, error) {
	if err := w.directory(ctx, ".", ""); err != nil {
		return nil, err
	}
	if len(w.links) > 0 {
		return nil, &SymlinkError{
			Links: w.links, More: w.moreLinks,
			Why: "links are not packed; replace it by the file it points to, or use --follow-symlinks",
		}
	}
	return w.finish()
}

// close closes the directories that no file will be read from.
func (w *walker) close() {
	w.root.Close()
	if w.hubRoot != nil {
		w.hubRoot.Close()
	}
}

// Bounds of a pattern. Patterns come with a model too, in its overrides, and
// matching takes time with the product of their alternatives.
const (
	maxPatternBytes = 512
	maxBraces       = 3
	maxDoubleStars  = 4
)

// ValidatePattern checks a doublestar pattern, within bounds.
func ValidatePattern(p string) error {
	if !doublestar.ValidatePattern(p) {
		return fmt.Errorf("pattern %q is not valid", p)
	}
	if len(p) > maxPatternBytes || strings.Count(p, "{") > maxBraces || strings.Count(p, "**") > maxDoubleStars {
		return fmt.Errorf("pattern %q is too costly: at most %d bytes, %d braces and %d double stars", p, maxPatternBytes, maxBraces, maxDoubleStars)
	}
	return nil
}

func single(abs string, info fs.FileInfo, o Options) (*Tree, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", abs, ErrIrregular)
	}
	base := filepath.Base(abs)
	// A link that the user names is followed as far as those inside a directory.
	at, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, err
	}
	if link, err := os.Lstat(abs); err != nil || link.Mode()&fs.ModeSymlink != 0 && !o.FollowSymlinks {
		return nil, errors.Join(err, &SymlinkError{Links: []string{base}, Why: "name the file it points to, or use --follow-symlinks"})
	}
	if err := artifacttypes.ValidatePath(base); err != nil {
		return nil, err
	}
	f := newFile(base, info, opener{dir: filepath.Dir(at), name: filepath.Base(at), open: o.Open})
	if !o.NoRoles {
		if err := f.classify(o.Roles); err != nil {
			return nil, err
		}
	}
	return &Tree{Dir: abs, Single: true, Files: []File{f}}, nil
}

type walker struct {
	o        Options
	tree     *Tree
	root     *os.Root // held by the files that are found
	realRoot string   // the root with every link resolved
	hub      string   // blobs directory of the hub cache, empty when there is none
	hubRoot  *os.Root // that directory, once a link leads there
	excludes []string
	paths    *artifacttypes.PathSet
	walking  map[string]bool // real paths of the directories being walked: link loops

	links     []string
	moreLinks int
}

func newWalker(abs string, o Options) (*walker, error) {
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	realRoot, err := filepath.EvalSymlinks(abs)
	if err != nil {
		root.Close()
		return nil, err
	}
	return &walker{
		o: o, root: root, realRoot: realRoot, hub: hubBlobs(realRoot),
		tree:     &Tree{Dir: abs},
		excludes: append(DefaultExcludes(), o.Exclude...),
		paths:    artifacttypes.NewPathSet(),
		walking:  map[string]bool{},
	}, nil
}

// directory lists dir, a path below the root that may lead through followed
// links; as is the path that the model gives it.
func (w *walker) directory(ctx context.Context, dir, as string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	entries, err := fs.ReadDir(w.root.FS(), dir)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(filepath.Join(w.tree.Dir, filepath.FromSlash(dir)))
	if err != nil {
		return err
	}
	w.walking[real] = true
	defer delete(w.walking, real)
	if len(entries) == 0 && as != "" {
		w.tree.EmptyDirs = append(w.tree.EmptyDirs, as)
	}
	for _, e := range entries {
		if err := w.entry(ctx, path.Join(dir, e.Name()), path.Join(as, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(ctx context.Context, name, as string, kind fs.FileMode) error {
	if w.excluded(as) {
		if kind.IsDir() {
			as += "/"
		}
		w.tree.Excluded = append(w.tree.Excluded, as)
		return nil
	}
	switch {
	case kind.IsDir():
		return w.directory(ctx, name, as)
	case kind.IsRegular():
		info, err := w.root.Lstat(name)
		if err != nil {
			return err
		}
		return w.file(as, info, opener{dir: w.tree.Dir, name: name, open: w.o.Open, root: w.root})
	case kind&fs.ModeSymlink == 0:
		return fmt.Errorf("%q: %w but a %s", as, ErrIrregular, kindName(kind))
	case w.o.FollowSymlinks:
		return w.link(ctx, name, as)
	}
	if len(w.links) < maxReported {
		w.links = append(w.links, as)
	} else {
		w.moreLinks++
	}
	return nil
}

func (w *walker) excluded(as string) bool {
	if w.o.Ignore != nil {
		return w.o.Ignore(as)
	}
	for _, pattern := range w.excludes {
		// The patterns were validated, so Match cannot fail.
		if doublestar.MatchUnvalidated(pattern, as) {
			return true
		}
	}
	return false
}

// link follows a symbolic link inside the root or into the hub cache.
func (w *walker) link(ctx context.Context, name, as string) error {
	refuse := func(why string) error { return &SymlinkError{Links: []string{as}, Why: why} }
	target, err := filepath.EvalSymlinks(filepath.Join(w.tree.Dir, filepath.FromSlash(name)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse("its target does not exist")
	case err != nil:
		return err
	}
	info, err := os.Lstat(target)
	if err != nil {
		return err
	}
	base, root := w.realRoot, w.root
	switch {
	case inside(w.realRoot, target):
	case w.hub != "" && inside(w.hub, target):
		if w.hubRoot == nil {
			if w.hubRoot, err = os.OpenRoot(w.hub); err != nil {
				return err
			}
		}
		base, root = w.hub, w.hubRoot
	default:
		return refuse("its target is outside the directory")
	}
	rel, err := filepath.Rel(base, target)
	if err != nil {
		return err
	}
	switch {
	case info.Mode().IsRegular():
		return w.file(as, info, opener{dir: base, name: filepath.ToSlash(rel), open: w.o.Open, root: root})
	case info.IsDir() && w.walking[target]:
		return refuse("it leads back to a directory that holds it")
	case info.IsDir() && base == w.realRoot:
		return w.directory(ctx, filepath.ToSlash(rel), as)
	}
	return fmt.Errorf("%q: its target is %w but a %s", as, ErrIrregular, kindName(info.Mode().Type()))
}

func (w *walker) file(as string, info fs.FileInfo, from opener) error {
	if err := w.paths.Add(as); err != nil {
		return err
	}
	if len(w.tree.Files) == limits.Files {
		return fmt.Errorf("%s: more than %d files", w.tree.Dir, limits.Files)
	}
	f := newFile(as, info, from)
	if !w.o.NoRoles {
		if err := f.classify(w.o.Roles); err != nil {
			return err
		}
	}
	w.tree.Files = append(w.tree.Files, f)
	return nil
}

func (w *walker) finish() (*Tree, error) {
	t := w.tree
	if len(t.Files) == 0 {
		return nil, fmt.Errorf("%s: %w to pack", t.Dir, ErrEmpty)
	}
	slices.SortFunc(t.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(t.Excluded)
	slices.Sort(t.EmptyDirs)
	return t, nil
}

// hubBlobs returns the blobs directory of the Hugging Face cache when dir is
// one of its snapshots: <cache>/models--<org>--<name>/snapshots/<revision>.
func hubBlobs(dir string) string {
	snapshots := filepath.Dir(dir)
	repo := filepath.Dir(snapshots)
	if filepath.Base(snapshots) != "snapshots" || !strings.Contains(filepath.Base(repo), "--") {
		return ""
	}
	return filepath.Join(repo, "blobs")
}

func inside(dir, target string) bool {
	return target == dir || strings.HasPrefix(target, dir+string(filepath.Separator))
}

func kindName(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	case m.IsDir():
		return "directory"
	}
	return "special file"
}
