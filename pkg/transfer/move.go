package transfer

import (
	"context"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
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
	berth    *Berth        // at the spool; nil when there is none
	alone    bool          // and that it belongs to this mover
	from     []string      // repositories of the same registry to mount blobs from
	label    string        // behind the names of blobs, when there are several destinations
	progress *relayed
	warn     func(error)

	rate int64       // from which the source is fast, in bytes a second; negative: never
	slow atomic.Bool // it is not

	fetched, kept atomic.Int64 // bytes
}

func newMover(src Source, dst Target, o CopyOptions, warn func(error)) (*mover, error) {
	m := &mover{src: src, dst: dst, rate: o.DirectFrom, label: o.label(), from: slices.Clone(o.From), progress: newRelayed(progress.OrNone(o.Progress)), warn: warn}
	if m.rate == 0 {
		m.rate = directFrom
	}
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
	if fromRegistry && toRegistry && from.Reference().Host() == to.Reference().Host() && from.Reference().Repository != to.Reference().Repository {
		m.from = append(m.from, from.Reference().Repository)
	}
	if !fromRegistry {
		return m, nil
	}
	if m.berth = o.Berth; m.berth != nil {
		m.fetcher = m.berth.depot.fetcher(from)
		return m, nil
	}
	if !toRegistry || o.SpoolDir == "" {
		return m, nil
	}
	depot, err := OpenDepot(o.SpoolDir)
	if err != nil {
		return nil, err
	}
	m.berth, m.alone = depot.Join(), true
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

// close ends it, because of failure unless that is nil.
func (m *mover) close(failure error) {
	if m.alone {
		m.berth.Leave(failure)
		m.berth.depot.Close()
	}
}

// move copies one blob. alone says that it is most of what there is to copy.
func (m *mover) move(ctx context.Context, desc ocispec.Descriptor, alone bool) (Outcome, error) {
	name := nameOf(desc) + m.label
	m.progress.Start(name, desc.Size)
	outcome, err := m.transfer(ctx, name, desc, alone)
	if err != nil {
		return "", err
	}
	m.progress.Finish(name, outcome != Copied)
	return outcome, nil
}

// look says what move would do, and does nothing.
func (m *mover) look(ctx context.Context, desc ocispec.Descriptor) (Outcome, error) {
	exists, err := m.dst.Exists(ctx, desc)
	switch {
	case err != nil:
		return "", err
	case exists:
		return Existed, nil
	case len(m.from) > 0:
		return Mounted, nil
	}
	return Copied, nil
}

// keepFrom is the size from which a blob is worth a journal on its way into a
// layout.
const keepFrom = 1 << 20

func (m *mover) transfer(ctx context.Context, name string, desc ocispec.Descriptor, alone bool) (Outcome, error) {
	if m.spooled(desc) {
		return m.relay(ctx, name, desc, alone)
	}
	if m.uploader == nil {
		exists, err := m.dst.Exists(ctx, desc)
		if err != nil {
			return "", err
		}
		if exists {
			return Existed, nil
		}
	}
	return m.fetch(ctx, name, desc)
}

// spooled says whether a blob goes through the spool: where it is worth to go on
// with it, where others want it too, and where it lies already, so that it is
// removed when it has arrived.
func (m *mover) spooled(desc ocispec.Descriptor) bool {
	if m.berth == nil || desc.Size == 0 {
		return false
	}
	return desc.Size >= spoolFrom || m.berth.depot.several() || m.berth.depot.spool.holds(desc)
}

// fetch brings a blob to its destination without a spool.
func (m *mover) fetch(ctx context.Context, name string, desc ocispec.Descriptor) (Outcome, error) {
	switch {
	case m.uploader != nil:
		return m.stream(ctx, name, desc)
	case m.layout != nil && desc.Size >= keepFrom:
		return m.keep(ctx, name, desc, func(ctx context.Context, f *partial.File, moved func(int64)) error {
			return m.fill(ctx, f, desc, moved)
		})
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
	if m.fetcher == nil && desc.Size >= besideFrom && desc.Digest.Algorithm() == digest.SHA256 { // as uploads hash
		if outcome, ok, err := m.send(ctx, name, desc); ok || err != nil {
			return outcome, err
		}
	}
	return m.uploader.put(ctx, ingest.Blob{
		Name: name, MediaType: desc.MediaType, Size: desc.Size,
		Open: func() (io.ReadCloser, error) { return m.open(ctx, desc) },
	}, desc, m.from...)
}

// keep brings a blob into a layout, from where an earlier process was cut.
func (m *mover) keep(ctx context.Context, name string, desc ocispec.Descriptor, bring func(context.Context, *partial.File, func(int64)) error) (Outcome, error) {
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
		Bring: func(ctx context.Context, moved func(int64)) error { return bring(ctx, p.File, moved) },
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

// called is what errors about bytes of a source call a blob, beside its digest.
func called(desc ocispec.Descriptor) string {
	if name := nameOf(desc); name != desc.Digest.String() {
		return name
	}
	return "blob"
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
