package archive

import (
	"errors"
	"io"
	"os"
	"sort"
)

// Span is bytes of a file.
type Span struct {
	File         *os.File
	Offset, Size int64
}

// pieces are files that are read as one.
type pieces struct {
	files  []*os.File
	starts []int64 // where each begins in the whole
	size   int64
}

func (p *pieces) add(f *os.File, size int64) {
	p.files = append(p.files, f)
	p.starts = append(p.starts, p.size)
	p.size += size
}

// end returns where piece i ends in the whole.
func (p *pieces) end(i int) int64 {
	if i+1 < len(p.starts) {
		return p.starts[i+1]
	}
	return p.size
}

// at returns the index of the piece with the byte at off.
func (p *pieces) at(off int64) int {
	return sort.Search(len(p.starts), func(i int) bool { return p.starts[i] > off }) - 1
}

// ReadAt implements io.ReaderAt. A file that has become shorter since it was
// opened is io.ErrUnexpectedEOF.
func (p *pieces) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read before the beginning of an archive")
	}
	n := 0
	for _, s := range p.spans(off, min(int64(len(b)), p.size-off)) {
		m, err := s.File.ReadAt(b[n:n+int(s.Size)], s.Offset)
		n += m
		if int64(m) < s.Size {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// spans returns where bytes of the whole lie, in order.
func (p *pieces) spans(off, size int64) []Span {
	var spans []Span
	for size > 0 {
		i := p.at(off)
		n := min(size, p.end(i)-off)
		spans = append(spans, Span{File: p.files[i], Offset: off - p.starts[i], Size: n})
		off, size = off+n, size-n
	}
	return spans
}

// names returns the names of the files in which bytes of the whole lie.
func (p *pieces) names(off, size int64) []string {
	var names []string
	for _, s := range p.spans(off, max(size, 1)) {
		names = append(names, s.File.Name())
	}
	return names
}

// Close closes all files.
func (p *pieces) Close() error {
	var errs []error
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
