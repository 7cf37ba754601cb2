package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/disk"
	"github.com/modseal/modseal/pkg/partial"
)

// A spool is where blobs lie on their way from one registry to another: a slow
// source never holds an open upload, and either side goes on by itself where it
// was cut, also in another process (registries.md §1.3). A blob is gone from it
// when it is at its destination.
type spool struct {
	dir  string
	root *os.Root
	room *semaphore.Weighted // bytes
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
	s := &spool{dir: dir, root: root, room: semaphore.NewWeighted(spoolBytes), free: disk.Free}
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

// reserve waits until the blob may come into the spool.
func (s *spool) reserve(ctx context.Context, desc ocispec.Descriptor) (release func(), err error) {
	size := min(desc.Size, spoolBytes)
	if err := s.room.Acquire(ctx, size); err != nil {
		return nil, context.Cause(ctx)
	}
	need := desc.Size - partial.Kept(s.root, spoolName(desc.Digest)+unfinished, desc)
	if free, known := s.free(s.dir); known && need > free {
		s.room.Release(size)
		return nil, fmt.Errorf("%w: %s has %d bytes free, and %d are needed; %s is sent as it comes, and interrupted it starts over", errNoRoom, s.dir, free, need, nameOf(desc))
	}
	return func() { s.room.Release(size) }, nil
}

// blob is a blob in the spool, whole or on its way.
func (s *spool) blob(name string, desc ocispec.Descriptor, open func() (io.ReadCloser, error)) ingest.Blob {
	return ingest.Blob{
		Name: name, MediaType: desc.MediaType, Size: desc.Size, Open: open,
		// Whatever file holds it, it is always the same bytes.
		Identity: desc.Digest.String(),
	}
}

// relay copies a blob from one registry to another by way of the spool. ahead
// sends it on while it still comes: that is faster when nothing else is moved
// meanwhile, and costs more of the processor.
func (m *mover) relay(ctx context.Context, name string, desc ocispec.Descriptor, ahead bool) (Outcome, error) {
	// First of all: another process may be bringing the blob to the same place.
	lock, err := partial.Acquire(ctx, m.spool.root, spoolName(desc.Digest))
	if err != nil {
		return "", err
	}
	defer lock.Release()
	if outcome, err := m.uploader.locate(ctx, name, desc, m.from); outcome != "" || err != nil {
		return outcome, err
	}
	release, err := m.spool.reserve(ctx, desc)
	if errors.Is(err, errNoRoom) {
		m.warn(err)
		return m.stream(ctx, name, desc)
	}
	if err != nil {
		return "", err
	}
	defer release()
	m.progress.twice(name)
	whole, sent, err := m.bring(ctx, name, desc, ahead)
	if err != nil {
		return "", err
	}
	if !sent {
		open := func() (io.ReadCloser, error) { return m.spool.root.Open(whole.Name()) }
		if _, err := m.uploader.put(ctx, m.spool.blob(name, desc, open), desc, ""); err != nil {
			return "", err
		}
	}
	return Copied, m.spool.root.Remove(whole.Name())
}

// bring brings a blob into the spool, and sends it on meanwhile when ahead.
func (m *mover) bring(ctx context.Context, name string, desc ocispec.Descriptor, ahead bool) (whole partial.Whole, sent bool, err error) {
	to := spoolName(desc.Digest)
	f, err := partial.Open(ctx, m.spool.root, to+unfinished, desc, partial.Options{What: name, Mode: 0o600, SyncLater: true, Locked: true})
	if err != nil {
		return whole, false, err
	}
	// An earlier process may have got as far as this, and not farther.
	if whole, err = partial.Check(ctx, m.spool.root, to, desc, 0o600); err == nil {
		m.progress.Reuse(name, desc.Size)
		m.kept.Add(desc.Size)
		return whole, false, f.Discard()
	}
	_ = m.spool.root.Remove(to)
	m.kept.Add(f.Taken())
	var wait func(error) bool
	if ahead {
		if wait, err = m.follow(ctx, f, name, desc); err != nil {
			return whole, false, f.GiveUp(err)
		}
	}
	err = f.Complete(ctx, partial.Way{
		Name: name, Progress: m.progress,
		Bring:    func(ctx context.Context, moved func(int64)) error { return m.fill(ctx, f, desc, moved) },
		Rejected: func() bool { return m.fetcher.Reject(desc) },
		Finish: func(ctx context.Context) (err error) {
			whole, err = f.Finish(ctx, to)
			return err
		},
	})
	if wait != nil {
		sent = wait(err)
	}
	if err != nil {
		err = f.GiveUp(err)
	}
	return whole, sent, err
}

// follow sends a blob on while it comes, from when half of it is there: then the
// upload is seldom the one that waits. wait is told how bringing the blob ended
// and reports whether all of it was sent. If not, whatever the reason, it is to be
// sent again, and goes on in the same session.
func (m *mover) follow(ctx context.Context, f *partial.File, name string, desc ocispec.Descriptor) (wait func(brought error) bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	first, err := f.Follow(ctx)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	done := make(chan bool, 1)
	go func() {
		defer first.Close()
		if first.Await(desc.Size/2) != nil {
			done <- false
			return
		}
		open := func() (io.ReadCloser, error) {
			r, err := f.Follow(ctx)
			if errors.Is(err, fs.ErrNotExist) {
				return m.spool.root.Open(spoolName(desc.Digest)) // it has become whole
			}
			return r, err
		}
		_, err := m.uploader.put(ctx, m.spool.blob(name, desc, open), desc, "")
		done <- err == nil
	}()
	return func(brought error) bool {
		if brought != nil {
			cancel(brought)
		}
		defer cancel(nil)
		return <-done
	}, nil
}
