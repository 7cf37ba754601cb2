package archive

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// readAhead is how much is read at once where headers lie close together.
const readAhead = 64 << 10

// scanner goes from header to header. It reads nothing of what lies between them
// but where that is less than a buffer.
type scanner struct {
	r    io.ReaderAt
	size int64

	off     int64 // of the next header
	entries int
	buf     []byte // the bytes from bufAt on
	bufAt   int64

	// What the last extended headers say of the entry that follows.
	pax      *paxRecords
	longName *string
	extended int64 // offset of the first of them

	out *index
}

// scan reads the headers of a tar of size bytes. The error is an *Error without a
// path.
func scan(ctx context.Context, r io.ReaderAt, size int64) (*index, error) {
	s := &scanner{r: r, size: size, out: &index{found: map[string]bool{}}}
	for {
		if s.entries%1000 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		done, err := s.next()
		if err != nil {
			return nil, err
		}
		if done {
			return s.out, nil
		}
	}
}

// next takes one header, and reports whether the archive ends with it.
func (s *scanner) next() (done bool, err error) {
	at := s.off
	b, err := s.read(at, block)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return false, damaged("it ends here, without the end that a tar has: it was cut off").at("", at)
	}
	if err != nil {
		return false, err
	}
	if isZero(b) {
		return true, s.end(at)
	}
	if s.entries++; s.entries > limits.ArchiveEntries {
		return false, refused("it has more than %d entries", limits.ArchiveEntries).at("", at)
	}
	h, f := parseTarHeader(b)
	if at == 0 && f != nil {
		f = compressed(b, f)
	}
	if f != nil {
		return false, f.at(h.name, at)
	}
	switch h.kind {
	case typePAX, typeLongName:
		return false, s.extend(h, at)
	case typeRegular, typeRegularOld, typeDirectory:
		return false, s.entry(h, at)
	}
	if what, ok := otherTypes[h.kind]; ok {
		return false, refused("it is %s, which no OCI layout has", what).at(h.name, at)
	}
	return false, refused("it is of type %q, which no OCI layout has", h.kind).at(h.name, at)
}

// compressed returns a better fault than f for a file that is compressed.
func compressed(b []byte, f *fault) *fault {
	for magic, how := range map[string][2]string{
		"\x1f\x8b":         {"gzip", "gunzip"},
		"\x28\xb5\x2f\xfd": {"zstd", "unzstd"},
		"BZh":              {"bzip2", "bunzip2"},
		"\xfd7zXZ\x00":     {"xz", "unxz"},
	} {
		if strings.HasPrefix(string(b), magic) {
			f = refused("it is compressed with %s; bytes in it can only be reached from its beginning", how[0])
			f.next = "uncompress it first, with " + how[1]
			return f
		}
	}
	return f
}

// extend takes an extended header, which is about the entry that follows it.
func (s *scanner) extend(h tarHeader, at int64) error {
	limit := int64(limits.TarPAXBytes)
	if h.kind == typeLongName {
		limit = limits.TarNameBytes
	}
	if h.size > limit {
		return refused("its extended header has %d bytes, more than %d", h.size, limit).at(h.name, at)
	}
	raw, err := s.read(at+block, int(h.size))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("it ends within an extended header: it was cut off").at(h.name, at)
	}
	if err != nil {
		return err
	}
	if s.pax == nil && s.longName == nil {
		s.extended = at
	}
	switch {
	case h.kind == typeLongName && s.longName != nil, h.kind == typePAX && s.pax != nil:
		return refused("two extended headers are about one entry").at(h.name, at)
	case h.kind == typeLongName:
		name := text(raw)
		s.longName = &name
	default:
		p, f := parsePAX(raw)
		if f != nil {
			return f.at(h.name, at)
		}
		s.pax = &p
	}
	s.off = at + block + padded(h.size)
	return nil
}

// entry takes a file or a directory.
func (s *scanner) entry(h tarHeader, at int64) error {
	if s.pax != nil || s.longName != nil {
		if f := s.override(&h); f != nil {
			return f.at(h.name, s.extended)
		}
	}
	name, f := plainName(h.name)
	if f != nil {
		return f.at(h.name, at)
	}
	offset := at + block
	switch {
	case h.kind == typeDirectory:
		f = checkDirectory(name, h.size)
	case h.size > s.size-offset || padded(h.size) > s.size-offset:
		f = damaged("its %d bytes end behind the end of the archive, which has %d: it was cut off, or its size is not true", h.size, s.size)
	default:
		f = s.out.add(name, place{offset: offset, size: h.size})
	}
	if f != nil {
		return f.at(h.name, at)
	}
	s.off = offset + padded(h.size)
	return nil
}

// override puts what extended headers say in the place of what the header says.
// What readers that know one of the two would see differently is refused.
func (s *scanner) override(h *tarHeader) *fault {
	p, long := s.pax, s.longName
	s.pax, s.longName = nil, nil
	switch {
	case long != nil && p != nil && p.hasPath:
		return refused("two extended headers give it a name")
	case long != nil:
		h.name = *long
	case p.hasPath:
		h.name = p.path
	}
	if p == nil || !p.hasSize {
		return nil
	}
	// The field of the header has room for 8 GiB: only a size that does not fit may
	// be another there.
	if p.size < 8<<30 && p.size != h.size {
		return refused("its header has a size of %d bytes and its extended header one of %d", h.size, p.size)
	}
	h.size = p.size
	return nil
}

// end checks what follows the last entry: zeros, two blocks at least, and not
// without bounds.
func (s *scanner) end(at int64) error {
	rest := s.size - at
	switch {
	case s.pax != nil || s.longName != nil:
		return refused("an extended header is about no entry").at("", at)
	case rest < 2*block:
		return damaged("it ends here, without the end that a tar has: it was cut off").at("", at)
	case rest > limits.ArchiveEndBytes:
		return refused("%d bytes follow its last entry, more than the %d that may be padding", rest, limits.ArchiveEndBytes).at("", at)
	}
	b, err := s.read(at, int(rest))
	if err != nil {
		return err
	}
	if !isZero(b) {
		return refused("something follows the end of the archive").at("", at)
	}
	return nil
}

// read returns n bytes at off, which are good until the next call. It fails with
// io.ErrUnexpectedEOF where the archive ends before.
func (s *scanner) read(off int64, n int) ([]byte, error) {
	if int64(n) > s.size-off {
		return nil, io.ErrUnexpectedEOF
	}
	have := s.bufAt + int64(len(s.buf))
	if off >= s.bufAt && off+int64(n) <= have {
		return s.buf[off-s.bufAt:][:n], nil
	}
	// Headers that lie close together are read together; of one behind gigabytes
	// nothing else is.
	want := max(n, block)
	if off <= have+readAhead {
		want = max(want, readAhead)
	}
	want = int(min(int64(want), s.size-off))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.bufAt = s.buf[:want], off
	if m, err := s.r.ReadAt(s.buf, off); m < want {
		s.buf = s.buf[:0]
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return s.buf[:n], nil
}

// padded is the room that size bytes take.
func padded(size int64) int64 { return (size + block - 1) / block * block }

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
