package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrCorrupt is wrapped when a layout holds what no OCI image layout holds: an
// index.json that cannot be read, a link or a directory in the place of a file.
var ErrCorrupt = errors.New("corrupt OCI layout")

// ErrNotEmpty is wrapped by [Create] for a directory that holds something else:
// a layout is never mixed into other files.
var ErrNotEmpty = errors.New("directory is neither empty nor an OCI layout")

// ErrBusy is wrapped when another process, or another Layout of this one, uses the
// layout in a way that leaves no room for what was asked: try again.
var ErrBusy = errors.New("somebody else is writing to the layout")

// Names of modseal's own in a layout. Other tools ignore them.
const (
	ownPrefix = ".modseal"
	lockName  = ownPrefix + ".lock"
	leaseName = ownPrefix + "-writers.lock"
	tempName  = ownPrefix + "-tmp"

	partialName = ownPrefix + "-partial"
)

// Layout is an OCI image layout on disk. It implements ingest.Ingester, and its
// methods are safe for concurrent use, also beside other processes.
type Layout struct {
	path string
	root *os.Root

	// writing is held, and then the file lock, by who changes index.json.
	writing chan struct{}
	// leasing is held by who takes or gives back the lease of a writer.
	leasing chan struct{}
	leased  *flock.Flock // nil before the first write

	mu       sync.Mutex
	indexRaw []byte            // index.json as it was read last,
	index    *layoutIndex      // and what it says; never changed in place
	hashes   map[string]hashed // of uploads that are suspended

	reading *reading
}

// Create opens the layout at path and makes it, with missing parents, when there
// is nothing. A directory with other files in it is refused with [ErrNotEmpty].
func Create(path string) (*Layout, error) {
	if err := makeDirs(path); err != nil {
		return nil, err
	}
	l, err := open(path)
	if !errors.Is(err, errdef.ErrNotFound) {
		return l.taken(err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ownPrefix) {
			continue
		}
		// Another process may have made the layout just now. Its first file is the
		// one that is looked for here, but a listing shows names in any order.
		if l, err := open(path); !errors.Is(err, errdef.ErrNotFound) {
			return l.taken(err)
		}
		return nil, fmt.Errorf("%s: %w", path, ErrNotEmpty)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if err := initialize(path, root); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return open(path)
}

// taken returns a layout that was there already, as one to write to: without what
// dead processes left, and with what they had no time for.
func (l *Layout) taken(err error) (*Layout, error) {
	if err != nil {
		return nil, err
	}
	l.removeDeadTemps(false)
	if _, err := l.statRegular(ocispec.ImageIndexFile); errors.Is(err, fs.ErrNotExist) {
		if err := l.writeEmptyIndex(); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	return l, nil
}

// writeEmptyIndex writes index.json unless it is there.
func (l *Layout) writeEmptyIndex() error {
	return l.updateIndex(context.Background(), func(*layoutIndex) error { return nil })
}

// makeDirs makes the directory and its missing parents, and puts their names on
// disk: a layout that a crash takes away with its directory was not written.
func makeDirs(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	var made []string // parents of what is not there yet
	for dir := abs; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		made = append(made, filepath.Dir(dir))
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return err
	}
	for _, parent := range made {
		root, err := os.OpenRoot(parent)
		if err != nil {
			return err
		}
		err = syncDir(root, ".")
		_ = root.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// Open opens the layout at path. The error wraps errdef.ErrNotFound when there
// is none, and errdef.ErrUnsupportedVersion when its oci-layout names another
// version than 1.0.0.
func Open(path string) (*Layout, error) { return open(path) }

func open(path string) (*Layout, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: no OCI layout: %w", path, errdef.ErrNotFound)
		}
		return nil, err
	}
	return opened(path, abs, root)
}

// opened returns the layout in root, which it closes when there is none. path is
// what errors call it.
func opened(path, abs string, root *os.Root) (*Layout, error) {
	l := newLayout(abs, root)
	if err := l.check(); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func newLayout(path string, root *os.Root) *Layout {
	l := &Layout{
		path: path, root: root,
		writing: make(chan struct{}, 1), leasing: make(chan struct{}, 1),
	}
	l.reading = newReading(path, layoutBlobs{l})
	return l
}

// check reads what says that this is a layout that can be worked with.
func (l *Layout) check() error {
	raw, err := l.readSmall(ocispec.ImageLayoutFile, limits.LayoutFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no OCI layout: it has no file %s: %w", ocispec.ImageLayoutFile, errdef.ErrNotFound)
	}
	if err != nil {
		return err
	}
	if err := CheckVersion(raw); err != nil {
		return err
	}
	_, err = l.readIndex()
	return err
}

// CheckVersion reads the file oci-layout. The error wraps [ErrCorrupt], or
// errdef.ErrUnsupportedVersion when it names another version than 1.0.0.
func CheckVersion(raw []byte) error {
	var version ocispec.ImageLayout
	if err := json.Unmarshal(raw, &version); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, ocispec.ImageLayoutFile, err)
	}
	if version.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s: version %q, this build reads %q: %w",
			ocispec.ImageLayoutFile, version.Version, ocispec.ImageLayoutVersion, errdef.ErrUnsupportedVersion)
	}
	return nil
}

// initialize makes a layout in the directory at path, which other processes may
// do at the same time: all write the same. It closes root.
func initialize(path string, root *os.Root) error {
	l := newLayout(path, root)
	defer l.Close()
	version, err := artifacttypes.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	if err := l.writeFile(ocispec.ImageLayoutFile, version); err != nil {
		return err
	}
	if err := root.MkdirAll(filepath.Join(ocispec.ImageBlobsDir, digest.SHA256.String()), 0o755); err != nil {
		return err
	}
	return l.writeEmptyIndex()
}

// Path returns the absolute path of the layout.
func (l *Layout) Path() string { return l.path }

// Close releases the directory, and lets [Layout.Collect] take what was written
// and is not referred to. Nothing is lost when it is not called.
func (l *Layout) Close() error {
	return errors.Join(l.endLease(), l.root.Close())
}

// openRegular opens a regular file of the layout and nothing else: through a
// link, a layout from a stranger could name any file of this machine. A link
// that takes the file's place just now leads nowhere but into the layout, since
// everything goes through os.Root.
func (l *Layout) openRegular(name string) (*os.File, fs.FileInfo, error) {
	if _, err := l.statRegular(name); err != nil {
		return nil, nil, err
	}
	f, err := l.root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no regular file", ErrCorrupt, name)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// statRegular describes a regular file of the layout; anything else in its
// place is corruption.
func (l *Layout) statRegular(name string) (fs.FileInfo, error) {
	info, err := l.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("%w: %s is a symbolic link; modseal follows none inside a layout", ErrCorrupt, name)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is no regular file", ErrCorrupt, name)
	}
	return info, nil
}

// readSmall reads a whole file of at most limit bytes.
func (l *Layout) readSmall(name string, limit int64) ([]byte, error) {
	f, info, err := l.openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, &integrity.TooLargeError{What: filepath.Join(l.path, name), Size: info.Size(), Limit: limit}
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = &integrity.TooLargeError{What: filepath.Join(l.path, name), Size: int64(len(raw)), Limit: limit}
	}
	return raw, err
}
