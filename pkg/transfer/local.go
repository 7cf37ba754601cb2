package transfer

import (
	"context"
	"io"
	"io/fs"
	"os"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// localFile is a blob on this machine: a file, or an *ingest.Section of one. The
// kernel can send it to a connection.
type localFile interface {
	fs.File
	io.Seeker
	syscall.Conn
}

// inFile is what a source may give that knows where in a file its bytes lie, which
// others use too. ok is false when they lie in several.
type inFile interface {
	Section() (file *os.File, offset, size int64, ok bool)
}

// openLocal opens a blob of a source that is no registry. local says that it is a
// localFile, at its beginning.
func (m *mover) openLocal(ctx context.Context, desc ocispec.Descriptor) (rc io.ReadCloser, local bool, err error) {
	rc, err = m.src.Fetch(ctx, desc)
	if err != nil {
		return nil, false, err
	}
	if in, ok := rc.(inFile); ok {
		if file, offset, size, ok := in.Section(); ok && size == desc.Size {
			section, err := ingest.OpenSection(file, offset, size)
			_ = rc.Close()
			return section, err == nil, err
		}
	}
	_, local = rc.(localFile)
	return rc, local, nil
}

// send sends a blob of this machine to a registry. Its bytes are hashed beside while
// the kernel sends them, and the upload is closed only when they are the blob. ok is
// false when the source gives no file: nothing was done then.
func (m *mover) send(ctx context.Context, name string, desc ocispec.Descriptor) (outcome Outcome, ok bool, err error) {
	rc, local, err := m.openLocal(ctx, desc)
	if err != nil {
		return "", false, err
	}
	info, err := size(rc)
	_ = rc.Close() // it was opened to see what it is; most are not sent
	if err != nil || !local {
		return "", false, err
	}
	if info != desc.Size {
		return "", false, &integrity.Error{What: "blob", Want: desc.Digest, WantSize: desc.Size, GotSize: info, Incomplete: info < desc.Size}
	}
	outcome, err = m.uploader.prove(ctx, ingest.Blob{
		Name: name, MediaType: desc.MediaType, Size: desc.Size,
		// Whatever file holds it, it is to be the same bytes.
		Identity: desc.Digest.String(),
		Open: func() (io.ReadCloser, error) {
			rc, _, err := m.openLocal(ctx, desc)
			return rc, err
		},
	}, desc, m.from...)
	return outcome, true, err
}

// size returns the size of an open file, 0 of anything else.
func size(rc io.ReadCloser) (int64, error) {
	file, ok := rc.(localFile)
	if !ok {
		return 0, nil
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
