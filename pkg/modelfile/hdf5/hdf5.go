// Package hdf5 reads what an HDF5 file says about what it holds: its groups, its
// attributes, and the names, types, shapes and places of its data sets. Data are not
// read; text in attributes is, since Keras builds models from it.
//
// It follows the HDF5 File Format Specification 3.0: superblocks 0 to 3, both kinds of
// object headers and of groups, and attributes in headers and in fractal heaps.
// Checksums of superblocks, object headers, trees and headers of heaps are compared, and
// one that is wrong is a finding ([Visitor.Finding]): whoever looks for harm wants to see
// what stands there all the same. So is what is not read: files in several parts, shared
// messages in heaps, filtered heaps.
package hdf5

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Bounds on a file. None is part of the format.
const (
	MaxObjects = 200_000
	// MaxDepth bounds groups inside groups.
	MaxDepth = 64
	// MaxDims is H5S_MAX_RANK.
	MaxDims = 32
	// MaxNameSize bounds names of links and attributes, and paths.
	MaxNameSize = 64 << 10
	// MaxText bounds the text that an [Attribute] holds; more is read where it stands.
	MaxText = 4 << 10
	// MaxSteps bounds the messages, records and links that are looked at, of which a
	// file can have any number by leading to the same ones again.
	MaxSteps = 5_000_000
	// maxFindings bounds the findings of one rule about one file.
	maxFindings = 100
)

// Signature begins a superblock.
const Signature = "\x89HDF\r\n\x1a\n"

// Error is a breach of the format. Errors of another type mean that the file could
// not be read.
type Error struct {
	Offset int64 // from the start of the file
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

func invalid(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// unsupportedError is about something that the format allows and that is not read.
type unsupportedError struct {
	offset int64
	what   string
}

func (e *unsupportedError) Error() string { return fmt.Sprintf("byte %d: %s", e.offset, e.what) }

func unsupported(offset int64, format string, args ...any) error {
	return &unsupportedError{offset, fmt.Sprintf(format, args...)}
}

// Dataset is an array in a file. Text in it comes from the file.
type Dataset struct {
	Path   string
	Type   string   // float32, int64, bfloat16, string, …
	Shape  []uint64 // nil for a single value
	Layout string   // contiguous, compact, chunked or virtual
	// Offset is where the data are, in bytes from the start of the file; -1 when they
	// are in several places, in other files or nowhere.
	Offset int64
	// Size is that of the elements, in bytes, before filters; -1 when it is beyond
	// 2^63.
	Size    int64
	Filters []string // gzip, shuffle, …, in the order of writing
	// External are the files that hold the data in place of this one.
	External []string

	itemSize int64
	class    class
}

// Attribute is a value with a name that an object has. Text in it comes from the file.
type Attribute struct {
	Object, Name string
	Type         string
	Shape        []uint64 // nil for a single value
	// Offset and Size are the place of a single text in the file; -1 for everything
	// else.
	Offset, Size int64
	// Text is that text, up to MaxText, without the zeros and spaces that pad it.
	Text string
}

// Visitor is told what a file holds. Its functions may be nil; an error of one ends the
// walk and is returned as it is.
type Visitor struct {
	Group     func(path string) error
	Dataset   func(Dataset) error
	Attribute func(Attribute) error
	// Finding is told what is wrong with parts of the file, which are left out then,
	// and of what leads out of it.
	Finding hazard.Report
}

// Walk goes through all objects of the file of the given size that its root leads to,
// each once, by the first of its names. An *[Error] says that there is no way in.
func Walk(ctx context.Context, r io.ReaderAt, size int64, v Visitor) error {
	if v.Finding == nil {
		v.Finding = func(hazard.Finding) {}
	}
	v.Finding = hazard.Bounded(v.Finding, maxFindings)
	w := &walker{file: &file{r: r, size: size}, Visitor: v, seen: map[int64]struct{}{}}
	w.breach = func(err error) { _ = w.tolerate(w.at, err) } // it is one of those
	root, err := w.superblock()
	if err != nil {
		return err
	}
	err = w.object(ctx, "/", root, 0)
	if end, ok := errors.AsType[*stepsError](err); ok {
		v.Finding(hazard.Of("hdf5-malformed", "", end.what).At(end.offset))
		return nil
	}
	return err
}

// walker goes from object to object.
type walker struct {
	*file
	Visitor
	seen map[int64]struct{} // addresses of objects
	at   string             // the path of the object that is read
}

// tolerate reports what is wrong with a part of the file, and returns all other errors.
func (w *walker) tolerate(path string, err error) error {
	if breach, ok := errors.AsType[*Error](err); ok {
		w.Finding(hazard.Of("hdf5-malformed", path, breach.Reason).At(breach.Offset))
		return nil
	}
	if lack, ok := errors.AsType[*unsupportedError](err); ok {
		w.Finding(hazard.Of("hdf5-unsupported", path, lack.what).At(lack.offset))
		return nil
	}
	return err
}
