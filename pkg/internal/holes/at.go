package holes

import (
	"bytes"
	"errors"
	"io"
)

// File is what WriteAt needs of an *os.File.
type File interface {
	io.ReaderAt
	io.WriterAt
}

// WriteAt writes p to f from off on, and leaves out the blocks of zeros, aligned
// to the file, that f holds already, and zeros at the ends of p that belong to such
// blocks: what comes in pieces of any size and at any offset stays sparse. f must be
// as long as what is written. With clean, what nobody wrote reads as zeros and
// nothing was written to these places before: zeros are then left out without
// looking.
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
		if p[at] == 0 && bytes.Equal(p[at:at+n], zeros[:n]) {
			skip := clean
			if !clean {
				if old == nil {
					old = make([]byte, blockSize)
				}
				m, err := f.ReadAt(old[:n], off+int64(at))
				skip = m == n && (err == nil || errors.Is(err, io.EOF)) && bytes.Equal(old[:n], zeros[:n])
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
