package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/store"
)

const (
	// keepOpen is how long a layout stays open that nobody asks for, and with it the
	// lease that keeps others from collecting what a client has just been told is there.
	keepOpen = 10 * time.Minute
	// maxOpen is how many layouts stay open at once, while nobody asks for them.
	maxOpen = 128
)

// Registry is the backend of a registry over a directory of layouts. Its methods are
// those of ociregistry.Interface, and safe for concurrent use.
type Registry struct {
	*ociregistry.Funcs
	root     *os.Root
	readOnly bool

	mu      sync.Mutex
	open    map[string]*repository
	written map[string]bool // repositories that are to be collected
}

// repository is a layout that is open.
type repository struct {
	*store.Layout
	name string
	info fs.FileInfo // of its directory
	refs int
	used time.Time
	gone bool // another directory has its name: it is closed by who uses it last
}

// Open opens a directory of layouts, which is made when it is not there. With readOnly
// nothing in it is changed.
func Open(dir string, readOnly bool) (*Registry, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return &Registry{root: root, readOnly: readOnly, open: map[string]*repository{}, written: map[string]bool{}}, nil
}

// Close closes all layouts. Nobody may use the Registry any more.
func (r *Registry) Close() error {
	var errs []error
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, repo := range r.open {
		errs = append(errs, repo.Close())
	}
	clear(r.open)
	return errors.Join(append(errs, r.root.Close())...)
}

// acquire returns a repository that stays open until release.
func (r *Registry) acquire(name string, create bool) (*repository, error) {
	if inLayout(name) {
		if create {
			return nil, fmt.Errorf("no part of the name of a repository may be that of a file of a layout: %w", ociregistry.ErrNameInvalid)
		}
		return nil, ociregistry.ErrNameUnknown
	}
	if repo := r.opened(name); repo != nil {
		return repo, nil
	}
	open := store.OpenWithin
	if create {
		open = store.CreateWithin
	}
	layout, err := open(r.root, name)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, fmt.Errorf("there is no such repository: %w", ociregistry.ErrNameUnknown)
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(layout.Path())
	if err != nil {
		return nil, errors.Join(err, layout.Close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.open[name]; other != nil && os.SameFile(other.info, info) {
		_ = layout.Close()
		other.refs++
		return other, nil
	}
	repo := &repository{Layout: layout, name: name, info: info, refs: 1}
	r.drop(name)
	r.open[name] = repo
	return repo, nil
}

// opened returns the repository if it is open, and is still what its name says:
// somebody may have removed the directory, and made another.
func (r *Registry) opened(name string) *repository {
	info, err := r.root.Stat(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	repo := r.open[name]
	if repo == nil {
		return nil
	}
	if err != nil || !os.SameFile(info, repo.info) {
		r.drop(name)
		return nil
	}
	repo.refs++
	return repo
}

// drop forgets a repository, which is closed by who uses it last. The caller holds mu.
func (r *Registry) drop(name string) {
	repo := r.open[name]
	if repo == nil {
		return
	}
	delete(r.open, name)
	if repo.gone = true; repo.refs == 0 {
		_ = repo.Close()
	}
}

func (r *Registry) release(repo *repository) {
	r.mu.Lock()
	defer r.mu.Unlock()
	repo.refs--
	repo.used = time.Now()
	if repo.gone && repo.refs == 0 {
		_ = repo.Close()
		return
	}
	r.closeIdle(repo.used.Add(-keepOpen), maxOpen)
}

// closeIdle closes what was used last before a time, and the oldest of what is more
// than most. The caller holds mu.
func (r *Registry) closeIdle(before time.Time, most int) {
	for {
		var oldest *repository
		for _, repo := range r.open {
			if repo.refs == 0 && (oldest == nil || repo.used.Before(oldest.used)) {
				oldest = repo
			}
		}
		if oldest == nil || len(r.open) <= most && !oldest.used.Before(before) {
			return
		}
		r.drop(oldest.name)
	}
}

// inLayout reports whether a name leads into the files of a layout.
func inLayout(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case ocispec.ImageBlobsDir, ocispec.ImageIndexFile, ocispec.ImageLayoutFile:
			return true
		}
	}
	return false
}

// read calls fn with a repository that is there.
func (r *Registry) read(ctx context.Context, name string, fn func(*repository) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	repo, err := r.acquire(name, false)
	if err != nil {
		return err
	}
	defer r.release(repo)
	return fn(repo)
}

// toWrite returns a repository to write to, which is made when create is set.
func (r *Registry) toWrite(ctx context.Context, name string, create bool) (*repository, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r.readOnly {
		return nil, ociregistry.ErrDenied
	}
	repo, err := r.acquire(name, create)
	if errors.Is(err, store.ErrNotEmpty) {
		err = fmt.Errorf("%w: %w", ociregistry.ErrDenied, err)
	}
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written[name] = true
	return repo, nil
}
