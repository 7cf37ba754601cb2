// Package holes writes files without storing long runs of zeros, where the file
// system can leave them out: a sparse model stays sparse on its way through a
// layout and back.
package holes

import (
	"bytes"
	"io"
	"os"
)

// blockSize is the unit that is left out. It is a multiple of the block size of
// common file systems, and large enough that comparing costs next to nothing
// beside hashing: a block of weights differs in its first word.
const blockSize = 64 << 10

var zeros [blockSize]byte

// Writer writes to a new, empty file from its beginning.
type Writer struct {
	file *os.File
	size int64
}

// NewWriter returns a Writer to f, which must be empty.
func NewWriter(f *os.File) *Writer { return &Writer{file: f} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		// Blocks are aligned to the file, whatever pieces the bytes come in.
		n := min(len(p), int(blockSize-w.size%blockSize))
		if n == blockSize && bytes.Equal(p[:n], zeros[:]) {
			if _, err := w.file.Seek(blockSize, io.SeekCurrent); err != nil {
				return written, err
			}
		} else if n, err := w.file.Write(p[:n]); err != nil {
			return written + n, err
		}
		p = p[n:]
		w.size += int64(n)
		written += n
	}
	return written, nil
}

// Finish gives the file its size, which a hole at its end does not. The file
// stays open.
func (w *Writer) Finish() error { return w.file.Truncate(w.size) }
