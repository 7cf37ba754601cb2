package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// OpenWithin opens the layout at name, with slashes, below a directory that no path
// and no symbolic link leads out of. The path of dir has to be absolute. The errors
// are those of [Open].
func OpenWithin(dir *os.Root, name string) (*Layout, error) {
	abs := filepath.Join(dir.Name(), filepath.FromSlash(name))
	info, err := dir.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s: no OCI layout: %w", abs, errdef.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	root, err := dir.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return opened(abs, abs, root)
}

// CreateWithin is [OpenWithin] for a layout that is made, with missing parents, when
// there is none. Unlike with [Create] it may lie beside directories, which are
// layouts of their own: team/model below team. With files it is refused, with
// [ErrNotEmpty].
func CreateWithin(dir *os.Root, name string) (*Layout, error) {
	l, err := OpenWithin(dir, name)
	if !errors.Is(err, errdef.ErrNotFound) {
		return l.taken(err)
	}
	if err := makeDirsWithin(dir, name); err != nil {
		return nil, err
	}
	root, err := dir.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	abs := filepath.Join(dir.Name(), filepath.FromSlash(name))
	if err := onlyDirectories(root); err != nil {
		_ = root.Close()
		// Another process may have made the layout just now.
		if l, again := OpenWithin(dir, name); !errors.Is(again, errdef.ErrNotFound) {
			return l.taken(again)
		}
		return nil, fmt.Errorf("%s: %w", abs, err)
	}
	if err := initialize(abs, root); err != nil {
		return nil, fmt.Errorf("%s: %w", abs, err)
	}
	return OpenWithin(dir, name)
}

// onlyDirectories fails with [ErrNotEmpty] where there are files that are not
// modseal's own.
func onlyDirectories(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(listPage)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ownPrefix) || e.IsDir() && e.Name() != ocispec.ImageBlobsDir {
				continue
			}
			return ErrNotEmpty
		}
		if err != nil || len(entries) == 0 {
			return ignoreEOF(err)
		}
	}
}

// makeDirsWithin makes a directory and its missing parents, and puts their names on
// disk.
func makeDirsWithin(dir *os.Root, name string) error {
	if err := dir.MkdirAll(name, 0o755); err != nil {
		return err
	}
	for parent := path.Dir(name); ; parent = path.Dir(parent) {
		if err := syncDir(dir, parent); err != nil || parent == "." {
			return err
		}
	}
}
