package materialize

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

var (
	// ErrNotVerified is returned for a zero verify.Verified.
	ErrNotVerified = errors.New("the model was not verified")
	// ErrForeignFile is wrapped when a file that modseal did not write is in
	// the place of a file of the model and has other bytes. Options.Overwrite
	// lets modseal replace it.
	ErrForeignFile = errors.New("a file that modseal did not write is in its place")
	// ErrUnsafeDestination is wrapped when the destination holds a link, or
	// something that is no file, where a file or a directory of the model must
	// be. modseal never writes through it and never replaces it.
	ErrUnsafeDestination = errors.New("unsafe destination")
	// ErrUnsafeArchive is wrapped when a tar layer holds what no model needs:
	// links, devices, whiteouts, sparse files, bytes after its end, or far more
	// bytes than its size allows.
	ErrUnsafeArchive = errors.New("unsafe tar layer")
	// ErrNothingSelected is wrapped when Include and Roles match no file.
	ErrNothingSelected = errors.New("no file of the model is selected")
)

// MemberError says that a tar layer does not hold the files that were signed:
// an integrity error like a wrong digest.
type MemberError struct {
	Path      string
	Want, Got digest.Digest // empty when it is not expected, or not there
}

func (e *MemberError) Error() string {
	switch {
	case e.Want == "":
		return fmt.Sprintf("%s: it is in a tar layer, but nobody signed it", e.Path)
	case e.Got == "":
		return fmt.Sprintf("%s: it is signed with %s, but no tar layer holds it", e.Path, e.Want)
	}
	return fmt.Sprintf("%s: its bytes hash to %s, signed is %s", e.Path, e.Got, e.Want)
}

// DiskFullError says that the files would not fit. Nothing was fetched.
type DiskFullError struct {
	Dir        string
	Need, Free int64
}

func (e *DiskFullError) Error() string {
	return fmt.Sprintf("%s: %d bytes are needed and %d are free; free some space or choose another directory", e.Dir, e.Need, e.Free)
}

// IncompleteError says that not everything could be fetched and what was kept, so
// that the next call continues.
type IncompleteError struct {
	Dir   string // the directory that was to be filled
	Kept  int    // whole layers that were verified, in Dir/.modseal-partial
	Parts int    // layers of which a part is there, beside those
	Bytes int64  // of all of them
	Err   error
}

func (e *IncompleteError) Error() string {
	var kept []string
	if e.Kept > 0 || e.Parts == 0 {
		kept = append(kept, plural(e.Kept, "verified layer"))
	}
	if e.Parts > 0 {
		kept = append(kept, plural(e.Parts, "unfinished layer"))
	}
	return fmt.Sprintf("%v (kept in %s: %s, %d bytes, for the next pull)",
		e.Err, filepath.Join(e.Dir, StagingName), strings.Join(kept, " and "), e.Bytes)
}

func (e *IncompleteError) Unwrap() error { return e.Err }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
