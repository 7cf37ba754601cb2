package ingest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Section is the bytes of a blob that lie in the middle of a larger file, such as
// an archive. It can do what a file of these bytes alone can, the kernel sending
// them to a connection included, and ends where they end.
//
// It is as safe for concurrent use as an *os.File: one may ask with Seek how far
// another has read.
type Section struct {
	file       *os.File
	start, end int64
}

// NewSection returns the size bytes of file from offset on. It takes file over,
// whose own position it uses: every Section needs a file that was opened for it.
// A file that ends before the section does is an error, and is not closed.
func NewSection(file *os.File, offset, size int64) (*Section, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if offset < 0 || size < 0 || offset > info.Size() || size > info.Size()-offset {
		return nil, fmt.Errorf("%s: bytes %d to %d of a file of %d: %w", file.Name(), offset, offset+size, info.Size(), io.ErrUnexpectedEOF)
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	return &Section{file: file, start: offset, end: offset + size}, nil
}

// Size returns the number of bytes in the section.
func (s *Section) Size() int64 { return s.end - s.start }

// Read implements io.Reader. It fails with io.ErrUnexpectedEOF when the file has
// become too short.
func (s *Section) Read(p []byte) (int, error) {
	// Asked for each time: the kernel moves it too.
	at, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if at >= s.end {
		return 0, io.EOF
	}
	n, err := s.file.Read(p[:min(int64(len(p)), s.end-at)])
	if err == io.EOF { //nolint:errorlint // an end is never wrapped
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// ReadAt implements io.ReaderAt, with offsets in the section.
func (s *Section) ReadAt(p []byte, off int64) (int, error) {
	return io.NewSectionReader(s.file, s.start, s.Size()).ReadAt(p, off)
}

// Seek implements io.Seeker, with offsets in the section.
func (s *Section) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		offset += s.start
	case io.SeekEnd:
		offset += s.end
		whence = io.SeekStart
	case io.SeekCurrent:
		if offset != 0 {
			at, err := s.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return 0, err
			}
			offset, whence = at+offset, io.SeekStart
		}
	}
	if whence == io.SeekStart && offset < s.start {
		return 0, errors.New("seek before the beginning of a section")
	}
	at, err := s.file.Seek(offset, whence)
	return at - s.start, err
}

// Close closes the file.
func (s *Section) Close() error { return s.file.Close() }

// Stat implements fs.File: what it describes is a regular file of the section's
// bytes.
func (s *Section) Stat() (fs.FileInfo, error) {
	info, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	return sectionInfo{info, s.Size()}, nil
}

// SyscallConn implements syscall.Conn: the descriptor is where the next byte of
// the section is. Whoever reads from it must not read more than is left.
func (s *Section) SyscallConn() (syscall.RawConn, error) { return s.file.SyscallConn() }

type sectionInfo struct {
	of   fs.FileInfo
	size int64
}

func (i sectionInfo) Name() string       { return i.of.Name() }
func (i sectionInfo) Size() int64        { return i.size }
func (i sectionInfo) Mode() fs.FileMode  { return i.of.Mode() }
func (i sectionInfo) ModTime() time.Time { return i.of.ModTime() }
func (i sectionInfo) IsDir() bool        { return false }
func (i sectionInfo) Sys() any           { return nil }

var (
	_ fs.File       = (*Section)(nil)
	_ io.ReadSeeker = (*Section)(nil)
	_ io.ReaderAt   = (*Section)(nil)
	_ syscall.Conn  = (*Section)(nil)
)

// OpenSection returns the size bytes of file from offset on, on a descriptor of
// its own: file, which others may use meanwhile, is left as it is.
func OpenSection(file *os.File, offset, size int64) (*Section, error) {
	own, err := reopen(file)
	if err != nil {
		return nil, err
	}
	s, err := NewSection(own, offset, size)
	if err != nil {
		_ = own.Close()
		return nil, err
	}
	return s, nil
}

// reopenByName opens the file again, unless its name has got another one.
func reopenByName(file *os.File) (*os.File, error) {
	own, err := os.Open(file.Name())
	if err != nil {
		return nil, err
	}
	was, err := file.Stat()
	if err == nil {
		var is fs.FileInfo
		if is, err = own.Stat(); err == nil && !os.SameFile(was, is) {
			err = fmt.Errorf("%s was replaced by another file", file.Name())
		}
	}
	if err != nil {
		_ = own.Close()
		return nil, err
	}
	return own, nil
}
