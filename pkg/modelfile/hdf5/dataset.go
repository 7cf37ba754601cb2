package hdf5

import (
	"fmt"
	"math"
	"math/bits"
)

// datasetMessage reads a message about data.
func (o *object) datasetMessage(m message) error {
	switch m.typ {
	case msgDatatype:
		t, err := o.datatype(m.body, m.shared)
		if err != nil {
			return err
		}
		o.typed, o.Type, o.class, o.itemSize = true, t.name, t.class, t.size
		return nil
	case msgLayout:
		o.layout = true
		return o.layoutMessage(m.body)
	}
	if m.shared {
		return unsupported(m.body.at, "messages that are shared are not read, other than types")
	}
	switch m.typ {
	case msgDataspace:
		var err error
		o.Shape, o.null, err = m.body.dataspace()
		return err
	case msgFilters:
		return o.filters(m.body)
	}
	return o.external(m.body)
}

// measure computes the size of the elements.
func (o *object) measure() {
	size := uint64(o.itemSize)
	over := !o.typed || o.class == classVariable // whose elements are elsewhere
	for _, d := range o.Shape {
		hi, lo := bits.Mul64(size, d)
		size, over = lo, over || hi != 0
	}
	switch {
	case o.null:
		o.Size = 0
	case over || size > math.MaxInt64:
		o.Size = -1
	default:
		o.Size = int64(size)
	}
}

// Classes of layouts (IV.A.2.i).
const (
	layoutCompact    = 0
	layoutContiguous = 1
	layoutChunked    = 2
	layoutVirtual    = 3
)

var layoutNames = [...]string{layoutCompact: "compact", layoutContiguous: "contiguous", layoutChunked: "chunked", layoutVirtual: "virtual"}

func (o *object) layoutMessage(c *cursor) error {
	at := c.at
	b, err := c.bytes(2)
	if err != nil {
		return err
	}
	version, kind := b[0], b[1]
	switch version {
	case 1, 2:
		return o.oldLayout(c, int(kind))
	case 3, 4, 5:
	default:
		return invalid(at, "layout of version %d is not known", version)
	}
	if int(kind) >= len(layoutNames) {
		return invalid(at, "layout of class %d is not known", kind)
	}
	o.Layout = layoutNames[kind]
	switch kind {
	case layoutCompact:
		_, err = c.u16()
		o.Dataset.Offset = c.at
	case layoutContiguous:
		o.Dataset.Offset, err = c.address()
	case layoutVirtual:
		return o.virtual(c)
	}
	return err
}

// oldLayout reads versions 1 and 2, which have the number of dimensions first.
func (o *object) oldLayout(c *cursor, rank int) error {
	at := c.at
	kind, err := c.u8()
	if err != nil {
		return err
	}
	if kind > layoutChunked || rank > MaxDims+1 {
		return invalid(at, "layout of class %d with %d dimensions is not known", kind, rank)
	}
	o.Layout = layoutNames[kind]
	if err := c.skip(5); err != nil {
		return err
	}
	if kind == layoutCompact {
		if err := c.skip(int64(4*rank + 4)); err != nil {
			return err
		}
		o.Dataset.Offset = c.at
		return nil
	}
	place, err := c.address()
	if kind == layoutContiguous {
		o.Dataset.Offset = place
	}
	return err
}

// virtual: the data are parts of other data sets, which a heap names; most are in other
// files.
func (o *object) virtual(c *cursor) error {
	at, err := c.address()
	if err != nil || at == undefined {
		return err
	}
	index, err := c.u32()
	if err != nil {
		return err
	}
	list, err := o.globalObject(at, index)
	if err != nil {
		return err
	}
	// A version, the number of sources, and for each the names of its file and of the
	// data set in it.
	version, err := list.u8()
	if err != nil {
		return err
	}
	n, err := list.length()
	if err != nil || n == 0 {
		return err
	}
	if version > 0 {
		return unsupported(list.at, "virtual data set of version %d", version)
	}
	name, err := o.textAt(list.at, list.end)
	if err != nil {
		return err
	}
	switch {
	case name != ".": // which is the file itself
		o.External = append(o.External, name)
	case n > 1:
		return unsupported(list.at, "virtual data set of %d parts, of which only the first is looked at", n)
	}
	return nil
}

// external reads the list of files that hold the data (IV.A.2.h).
func (o *object) external(c *cursor) error {
	at := c.at
	b, err := c.bytes(1 + 3 + 2 + 2)
	if err != nil {
		return err
	}
	if b[0] != 1 {
		return invalid(at, "list of files of version %d is not known", b[0])
	}
	used := int(b[6]) | int(b[7])<<8
	heapAt, err := c.address()
	if err != nil || heapAt == undefined {
		return err
	}
	names, err := o.localHeap(heapAt)
	if err != nil {
		return err
	}
	const kept = 16
	for range used {
		nameAt, err := c.number(o.lengths)
		if err != nil {
			return err
		}
		if err := c.skip(int64(2 * o.lengths)); err != nil {
			return err
		}
		name, err := o.text(names, nameAt)
		if err != nil {
			return err
		}
		if o.External = append(o.External, name); len(o.External) == kept {
			break
		}
	}
	return nil
}

// filterNames are the filters that come with the library.
var filterNames = map[uint16]string{1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}

// filters reads the pipeline (IV.A.2.l).
func (o *object) filters(c *cursor) error {
	at := c.at
	b, err := c.bytes(2)
	if err != nil {
		return err
	}
	version, n := b[0], b[1]
	const maxFilters = 32 // H5Z_MAX_NFILTERS
	if version != 1 && version != 2 || n > maxFilters {
		return invalid(at, "%d filters of version %d are not known", n, version)
	}
	if version == 1 {
		if err := c.skip(6); err != nil {
			return err
		}
	}
	for range n {
		if err := o.filter(c, version); err != nil {
			return err
		}
	}
	return nil
}

func (o *object) filter(c *cursor, version uint8) error {
	const firstWithName = 256
	id, err := c.u16()
	if err != nil {
		return err
	}
	var nameSize uint16
	if version == 1 || id >= firstWithName {
		if nameSize, err = c.u16(); err != nil {
			return err
		}
	}
	b, err := c.bytes(4) // flags, number of values
	if err != nil {
		return err
	}
	values := int64(b[2]) | int64(b[3])<<8
	skipped := int64(nameSize) + 4*values
	if version == 1 { // everything to a multiple of 8
		skipped = (int64(nameSize)+7)/8*8 + 4*(values+values%2)
	}
	name := filterNames[id]
	if name == "" {
		name = fmt.Sprintf("filter %d", id)
	}
	o.Filters = append(o.Filters, name)
	return c.skip(skipped)
}
