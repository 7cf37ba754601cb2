package pack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/source"
)

// tarball is a reproducible tar of files whose size is known before it is
// written, so that it can be streamed into an Ingester: members in order of
// their paths, owner zero, constant time.
//
// The header format is GNU, with names and sizes in the entry's own header:
// PAX records upset readers that look at offsets (see olot#210).
type tarball struct {
	members []*source.File
	mtime   time.Time
	size    int64

	mu  sync.Mutex
	got []digest.Digest // of the members, of the newest complete pass
}

func newTarball(members []*source.File, mtime time.Time) *tarball {
	t := &tarball{members: members, mtime: mtime}
	for _, f := range members {
		t.size += headerSize(f.Path) + padded(f.Size)
	}
	t.size += 2 * blockSize // end of archive
	return t
}

const (
	blockSize = 512
	nameSize  = 100 // of the name field in a tar header
)

func padded(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// headerSize is what archive/tar writes in GNU format before a member's
// content: one block, and for a name that does not fit into it a header of its
// own and the blocks of the long name, which ends with a NUL.
func headerSize(name string) int64 {
	if len(name) <= nameSize {
		return blockSize
	}
	return 2*blockSize + padded(int64(len(name))+1)
}

// open starts a pass over the members and returns the bytes of the tar.
func (t *tarball) open() (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(t.write(w)) }()
	return r, nil
}

func (t *tarball) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	got := make([]digest.Digest, len(t.members))
	for i, f := range t.members {
		mode := artifacttypes.ModeRegular
		if f.Executable {
			mode = artifacttypes.ModeExecutable
		}
		err := tw.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: f.Path, Size: f.Size, Mode: int64(mode), ModTime: t.mtime, Format: tar.FormatGNU,
		})
		if err != nil {
			return fmt.Errorf("%q: %w", f.Path, err)
		}
		h := digest.SHA256.Hash()
		if err := copyMember(io.MultiWriter(tw, h), f); err != nil {
			return err
		}
		got[i] = digest.NewDigest(digest.SHA256, h)
	}
	if err := tw.Close(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.got = got
	return nil
}

func copyMember(w io.Writer, f *source.File) error {
	file, err := f.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	n, err := io.Copy(w, io.LimitReader(file, f.Size))
	if err == nil && n < f.Size {
		err = fmt.Errorf("%q: %w: it ends after %d of %d bytes", f.Path, source.ErrChanged, n, f.Size)
	}
	return err
}

// digests returns the digests of the members, in their order. A whole pass must
// have been read.
func (t *tarball) digests() ([]digest.Digest, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.got == nil {
		return nil, errors.New("the tar was not read to its end")
	}
	return t.got, nil
}
