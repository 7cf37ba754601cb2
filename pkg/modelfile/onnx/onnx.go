// Package onnx reads what an ONNX model says about itself: its version, its
// operator sets, and the number and types of its weights. It walks the
// protobuf fields of onnx.proto (onnx/onnx) and steps over tensor data,
// nodes and everything else that it does not report.
//
// Weights are the initializers of the main graph. Those of subgraphs inside
// nodes (If, Loop) and the values of Constant nodes are not counted.
//
// Every field must end inside the message that holds it, which protobuf
// requires too. Beyond it, fields that may appear once are refused twice:
// protobuf merges them, so that two readers may see two models.
package onnx

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
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
	MaxExternal     = 65_536
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
	// External are the files that hold weights, sorted by location.
	External []External
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

// DataType is the element type of a tensor (TensorProto.DataType).
type DataType uint8

// String is a type that is no number.
const String DataType = 8

// dataTypes holds the name in onnx.proto and in a ModelPack config.
var dataTypes = []struct{ name, precision string }{
	{"UNDEFINED", ""},
	{"FLOAT", "float32"},
	{"UINT8", "uint8"},
	{"INT8", "int8"},
	{"UINT16", "uint16"},
	{"INT16", "int16"},
	{"INT32", "int32"},
	{"INT64", "int64"},
	{"STRING", ""},
	{"BOOL", "bool"},
	{"FLOAT16", "float16"},
	{"DOUBLE", "float64"},
	{"UINT32", "uint32"},
	{"UINT64", "uint64"},
	{"COMPLEX64", "complex64"},
	{"COMPLEX128", "complex128"},
	{"BFLOAT16", "bfloat16"},
	{"FLOAT8E4M3FN", "float8_e4m3"},
	{"FLOAT8E4M3FNUZ", ""},
	{"FLOAT8E5M2", "float8_e5m2"},
	{"FLOAT8E5M2FNUZ", ""},
	{"UINT4", ""},
	{"INT4", ""},
	{"FLOAT4E2M1", ""},
	{"FLOAT8E8M0", ""},
	{"UINT2", ""},
	{"INT2", ""},
}

func (d DataType) String() string {
	if int(d) >= len(dataTypes) {
		d = 0
	}
	return dataTypes[d].name
}

// PrecisionName returns the name that a ModelPack config has for d, "" when it
// has none.
func PrecisionName(d DataType) string {
	if int(d) >= len(dataTypes) {
		return ""
	}
	return dataTypes[d].precision
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

// Read walks the model in the file of the given size.
func Read(r io.ReaderAt, size int64) (*Model, error) {
	d := &decoder{
		cursor:   newCursor(r, size),
		m:        &Model{Elements: map[DataType]uint64{}},
		external: map[string]uint64{},
		seen:     map[uint64]bool{},
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
	seen         map[uint64]bool // single fields of the model by number
	metadataSize int
	initializers int
	external     map[string]uint64 // location to the size it needs
}

// The fields of ModelProto.
const (
	modelIRVersion = 1
	modelProducer  = 2
	modelGraph     = 7
	modelOpset     = 8
	modelMetadata  = 14
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
		return d.fields("graph", f.end, d.graph)
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
	for _, o := range d.m.Opsets {
		if !slices.Contains(standardDomains, o.Domain) {
			d.m.Findings = append(d.m.Findings, fmt.Sprintf("operators of domain %q need a native library", o.Domain))
		}
	}
	for location, size := range d.external {
		d.m.External = append(d.m.External, External{location, size})
	}
	slices.SortFunc(d.m.External, func(a, b External) int { return strings.Compare(a.Location, b.Location) })
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

func (d *decoder) metadata(f field) error {
	key, value, err := d.pair(f, "metadata_props")
	if err != nil {
		return err
	}
	if _, dup := d.m.Metadata[key]; dup {
		return invalid(f.at, "duplicate key %q in metadata_props", key)
	}
	if d.metadataSize += len(key) + len(value) + 64; d.metadataSize > MaxMetadataSize {
		return nil
	}
	if d.m.Metadata == nil {
		d.m.Metadata = map[string]string{}
	}
	d.m.Metadata[key] = value
	return nil
}

// pair reads a StringStringEntryProto. Its value may be a whole document, of
// which what fits MaxMetadataSize is kept.
func (d *decoder) pair(f field, what string) (key, value string, err error) {
	if err := f.is(wireBytes, what); err != nil {
		return "", "", err
	}
	err = d.fields(what, f.end, func(f field) error {
		switch f.num {
		case 1:
			return d.text(f, what+" key", &key)
		case 2:
			if err := f.is(wireBytes, what+" value"); err != nil || f.end-d.pos > MaxMetadataSize {
				return err
			}
			b, err := d.take(f.end)
			value = string(b)
			return err
		}
		return nil
	})
	return key, value, err
}

func (d *decoder) graph(f field) error {
	if f.num != 5 { // initializer
		return nil
	}
	if err := f.is(wireBytes, "initializer"); err != nil {
		return err
	}
	if d.initializers++; d.initializers > MaxInitializers {
		return invalid(f.at, "more than %d initializers", MaxInitializers)
	}
	return d.tensor(f)
}

// tensor is what is read of a TensorProto.
type tensor struct {
	elements uint64
	dataType DataType
	external bool
	location string
	size     uint64 // offset + length in location
}

// The fields of TensorProto.
const (
	tensorDims         = 1
	tensorDataType     = 2
	tensorExternalData = 13
	tensorDataLocation = 14
)

func (d *decoder) tensor(f field) error {
	t := tensor{elements: 1}
	var offset, length uint64
	err := d.fields("initializer", f.end, func(f field) error {
		switch f.num {
		case tensorDims:
			return d.dims(f, &t)
		case tensorDataType:
			if f.value < uint64(len(dataTypes)) {
				t.dataType = DataType(f.value)
			}
			return f.is(wireVarint, "data_type")
		case tensorDataLocation:
			t.external = f.value == 1
			return f.is(wireVarint, "data_location")
		case tensorExternalData:
			return d.externalData(f, &t.location, &offset, &length)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if t.external {
		if t.size = offset + length; t.size < offset {
			return invalid(f.at, "external data at %d of %d bytes overflows", offset, length)
		}
		if err := d.addExternal(f.at, t); err != nil {
			return err
		}
	}
	return d.count(f.at, t)
}

// dims multiplies one dimension, or as many as are packed into f.
func (d *decoder) dims(f field, t *tensor) error {
	if f.wire == wireVarint {
		return t.multiply(f.value, f.at)
	}
	if err := f.is(wireBytes, "dims"); err != nil {
		return err
	}
	for d.pos < f.end {
		at := d.pos
		n, err := d.varint(f.end)
		if err != nil {
			return err
		}
		if err := t.multiply(n, at); err != nil {
			return err
		}
	}
	return nil
}

func (t *tensor) multiply(dim uint64, at int64) error {
	if dim > math.MaxInt64 {
		return invalid(at, "initializer with a negative dimension")
	}
	hi, lo := bits.Mul64(t.elements, dim)
	if hi != 0 || lo > math.MaxInt64 {
		return invalid(at, "initializer with dimensions that overflow")
	}
	t.elements = lo
	return nil
}

func (d *decoder) count(at int64, t tensor) error {
	if t.dataType == String || t.elements == 0 {
		return nil
	}
	sum, carry := bits.Add64(d.m.Parameters, t.elements, 0)
	if carry != 0 {
		return invalid(at, "the sum of all elements overflows")
	}
	d.m.Parameters = sum
	d.m.Elements[t.dataType] += t.elements
	return nil
}

// externalData reads one entry of external_data (docs/ExternalData.md in
// onnx/onnx). Unknown keys, as checksum, are left to others.
func (d *decoder) externalData(f field, location *string, offset, length *uint64) error {
	key, value, err := d.pair(f, "external_data")
	if err != nil {
		return err
	}
	switch key {
	case "location":
		if *location != "" {
			return invalid(f.at, "external data with two locations")
		}
		*location = value
	case "offset":
		*offset, err = strconv.ParseUint(value, 10, 63)
	case "length":
		*length, err = strconv.ParseUint(value, 10, 63)
	}
	if err != nil {
		return invalid(f.at, "external data with the %s %.40q", key, value)
	}
	return nil
}

func (d *decoder) addExternal(at int64, t tensor) error {
	name := path.Clean(t.location)
	if t.location == "" || len(t.location) > MaxTextSize || name == "." || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return invalid(at, "external data in %.100q, which is no local path", t.location)
	}
	if len(d.external) == MaxExternal {
		return invalid(at, "more than %d files of external data", MaxExternal)
	}
	d.external[name] = max(d.external[name], t.size)
	return nil
}

// text reads a short string.
func (d *decoder) text(f field, what string, s *string) error {
	if err := f.is(wireBytes, what); err != nil {
		return err
	}
	if n := f.end - d.pos; n > MaxTextSize {
		return invalid(f.at, "%s of %d bytes is longer than %d", what, n, MaxTextSize)
	}
	b, err := d.take(f.end)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return invalid(f.at, "%s is not valid UTF-8", what)
	}
	*s = string(b)
	return nil
}
