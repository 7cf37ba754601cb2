package transfer

import (
	"context"
	"io"
	"os"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/store"
)

// mover moves blobs from one place to another by the best way that both have.
type mover struct {
	src      Source
	dst      Target
	fetcher  *Fetcher      // nil when src is no registry
	uploader *Uploader     // nil when dst is no registry
	layout   *store.Layout // nil when dst is no layout
	spool    *spool        // nil when there is none
	from     string        // repository of the same registry to mount blobs from
	progress *relayed
	warn     func(error)

	fetched, kept atomic.Int64 // bytes
}

func newMover(src Source, dst Target, o CopyOptions, warn func(error)) (*mover, error) {
	m := &mover{src: src, dst: dst, progress: newRelayed(progress.OrNone(o.Progress)), warn: warn}
	from, fromRegistry := src.(*remote.Repository)
	if fromRegistry {
		m.fetcher = NewFetcher(from).Reporting(m.progress)
	}
	to, toRegistry := dst.(*remote.Repository)
	if toRegistry {
		upload := o.Upload
		upload.Progress = m.progress
		m.uploader = NewUploader(to, upload)
	}
	m.layout, _ = dst.(*store.Layout)
	if !fromRegistry || !toRegistry {
		return m, nil
	}
	if from.Reference().Host() == to.Reference().Host() && from.Reference().Repository != to.Reference().Repository {
		m.from = from.Reference().Repository
	}
	if o.SpoolDir == "" {
		return m, nil
	}
	var err error
	if m.spool, err = openSpool(o.SpoolDir); err != nil {
		return nil, &SpoolError{Dir: o.SpoolDir, Err: err}
	}
	return m, nil
}

// traffic returns what was moved so far.
func (m *mover) traffic() CopyTraffic {
	t := CopyTraffic{Fetched: m.fetched.Load(), Kept: m.kept.Load()}
	if m.uploader != nil {
		s := m.uploader.Stats()
		t.Sent = s.Sent
		t.Kept += s.Resumed
	}
	return t
}

func (m *mover) close() error {
	if m.spool == nil {
		return nil
	}
	return m.spool.close()
}

// move copies one blob. alone says that it is most of what there is to copy.
func (m *mover) move(ctx context.Context, desc ocispec.Descriptor, alone bool) (Outcome, error) {
	name := nameOf(desc)
	m.progress.Start(name, desc.Size)
	outcome, err := m.transfer(ctx, name, desc, alone)
	if err != nil {
		return "", err
	}
	m.progress.Finish(name, outcome != Copied)
	return outcome, nil
}

// keepFrom is the size from which a blob is worth a journal on its way into a
// layout.
const keepFrom = 1 << 20

func (m *mover) transfer(ctx context.Context, name string, desc ocispec.Descriptor, alone bool) (Outcome, error) {
	switch {
	case m.spool != nil && desc.Size >= spoolFrom:
		return m.relay(ctx, name, desc, alone)
	case m.uploader != nil:
		return m.stream(ctx, name, desc)
	}
	exists, err := m.dst.Exists(ctx, desc)
	if err != nil {
		return "", err
	}
	if exists {
		return Existed, nil
	}
	if m.layout != nil && desc.Size >= keepFrom {
		return m.keep(ctx, name, desc)
	}
	rc, err := m.open(ctx, desc)
	if err != nil {
		return "", err
	}
	defer rc.Close()
	return Copied, m.dst.Push(ctx, desc, &counted{r: rc, reporter: m.progress, name: name})
}

// open opens a blob of the source. What comes is compared with its digest.
func (m *mover) open(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	fetch := m.src.Fetch
	if m.fetcher != nil {
		fetch = m.fetcher.Fetch
	}
	rc, err := fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	src := readerFunc(func(p []byte) (int, error) {
		n, err := rc.Read(p)
		m.fetched.Add(int64(n))
		return n, err
	})
	return &verified{Reader: integrity.NewReader(src, desc, "blob"), Closer: rc}, nil
}

// stream sends a blob to a registry as it comes from the source.
func (m *mover) stream(ctx context.Context, name string, desc ocispec.Descriptor) (Outcome, error) {
	return m.uploader.put(ctx, ingest.Blob{
		Name: name, MediaType: desc.MediaType, Size: desc.Size,
		Open: func() (io.ReadCloser, error) { return m.open(ctx, desc) },
	}, desc, m.from)
}

// keep brings a blob into a layout, from where an earlier process was cut.
func (m *mover) keep(ctx context.Context, name string, desc ocispec.Descriptor) (Outcome, error) {
	p, err := m.layout.Partial(ctx, desc, name)
	if err != nil {
		return "", err
	}
	// Another process may have brought it while this one waited for it.
	if exists, err := m.layout.Exists(ctx, desc); exists || err != nil {
		if err != nil {
			return "", p.GiveUp(err)
		}
		return Existed, p.Discard()
	}
	way := partial.Way{
		Name: name, Progress: m.progress, Finish: p.Commit,
		Bring: func(ctx context.Context, moved func(int64)) error { return m.fill(ctx, p.File, desc, moved) },
	}
	if m.fetcher != nil {
		way.Rejected = func() bool { return m.fetcher.Reject(desc) }
	}
	m.kept.Add(p.Taken())
	if err := p.Complete(ctx, way); err != nil {
		return "", p.GiveUp(err)
	}
	return Copied, nil
}

// fill brings what is missing of a blob, the best way that the source has.
func (m *mover) fill(ctx context.Context, f *partial.File, desc ocispec.Descriptor, told func(int64)) error {
	moved := func(n int64) {
		m.fetched.Add(n)
		told(n)
	}
	if m.fetcher != nil {
		return m.fetcher.Download(ctx, desc, f, moved)
	}
	rc, err := m.src.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	if file, ok := rc.(*os.File); ok {
		return f.CopyFrom(ctx, file, moved)
	}
	return f.TakeFrom(ctx, rc, moved)
}

// nameOf is what people call a blob: the path of a file, or its digest.
func nameOf(desc ocispec.Descriptor) string {
	for _, key := range []string{artifacttypes.AnnotationFilePath, ocispec.AnnotationTitle} {
		// Foreign text: only what may be a path gets to a terminal.
		if p := desc.Annotations[key]; artifacttypes.ValidatePath(p) == nil {
			return p
		}
	}
	return desc.Digest.String()
}

// verified is a checked reader with what closes its source.
type verified struct {
	io.Reader
	io.Closer
}

// counted tells a Reporter what is read.
type counted struct {
	r        io.Reader
	reporter progress.Reporter
	name     string
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.reporter.Advance(c.name, int64(n))
	}
	return n, err
}
