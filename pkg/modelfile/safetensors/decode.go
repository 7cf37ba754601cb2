package safetensors

import (
	"errors"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/jsonscan"
)

// decoder reads the one shape of JSON that a header may have. It follows the
// schema instead of building a tree, and holds one tensor at a time.
type decoder struct {
	*jsonscan.Scanner
	end  int64 // in the file, of the header
	tell func(at int64) error

	// name and tensor are what is being read; the tensor has no name before it is
	// told.
	name   []byte
	tensor Tensor
	dims   [MaxRank]uint64
	span   [2]uint64
	at     int64 // of its key
	has    struct{ dtype, shape, offsets bool }
	member func(key []byte, at int64) error // readMember, made once

	count        int
	keep         bool // metadata
	hasMetadata  bool
	metadata     map[string]string
	metadataSize int
}

// newDecoder calls tell for each tensor, with the offset of its key.
func newDecoder(r io.ReaderAt, n int64, tell func(d *decoder, at int64) error) *decoder {
	d := &decoder{
		Scanner: jsonscan.New("header", io.NewSectionReader(r, lengthSize, n), lengthSize, n),
		end:     lengthSize + n,
	}
	d.tell = func(at int64) error { return tell(d, at) }
	d.member = d.readMember
	return d
}

// header reads the whole header: an object at its first byte, then spaces.
func (d *decoder) header() error {
	return breach(d.object())
}

// breach makes an error of this package of one of the scanner.
func breach(err error) error {
	if e, ok := errors.AsType[*jsonscan.Error](err); ok {
		return &Error{e.Offset, e.Reason}
	}
	return err
}

func (d *decoder) object() error {
	b, err := d.Next()
	if err != nil {
		return err
	}
	if b != '{' || d.Offset() != lengthSize {
		return invalid(lengthSize, "header does not begin with '{'")
	}
	if err := d.Members(d.entry); err != nil {
		return err
	}
	for d.Offset() < d.end {
		if b, err := d.ReadByte(); err != nil {
			return err
		} else if b != ' ' {
			return invalid(d.Offset()-1, "%q after the header object, where only spaces may be", b)
		}
	}
	return nil
}

func (d *decoder) entry(key []byte, at int64) error {
	if string(key) == metadataKey {
		if d.hasMetadata {
			return invalid(at, "duplicate key %q", metadataKey)
		}
		d.hasMetadata = true
		return d.readMetadata()
	}
	if d.count++; d.count > MaxTensors {
		return invalid(at, "more than %d tensors", MaxTensors)
	}
	d.name = append(d.name[:0], key...)
	if err := d.readTensor(at); err != nil {
		return err
	}
	return d.tell(at)
}

// expect requires the next value to begin with want.
func (d *decoder) expect(want byte, what string) error {
	b, err := d.Next()
	if err == nil && b != want {
		return invalid(d.Offset(), "%s", what)
	}
	return err
}

func (d *decoder) readMetadata() error {
	if err := d.expect('{', metadataKey+" is not an object"); err != nil {
		return err
	}
	if !d.keep {
		return d.Members(func([]byte, int64) error { return d.Skip() }) // it was checked
	}
	d.metadata = map[string]string{}
	return d.Members(func(b []byte, at int64) error {
		key := string(b)
		if _, dup := d.metadata[key]; dup {
			return invalid(at, "duplicate key %q in %s", key, metadataKey)
		}
		if err := d.expect('"', "a value of "+metadataKey+" is not a string"); err != nil {
			return err
		}
		d.metadataSize += len(key) + metadataEntryCost
		value, err := d.Text(MaxMetadataSize - d.metadataSize)
		if err != nil {
			return err
		}
		d.metadataSize += len(value)
		d.metadata[key] = string(value)
		return nil
	})
}

func (d *decoder) readTensor(at int64) error {
	if err := d.expect('{', "a tensor is not an object"); err != nil {
		return err
	}
	d.tensor, d.at = Tensor{}, at
	d.has.dtype, d.has.shape, d.has.offsets = false, false, false
	if err := d.Members(d.member); err != nil {
		return err
	}
	switch {
	case !d.has.dtype:
		return d.invalid(at, "no dtype")
	case !d.has.shape:
		return d.invalid(at, "no shape")
	case !d.has.offsets:
		return d.invalid(at, "no data_offsets")
	}
	return d.tensor.check(d.name, at)
}

func (d *decoder) invalid(at int64, reason string) error {
	return invalid(at, "tensor %q: %s", d.name, reason)
}

func (d *decoder) readMember(key []byte, at int64) error {
	switch {
	case string(key) == "dtype" && !d.has.dtype:
		d.has.dtype = true
		return d.dtype()
	case string(key) == "shape" && !d.has.shape:
		d.has.shape = true
		return d.shape()
	case string(key) == "data_offsets" && !d.has.offsets:
		d.has.offsets = true
		return d.offsets()
	case string(key) == "dtype", string(key) == "shape", string(key) == "data_offsets":
		return invalid(at, "tensor %q: duplicate key %q", d.name, key)
	}
	return invalid(at, "tensor %q: unknown key %q", d.name, key)
}

func (d *decoder) dtype() error {
	if err := d.expect('"', "dtype is not a string"); err != nil {
		return err
	}
	at := d.Offset()
	text, err := d.Text(jsonscan.MaxKeySize)
	if err != nil {
		return err
	}
	for name := range dtypes {
		if string(text) == string(name) {
			d.tensor.DType = name // the constant, not another copy of the text
			return nil
		}
	}
	return invalid(at, "tensor %q: unknown dtype %q", d.name, text)
}

func (d *decoder) shape() error {
	if err := d.expect('[', "shape is not an array"); err != nil {
		return err
	}
	n, err := d.Uints(d.dims[:], "shape")
	d.tensor.Shape = d.dims[:n]
	return err
}

func (d *decoder) offsets() error {
	if err := d.expect('[', "data_offsets is not an array"); err != nil {
		return err
	}
	at := d.Offset()
	n, err := d.Uints(d.span[:], "data_offsets")
	if err != nil {
		return err
	}
	if n != 2 {
		return invalid(at, "data_offsets holds %d numbers, not 2", n)
	}
	d.tensor.Begin, d.tensor.End = d.span[0], d.span[1]
	return nil
}
