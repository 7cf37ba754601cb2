package zipfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Signatures and sizes of records without their variable parts (APPNOTE 4.3).
const (
	localSignature     = "PK\x03\x04"
	centralSignature   = "PK\x01\x02"
	endSignature       = "PK\x05\x06"
	end64Signature     = "PK\x06\x06"
	locator64Signature = "PK\x06\x07"
	descriptorMark     = "PK\x07\x08"

	localSize     = 30
	centralSize   = 46
	endSize       = 22
	end64Size     = 56
	locator64Size = 20

	maxComment = 1<<16 - 1
	// maxBehind is how far before the end of the file the end record is looked for. A
	// comment has at most 64 KiB, but miniz, and so torch, goes on for up to 4 KiB, and
	// zipfile for one byte: what they find must not be taken for an archive without a
	// directory.
	maxBehind = 128 << 10
)

// ending is what stands at the end of an archive.
type ending struct {
	at        int64 // of the end record
	records   int64 // of the first record behind the directory: the zip64 one, or at
	size      int64 // of the file
	comment   int   // bytes, as announced
	members   uint64
	dirSize   int64
	dirAt     int64 // where the directory is, counted back from the records
	dirSaid   int64 // where it is announced to be
	ambiguous string
}

// Read finds the central directory of the file of the given size and reads it.
func Read(r io.ReaderAt, size int64) (*Archive, error) {
	a := &Archive{r: r}
	if err := a.findEnd(size); err != nil {
		return nil, err
	}
	if err := a.readDirectory(); err != nil {
		return nil, err
	}
	return a, nil
}

// findEnd looks for the last end record, as miniz and zipfile do.
func (a *Archive) findEnd(size int64) error {
	at, b, err := findLast(a.r, size)
	if err != nil {
		return err
	}
	e := &a.end
	*e = ending{
		at: at, size: size,
		comment: int(binary.LittleEndian.Uint16(b[20:])),
		members: uint64(binary.LittleEndian.Uint16(b[10:])),
		dirSize: int64(binary.LittleEndian.Uint32(b[12:])),
		dirSaid: int64(binary.LittleEndian.Uint32(b[16:])),
	}
	e.records = e.at
	if disk := binary.LittleEndian.Uint32(b[4:]); disk != 0 && disk != 1<<32-1 {
		return invalid(e.at+4, "archive is one of several disks")
	}
	if err := a.findEnd64(); err != nil {
		return err
	}
	e.dirAt = e.records - e.dirSize
	switch {
	case e.dirSize < 0 || e.dirSaid < 0 || e.dirAt < 0:
		return invalid(e.at, "central directory of %d bytes does not fit before byte %d", uint64(e.dirSize), e.records)
	case e.dirSize > MaxDirectory:
		return invalid(e.at, "central directory of %d bytes is larger than %d", e.dirSize, MaxDirectory)
	case e.members > MaxMembers:
		return invalid(e.at, "%d members are more than %d", e.members, MaxMembers)
	}
	return nil
}

// findLast returns the last end record and where it is. Most are where one may be, so
// that no more is read to find it.
func findLast(r io.ReaderAt, size int64) (at int64, record []byte, err error) {
	var n int64
	for _, most := range []int64{endSize + maxComment, maxBehind} {
		n = min(max(size, 0), most)
		tail := make([]byte, n)
		if err := readAt(r, tail, size-n); err != nil {
			return 0, nil, err
		}
		if i := lastEnd(tail); i >= 0 {
			return size - n + int64(i), tail[i : i+endSize], nil
		}
		if n == size {
			break
		}
	}
	return 0, nil, &Error{Offset: max(size-endSize, 0), Reason: fmt.Sprintf("no end record of a zip archive in the last %d bytes", n), cut: true}
}

// lastEnd returns where the last end record begins in tail, -1 when there is none.
func lastEnd(tail []byte) int {
	if len(tail) < endSize {
		return -1
	}
	return bytes.LastIndex(tail[:len(tail)-endSize+len(endSignature)], []byte(endSignature))
}

// findEnd64 reads the zip64 records where they stand. Python and miniz go by them
// whenever they are there, other readers only when the end record says so: both must
// come to the same.
func (a *Archive) findEnd64() error {
	e := &a.end
	at := e.at - locator64Size
	if at < 0 {
		return nil
	}
	b := make([]byte, locator64Size)
	if err := readAt(a.r, b, at); err != nil {
		return err
	}
	if string(b[:4]) != locator64Signature {
		return nil
	}
	said := binary.LittleEndian.Uint64(b[8:])
	// zipfile takes the record just before the locator, miniz the one that the
	// locator names.
	recordAt := at - end64Size
	if recordAt < 0 {
		return invalid(at, "zip64 locator without a record before it")
	}
	b = make([]byte, end64Size)
	if err := readAt(a.r, b, recordAt); err != nil {
		return err
	}
	if string(b[:4]) != end64Signature {
		return invalid(recordAt, "no zip64 end record before its locator")
	}
	members, dirSize, dirSaid := binary.LittleEndian.Uint64(b[32:]), binary.LittleEndian.Uint64(b[40:]), binary.LittleEndian.Uint64(b[48:])
	if dirSize > uint64(recordAt) || dirSaid > uint64(e.size) {
		return invalid(recordAt, "central directory of %d bytes at byte %d does not fit before byte %d", dirSize, dirSaid, recordAt)
	}
	if said != uint64(recordAt) {
		e.ambiguous = fmt.Sprintf("the zip64 end record is at byte %d, its locator says byte %d", recordAt, said)
	}
	if differs(e.members, members, 1<<16-1) || differs(uint64(e.dirSize), dirSize, 1<<32-1) || differs(uint64(e.dirSaid), dirSaid, 1<<32-1) {
		e.ambiguous = "the zip64 end record and the one before zip64 announce different directories"
	}
	e.members, e.dirSize, e.dirSaid, e.records = members, int64(dirSize), int64(dirSaid), recordAt
	return nil
}

// differs reports whether a field that has not the value that stands for "see zip64"
// says something else than zip64 does.
func differs(short, long, see uint64) bool { return short != see && short != long }

// readDirectory reads the entries of the central directory.
func (a *Archive) readDirectory() error {
	e := &a.end
	// What is announced is at most what can be there.
	a.Members = make([]Member, 0, min(e.members, uint64(e.dirSize/centralSize)))
	window := bufio.NewReaderSize(io.NewSectionReader(a.r, e.dirAt, e.dirSize), int(min(e.dirSize+1, maxEntry)))
	names := 0
	for at := e.dirAt; at < e.dirAt+e.dirSize; {
		if len(a.Members) == MaxMembers {
			return invalid(at, "more than %d members", MaxMembers)
		}
		m, n, err := parseCentral(window, at)
		if err != nil {
			return err
		}
		if names += len(m.Name); names > MaxNames {
			return invalid(at, "names longer than %d bytes in all", MaxNames)
		}
		// What stands before the archive moves all of it (zipfile does the same).
		m.Header += e.dirAt - e.dirSaid
		if m.Header < 0 || m.Header > e.dirAt-localSize || m.Packed > e.dirAt-localSize-m.Header {
			return invalid(at, "member %q of %d bytes at byte %d does not fit before the directory", m.Name, m.Packed, m.Header)
		}
		a.Members = append(a.Members, m)
		at += int64(n)
	}
	if uint64(len(a.Members)) != e.members {
		return invalid(e.at, "%d members are announced, the directory has %d", e.members, len(a.Members))
	}
	return nil
}

// maxEntry is the largest entry of a directory: name, extra fields and comment have
// 64 KiB each.
const maxEntry = centralSize + 3*(1<<16-1)

// parseCentral reads the next entry and returns its size.
func parseCentral(window *bufio.Reader, at int64) (m Member, n int, err error) {
	b, err := peek(window, centralSize, at)
	if err != nil {
		return m, 0, err
	}
	if string(b[:4]) != centralSignature {
		return m, 0, invalid(at, "no entry of the central directory")
	}
	name, extra, comment := int(binary.LittleEndian.Uint16(b[28:])), int(binary.LittleEndian.Uint16(b[30:])), int(binary.LittleEndian.Uint16(b[32:]))
	n = centralSize + name + extra + comment
	if b, err = peek(window, n, at); err != nil {
		return m, 0, err
	}
	m = Member{
		Name:   string(b[centralSize : centralSize+name]),
		Flags:  binary.LittleEndian.Uint16(b[8:]),
		Method: binary.LittleEndian.Uint16(b[10:]),
		CRC:    binary.LittleEndian.Uint32(b[16:]),
		Packed: int64(binary.LittleEndian.Uint32(b[20:])),
		Size:   int64(binary.LittleEndian.Uint32(b[24:])),
		Header: int64(binary.LittleEndian.Uint32(b[42:])),
	}
	extras := b[centralSize+name : centralSize+name+extra]
	if err := widen(extras, &m.Size, &m.Packed, &m.Header); err != nil {
		return m, 0, invalid(at, "member %q: %v", m.Name, err)
	}
	_, err = window.Discard(n)
	return m, n, err
}

// peek returns the next n bytes of the directory.
func peek(window *bufio.Reader, n int, at int64) ([]byte, error) {
	b, err := window.Peek(n)
	if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
		return nil, invalid(at, "entry of %d bytes ends beyond the central directory", n)
	}
	return b, err
}

var (
	errShortZip64 = errors.New("its zip64 field is too short")
	errLargeZip64 = errors.New("its zip64 field has a number beyond 2^63")
)

// widen replaces the fields that have all bits set by those of the zip64 extra field,
// in the order in which they stand there (APPNOTE 4.5.3).
func widen(extras []byte, fields ...*int64) error {
	const see, zip64 = 1<<32 - 1, 1
	for len(extras) >= 4 {
		id, n := binary.LittleEndian.Uint16(extras), int(binary.LittleEndian.Uint16(extras[2:]))
		extras = extras[4:]
		if n > len(extras) {
			return nil // padding that looks like a field
		}
		if id != zip64 {
			extras = extras[n:]
			continue
		}
		wide := extras[:n]
		for _, f := range fields {
			if *f != see {
				continue
			}
			if len(wide) < 8 {
				return errShortZip64
			}
			v := binary.LittleEndian.Uint64(wide)
			if v >= 1<<63 {
				return errLargeZip64
			}
			*f, wide = int64(v), wide[8:]
		}
		return nil
	}
	return nil
}

// readAt fills b.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at byte %d: %w", len(b), at, err)
}
