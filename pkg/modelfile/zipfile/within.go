package zipfile

import (
	"errors"
	"io"
)

// Within reports whether a file that begins as something else can be read as a zip
// archive all the same, since readers look for the directory at the end: is_zipfile of
// Python says yes then. It reads the last 64 KiB.
//
// The four bytes of an end record appear by chance in one of 65,000 files of random
// bytes; what they lead to must be a directory.
func Within(r io.ReaderAt, size int64) (bool, error) {
	if size < endSize {
		return false, nil
	}
	a := &Archive{r: r}
	err := a.findEnd(size)
	if _, breach := errors.AsType[*Error](err); breach {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if a.end.members == 0 {
		return false, nil // there is nothing to load
	}
	for _, at := range []int64{a.end.dirAt, a.end.dirSaid} {
		b := make([]byte, len(centralSignature))
		if at > size-centralSize {
			continue
		}
		if err := readAt(r, b, at); err != nil {
			return false, err
		}
		if string(b) == centralSignature {
			return true, nil
		}
	}
	return false, nil
}
