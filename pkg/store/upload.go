package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// uploadPrefix begins the names of uploads, which lie beside the blobs of [Partial].
const uploadPrefix = "upload-"

// Upload is a blob on its way into a layout whose digest is said last: its bytes come
// in their order, in as many parts as it takes. What is there outlives the process
// until [KeepPartials]. An Upload ends with Suspend, Commit or Discard; one that is
// open is nobody else's.
type Upload struct {
	*temp
	id   string
	size int64
	// hash is that of all bytes, or nil when an earlier process wrote some of them:
	// then Commit reads them.
	hash      hash.Hash
	algorithm digest.Algorithm
}

// hashed is how far the bytes of a suspended upload are hashed.
type hashed struct {
	size      int64
	algorithm digest.Algorithm
	hash      hash.Hash
}

// BeginUpload begins an upload. With the algorithm of the digest that will be said,
// its bytes need not be read again at the end. When there are [limits.LayoutUploads]
// already, the one that was left alone for longest gives way.
func (l *Layout) BeginUpload(ctx context.Context, algorithm digest.Algorithm) (*Upload, error) {
	if !algorithm.Available() {
		return nil, fmt.Errorf("digest algorithm %q: %w", algorithm, errdef.ErrUnsupported)
	}
	if err := l.lease(ctx); err != nil {
		return nil, err
	}
	if err := l.makePartialDir(); err != nil {
		return nil, err
	}
	l.boundUploads()
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, by its documentation
	id := hex.EncodeToString(random[:])
	name := uploadPath(id)
	f, err := l.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	_, _ = tryLockFile(f) // nobody knows its name yet
	return &Upload{temp: &temp{l: l, file: f, name: name}, id: id, hash: algorithm.Hash(), algorithm: algorithm}, nil
}

// ResumeUpload opens an upload that was suspended, or that a process left. It waits,
// until ctx is done, while somebody else has it open. The error wraps
// errdef.ErrNotFound when there is no such upload.
func (l *Layout) ResumeUpload(ctx context.Context, id string) (*Upload, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 || hex.EncodeToString(raw) != id {
		return nil, fmt.Errorf("upload %q: %w", id, errdef.ErrNotFound)
	}
	if err := l.lease(ctx); err != nil {
		return nil, err
	}
	for {
		u, err := l.tryUpload(id)
		if u != nil || err != nil {
			return u, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

// tryUpload returns nil while somebody else has the upload open.
func (l *Layout) tryUpload(id string) (*Upload, error) {
	name := uploadPath(id)
	if _, err := l.statRegular(name); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: upload %s: %w", l.path, id, errdef.ErrNotFound)
	} else if err != nil {
		return nil, err
	}
	f, err := l.root.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: upload %s: %w", l.path, id, errdef.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	u := &Upload{temp: &temp{l: l, file: f, name: name}, id: id}
	if state, _ := tryLockFile(f); state == lockedByOther {
		return nil, f.Close()
	}
	// Who had it may have ended it meanwhile: then the next look finds no file.
	if !l.isNamed(f, name) {
		return nil, f.Close()
	}
	if u.size, err = f.Seek(0, io.SeekEnd); err != nil {
		_ = f.Close()
		return nil, err
	}
	l.takeHash(u)
	return u, nil
}

func uploadPath(id string) string { return path.Join(partialName, uploadPrefix+id) }

// takeHash gives u what the layout remembers of its hash.
func (l *Layout) takeHash(u *Upload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.hashes[u.id]
	delete(l.hashes, u.id)
	switch {
	case ok && known.size == u.size:
		u.hash, u.algorithm = known.hash, known.algorithm
	case u.size == 0:
		u.hash, u.algorithm = digest.SHA256.Hash(), digest.SHA256
	}
}

// ID returns the name of the upload, for ResumeUpload.
func (u *Upload) ID() string { return u.id }

// Size returns how many bytes are there.
func (u *Upload) Size() int64 { return u.size }

// Write implements io.Writer.
func (u *Upload) Write(p []byte) (int, error) {
	n, err := u.file.Write(p)
	u.size += int64(n)
	if u.hash != nil {
		u.hash.Write(p[:n])
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom, with a buffer that is worth its reads.
func (u *Upload) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{u}, struct{ io.Reader }{r}, make([]byte, copyBuffer))
}

// Suspend closes the upload and keeps what is there.
func (u *Upload) Suspend() error {
	l := u.l
	if u.hash != nil {
		l.mu.Lock()
		// Uploads that another process ends are never asked for again here.
		if len(l.hashes) >= limits.LayoutUploads {
			clear(l.hashes)
		}
		if l.hashes == nil {
			l.hashes = map[string]hashed{}
		}
		l.hashes[u.id] = hashed{u.size, u.algorithm, u.hash}
		l.mu.Unlock()
	}
	return u.file.Close()
}

// Discard removes the upload.
func (u *Upload) Discard() { u.discard() }

// Commit makes the upload the blob of a digest, on disk. Bytes that hash to another
// one are an *integrity.Error. The upload is gone afterwards, whatever the result.
func (u *Upload) Commit(ctx context.Context, d digest.Digest) (ocispec.Descriptor, error) {
	defer u.discard()
	if err := artifacttypes.ValidateDigest(d); err != nil {
		return ocispec.Descriptor{}, err
	}
	got, err := u.digest(ctx, d.Algorithm())
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if got != d {
		return ocispec.Descriptor{}, &integrity.Error{What: "upload", Want: d, Got: got, WantSize: u.size, GotSize: u.size}
	}
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: u.size}
	if there, err := u.l.has(desc); there || err != nil {
		return desc, err
	}
	return desc, u.commitBlob(d)
}

// digest returns that of all bytes, and reads them when they were not hashed by this
// algorithm while they came.
func (u *Upload) digest(ctx context.Context, algorithm digest.Algorithm) (digest.Digest, error) {
	if u.hash != nil && u.algorithm == algorithm {
		return digest.NewDigest(algorithm, u.hash), nil
	}
	h := algorithm.Hash()
	buf := make([]byte, copyBuffer)
	for off := int64(0); off < u.size; {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		n, err := u.file.ReadAt(buf[:min(int64(len(buf)), u.size-off)], off)
		h.Write(buf[:n])
		if off += int64(n); err != nil && off < u.size {
			return "", err
		}
	}
	return digest.NewDigest(algorithm, h), nil
}

// boundUploads makes room for one more upload: it removes those that nobody has gone
// on with for KeepPartials, and the oldest when there are too many. Failing to is no
// error.
func (l *Layout) boundUploads() {
	var oldest string
	var since time.Time
	count := 0
	l.eachOwn(partialName, func(name string) (int64, bool) {
		info, err := l.statRegular(name)
		if err != nil || !strings.HasPrefix(path.Base(name), uploadPrefix) {
			return 0, false
		}
		if time.Since(info.ModTime()) > KeepPartials && l.removeUpload(name) {
			return info.Size(), true
		}
		if count++; oldest == "" || info.ModTime().Before(since) {
			oldest, since = name, info.ModTime()
		}
		return 0, false
	})
	if count >= limits.LayoutUploads {
		l.removeUpload(oldest)
	}
}

// removeUpload removes an upload that nobody has open.
func (l *Layout) removeUpload(name string) bool {
	f, _, err := l.openRegular(name)
	if err != nil {
		return false
	}
	defer f.Close()
	if state, _ := tryLockFile(f); state == lockedByOther || !l.isNamed(f, name) {
		return false
	}
	if closeBeforeRename {
		_ = f.Close()
	}
	return l.root.Remove(name) == nil
}

// HasUploads reports whether there are uploads that are not finished.
func (l *Layout) HasUploads() bool {
	n, _ := l.eachOwn(partialName, func(name string) (int64, bool) {
		return 0, strings.HasPrefix(path.Base(name), uploadPrefix)
	})
	return n > 0
}
