package archive

import (
	"fmt"
	"io/fs"
)

// ExistsError says that there is something under the name of an archive that is to
// be written. It wraps fs.ErrExist.
type ExistsError struct {
	File string
	Err  error // why it is not the archive that was to be written; nil when that is plain
}

func (e *ExistsError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s is there already, and is damaged: %v", e.File, e.Err)
	}
	return e.File + " is there already, and is another one"
}

func (e *ExistsError) Unwrap() []error {
	if e.Err == nil {
		return []error{fs.ErrExist}
	}
	return []error{fs.ErrExist, e.Err}
}

// BusyError says that another process is writing an archive of this name.
type BusyError struct{ File string }

func (e *BusyError) Error() string {
	return e.File + " is being written by another process"
}

// SpaceError says that the archive does not fit on the disk. What an earlier call
// left is kept.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %d bytes are needed and %d are free; free some space or choose another directory", e.Dir, e.Need, e.Free)
}

// InterruptedError says that an archive could not be written to its end. The same
// call goes on with what is kept.
type InterruptedError struct {
	File string // that was to be written
	Kept int64  // bytes of blobs that need not come again
	Err  error
}

func (e *InterruptedError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }
func (e *InterruptedError) Unwrap() error { return e.Err }
