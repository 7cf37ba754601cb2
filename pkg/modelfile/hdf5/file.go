package hdf5

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// file is an open file and the sizes of numbers in it.
type file struct {
	r       io.ReaderAt
	size    int64
	base    int64 // of all addresses
	offsets int   // bytes of an address
	lengths int   // bytes of a length
	steps   int

	// breach is told of checksums, of so many bytes; unsummed, that some are not compared.
	breach   func(error)
	summed   int64
	unsummed bool
}

// undefined is the address of what is not there.
const undefined = -1

// stepsError ends the walk: nothing more is looked at.
type stepsError struct {
	offset int64
	what   string
}

func (e *stepsError) Error() string { return fmt.Sprintf("byte %d: %s", e.offset, e.what) }

// step counts what is looked at. Each part has some bytes of its own, so that a file
// that is looked at once has no more parts than bytes; the same ones again are a circle
// or a bomb.
func (f *file) step(at int64) error {
	if f.steps++; f.steps > MaxSteps || int64(f.steps) > f.size {
		return &stepsError{at, fmt.Sprintf("more than %d parts are looked at in a file of %d bytes", f.steps-1, f.size)}
	}
	return nil
}

// Find returns where the superblock of an HDF5 file is, and false when it is none: at
// the beginning, or behind a user block of 512 bytes or a power of two more.
func Find(r io.ReaderAt, size int64) (at int64, ok bool, err error) {
	f := &file{r: r, size: size}
	sig := make([]byte, len(Signature))
	for at := int64(0); at <= size-int64(len(Signature)); at = max(512, at*2) {
		if err := f.readAt(sig, at); err != nil {
			return 0, false, err
		}
		if string(sig) == Signature {
			return at, true, nil
		}
	}
	return 0, false, nil
}

// superblock finds and reads the superblock, and returns the address of the root group.
func (f *file) superblock() (root int64, err error) {
	at, ok, err := Find(f.r, f.size)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, invalid(0, "no superblock is at byte 0, 512 or a power of two behind it")
	}
	f.base = at
	return f.readSuperblock(at)
}

func (f *file) readSuperblock(at int64) (root int64, err error) {
	c := f.cursor(at+int64(len(Signature)), f.size)
	version, err := c.u8()
	if err != nil {
		return 0, err
	}
	switch version {
	case 0, 1:
		return f.oldSuperblock(c, version)
	case 2, 3:
		return f.newSuperblock(c, at)
	}
	return 0, invalid(at, "superblock of version %d is not known", version)
}

func (f *file) oldSuperblock(c *cursor, version uint8) (root int64, err error) {
	if err := c.skip(4); err != nil { // versions and a reserved byte
		return 0, err
	}
	if err := f.numberSizes(c); err != nil {
		return 0, err
	}
	rest := 1 + 2 + 2 + 4 // reserved, sizes of nodes, flags
	if version == 1 {
		rest += 4
	}
	if err := c.skip(int64(rest)); err != nil {
		return 0, err
	}
	// Base, free space, end of file, driver information, and the name of the root
	// group, which has none.
	if err := c.skip(int64(5 * f.offsets)); err != nil {
		return 0, err
	}
	return c.address()
}

func (f *file) newSuperblock(c *cursor, at int64) (root int64, err error) {
	if err := f.numberSizes(c); err != nil {
		return 0, err
	}
	// Flags, base, extension, end of file.
	if err := c.skip(int64(1 + 3*f.offsets)); err != nil {
		return 0, err
	}
	if root, err = c.address(); err != nil {
		return 0, err
	}
	return root, f.compare("superblock", at, c.at)
}

// numberSizes reads the sizes of addresses and lengths.
func (f *file) numberSizes(c *cursor) error {
	at := c.at
	b, err := c.bytes(2)
	if err != nil {
		return err
	}
	f.offsets, f.lengths = int(b[0]), int(b[1])
	for _, n := range []int{f.offsets, f.lengths} {
		if n != 2 && n != 4 && n != 8 {
			return invalid(at, "addresses of %d and lengths of %d bytes: they have 2, 4 or 8", f.offsets, f.lengths)
		}
	}
	return nil
}

// readAt fills b.
func (f *file) readAt(b []byte, at int64) error {
	n, err := f.r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at byte %d: %w", len(b), at, err)
}

// windowSize is how much is read at once: a few messages.
const windowSize = 512

// cursor reads a part of the file, forward.
type cursor struct {
	f        *file
	at, end  int64
	window   []byte // what was read
	windowAt int64
}

// cursor returns one for [at, end), which is cut where the file ends.
func (f *file) cursor(at, end int64) *cursor {
	return &cursor{f: f, at: at, end: min(end, f.size)}
}

// block returns a cursor for n bytes, which must be there.
func (f *file) block(at, n int64, what string) (*cursor, error) {
	if at < 0 || at > f.size || n < 0 || n > f.size-at {
		return nil, invalid(max(at, 0), "%s of %d bytes ends beyond the file of %d bytes", what, n, f.size)
	}
	return f.cursor(at, at+n), nil
}

func (c *cursor) left() int64 { return c.end - c.at }

// bytes returns the next n bytes, which are valid until the next call.
func (c *cursor) bytes(n int) ([]byte, error) {
	if int64(n) > c.left() {
		return nil, invalid(c.at, "%d bytes are needed, %d are left", n, max(c.left(), 0))
	}
	if c.at < c.windowAt || c.at+int64(n) > c.windowAt+int64(len(c.window)) {
		window := make([]byte, max(int64(n), min(windowSize, c.left())))
		if err := c.f.readAt(window, c.at); err != nil {
			return nil, err
		}
		c.window, c.windowAt = window, c.at
	}
	from := c.at - c.windowAt
	c.at += int64(n)
	return c.window[from : from+int64(n)], nil
}

func (c *cursor) skip(n int64) error {
	if n < 0 || n > c.left() {
		return invalid(c.at, "%d bytes are needed, %d are left", uint64(n), max(c.left(), 0))
	}
	c.at += n
	return nil
}

// number reads an unsigned number of 1 to 8 bytes.
func (c *cursor) number(size int) (uint64, error) {
	b, err := c.bytes(size)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

func (c *cursor) u8() (uint8, error) {
	n, err := c.number(1)
	return uint8(n), err
}

func (c *cursor) u16() (uint16, error) {
	n, err := c.number(2)
	return uint16(n), err
}

func (c *cursor) u32() (uint32, error) {
	n, err := c.number(4)
	return uint32(n), err
}

// length reads a length, which is at most 2^63-1.
func (c *cursor) length() (int64, error) {
	at := c.at
	n, err := c.number(c.f.lengths)
	if err == nil && n > 1<<63-1 {
		return 0, invalid(at, "a length of %d", n)
	}
	return int64(n), err
}

// address reads an address and returns the place in the file, or undefined.
func (c *cursor) address() (int64, error) {
	at := c.at
	n, err := c.number(c.f.offsets)
	if err != nil {
		return 0, err
	}
	if n == 1<<(8*c.f.offsets)-1 { // also for 8 bytes, where the shift comes to 0
		return undefined, nil
	}
	if n > uint64(c.f.size-c.f.base) {
		return 0, invalid(at, "address %d is beyond the file of %d bytes", n, c.f.size)
	}
	return c.f.base + int64(n), nil
}

// mark reads a signature and a version.
func (c *cursor) mark(signature string, version uint8) error {
	at := c.at
	b, err := c.bytes(len(signature) + 1)
	if err != nil {
		return err
	}
	if string(b[:len(signature)]) != signature {
		return invalid(at, "no %q is here", signature)
	}
	if got := b[len(signature)]; got != version {
		return invalid(at, "%s of version %d is not known", signature, got)
	}
	return nil
}
