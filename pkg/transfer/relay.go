package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/partial"
)

// relay copies a blob from a registry by way of the spool. ahead sends it on while
// it still comes: that is faster when nothing else is moved meanwhile, and costs
// more of the processor.
func (m *mover) relay(ctx context.Context, name string, desc ocispec.Descriptor, ahead bool) (outcome Outcome, err error) {
	e := m.berth.enter(called(desc), desc)
	defer func() { m.berth.leave(e, err == nil) }()
	// First of all: another process may be bringing the blob to the same place.
	if err := e.acquire(ctx); err != nil {
		return "", err
	}
	if outcome, err := m.locate(ctx, name, desc); outcome != "" || err != nil {
		return outcome, err
	}
	if m.direct(desc) {
		if done, err := m.pour(ctx, name, desc); done || err != nil {
			return Copied, err
		}
	}
	err = e.start(ctx, m)
	if errors.Is(err, errNoRoom) {
		m.warn(err)
		return m.fetch(ctx, name, desc)
	}
	if err != nil {
		return "", err
	}
	m.progress.twice(name)
	leave := e.told.join(m.progress, name)
	sent := ahead && m.uploader != nil && m.follow(ctx, e, name, desc)
	err = e.wait(ctx)
	leave()
	if err != nil || sent {
		return Copied, err
	}
	return Copied, m.deliver(ctx, name, desc, e.whole)
}

// locate looks whether the destination has the blob, or can have it without its
// bytes. An empty outcome means neither.
func (m *mover) locate(ctx context.Context, name string, desc ocispec.Descriptor) (Outcome, error) {
	if m.uploader != nil {
		return m.uploader.locate(ctx, name, desc, m.from...)
	}
	exists, err := m.dst.Exists(ctx, desc)
	if err != nil || !exists {
		return "", err
	}
	return Existed, nil
}

// deliver brings a blob from the spool to its destination.
func (m *mover) deliver(ctx context.Context, name string, desc ocispec.Descriptor, whole partial.Whole) error {
	open := func() (io.ReadCloser, error) { return m.berth.depot.spool.root.Open(whole.Name()) }
	if m.uploader != nil {
		_, err := m.uploader.put(ctx, spooledBlob(name, desc, open), desc)
		return err
	}
	if m.layout != nil && desc.Size >= keepFrom {
		_, err := m.keep(ctx, name, desc, func(ctx context.Context, f *partial.File, moved func(int64)) error {
			rc, err := open()
			if err != nil {
				return err
			}
			defer rc.Close()
			return f.CopyFrom(ctx, rc.(*os.File), moved)
		})
		return err
	}
	rc, err := open()
	if err != nil {
		return err
	}
	defer rc.Close()
	return m.dst.Push(ctx, desc, &counted{r: rc, reporter: m.progress, name: name})
}

// follow sends a blob on while it comes, from when half of it is there: then the
// upload is seldom the one that waits. It ends with the blob, and reports whether
// all of it was sent. If not, whatever the reason, it is to be sent again, and goes
// on in the same session.
func (m *mover) follow(ctx context.Context, e *deposit, name string, desc ocispec.Descriptor) bool {
	select {
	case <-e.opened:
	case <-ctx.Done():
		return false
	}
	if e.file == nil {
		return false
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	first, err := e.file.Follow(ctx)
	if err != nil {
		return false // it is whole already
	}
	done := make(chan bool, 1)
	go func() {
		defer first.Close()
		if first.Await(desc.Size/2) != nil {
			done <- false
			return
		}
		open := func() (io.ReadCloser, error) {
			r, err := e.file.Follow(ctx)
			if errors.Is(err, fs.ErrNotExist) {
				return e.depot.spool.root.Open(spoolName(desc.Digest)) // it has become whole
			}
			return r, err
		}
		_, err := m.uploader.put(ctx, spooledBlob(name, desc, open), desc)
		done <- err == nil
	}()
	if err := e.wait(ctx); err != nil {
		cancel(err)
	}
	return <-done
}
