package modseal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// MissingBlob is a blob that an artifact needs and that is nowhere.
type MissingBlob struct {
	Digest      digest.Digest `json:"digest"`
	Size        int64         `json:"size"`
	Path        string        `json:"path,omitempty"` // of the file that it is
	Artifact    string        `json:"artifact"`       // that needs it
	Destination string        `json:"destination"`
	// Reason is why the archive says that it leaves it out: "base" or "role";
	// empty when it says nothing.
	Reason string `json:"reason,omitempty"`
	Role   string `json:"role,omitempty"`
	// From is where it may come from, by what the archive says.
	From string `json:"from,omitempty"`
}

// MissingError says that blobs are neither in the archives nor where they would be
// loaded to. Nothing was written.
type MissingError struct{ Blobs []MissingBlob }

func (e *MissingError) Error() string {
	const most = 20
	var b strings.Builder
	b.WriteString("nothing was loaded: ")
	if len(e.Blobs) == 1 {
		b.WriteString("1 blob is neither in the archives nor at the destination")
	} else {
		fmt.Fprintf(&b, "%d blobs are neither in the archives nor at the destination", len(e.Blobs))
	}
	for i, m := range e.Blobs {
		if i == most {
			fmt.Fprintf(&b, "\nand %d more", len(e.Blobs)-i)
			break
		}
		b.WriteString("\n" + m.String())
	}
	return b.String()
}

func (m MissingBlob) String() string {
	var b strings.Builder
	b.WriteString(m.Digest.String())
	if m.Path != "" {
		b.WriteString(" " + m.Path)
	}
	fmt.Fprintf(&b, " (%d bytes), which %s needs at %s", m.Size, m.Artifact, m.Destination)
	switch m.Reason {
	case "base":
		b.WriteString("; the archive leaves it out as something that the other side has")
	case "role":
		fmt.Fprintf(&b, "; the archive leaves files of the role %s out", m.Role)
	default:
		b.WriteString("; the archive does not say why it is not there")
	}
	if m.From != "" {
		b.WriteString("; it may come from " + m.From)
	}
	return b.String()
}

// ofRoles reports whether all that is missing was left out by its role.
func (e *MissingError) ofRoles() bool {
	for _, m := range e.Blobs {
		if m.Reason != "role" {
			return false
		}
	}
	return true
}

// Next advises what to do about it.
func (e *MissingError) Next() string {
	if e.ofRoles() {
		return "load an archive with these roles first, or beside this one; or load into a layout without them: --sparse"
	}
	return "load the archive that it builds on first, or name it beside this one; name another repository that has them with --base; or have it saved again without --since"
}

// NotLoadableError says that something in an archive is no model, so that nobody
// can decide about it.
type NotLoadableError struct {
	Name, File string
	Digest     digest.Digest // of the manifest
	Err        error
}

func (e *NotLoadableError) Error() string {
	return fmt.Sprintf("%s in %s: refused: %s: %v", e.Name, e.File, e.Digest, e.Err)
}

// Unwrap returns the cause.
func (e *NotLoadableError) Unwrap() error { return e.Err }

// Next advises what to do about it.
func (e *NotLoadableError) Next() string {
	if errors.Is(e.Err, errTagOfLists) {
		return "choose the others with --artifact, or load it by itself under another tag: DST:TAG"
	}
	return fmt.Sprintf("choose what is loaded with --artifact; what is no model can be carried over without anybody vouching for it: modseal copy archive:%s@%s DST", e.File, e.Digest)
}

// tagTakenError is a *DriftError of a load, which moves no tag by what it holds.
type tagTakenError struct{ err error }

func (e *tagTakenError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *tagTakenError) Unwrap() error { return e.err }

// Next advises what to do about it.
func (e *tagTakenError) Next() string {
	return "load it under another tag (DST:TAG, with --artifact where there are several), or move this one if that is meant: --overwrite"
}

// tagTaken gives the advice of a load to a tag that holds something else.
func tagTaken(err error) error {
	var drift *DriftError
	if !errors.As(err, &drift) {
		return err
	}
	return &tagTakenError{err}
}

// DamagedError says that a blob of an archive is not what its digest says. No tag was
// set.
type DamagedError struct {
	File string // the archive
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.File, e.Err) }

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Next advises what to do about it.
func (e *DamagedError) Next() string {
	return "see what is damaged, and bring it again: modseal check " + e.File
}

// blamed names the archive that a wrong blob came from, when it came from one.
func (l *loading) blamed(err error) error {
	var wrong *integrity.Error
	if !errors.As(err, &wrong) {
		return err
	}
	for _, a := range l.held.all {
		if _, lookErr := a.Blob(wrong.Want); lookErr == nil {
			return &DamagedError{File: a.Path(), Err: err}
		}
	}
	return err
}

// pathOf is the path of the file that a layer is, or nothing.
func pathOf(d ocispec.Descriptor) string {
	for _, key := range []string{artifacttypes.AnnotationFilePath, ocispec.AnnotationTitle} {
		if p := d.Annotations[key]; artifacttypes.ValidatePath(p) == nil {
			return p
		}
	}
	return ""
}
