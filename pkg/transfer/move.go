package transfer

import (
	"context"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
)

// mover moves blobs from one place to another by the best way that both have.
type mover struct {
	fetch    func(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	dst      Target
	uploader *Uploader // nil when dst is no registry
	from     string    // repository of the same registry to mount blobs from
	progress progress.Reporter
}

func newMover(src Source, dst Target, o CopyOptions) *mover {
	m := &mover{fetch: src.Fetch, dst: dst, progress: progress.OrNone(o.Progress)}
	from, fromRegistry := src.(*remote.Repository)
	if fromRegistry {
		m.fetch = NewFetcher(from).Fetch
	}
	to, toRegistry := dst.(*remote.Repository)
	if toRegistry {
		upload := o.Upload
		upload.Progress = o.Progress
		m.uploader = NewUploader(to, upload)
	}
	if fromRegistry && toRegistry && from.Reference().Host() == to.Reference().Host() &&
		from.Reference().Repository != to.Reference().Repository {
		m.from = from.Reference().Repository
	}
	return m
}

// move copies one blob.
func (m *mover) move(ctx context.Context, desc ocispec.Descriptor) (Outcome, error) {
	name := nameOf(desc)
	m.progress.Start(name, desc.Size)
	outcome, err := m.transfer(ctx, name, desc)
	if err != nil {
		return "", err
	}
	m.progress.Finish(name, outcome != Copied)
	return outcome, nil
}

func (m *mover) transfer(ctx context.Context, name string, desc ocispec.Descriptor) (Outcome, error) {
	open := func() (io.ReadCloser, error) {
		rc, err := m.fetch(ctx, desc)
		if err != nil {
			return nil, err
		}
		return &verified{Reader: integrity.NewReader(rc, desc, "blob"), Closer: rc}, nil
	}
	if m.uploader != nil {
		return m.uploader.put(ctx, ingest.Blob{Name: name, MediaType: desc.MediaType, Size: desc.Size, Open: open}, desc, m.from)
	}
	exists, err := m.dst.Exists(ctx, desc)
	if err != nil {
		return "", err
	}
	if exists {
		return Existed, nil
	}
	rc, err := open()
	if err != nil {
		return "", err
	}
	defer rc.Close()
	return Copied, m.dst.Push(ctx, desc, &counted{r: rc, reporter: m.progress, name: name})
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
