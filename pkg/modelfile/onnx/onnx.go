// Package onnx reads what an ONNX model says about itself: its version, its operator
// sets, its tensors, and what it needs from outside: files of weights, and operators
// that no runtime has. It walks the protobuf fields of onnx.proto (onnx/onnx 1.20)
// and steps over tensor data.
//
// Weights are the initializers of the graph and of the subgraphs in its nodes (If,
// Loop, Scan), and the tensors in nodes, where exporters put them as well (Constant),
// unless their type is one of shapes and indices.
//
// Every field must end inside the message that holds it, which protobuf
// requires too. Beyond it, fields that may appear once are refused twice:
// protobuf merges them, so that two readers may see two models.
package onnx

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Bounds on a model. None is part of the format.
const (
	// MaxFields bounds the fields that are looked at, so that a file of
	// nothing but empty fields does not take for ever.
	MaxFields       = 50_000_000
	MaxInitializers = 1_000_000
	MaxOpsets       = 1_000
	MaxTextSize     = 4 << 10
	// MaxMetadataSize bounds metadata_props; entries beyond it are not kept.
	MaxMetadataSize = 1 << 20
	// MaxExternal and MaxExternalSize bound the files of external data and their
	// names together.
	MaxExternal     = 65_536
	MaxExternalSize = 2 << 20
	MaxRank         = 64
	// MaxDepth bounds subgraphs in subgraphs.
	MaxDepth = 32
	// MaxOperators bounds the kinds of operators of other domains, and functions,
	// that are told apart; MaxOperatorSize their names together.
	MaxOperators    = 10_000
	MaxOperatorSize = 1 << 20
	// MaxEscapes bounds the paths that are kept of those that lead elsewhere.
	MaxEscapes = 100
)

// Model is what a file says about itself.
type Model struct {
	IRVersion uint64
	Producer  string
	// Opsets are the operator sets in the order of the file.
	Opsets []Opset
	// Metadata holds metadata_props, nil when there are none.
	Metadata map[string]string
	// Parameters is the number of elements of all weights, Elements the same by
	// type. Strings do not count.
	Parameters uint64
	Elements   map[DataType]uint64
	// External are the files that hold weights, sorted by location. Escapes are
	// those that would be outside the directory of the model, in the order of the
	// file, the first [MaxEscapes] of them.
	External []External
	Escapes  []Escape
	// Domains are the domains of operators that the model needs and that neither
	// onnx nor its own functions have, sorted by name.
	Domains []Domain
	// Findings are oddities that are no breach of the format.
	Findings []string
}

// Opset is an operator set that the model needs. The domain of ONNX itself is
// empty.
type Opset struct {
	Domain  string
	Version uint64
}

// External is a file with the data of weights: a local path, relative to the
// directory of the model, and the size it must have at least.
type External struct {
	Location string
	MinSize  uint64
}

// Escape is a path of external data that is not one below the directory of the
// model. A runtime that follows it reads a file of the machine it runs on, or more.
type Escape struct {
	Location string
	Offset   int64 // of the tensor in the file
}

// Domain is a domain of operators from outside, which a native library has. Op is one
// of them, empty for a domain that the model imports and does not use, Nodes how
// many nodes have one.
type Domain struct {
	Name, Op string
	Nodes    uint64
}

// Error is a breach of the format. Errors of another type mean that the file
// could not be read.
type Error struct {
	// Offset counts from the start of the file.
	Offset int64
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

func invalid(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Read is [Walk] without looking at the tensors.
func Read(r io.ReaderAt, size int64) (*Model, error) { return Walk(r, size, nil) }

// Walk reads the model in the file of the given size, and calls f for each tensor as
// it is read: what f was told counts when there is no error. The tensor and its
// shape are valid during the call alone. An error of f ends the walk and is returned
// as it is. f may be nil.
func Walk(r io.ReaderAt, size int64, f func(*Tensor) error) (*Model, error) {
	d := &decoder{
		cursor:    newCursor(r, size),
		m:         &Model{Elements: map[DataType]uint64{}},
		tell:      f,
		external:  map[string]uint64{},
		seen:      map[uint64]bool{},
		operators: map[operator]uint64{},
		functions: map[operator]bool{},
	}
	if err := d.fields("model", d.end, d.model); err != nil {
		return nil, err
	}
	if err := d.complete(); err != nil {
		return nil, err
	}
	d.finish()
	return d.m, nil
}

type decoder struct {
	*cursor
	m            *Model
	tell         func(*Tensor) error
	seen         map[uint64]bool // single fields of the model by number
	metadataSize int
	initializers int

	external     map[string]uint64 // location to the size it needs
	externalSize int               // of all locations
	escapes      int

	depth        int // of the graph that is read
	operators    map[operator]uint64
	functions    map[operator]bool
	operatorSize int

	t          tensor // that is being read
	mismatched int
}

// The fields of ModelProto.
const (
	modelIRVersion = 1
	modelProducer  = 2
	modelGraph     = 7
	modelOpset     = 8
	modelMetadata  = 14
	modelTraining  = 20
	modelFunction  = 25
)

func (d *decoder) model(f field) error {
	switch f.num {
	case modelIRVersion, modelProducer, modelGraph:
		if d.seen[f.num] {
			return invalid(f.at, "field %d of the model appears twice", f.num)
		}
		d.seen[f.num] = true
	}
	switch f.num {
	case modelIRVersion:
		d.m.IRVersion = f.value
		return f.is(wireVarint, "ir_version")
	case modelProducer:
		return d.text(f, "producer_name", &d.m.Producer)
	case modelGraph:
		if err := f.is(wireBytes, "graph"); err != nil {
			return err
		}
		return d.graph(f)
	case modelTraining:
		return d.training(f)
	case modelFunction:
		return d.function(f)
	case modelOpset:
		return d.opset(f)
	case modelMetadata:
		return d.metadata(f)
	}
	return nil
}

// complete checks what the checker of onnx requires of every model. Protobuf
// has no magic, so this is also what tells a model from other bytes.
func (d *decoder) complete() error {
	switch {
	case d.m.IRVersion == 0 || d.m.IRVersion > math.MaxInt32:
		return invalid(0, "ir_version %d is not a version of onnx", d.m.IRVersion)
	case !d.seen[modelGraph]:
		return invalid(0, "model without a graph")
	case len(d.m.Opsets) == 0 && d.m.IRVersion >= 3:
		return invalid(0, "model of ir_version %d without an opset_import", d.m.IRVersion)
	}
	return nil
}

// standardDomains need no library beyond the runtime.
var standardDomains = []string{"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "com.microsoft"}

func (d *decoder) finish() {
	d.findDomains()
	for _, o := range d.m.Domains {
		d.find("operators of domain %q need a native library", o.Name)
	}
	for _, e := range d.m.Escapes {
		d.find("external data in %.100q, which is no path below the model", e.Location)
	}
	if more := d.escapes - len(d.m.Escapes); more > 0 {
		d.find("external data in %d more paths that are not below the model", more)
	}
	if d.mismatched > 0 {
		d.find("%d tensors whose data has another size than their shape and type need", d.mismatched)
	}
	for location, size := range d.external {
		d.m.External = append(d.m.External, External{location, size})
	}
	slices.SortFunc(d.m.External, func(a, b External) int { return strings.Compare(a.Location, b.Location) })
}

func (d *decoder) find(format string, args ...any) {
	d.m.Findings = append(d.m.Findings, fmt.Sprintf(format, args...))
}

func (d *decoder) opset(f field) error {
	if err := f.is(wireBytes, "opset_import"); err != nil {
		return err
	}
	if len(d.m.Opsets) == MaxOpsets {
		return invalid(f.at, "more than %d operator sets", MaxOpsets)
	}
	var o Opset
	err := d.fields("opset_import", f.end, func(f field) error {
		switch f.num {
		case 1:
			return d.text(f, "domain", &o.Domain)
		case 2:
			o.Version = f.value
			return f.is(wireVarint, "version")
		}
		return nil
	})
	d.m.Opsets = append(d.m.Opsets, o)
	return err
}
