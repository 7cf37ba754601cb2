package clone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Method is how bytes came from one file to the other.
type Method string

// The methods, the cheapest first.
const (
	// Reflink shares the blocks of the source until one of the files is written
	// to: nothing is read or written, and the disk holds the bytes once.
	Reflink Method = "reflink"
	// Kernel moves the bytes inside the kernel, or inside the server of a network
	// file system.
	Kernel Method = "copy_file_range"
	// Memory reads and writes them.
	Memory Method = "memory"
)

// Result says how a copy was made.
type Result struct {
	// Method is the dearest one that was needed: a copy that the kernel began and
	// would not end was made through memory.
	Method Method
	// Bytes is how many bytes of the destination are those of the source, holes
	// included, from its beginning.
	Bytes int64
}

// step is how much is copied before ctx and the callback get their turn.
const step = 8 << 20

// buffer is what goes through memory at once.
const buffer = 256 << 10

// ErrNotEmpty says that the destination held something already.
var ErrNotEmpty = errors.New("the destination of a copy is not empty")

// File copies the first size bytes of src, a regular file, to dst, a regular
// file that is new and empty and open for writing: by sharing blocks where the
// file system can, else inside the kernel, else through memory. What is a hole in
// src is one in dst, and where that cannot be known, runs of zeros become holes.
//
// copied, which may be nil, is called in the goroutine of File with how many
// bytes of dst, from its beginning, can be read now; it never goes down, and ends
// with size. So a hash can follow behind the copy by reading dst with ReadAt. dst
// has its full size from the start: what lies behind that offset reads as zeros.
//
// File proves nothing. Whoever wants to know which bytes dst holds hashes dst:
// src may change at any moment, also a block that both share so far, and file
// systems and kernels have returned success for copies that were wrong.
//
// An error wraps io.ErrUnexpectedEOF when src ended before size, ErrNotEmpty, the
// cause of ctx, within some MiB of its end, or what the file system said. dst then
// holds Result.Bytes good bytes and is of no use otherwise. The file offsets of
// both are anywhere afterwards. dst is not synced.
func File(ctx context.Context, dst, src *os.File, size int64, copied func(int64)) (Result, error) {
	info, err := dst.Stat()
	if err != nil {
		return Result{}, err
	}
	if info.Size() != 0 {
		return Result{}, fmt.Errorf("%s: %w", dst.Name(), ErrNotEmpty)
	}
	if err := ctx.Err(); err != nil {
		return Result{}, context.Cause(ctx)
	}
	if copied == nil {
		copied = func(int64) {}
	}
	c := &copier{dst: dst, src: src, size: size, copied: copied, method: Kernel}
	if size > 0 {
		done, err := c.reflink()
		if done || err != nil {
			return c.result(Reflink), err
		}
	}
	// A share that failed half-way may have left something.
	if err := errors.Join(dst.Truncate(0), dst.Truncate(size)); err != nil {
		return Result{}, err
	}
	err = c.extents(ctx)
	return c.result(c.method), err
}

type copier struct {
	dst, src *os.File
	size     int64
	copied   func(int64)

	off    int64 // so many bytes of dst are those of src
	method Method
	buf    []byte
}

func (c *copier) result(m Method) Result { return Result{Method: m, Bytes: c.off} }

func (c *copier) advance(to int64) {
	c.off = to
	c.copied(to)
}

// reflink shares the blocks of src if that can be done. The whole file is asked
// for, since a range must end at a block; what src has more is cut off.
func (c *copier) reflink() (done bool, err error) {
	if ok := share(c.dst, c.src); !ok {
		return false, nil
	}
	info, err := c.dst.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() < c.size {
		c.off = info.Size()
		return false, c.ended()
	}
	if info.Size() > c.size {
		if err := c.dst.Truncate(c.size); err != nil {
			return false, err
		}
	}
	c.advance(c.size)
	return true, nil
}

// extents copies what is data in src and skips what is a hole.
func (c *copier) extents(ctx context.Context) error {
	for c.off < c.size {
		start, end, known := dataAfter(c.src, c.off, c.size)
		if !known {
			start, end = c.off, c.size
		}
		if start > c.off {
			c.advance(start)
		}
		if err := c.data(ctx, end); err != nil {
			return err
		}
	}
	return nil
}

// data copies from where the copy is to end.
func (c *copier) data(ctx context.Context, end int64) error {
	for c.off < end {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		to := min(end, c.off+step)
		if c.method == Kernel {
			n, again, err := copyRange(c.dst, c.src, c.off, to-c.off)
			if err != nil {
				return err
			}
			if n > 0 {
				c.advance(c.off + n)
			}
			if again {
				continue
			}
			// Refused, or no bytes though there should be some: files that are no
			// real ones look empty to the kernel. Reading tells.
			c.method = Memory
		}
		if err := c.memory(to); err != nil {
			return err
		}
	}
	return nil
}

// memory copies up to the offset to, which lies one step ahead at most.
func (c *copier) memory(to int64) error {
	if c.buf == nil {
		c.buf = make([]byte, buffer)
	}
	for c.off < to {
		n, err := c.src.ReadAt(c.buf[:min(buffer, to-c.off)], c.off)
		if n > 0 {
			if err := c.write(c.buf[:n]); err != nil {
				return err
			}
			c.advance(c.off + int64(n))
		}
		switch {
		case errors.Is(err, io.EOF) && c.off < to:
			return c.ended()
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
	}
	return nil
}

// write puts p where the copy is, without the parts that are zero: dst reads as
// zeros there already.
func (c *copier) write(p []byte) error {
	for off := c.off; len(p) > 0; {
		n := min(len(p), len(zeros))
		if !bytes.Equal(p[:n], zeros[:n]) {
			if _, err := c.dst.WriteAt(p[:n], off); err != nil {
				return err
			}
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// zeros is what is looked for at a time: large enough for comparing to cost
// nothing beside writing.
var zeros [64 << 10]byte

func (c *copier) ended() error {
	return fmt.Errorf("%s: it ended after %d of %d bytes: %w", c.src.Name(), c.off, c.size, io.ErrUnexpectedEOF)
}
