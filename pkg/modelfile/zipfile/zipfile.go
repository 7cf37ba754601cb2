// Package zipfile reads zip archives that somebody may have built to be read in two
// ways. It follows APPNOTE.TXT 6.3.10 and, where that leaves a choice, looks at what
// the readers of models do: miniz, with which torch opens its files, and zipfile of
// Python, with which Keras, NumPy and most scanners do. Where they would see
// different members, or where one sees a member and the other none, that is a
// finding ([Scan]).
//
// [Read] takes what the central directory says; it costs two or three reads of small
// size, whatever the archive has. Encryption flags and checksums do not keep anybody
// from reading a member here, as they do not keep torch.
package zipfile

import (
	"bufio"
	"compress/flate"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Bounds on an archive. None is part of the format.
const (
	// MaxMembers bounds the members; torch writes one for each storage.
	MaxMembers = 100_000
	// MaxDirectory bounds the central directory, and with it the names that are held
	// in memory.
	MaxDirectory = 16 << 20
	// MaxNames bounds the names of all members together.
	MaxNames = 8 << 20
)

// Methods of compression that are read. Others are known to no reader of models.
const (
	Stored   = 0
	Deflated = 8
)

// Flags of members (APPNOTE 4.4.4).
const (
	FlagEncrypted  = 1 << 0
	FlagDescriptor = 1 << 3 // CRC and sizes follow the data
	FlagUTF8       = 1 << 11
)

// Error is a breach of the format. Errors of another type mean that the file could
// not be read.
type Error struct {
	Offset int64 // from the start of the file
	Reason string

	cut bool // there is no directory
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

func invalid(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Errors about members.
var (
	// ErrMethod: it is compressed in a way that is not read.
	ErrMethod = errors.New("unknown method of compression")
	// ErrCorrupt: it cannot be inflated. It wraps [hazard.ErrBroken].
	ErrCorrupt = hazard.Broken("the deflated data are damaged")
	// ErrExpansion: more comes out of the archive than is read. It wraps
	// [hazard.ErrBroken].
	ErrExpansion = hazard.Broken(fmt.Sprintf("the archive expands to more than %d times its size", hazard.ExpandedFactor))
)

// Archive is what the central directory of a zip file says.
type Archive struct {
	Members []Member // in the order of the directory

	r   io.ReaderAt
	end ending
}

// Member is a file in an archive, as the central directory has it. Its name is
// foreign text.
type Member struct {
	Name         string
	Method       uint16
	Flags        uint16
	CRC          uint32
	Packed, Size int64 // in bytes, compressed and not
	Header       int64 // offset of its local header
}

// Find returns the last member of that name, which is the one that Python takes, and
// nil when there is none.
func (a *Archive) Find(name string) *Member {
	for i := len(a.Members) - 1; i >= 0; i-- {
		if a.Members[i].Name == name {
			return &a.Members[i]
		}
	}
	return nil
}

// DataOffset returns where the bytes of m begin in the file. It reads the local
// header, which alone knows.
func (a *Archive) DataOffset(m *Member) (int64, error) {
	l, err := a.local(m)
	if err != nil {
		return 0, err
	}
	return l.data, nil
}

// Content returns m as something to look at. Stored members can be read anywhere,
// deflated ones from their beginning. Depth is for the caller to fill in.
func (a *Archive) Content(m *Member) (hazard.Content, error) {
	data, err := a.DataOffset(m)
	if err != nil {
		return hazard.Content{}, err
	}
	return a.content(m, data, nil, nil)
}

// Open returns the bytes of m, not more than its size.
func (a *Archive) Open(m *Member) (io.ReadCloser, error) {
	c, err := a.Content(m)
	if err != nil {
		return nil, err
	}
	return c.Open()
}

// content makes content of the bytes at data. What is inflated is taken from budget;
// done is told what the whole member came to, by whoever reads it to its end. Both may
// be nil.
func (a *Archive) content(m *Member, data int64, budget *int64, done func(outcome)) (hazard.Content, error) {
	switch m.Method {
	case Stored:
		return hazard.OfFile(m.Name, io.NewSectionReader(a.r, data, m.Packed), m.Packed), nil
	case Deflated:
		return hazard.Content{Name: m.Name, Size: -1, Open: func() (io.ReadCloser, error) {
			packed := bufio.NewReader(io.NewSectionReader(a.r, data, m.Packed))
			return &inflater{flate: flate.NewReader(packed), announced: m.Size, budget: budget, done: done}, nil
		}}, nil
	}
	return hazard.Content{}, fmt.Errorf("%q: %w %d", m.Name, ErrMethod, m.Method)
}
