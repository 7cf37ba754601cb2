package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/disk"
	"github.com/modseal/modseal/pkg/partial"
)

// A spool is where blobs lie on their way from one registry to others: a slow
// source never holds an open upload, and each side goes on by itself where it
// was cut, also in another process (registries.md §1.3). A [Depot] decides what is
// in it.
type spool struct {
	dir  string
	root *os.Root
	free func(dir string) (bytes int64, known bool)
}

const (
	// spoolBytes bounds the blobs in the spool of one copy. A larger blob goes
	// through it alone.
	spoolBytes = 32 << 30
	// spoolFrom is the size from which going on is worth a file.
	spoolFrom = 8 << 20
	// spoolKeep is how long what was left is kept for who goes on with it.
	spoolKeep = 7 * 24 * time.Hour
)

// errNoRoom says that a blob does not fit on the disk of the spool.
var errNoRoom = errors.New("the spool has no room")

// SpoolError says that the directory of the spool cannot be used. Nothing was
// moved.
type SpoolError struct {
	Dir string
	Err error
}

func (e *SpoolError) Error() string { return fmt.Sprintf("spool %s: %v", e.Dir, e.Err) }
func (e *SpoolError) Unwrap() error { return e.Err }

// openSpool makes the directory and removes what nobody went on with.
func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &spool{dir: dir, root: root, free: disk.Free}
	s.removeOld()
	return s, nil
}

func (s *spool) close() error { return s.root.Close() }

// removeOld removes what is too old to go on with. Nobody writes to it: what is
// written to is not old.
func (s *spool) removeOld() {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > spoolKeep {
			_ = s.root.Remove(e.Name())
		}
	}
}

func spoolName(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

const unfinished = ".part"

// holds says whether there is something of a blob, of an earlier process.
func (s *spool) holds(desc ocispec.Descriptor) bool {
	name := spoolName(desc.Digest)
	for _, n := range []string{name, name + unfinished} {
		if _, err := s.root.Lstat(n); err == nil {
			return true
		}
	}
	return false
}

// clear removes a blob that is at all its destinations, and what an earlier process
// left of it. Its lock is held.
func (s *spool) clear(desc ocispec.Descriptor) {
	name := spoolName(desc.Digest)
	for _, n := range []string{name, name + unfinished, name + unfinished + ".journal"} {
		_ = s.root.Remove(n) // mostly it is not there
	}
}

// fits looks whether the disk has room for what is still missing of a blob.
func (s *spool) fits(desc ocispec.Descriptor) error {
	need := desc.Size - partial.Kept(s.root, spoolName(desc.Digest)+unfinished, desc)
	if free, known := s.free(s.dir); known && need > free {
		return fmt.Errorf("%w: %s has %d bytes free, and %d are needed; %s is sent as it comes, and interrupted it starts over", errNoRoom, s.dir, free, need, nameOf(desc))
	}
	return nil
}

// full says that a blob has no room beside what lies there for others.
func (*spool) full(desc ocispec.Descriptor) error {
	return fmt.Errorf("%w: %d bytes lie there for slower destinations already; %s is fetched for each of them, and interrupted it starts over", errNoRoom, int64(spoolBytes), nameOf(desc))
}

// spooledBlob is a blob in the spool, whole or on its way.
func spooledBlob(name string, desc ocispec.Descriptor, open func() (io.ReadCloser, error)) ingest.Blob {
	return ingest.Blob{
		Name: name, MediaType: desc.MediaType, Size: desc.Size, Open: open,
		// Whatever file holds it, it is always the same bytes.
		Identity: desc.Digest.String(),
	}
}
