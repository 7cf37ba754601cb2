package bom

import (
	"fmt"
)

// Completed is a document that somebody else wrote, with what it lacked.
type Completed struct {
	Kind
	// Document is the given one byte by byte when it lacked nothing.
	Document []byte
	// Kept says where the given document says something else than the model, which
	// stays; for people to read.
	Kept []string
}

// maxKept bounds the notes about a document.
const maxKept = 100

// Complete adds to a bill of materials of somebody else what it does not say of the
// model: CycloneDX 1.5 to 1.7, SPDX 2.3 and SPDX 3.0.1, all in JSON. It replaces
// nothing, but for the number of the revision that CycloneDX asks to be counted up,
// and it keeps the order. Errors wrap [ErrInvalid] when the document cannot be read,
// and [ErrOther] when it is about other files.
func Complete(given []byte, m *Model) (*Completed, error) {
	doc, err := parseTree(given)
	if err != nil {
		return nil, err
	}
	kind, err := detect(doc)
	if err != nil {
		return nil, err
	}
	d, err := describe(m)
	if err != nil {
		return nil, err
	}
	var mg *merger
	switch kind.Format {
	case CycloneDX:
		mg, err = completeCycloneDX(doc, kind.Version, d)
	case SPDX:
		mg, err = completeSPDX(doc, kind.Version, d)
	case SPDX3:
		mg, err = completeSPDX3(doc, kind.Version, d)
	}
	if err != nil {
		return nil, err
	}
	c := &Completed{Kind: kind, Document: given, Kept: mg.kept[:min(len(mg.kept), maxKept)]}
	if n := len(mg.kept) - maxKept; n > 0 {
		c.Kept = append(c.Kept, fmt.Sprintf("and %d more places", n))
	}
	if mg.added {
		c.Document, err = encodeJSON(doc)
	}
	return c, err
}

// OtherFileError says that a document is about another model: a file of the same path
// has another content there.
type OtherFileError struct {
	Path               string
	Document, Contents string // SHA-256, in hexadecimal
}

func (e *OtherFileError) Error() string {
	return fmt.Sprintf("it is about other files: %q has the SHA-256 %s there, and %s in the model", e.Path, clean(e.Document), e.Contents)
}

// Next says what to do about it.
func (e *OtherFileError) Next() string {
	return "complete the document of this very model, or make one without it"
}

// unsupported says which versions of a form can be completed.
func unsupported(k Kind, versions string) error {
	return fmt.Errorf("%w: %s can be completed in the versions %s, this is %q", ErrInvalid, k.Format, versions, clean(k.Version))
}
