package onnx

import (
	"io/fs"
	"math"
	"math/bits"
	"path"
	"strconv"
	"strings"
)

// Tensor is a tensor of a model: an initializer of the graph or of a subgraph, or a
// value in a node.
type Tensor struct {
	Name  string
	Type  DataType
	Shape []uint64
	// Depth is 1 for the graph of the model and more for subgraphs, 0 for functions.
	Depth int
	// Constant marks what is no initializer.
	Constant bool
	// Location is the file that has the data, by a path below the directory of the
	// model, empty when it is the model itself. It is as it is in the file, and may
	// be no such path; see Model.Escapes.
	Location string
	External bool
	// Offset and Size say where the data is, in bytes; -1 when the model does not say
	// (the rest of Location), or keeps it as numbers of protobuf.
	Offset, Size int64
}

// Elements returns the product of the shape; 1 for rank 0. Walk has checked that it
// does not overflow.
func (t *Tensor) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// tensor is what is read of a TensorProto.
type tensor struct {
	Tensor
	elements       uint64
	dims           [MaxRank]uint64
	name           []byte
	raw            bool
	offset, length uint64
	hasLength      bool
}

// The fields of TensorProto.
const (
	tensorDims         = 1
	tensorDataType     = 2
	tensorName         = 8
	tensorRawData      = 9
	tensorExternalData = 13
	tensorDataLocation = 14
)

// tensor reads a TensorProto into d.t, counts and tells it.
func (d *decoder) tensor(f field, what string, constant bool) error {
	if err := f.is(wireBytes, what); err != nil {
		return err
	}
	t := &d.t
	*t = tensor{elements: 1, name: t.name[:0]}
	t.Offset, t.Size = -1, -1
	if err := d.fields(what, f.end, d.tensorField); err != nil {
		return err
	}
	if t.External {
		if err := d.addExternal(f.at); err != nil {
			return err
		}
	} else if width := dataTypes[t.Type].bits; t.raw && width > 0 {
		hi, lo := bits.Mul64(t.elements, width)
		if hi != 0 || (lo+7)/8 != uint64(t.Size) {
			d.mismatched++
		}
	}
	if !constant || t.Type.holdsWeights() {
		if err := d.count(f.at); err != nil {
			return err
		}
	}
	if d.tell == nil {
		return nil
	}
	t.Depth, t.Constant = d.depth, constant
	t.Name = string(t.name)
	return d.tell(&t.Tensor)
}

func (d *decoder) tensorField(f field) (err error) {
	t := &d.t
	switch f.num {
	case tensorDims:
		return d.dims(f)
	case tensorDataType:
		t.Type = 0
		if f.value < uint64(len(dataTypes)) {
			t.Type = DataType(f.value)
		}
		return f.is(wireVarint, "data_type")
	case tensorName:
		t.name, err = d.appendText(t.name[:0], f, "name of a tensor")
		return err
	case tensorRawData:
		t.raw, t.Offset, t.Size = true, d.pos, f.end-d.pos
		return f.is(wireBytes, "raw_data")
	case tensorDataLocation:
		t.External = f.value == 1
		return f.is(wireVarint, "data_location")
	case tensorExternalData:
		return d.externalData(f)
	}
	return nil
}

// dims reads one dimension, or as many as are packed into f.
func (d *decoder) dims(f field) error {
	if f.wire == wireVarint {
		return d.t.multiply(f.value, f.at)
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
		if err := d.t.multiply(n, at); err != nil {
			return err
		}
	}
	return nil
}

func (t *tensor) multiply(dim uint64, at int64) error {
	rank := len(t.Shape)
	switch {
	case dim > math.MaxInt64:
		return invalid(at, "tensor with a negative dimension")
	case rank == MaxRank:
		return invalid(at, "tensor with more than %d dimensions", MaxRank)
	}
	hi, lo := bits.Mul64(t.elements, dim)
	if hi != 0 || lo > math.MaxInt64 {
		return invalid(at, "tensor with dimensions that overflow")
	}
	t.elements, t.dims[rank] = lo, dim
	t.Shape = t.dims[:rank+1]
	return nil
}

// count adds the tensor that was read to the weights.
func (d *decoder) count(at int64) error {
	t := &d.t
	if t.Type == String || t.elements == 0 {
		return nil
	}
	sum, carry := bits.Add64(d.m.Parameters, t.elements, 0)
	if carry != 0 {
		return invalid(at, "the sum of all elements overflows")
	}
	d.m.Parameters = sum
	d.m.Elements[t.Type] += t.elements
	return nil
}

// externalData reads one entry of external_data (docs/ExternalData.md in
// onnx/onnx). Unknown keys, as checksum, are left to others.
func (d *decoder) externalData(f field) error {
	key, value, err := d.pair(f, "external_data")
	if err != nil {
		return err
	}
	t := &d.t
	switch key {
	case "location":
		if t.Location != "" {
			return invalid(f.at, "external data with two locations")
		}
		if len(value) > MaxTextSize {
			return invalid(f.at, "external data with a location of %d bytes, which is longer than %d", len(value), MaxTextSize)
		}
		t.Location = value
	case "offset":
		t.offset, err = strconv.ParseUint(value, 10, 63)
	case "length":
		t.length, err = strconv.ParseUint(value, 10, 63)
		t.hasLength = true
	}
	if err != nil {
		return invalid(f.at, "external data with the %s %.40q", key, value)
	}
	return nil
}

// addExternal notes the file that has the data of the tensor that was read.
func (d *decoder) addExternal(at int64) error {
	t := &d.t
	end := t.offset + t.length // both are below 2^63
	t.Offset, t.Size = int64(t.offset), -1
	if t.hasLength {
		t.Size = int64(t.length)
	}
	if t.Location == "" {
		return invalid(at, "external data without a location")
	}
	if !isLocal(t.Location) {
		if d.escapes++; len(d.m.Escapes) < MaxEscapes {
			d.m.Escapes = append(d.m.Escapes, Escape{t.Location, at})
		}
		return nil
	}
	name := path.Clean(t.Location)
	if _, known := d.external[name]; !known {
		if d.externalSize += len(name); len(d.external) == MaxExternal || d.externalSize > MaxExternalSize {
			return invalid(at, "external data in more than %d files, or with names of more than %d bytes", MaxExternal, MaxExternalSize)
		}
	}
	d.external[name] = max(d.external[name], end)
	return nil
}

// isLocal reports whether a location is a path below the directory of the model, on
// every system: "c:x" is one on another drive.
func isLocal(location string) bool {
	name := path.Clean(location)
	return name != "." && fs.ValidPath(name) && !strings.ContainsAny(location, "\\\x00:")
}
