package store

import (
	"context"
	_ "crypto/sha256" // the digest algorithms that a layout may use
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/holes"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// blobPath returns where the blob d is. Only a valid digest becomes a path.
func blobPath(d digest.Digest) (string, error) {
	if err := artifacttypes.ValidateDigest(d); err != nil {
		return "", err
	}
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()), nil
}

// Fetch opens a manifest or blob. Its bytes are not verified. The reader is also
// an io.Seeker and an io.ReaderAt.
func (l *Layout) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := l.openBlob(target.Digest)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (l *Layout) openBlob(d digest.Digest) (*os.File, error) {
	name, err := blobPath(d)
	if err != nil {
		return nil, err
	}
	f, _, err := l.openRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = errdef.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", l.path, d, err)
	}
	return f, nil
}

// layoutBlobs gives the blobs of a layout to who reads it.
type layoutBlobs struct{ l *Layout }

func (b layoutBlobs) Size(d digest.Digest) (int64, error) {
	name, err := blobPath(d)
	if err != nil {
		return 0, err
	}
	info, err := b.l.statRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errdef.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (b layoutBlobs) Open(d digest.Digest) (io.ReadCloser, error) { return b.l.openBlob(d) }

// Exists reports whether target is there with the size it should have. Its bytes
// are not read. Who asks may rely on the answer: what is there is not collected
// before the layout is closed.
func (l *Layout) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	// Where nothing can be written, nothing can be collected either.
	if err := l.lease(ctx); err != nil && !isReadOnly(err) {
		return false, err
	}
	return l.has(target)
}

// has says false for a blob of another size: it is not the one of this digest,
// and pushing it again repairs it.
func (l *Layout) has(desc ocispec.Descriptor) (bool, error) {
	there, err := l.reading.has(desc)
	if err != nil {
		return false, fmt.Errorf("%s: %w", l.path, err)
	}
	return there, nil
}

// Push stores a manifest or a blob after comparing its bytes with expected. What
// is there already is no error. A manifest also becomes an entry of index.json,
// and with a subject one in the list of the subject's referrers.
func (l *Layout) Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error {
	if err := artifacttypes.ValidateDescriptor(expected); err != nil {
		return err
	}
	if err := l.lease(ctx); err != nil {
		return err
	}
	if isManifest(expected.MediaType) {
		return l.pushManifest(ctx, expected, content)
	}
	if there, err := l.has(expected); there || err != nil {
		return err
	}
	t, err := l.createTemp()
	if err != nil {
		return err
	}
	defer t.discard()
	src := integrity.NewReader(content, expected, expected.MediaType)
	w := holes.NewWriter(t.file)
	if _, err := io.CopyBuffer(w, ingest.ContextReader(ctx, src), make([]byte, copyBuffer)); err != nil {
		return err
	}
	if err := w.Finish(); err != nil {
		return err
	}
	return t.commitBlob(expected.Digest)
}

// writeBlob stores bytes that are known to be those of d.
func (l *Layout) writeBlob(d digest.Digest, raw []byte) error {
	t, err := l.createTemp()
	if err != nil {
		return err
	}
	defer t.discard()
	if _, err := t.file.Write(raw); err != nil {
		return err
	}
	return t.commitBlob(d)
}

// writeFile replaces a file of the layout as a whole: after a crash it is the
// old or the new one.
func (l *Layout) writeFile(name string, raw []byte) error {
	t, err := l.createTemp()
	if err != nil {
		return err
	}
	defer t.discard()
	if _, err := t.file.Write(raw); err != nil {
		return err
	}
	if err := t.commit(name); err != nil {
		return err
	}
	return syncDir(l.root, ".")
}

// syncBlobDirs puts the names of all renamed blobs on disk.
func (l *Layout) syncBlobDirs() error {
	for _, name := range []string{
		path.Join(ocispec.ImageBlobsDir, digest.SHA256.String()),
		path.Join(ocispec.ImageBlobsDir, digest.SHA512.String()),
		ocispec.ImageBlobsDir,
	} {
		if err := syncDir(l.root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copyBuffer is where SHA-256 and the page cache stop gaining from larger reads.
const copyBuffer = 256 << 10
