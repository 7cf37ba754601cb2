package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/store"
)

func rootOf(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// Layouts lie beside and below each other, and are those of Open.
func TestCreateWithin(t *testing.T) {
	dir := t.TempDir()
	root := rootOf(t, dir)
	for _, name := range []string{"team/model", "team", "team/model/more", "team/model"} {
		l, err := store.CreateWithin(root, name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		m := mustPush(t, l, newManifest(name, testArtifact, nil))
		again, err := store.Open(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if _, err := again.Resolve(t.Context(), m.Digest.String()); err != nil || again.Path() != l.Path() {
			t.Errorf("%s: %v, %s and %s", name, err, again.Path(), l.Path())
		}
	}
	mkdir(t, filepath.Join(dir, "files"))
	write(t, filepath.Join(dir, "files", "a"), "a file")
	for name, want := range map[string]error{"files": store.ErrNotEmpty, "team/other": nil} {
		if _, err := store.OpenWithin(root, name); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s is opened: %v", name, err)
		}
		if l, err := store.CreateWithin(root, name); !errors.Is(err, want) {
			t.Errorf("%s is created: %v", name, err)
		} else if l != nil {
			_ = l.Close()
		}
	}
	if _, err := store.OpenWithin(root, "files/a"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a file is opened: %v", err)
	}
}

// Nothing leads out of the directory.
func TestWithinStaysInside(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "registry")
	mkdir(t, dir)
	outside := mustCreate(t, filepath.Join(parent, "outside"))
	if err := os.Symlink(outside.Path(), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(outside.Path())
	if err != nil {
		t.Fatal(err)
	}
	root := rootOf(t, dir)
	for _, name := range []string{"../outside", "link", "link/below", "/outside", outside.Path()} {
		for what, open := range map[string]func(*os.Root, string) (*store.Layout, error){"opened": store.OpenWithin, "created": store.CreateWithin} {
			if l, err := open(root, name); err == nil {
				t.Errorf("%s is %s: %s", name, what, l.Path())
			}
		}
	}
	if entries, err := os.ReadDir(outside.Path()); err != nil || len(entries) != len(before) {
		t.Errorf("outside there is %v, %v", entries, err)
	}
}
