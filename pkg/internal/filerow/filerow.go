// Package filerow reads and writes several files, one behind the other, as if they
// were one: the parts of something that was too large for one medium.
package filerow

import (
	"errors"
	"io"
	"os"
	"sort"
)

// Row is open files in their order. The zero Row is empty. It is safe for
// concurrent use once nothing is added any more.
type Row struct{ pieces []piece }

type piece struct {
	file  *os.File
	start int64 // of its first byte in the row
	size  int64
}

// Add puts a file of size bytes at the end.
func (r *Row) Add(f *os.File, size int64) {
	r.pieces = append(r.pieces, piece{f, r.Size(), size})
}

// Size returns the number of bytes of all files together.
func (r *Row) Size() int64 {
	if len(r.pieces) == 0 {
		return 0
	}
	last := r.pieces[len(r.pieces)-1]
	return last.start + last.size
}

// First returns the first file, which must be there.
func (r *Row) First() *os.File { return r.pieces[0].file }

// at returns the index of the piece that has the byte off, and the number of
// pieces behind the last one.
func (r *Row) at(off int64) int {
	return sort.Search(len(r.pieces), func(i int) bool { return off < r.pieces[i].start+r.pieces[i].size })
}

// ReadAt implements io.ReaderAt.
func (r *Row) ReadAt(b []byte, off int64) (n int, err error) {
	for i := r.at(off); n < len(b); i++ {
		if i == len(r.pieces) {
			return n, io.EOF
		}
		p := r.pieces[i]
		from := off + int64(n) - p.start
		m, err := p.file.ReadAt(b[n:n+int(min(int64(len(b)-n), p.size-from))], from)
		n += m
		if err != nil && from+int64(m) < p.size {
			return n, err // also when the file is shorter than was said
		}
	}
	return n, nil
}

// WriteAt implements io.WriterAt. Bytes behind the last file are io.ErrShortWrite.
func (r *Row) WriteAt(b []byte, off int64) (n int, err error) {
	for i := r.at(off); n < len(b); i++ {
		if i == len(r.pieces) {
			return n, io.ErrShortWrite
		}
		p := r.pieces[i]
		from := off + int64(n) - p.start
		m, err := p.file.WriteAt(b[n:n+int(min(int64(len(b)-n), p.size-from))], from)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Each calls fn with every file, also when it fails for one.
func (r *Row) Each(fn func(*os.File) error) error {
	var errs []error
	for _, p := range r.pieces {
		errs = append(errs, fn(p.file))
	}
	return errors.Join(errs...)
}

// Close closes all files.
func (r *Row) Close() error { return r.Each((*os.File).Close) }
