package keras

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/hdf5"
	"github.com/modseal/modseal/pkg/modelfile/replay"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// MaxConfigSize bounds a configuration: the largest published have 2 MiB.
const MaxConfigSize = 8 << 20

// maxMetadataSize bounds the version and the date of a model.
const maxMetadataSize = 64 << 10

// Forms of models.
const (
	FormArchive = "keras" // .keras
	FormHDF5    = "hdf5"  // .h5, with or without a configuration
)

// Model is what a file says about itself. Text in it comes from the file.
type Model struct {
	Form string
	// Class and Name are those of the outermost layer: Sequential, Functional.
	Class, Name string
	// Version is that of Keras, Backend the framework under it.
	Version, Backend string
	// Layers is how many the outermost layer has, 0 where the file does not tell.
	Layers int
}

// Tensor is an array of weights. Text in it comes from the file.
type Tensor struct {
	Name   string // path in the HDF5 file, without the leading slash
	Type   string
	Shape  []uint64
	Member string // of the archive that holds it
	// Offset is where the data begin in the file, Size how many they are, in bytes; -1
	// where they are in several pieces.
	Offset, Size int64
}

// ErrUnknown is wrapped by errors about files that Keras does not write.
var ErrUnknown = errors.New("no model of Keras")

// Read reads the configuration of a model.
func Read(ctx context.Context, r io.ReaderAt, size int64) (*Model, error) {
	a, err := openArchive(r, size)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return readHDF5(ctx, r, size)
	}
	return readArchive(a)
}

// openArchive returns the archive that a file is, nil when it is none.
func openArchive(r io.ReaderAt, size int64) (*zipfile.Archive, error) {
	const mark = "PK"
	first := make([]byte, min(max(size, 0), int64(len(mark))))
	if n, err := r.ReadAt(first, 0); n < len(first) {
		return nil, fmt.Errorf("read %d bytes at byte 0: %w", len(first), err)
	}
	if string(first) != mark {
		return nil, nil
	}
	a, err := zipfile.Read(r, size)
	if err != nil {
		return nil, err
	}
	if !IsArchive(a) {
		return nil, fmt.Errorf("%w: the archive has no %s with weights or metadata beside it", ErrUnknown, configMember)
	}
	return a, nil
}

// config is what is read of a configuration: the layer itself, and how many it has.
type config struct {
	Class  string `json:"class_name"`
	Config struct {
		Name   string `json:"name"`
		Layers count  `json:"layers"`
	} `json:"config"`
}

// count is how many items a list has, of which none is kept.
type count int

// UnmarshalJSON counts the commas of the list itself, in JSON that was checked.
func (n *count) UnmarshalJSON(b []byte) error {
	if b[0] != '[' {
		return errors.New("layers are no list")
	}
	depth, text := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 1:
			*n++
		}
	}
	if len(bytes.TrimSpace(b[1:len(b)-1])) > 0 {
		*n++
	}
	return nil
}

func (m *Model) configure(b []byte) error {
	var c config
	if err := json.Unmarshal(b, &c); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	m.Class, m.Name, m.Layers = c.Class, c.Config.Name, int(c.Config.Layers)
	return nil
}

func readArchive(a *zipfile.Archive) (*Model, error) {
	m := &Model{Form: FormArchive}
	b, err := readMember(a, configMember, MaxConfigSize)
	if err != nil {
		return nil, err
	}
	if err := m.configure(b); err != nil {
		return nil, err
	}
	if a.Find(metadataMember) == nil {
		return m, nil
	}
	if b, err = readMember(a, metadataMember, maxMetadataSize); err != nil {
		return nil, err
	}
	var metadata struct {
		Version string `json:"keras_version"`
	}
	if err := json.Unmarshal(b, &metadata); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	m.Version = metadata.Version
	return m, nil
}

func readMember(a *zipfile.Archive, name string, limit int64) ([]byte, error) {
	m := a.Find(name)
	r, err := a.Open(m)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readText(r, name, m.Size, limit)
}

// readText reads n bytes of text, or what there is of them.
func readText(r io.Reader, name string, n, limit int64) ([]byte, error) {
	if n > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	var b bytes.Buffer
	b.Grow(int(n) + bytes.MinRead)
	_, err := io.Copy(&b, io.LimitReader(r, n))
	return b.Bytes(), err
}

// readHDF5 reads the attributes of the root group that Keras writes
// (keras/src/legacy/saving/legacy_h5_format.py).
func readHDF5(ctx context.Context, r io.ReaderAt, size int64) (*Model, error) {
	m := &Model{Form: FormHDF5}
	var at, n int64
	err := hdf5.Walk(ctx, r, size, hdf5.Visitor{Attribute: func(a hdf5.Attribute) error {
		if a.Object != "/" {
			return nil
		}
		switch a.Name {
		case "model_config":
			at, n = a.Offset, a.Size
		case "keras_version":
			m.Version = a.Text
		case "backend":
			m.Backend = a.Text
		}
		return nil
	}})
	if err != nil || n <= 0 {
		return m, err // weights alone have no configuration
	}
	b, err := readText(io.NewSectionReader(r, at, n), "model_config", n, MaxConfigSize)
	if err != nil {
		return nil, err
	}
	return m, m.configure(bytes.TrimRight(b, "\x00"))
}

// Tensors calls visit for the arrays of a model, and of an HDF5 file that is none, in
// the order in which they lie. What is wrong with parts of an HDF5 file, and left out, is
// reported, with the member and the place in it.
func Tensors(ctx context.Context, r io.ReaderAt, size int64, report hazard.Report, visit func(Tensor) error) error {
	a, err := openArchive(r, size)
	if err != nil {
		return err
	}
	if a == nil {
		return tensors(ctx, r, size, "", 0, report, visit)
	}
	for i := range a.Members {
		if !isWeights(a.Members[i].Name) {
			continue
		}
		if err := memberTensors(ctx, a, &a.Members[i], report, visit); err != nil {
			return fmt.Errorf("%q: %w", a.Members[i].Name, err)
		}
	}
	return nil
}

func memberTensors(ctx context.Context, a *zipfile.Archive, m *zipfile.Member, report hazard.Report, visit func(Tensor) error) error {
	base := int64(-1)
	if m.Method == zipfile.Stored {
		data, err := a.DataOffset(m)
		if err != nil {
			return err
		}
		base = data
	}
	c, err := a.Content(m)
	if err != nil {
		return err
	}
	c.Size = m.Size
	r, size, err := replay.At(c)
	if err != nil {
		return err
	}
	defer r.Close()
	return tensors(ctx, r, size, m.Name, base, report, visit)
}

// tensors tells of the data sets of an HDF5 file that begins at base in another.
func tensors(ctx context.Context, r io.ReaderAt, size int64, member string, base int64, report hazard.Report, visit func(Tensor) error) error {
	return hdf5.Walk(ctx, r, size, hdf5.Visitor{
		Dataset: func(d hdf5.Dataset) error {
			t := Tensor{Name: d.Path[1:], Type: d.Type, Shape: d.Shape, Member: member, Offset: -1, Size: d.Size}
			if base >= 0 && d.Offset >= 0 && len(d.Filters) == 0 {
				t.Offset = base + d.Offset
			}
			return visit(t)
		},
		Finding: func(f hazard.Finding) {
			f.Member = member
			report(f)
		},
	})
}
