package pickle

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// windowSize is how much of a file is read at once: a request, where it is in a
// registry.
const windowSize = 64 << 10

// errEnd is the end of the content in the middle of something.
var errEnd = errors.New("the bytes end")

// Input is the content of a scan, read once from its beginning to its end. Where the
// content can be read at any place, what is skipped is not read.
type Input struct {
	cancelled func() error  // of the context
	at        io.ReaderAt   // nil when bytes come in their order alone
	r         *bufio.Reader // of the bytes from pos on
	pos       int64
	size      int64 // of the content; math.MaxInt64 when its end alone tells it
	closer    io.Closer
}

// open begins to read a content.
func open(cancelled func() error, c hazard.Content) (*Input, error) {
	in := &Input{cancelled: cancelled, at: c.At, size: c.Size}
	if in.size < 0 {
		in.size = math.MaxInt64
	}
	if c.At != nil {
		in.r = bufio.NewReaderSize(io.NewSectionReader(c.At, 0, in.size), window(in.size))
		return in, nil
	}
	rc, err := c.Open()
	if err != nil {
		return nil, err
	}
	in.closer = rc
	in.r = bufio.NewReaderSize(rc, window(in.size))
	return in, nil
}

// window returns the size of a buffer for size bytes.
func window(size int64) int { return int(min(size, windowSize)) }

func (in *Input) close() {
	if in.closer != nil {
		_ = in.closer.Close() // it was only read from
	}
}

// Offset is how many bytes of the content were read or skipped.
func (in *Input) Offset() int64 { return in.pos }

// remaining is how many bytes there can still be.
func (in *Input) remaining() int64 { return in.size - in.pos }

// ended tells whether nothing follows.
func (in *Input) ended() (bool, error) {
	if in.remaining() <= 0 {
		return true, nil
	}
	_, err := in.r.Peek(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// Byte returns the next byte, or an error for which [Ended] is true.
func (in *Input) Byte() (byte, error) {
	if in.pos >= in.size {
		return 0, errEnd
	}
	b, err := in.r.ReadByte()
	if err != nil {
		return 0, atEnd(err)
	}
	in.pos++
	return b, nil
}

// read fills b.
func (in *Input) read(b []byte) error {
	if int64(len(b)) > in.remaining() {
		return errEnd
	}
	n, err := io.ReadFull(in.r, b)
	in.pos += int64(n)
	return atEnd(err)
}

// Skip goes on n bytes, or returns an error for which [Ended] is true when there are
// fewer.
func (in *Input) Skip(n int64) error {
	if n < 0 || n > in.remaining() {
		return errEnd
	}
	if n > int64(in.r.Buffered()) && in.at != nil {
		in.pos += n
		in.r.Reset(io.NewSectionReader(in.at, in.pos, in.size-in.pos))
		return nil
	}
	for n > 0 {
		if err := in.cancelled(); err != nil {
			return err
		}
		step, err := in.r.Discard(int(min(n, 1<<20)))
		in.pos += int64(step)
		n -= int64(step)
		if err != nil {
			return atEnd(err)
		}
	}
	return nil
}

// line returns the bytes before the next line feed, of which it keeps the first
// limit; cut tells that there were more. Where the content ends without one, it returns
// what there is with the error.
func (in *Input) line(limit int) (text []byte, cut bool, err error) {
	for {
		if err := in.cancelled(); err != nil {
			return nil, false, err
		}
		part, err := in.r.ReadSlice('\n')
		in.pos += int64(len(part))
		whole := err == nil
		if whole {
			part = part[:len(part)-1]
		}
		room := limit - len(text)
		cut = cut || len(part) > room
		text = append(text, part[:min(len(part), room)]...)
		if whole {
			return text, cut, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, cut, atEnd(err)
		}
	}
}

// peek returns up to n of the next bytes without going on. n is small.
func (in *Input) peek(n int) ([]byte, error) {
	n = int(min(int64(n), in.remaining(), int64(in.r.Size())))
	b, err := in.r.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// Ended tells whether an error of an [Input] is that the content is too short, and
// not that it could not be read.
func Ended(err error) bool { return errors.Is(err, errEnd) }

func atEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errEnd
	}
	return err
}

// part returns the next n bytes as a content of their own. Where the content comes in
// its order alone they are read into memory, and ok is false when they are more than
// limit.
func (in *Input) part(name string, n, limit int64, depth int) (c hazard.Content, ok bool, err error) {
	if in.at != nil {
		c = hazard.OfFile(name, io.NewSectionReader(in.at, in.pos, n), n)
		c.Depth = depth
		return c, true, in.Skip(n)
	}
	if n > limit {
		return hazard.Content{}, false, in.Skip(n)
	}
	b := make([]byte, n)
	if err := in.read(b); err != nil {
		return hazard.Content{}, false, err
	}
	c = hazard.OfFile(name, bytes.NewReader(b), n)
	c.Depth = depth
	return c, true, nil
}
