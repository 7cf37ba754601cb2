package holes

import (
	"bytes"
	"io"
)

// File is what WriteAt needs of an *os.File.
type File interface {
	io.ReaderAt
	io.WriterAt
}

// WriteAt writes p to f from off on, and leaves out the blocks of zeros, aligned
// to the file, that f holds already. f must be as long as what is written. With
// clean, what nobody wrote reads as zeros and nothing was written to these places
// before: a block of zeros is then left out without looking.
func WriteAt(f File, p []byte, off int64, clean bool) error {
	var old []byte
	from := 0 // of what is not written yet
	flush := func(to int) error {
		if to == from {
			return nil
		}
		_, err := f.WriteAt(p[from:to], off+int64(from))
		return err
	}
	for at := 0; at < len(p); {
		n := min(len(p)-at, int(blockSize-(off+int64(at))%blockSize))
		if n == blockSize && p[at] == 0 && bytes.Equal(p[at:at+n], zeros[:]) {
			skip := clean
			if !clean {
				if old == nil {
					old = make([]byte, blockSize)
				}
				m, err := f.ReadAt(old, off+int64(at))
				skip = m == blockSize && err == nil && bytes.Equal(old, zeros[:])
			}
			if skip {
				if err := flush(at); err != nil {
					return err
				}
				from = at + n
			}
		}
		at += n
	}
	return flush(len(p))
}
