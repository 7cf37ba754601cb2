package materialize_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/materialize"
)

// A path through a link that is in the destination, to a directory or a file,
// inside or outside: refused before anything is fetched, also with Overwrite.
func TestLinksInTheDestination(t *testing.T) {
	m := newModel(t, raw("sub/model.bin", "weights"), tarLayer(member{name: "tar/config.json", content: "{}"}))
	outside := t.TempDir()
	put(t, outside, "model.bin", "precious")
	put(t, outside, "config.json", "precious")
	for name, prepare := range map[string]func(dir string) error{
		"directory link": func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "sub")) },
		"inside": func(dir string) error {
			put(t, dir, "real/x", "")
			return os.Symlink("real", filepath.Join(dir, "sub"))
		},
		"dangling": func(dir string) error { return os.Symlink("/nowhere", filepath.Join(dir, "sub")) },
		"file link": func(dir string) error {
			put(t, dir, "sub/x", "")
			return os.Symlink(filepath.Join(outside, "model.bin"), filepath.Join(dir, "sub/model.bin"))
		},
		"right bytes": func(dir string) error {
			put(t, dir, "x", "weights")
			put(t, dir, "sub/y", "")
			return os.Symlink("../x", filepath.Join(dir, "sub/model.bin"))
		},
		"link for a member":   func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "tar")) },
		"staging is a link":   func(dir string) error { return os.Symlink(outside, filepath.Join(dir, materialize.StagingName)) },
		"directory as a file": func(dir string) error { put(t, dir, "sub/model.bin/x", ""); return nil },
	} {
		dir := t.TempDir()
		if err := prepare(dir); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		_, err := m.pull(t, dir, materialize.Options{Overwrite: true})
		if !errors.Is(err, materialize.ErrUnsafeDestination) && !errors.Is(err, materialize.ErrForeignFile) {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: the error does not say where: %v", name, err)
		}
		after := tree(t, dir)
		for p := range after {
			if strings.HasPrefix(p, materialize.StagingName+"/") {
				delete(after, p) // layers that were good before a member met a link
			}
		}
		if len(after) != len(before) {
			t.Errorf("%s: before %v, after %v", name, before, after)
		}
		if got := tree(t, outside); len(got) != 2 || got["model.bin"] != "precious" || got["config.json"] != "precious" {
			t.Fatalf("%s: outside there is now %v", name, got)
		}
	}
}

// A directory that is itself reached by a link is the user's choice.
func TestDestinationMayBeALink(t *testing.T) {
	m := newModel(t, raw("a", "1"))
	real := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	m.mustPull(t, link, materialize.Options{})
	wantTree(t, real, map[string]string{"a": "1"})
}

// An existing hard link is replaced, never written through.
func TestHardLinkInTheDestination(t *testing.T) {
	m := newModel(t, raw("a", "right"))
	other := filepath.Join(t.TempDir(), "other")
	put(t, filepath.Dir(other), "other", "wrong")
	dir := t.TempDir()
	if err := os.Link(other, filepath.Join(dir, "a")); err != nil {
		t.Skip(err)
	}
	m.mustPull(t, dir, materialize.Options{Overwrite: true})
	wantTree(t, dir, map[string]string{"a": "right"})
	if got := tree(t, filepath.Dir(other))["other"]; got != "wrong" {
		t.Errorf("the other name now has %q", got)
	}
}

// Times of files are those of the pull: no time that a stranger chose.
func TestTimesAreNotRestored(t *testing.T) {
	m := newModel(t, tarLayer(member{name: "a", content: "1", header: headerTime(time.Unix(1, 0))}))
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || time.Since(info.ModTime()) > time.Hour {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
}
