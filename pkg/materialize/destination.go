package materialize

import (
	"context"
	_ "crypto/sha256" // the digest algorithms that a layer may have
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// lstat describes what is at p below the directory without following a link
// anywhere: nil when there is nothing. A link or a special file at p, or a link
// in the place of one of its parents, is an error; a file in the place of a
// parent is named by blocked.
func (j *job) lstat(p string) (info fs.FileInfo, blocked string, err error) {
	for i := 0; i < len(p); {
		end := len(p)
		if n := strings.IndexByte(p[i:], '/'); n >= 0 {
			end = i + n
		}
		name := p[:end]
		i = end + 1
		info, err = j.root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, "", nil
		case err != nil:
			return nil, "", err
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, "", fmt.Errorf("%w: %s is a symbolic link, and modseal follows none; remove it or choose another directory",
				ErrUnsafeDestination, path.Join(j.dir, name))
		case name != p && info.Mode().IsRegular():
			return nil, name, nil
		case !info.IsDir() && !info.Mode().IsRegular():
			return nil, "", fmt.Errorf("%w: %s is no regular file; remove it or choose another directory",
				ErrUnsafeDestination, path.Join(j.dir, name))
		}
	}
	return info, "", nil
}

// hashed is the digest that a file had while it was as at says.
type hashed struct {
	at     fileid.ID
	digest digest.Digest
}

// hash reads the file p, unless this call has done so and it has not changed
// since.
func (j *job) hash(ctx context.Context, p string, info fs.FileInfo, algorithm digest.Algorithm) (digest.Digest, error) {
	at, _ := fileid.Of(info)
	if known, ok := j.hashes.Load(p); ok {
		h := known.(hashed)
		if h.at == at && h.digest.Algorithm() == algorithm {
			return h.digest, nil
		}
	}
	f, err := j.root.Open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	d, err := hashFile(ctx, f, algorithm)
	if err != nil {
		return "", err
	}
	after, err := f.Stat()
	if err != nil {
		return "", err
	}
	if got, _ := fileid.Of(after); got != at {
		return "", fmt.Errorf("%s: it changed while it was read; stop what writes to it", path.Join(j.dir, p))
	}
	j.hashes.Store(p, hashed{at: at, digest: d})
	return d, nil
}

func hashFile(ctx context.Context, f *os.File, algorithm digest.Algorithm) (digest.Digest, error) {
	h := algorithm.Hash()
	if err := copyBytes(ctx, h, f); err != nil {
		return "", err
	}
	return digest.NewDigest(algorithm, h), nil
}

// copyBuffer is where SHA-256 and the page cache stop gaining from larger reads.
const copyBuffer = 256 << 10

// copyBytes moves bytes until the end of src or of ctx.
func copyBytes(ctx context.Context, dst io.Writer, src io.Reader) error {
	buf := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(buf)
	// Both hide what they could copy by themselves, with another buffer.
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, ingest.ContextReader(ctx, src), buf[:])
	return err
}

// buffers saves ten thousand small files from taking ten thousand buffers.
var buffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// checkEmpty makes sure that an empty file may be made without fetching it.
func checkEmpty(f *file) error {
	if empty := f.digest.Algorithm().FromBytes(nil); f.digest != empty {
		return &integrity.Error{What: f.path, Want: f.digest, Got: empty}
	}
	return nil
}
