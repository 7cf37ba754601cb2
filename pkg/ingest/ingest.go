// Package ingest is the seam that makes "hash once" real: bytes of a known size
// and an unknown digest go in, a descriptor comes out, and on the way they are
// stored somewhere. The layout store, the registry uploader and [Digests]
// implement it; packing uses it and does not know which one it has.
package ingest

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Blob is bytes that are about to be stored.
type Blob struct {
	Name      string // what people call it: the path of a file in the model
	MediaType string
	Size      int64
	// Identity tells these bytes from all others without reading them, over
	// restarts of the process, for as long as nobody writes to where they come
	// from; it is empty when nothing does. What was begun for an Identity may be
	// continued for the same one.
	Identity string
	// Known is the digest that the bytes had when they were read last; it is empty
	// when nobody remembers. An Ingester may look by it whether it holds the
	// bytes already, and then reads none. Bytes that it reads are believed over
	// it.
	Known digest.Digest
	// Open returns the bytes from their beginning. An Ingester opens once,
	// reads once and closes; it opens again only when a registry broke the
	// transfer or must know the digest before the first byte.
	Open func() (io.ReadCloser, error)
}

// Ingester stores a blob while hashing it and returns its descriptor (media
// type, digest, size). It fails when Open gives more or fewer bytes than Size.
// Implementations are safe for concurrent use.
type Ingester interface {
	Ingest(ctx context.Context, b Blob) (ocispec.Descriptor, error)
}

// SizeError says that a blob gave another number of bytes than announced: the
// file changed while it was read.
type SizeError struct {
	Name      string
	Want, Got int64
}

func (e *SizeError) Error() string {
	if e.Got > e.Want {
		return fmt.Sprintf("%s: it grew beyond %d bytes while it was read", e.Name, e.Want)
	}
	return fmt.Sprintf("%s: it ended after %d of %d bytes while it was read", e.Name, e.Got, e.Want)
}

// Digests is the Ingester that stores nothing: it only computes digests, to
// sign or to verify a directory.
type Digests struct{}

// Ingest implements [Ingester].
func (Digests) Ingest(ctx context.Context, b Blob) (ocispec.Descriptor, error) {
	r, err := b.Open()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer r.Close()
	return Copy(ctx, io.Discard, r, b)
}

// Copy moves the bytes of b from r to w while hashing them, and checks their
// number. It is the one place where bytes of unknown digest get one.
func Copy(ctx context.Context, w io.Writer, r io.Reader, b Blob) (ocispec.Descriptor, error) {
	h := digest.SHA256.Hash()
	// One byte more than announced is asked for, to notice a file that grew.
	src := ContextReader(ctx, io.LimitReader(r, b.Size+1))
	n, err := io.CopyBuffer(io.MultiWriter(h, onlyWriter{w}), src, make([]byte, copyBuffer))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if n != b.Size {
		return ocispec.Descriptor{}, &SizeError{Name: b.Name, Want: b.Size, Got: n}
	}
	return ocispec.Descriptor{MediaType: b.MediaType, Digest: digest.NewDigest(digest.SHA256, h), Size: n}, nil
}

// copyBuffer is where SHA-256 and the page cache stop gaining from larger
// reads, with the buffer still inside the second-level cache.
const copyBuffer = 256 << 10

// onlyWriter hides ReadFrom, which would bypass the hash.
type onlyWriter struct{ io.Writer }

// ContextReader returns a reader of r that fails with the cause of ctx once ctx
// is done, so that a copy of gigabytes can be interrupted.
func ContextReader(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context //nolint:containedctx // a reader lives as long as the call that made it
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
