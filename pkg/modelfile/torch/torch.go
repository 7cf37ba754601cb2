package torch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// Forms of files.
const (
	FormZip    = "zip"    // torch.save since 1.6
	FormScript = "script" // torch.jit.save
	FormLegacy = "legacy" // torch.save before
)

// Model is what a file says about itself. Text in it comes from the file.
type Model struct {
	Form string
	// Version is that of the archive, ByteOrder that of the numbers: little or big, ""
	// where the file does not tell.
	Version, ByteOrder string
	Pickle             string // the member with the object that was saved
	Storages           int
	// Whole tells that [Tensors] read the pickle to its end and left no tensor out for
	// want of room. What torch could not make a tensor of is none.
	Whole bool
}

// Tensor is a tensor in a file. Text in it comes from the file.
type Tensor struct {
	Name  string
	Type  string // as torch spells it: float32, bfloat16
	Shape []uint64
	// Member is the member of the archive with the data; tensors can share one.
	Member string
	// Storage names what the data lie in, and Within is where, in bytes from its start:
	// tensors with both in common are one and the same.
	Storage string
	Within  int64
	// Offset is where the data begin in the file, Size how many they are, in bytes; -1
	// where that is not known.
	Offset, Size int64
}

// ErrUnknown is wrapped by errors about files that torch does not write.
var ErrUnknown = errors.New("no file of torch")

// maxText bounds the members with short texts.
const maxText = 64

// Read tells what kind of file it is, by its directory or its first bytes.
func Read(r io.ReaderAt, size int64) (*Model, error) {
	m, _, _, err := recognise(r, size)
	return m, err
}

// recognise reads the directory of an archive; it is nil for a legacy file.
func recognise(r io.ReaderAt, size int64) (*Model, *zipfile.Archive, *Layout, error) {
	prefix := make([]byte, min(max(size, 0), sniff.Size))
	if n, err := r.ReadAt(prefix, 0); n < len(prefix) {
		return nil, nil, nil, fmt.Errorf("read %d bytes at byte 0: %w", len(prefix), err)
	}
	switch sniff.Of(prefix) {
	case sniff.TorchLegacy:
		return &Model{Form: FormLegacy}, nil, nil, nil
	case sniff.Zip:
	default:
		return nil, nil, nil, fmt.Errorf("%w: it begins with %q", ErrUnknown, prefix[:min(len(prefix), 4)])
	}
	a, err := zipfile.Read(r, size)
	if err != nil {
		return nil, nil, nil, err
	}
	l, ok := LayoutOf(a)
	if !ok {
		return nil, nil, nil, fmt.Errorf("%w: the archive has no data.pkl in the folder of its first member", ErrUnknown)
	}
	m := &Model{Form: FormZip, Pickle: l.Pickle, Storages: l.Storages}
	if len(l.Code) > 0 || a.Find(l.Root+"/constants.pkl") != nil {
		m.Form = FormScript
	}
	if m.Version, err = text(a, l.Root+"/version", l.Root+"/.data/version"); err != nil {
		return nil, nil, nil, err
	}
	m.ByteOrder, err = text(a, l.Root+"/byteorder")
	return m, a, l, err
}

// text returns what the first of the members that is there holds.
func text(a *zipfile.Archive, names ...string) (string, error) {
	for _, name := range names {
		m := a.Find(name)
		if m == nil {
			continue
		}
		r, err := a.Open(m)
		if err != nil {
			return "", err
		}
		defer r.Close()
		b, err := io.ReadAll(io.LimitReader(r, maxText))
		return strings.TrimSpace(string(b)), err
	}
	return "", nil
}

// Tensors calls visit for the tensors in the object that was saved, in its order. It
// reads the pickle alone. With places it also finds where the data of each tensor
// begin, for which an archive is read in one more place for each storage; without, all
// offsets are -1.
//
// What is wrong with the pickle is for [hazard] to say, elsewhere: here it ends what is
// found, and Whole is false.
func Tensors(ctx context.Context, r io.ReaderAt, size int64, places bool, visit func(Tensor) error) (*Model, error) {
	m, a, l, err := recognise(r, size)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return m, legacyTensors(ctx, hazard.OfFile("", r, size), m, places, visit)
	}
	c, err := a.Content(a.Find(l.Pickle))
	if err != nil {
		return nil, err
	}
	result, err := pickle.Scan(ctx, c, pickle.Options{Torch: true, Visit: ignore}, func(hazard.Finding) {})
	if errors.Is(err, hazard.ErrBroken) {
		return m, nil
	}
	if err != nil || len(result.Streams) == 0 {
		return m, err
	}
	p := &archivePlaces{archive: a, root: l.Root, offsets: map[string]int64{}}
	m.Whole, err = tell(result, 0, places, p.place, visit)
	return m, err
}

func ignore(context.Context, hazard.Content) error { return nil }

// tell calls visit for the tensors of the object in a stream.
func tell(result *pickle.Result, stream int, places bool, place func(pickle.Storage) (string, int64, error), visit func(Tensor) error) (whole bool, err error) {
	tensors, whole := pickle.Tensors(result.Streams[stream].Root)
	for i := range tensors {
		t := &tensors[i]
		out := Tensor{Name: t.Name, Type: t.DType, Shape: t.Shape, Storage: t.Storage.Key, Within: t.Offset, Offset: -1, Size: t.Size}
		if places {
			member, at, err := place(t.Storage)
			if err != nil {
				return false, err
			}
			out.Member = member
			if at >= 0 && t.Offset >= 0 {
				out.Offset = at + t.Offset
			}
		}
		if err := visit(out); err != nil {
			return false, err
		}
	}
	return whole && result.Whole, nil
}

// archivePlaces finds storages in an archive.
type archivePlaces struct {
	archive *zipfile.Archive
	root    string
	offsets map[string]int64
}

func (p *archivePlaces) place(s pickle.Storage) (member string, at int64, err error) {
	member = p.root + "/data/" + s.Key
	at, known := p.offsets[member]
	if known {
		return member, at, nil
	}
	m := p.archive.Find(member)
	if m == nil {
		if m = p.archive.Find(p.root + "/constants/" + s.Key); m != nil {
			member = m.Name
		}
	}
	at = -1
	if m != nil && m.Method == zipfile.Stored {
		at, err = p.archive.DataOffset(m)
		if _, breach := errors.AsType[*zipfile.Error](err); breach {
			at, err = -1, nil
		}
	}
	p.offsets[member] = at
	return member, at, err
}
