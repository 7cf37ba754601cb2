package archive

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ErrReadOnly is returned by what would write to an archive that was opened: an
// archive is written as a whole.
var ErrReadOnly = errors.New("an archive is not written to: it is made by save")

// Error says why a file is no archive that is read: an entry that no OCI layout
// has, a size that lies, a file that was cut off.
type Error struct {
	Path   string // of the archive
	Entry  string // its name; empty when the archive as a whole is meant. Foreign text.
	Offset int64  // of the header of the entry in the archive, in bytes; -1 without an entry
	What   string // what is wrong
	Next   string // what can be done about it; may be empty
	// Damaged says that the file is not what was written, rather than that nobody
	// should write such a file.
	Damaged bool
	Err     error // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Entry != "" {
		fmt.Fprintf(&b, ": entry %q", e.Entry)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " at byte %d", e.Offset)
	}
	b.WriteString(": ")
	b.WriteString(e.What)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// PartProblem is what was found in the place of one part of a set.
type PartProblem struct {
	Name string   `json:"name"` // of the file
	Kind PartKind `json:"kind"`
	// Size is what the file has, and Want what the part has, in bytes.
	Size int64 `json:"size"`
	Want int64 `json:"want"`
	// Holds is the part whose bytes the file has, where it has those of another one.
	Holds string `json:"holds,omitempty"`
	// Set is the set of which Holds is a part, where it is another set.
	Set digest.Digest `json:"set,omitempty"`
	Err string        `json:"error,omitempty"` // why the file cannot be read
}

// PartKind says what is wrong with a part.
type PartKind string

// What may be wrong with a part.
const (
	PartGood       PartKind = "good" // nothing
	PartMissing    PartKind = "missing"
	PartUnreadable PartKind = "unreadable"
	PartShort      PartKind = "short"   // cut off
	PartLong       PartKind = "long"    // something follows it
	PartChanged    PartKind = "changed" // its size is right and its bytes are not
	PartOther      PartKind = "other"   // it has the bytes of another part of the set
	PartForeign    PartKind = "foreign" // it has the bytes of a part of another set
	PartNoFile     PartKind = "no file" // a directory or a device is in its place
)

func (p PartProblem) String() string {
	switch p.Kind {
	case PartGood:
		return p.Name + " is good"
	case PartMissing:
		return p.Name + " is missing"
	case PartUnreadable:
		return p.Name + " cannot be read: " + p.Err
	case PartNoFile:
		return p.Name + " is no regular file"
	case PartShort:
		return fmt.Sprintf("%s is cut off: it has %d of %d bytes", p.Name, p.Size, p.Want)
	case PartLong:
		return fmt.Sprintf("%s is too long: it has %d bytes, not %d", p.Name, p.Size, p.Want)
	case PartOther:
		return fmt.Sprintf("%s holds the bytes of %s", p.Name, p.Holds)
	case PartForeign:
		return fmt.Sprintf("%s is a part of another archive: it holds the bytes of %s", p.Name, p.Holds)
	case PartChanged:
	}
	return p.Name + " has other bytes than were written: it is damaged, or a part of another archive"
}

// PartsError says which parts of a set are not what the set says.
type PartsError struct {
	Path  string // of the list of parts
	Set   digest.Digest
	Parts int // of the set
	Bad   []PartProblem
}

func (e *PartsError) Error() string {
	texts := make([]string, len(e.Bad))
	for i, p := range e.Bad {
		texts[i] = p.String()
	}
	return fmt.Sprintf("%s: %d of %d parts cannot be used: %s", e.Path, len(e.Bad), e.Parts, strings.Join(texts, "; "))
}

// Again returns the names of the parts that must be brought again.
func (e *PartsError) Again() []string {
	names := make([]string, len(e.Bad))
	for i, p := range e.Bad {
		names[i] = p.Name
	}
	return names
}

// fault is what is wrong with an entry, before it is known which one that is.
type fault struct {
	what, next string
	damaged    bool
	err        error
}

func (f *fault) Error() string { return f.what }

// refused is a fault of who made the file.
func refused(format string, args ...any) *fault {
	return &fault{what: fmt.Sprintf(format, args...), next: nextForeign}
}

// damaged is a fault of what happened to the file.
func damaged(format string, args ...any) *fault {
	return &fault{what: fmt.Sprintf(format, args...), next: nextDamaged, damaged: true}
}

// What can be done.
const (
	nextForeign = "do not use this file: nothing that writes OCI archives writes that; ask for one made by modseal save, oras, skopeo or regctl"
	nextDamaged = "bring the file again: it is not what was written"
)

// at makes an Error of a fault.
func (f *fault) at(entry string, offset int64) *Error {
	return &Error{Entry: entry, Offset: offset, What: f.what, Next: f.next, Damaged: f.damaged, Err: f.err}
}
