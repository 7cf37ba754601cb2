package store

import (
	"context"
	"crypto/rand"
	_ "crypto/sha256" // the digest algorithms that a layout may use
	_ "crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

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

// Ingest implements ingest.Ingester: b is read once, hashed while it is written.
// A blob that is there already stays as it is, and is not read when its digest is
// known.
func (l *Layout) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	if b.Known != "" {
		desc := ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Known, Size: b.Size}
		if there, err := l.has(desc); there || err != nil {
			return desc, err
		}
	}
	r, err := b.Open()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer r.Close()
	t, err := l.createTemp()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer t.discard()
	w := holes.NewWriter(t.file)
	desc, err := ingest.Copy(ctx, w, r, b)
	if err == nil {
		err = w.Finish()
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	switch there, err := l.has(desc); {
	case err != nil:
		return ocispec.Descriptor{}, err
	case there:
		return desc, nil
	}
	return desc, t.commitBlob(desc.Digest)
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

// Exists reports whether target is there with the size it should have. Its bytes
// are not read.
func (l *Layout) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return l.has(target)
}

// has says false for a blob of another size: it is not the one of this digest,
// and pushing it again repairs it.
func (l *Layout) has(desc ocispec.Descriptor) (bool, error) {
	name, err := blobPath(desc.Digest)
	if err != nil {
		return false, err
	}
	info, err := l.statRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", l.path, err)
	}
	return info.Size() == desc.Size, nil
}

// Push stores a manifest or a blob after comparing its bytes with expected. What
// is there already is no error. A manifest also becomes an entry of index.json,
// and with a subject one in the list of the subject's referrers.
func (l *Layout) Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error {
	if err := artifacttypes.ValidateDescriptor(expected); err != nil {
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

// temp is a file that has no name of the layout yet.
type temp struct {
	l    *Layout
	file *os.File
	name string // empty once it has its final name
}

func (l *Layout) createTemp() (*temp, error) {
	if err := l.root.Mkdir(tempName, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, by its documentation
	name := path.Join(tempName, hex.EncodeToString(random[:]))
	f, err := l.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &temp{l: l, file: f, name: name}, nil
}

// discard removes the file unless it was committed.
func (t *temp) discard() {
	if t.name != "" {
		_ = t.file.Close()
		_ = t.l.root.Remove(t.name)
	}
}

// commit syncs the file and gives it its final name.
func (t *temp) commit(name string) error {
	if err := t.file.Sync(); err != nil {
		return err
	}
	if err := t.file.Close(); err != nil {
		return err
	}
	if err := t.l.root.Rename(t.name, name); err != nil {
		return err
	}
	t.name = ""
	return nil
}

func (t *temp) commitBlob(d digest.Digest) error {
	name, err := blobPath(d)
	if err != nil {
		return err
	}
	if err := t.l.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return t.commit(name)
}

// staleAfter is when a temporary file counts as left behind by a process that
// was killed: a living one writes all the time.
const staleAfter = 24 * time.Hour

// removeStaleTemps frees what killed processes left. Failing to is no error:
// the layout works with it, and may be read-only.
func (l *Layout) removeStaleTemps() {
	dir, err := l.root.Open(tempName)
	if err != nil {
		return
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > staleAfter {
			_ = l.root.Remove(path.Join(tempName, e.Name()))
		}
	}
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
