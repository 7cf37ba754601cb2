package hdf5

import (
	"math/bits"
)

// heap is a fractal heap (III.G), which holds links and attributes of objects that
// have many.
type heap struct {
	*file
	idSize     int64
	filtered   bool
	huge       int64 // the tree of objects that are too large for blocks
	width      int64 // blocks in a row
	start      int64 // size of a block in the first row
	maxBits    int   // of an offset in the heap
	offsetSize int
	lengthSize int
	directRows int // rows of blocks that hold objects; those below hold tables
	root       int64
	rootRows   int
}

// heap reads the header of the heap at a place.
func (f *file) heap(at int64) (*heap, error) {
	c := f.cursor(at, f.size)
	if err := c.mark("FRHP", 0); err != nil {
		return nil, err
	}
	b, err := c.bytes(2 + 2 + 1 + 4)
	if err != nil {
		return nil, err
	}
	h := &heap{file: f, idSize: int64(b[0]) | int64(b[1])<<8, filtered: b[2] != 0 || b[3] != 0}
	filters := int64(b[2]) | int64(b[3])<<8 // bytes of their description
	maxManaged := uint64(b[5]) | uint64(b[6])<<8 | uint64(b[7])<<16 | uint64(b[8])<<24
	if err := c.skip(int64(f.lengths)); err != nil { // next number of a huge object
		return nil, err
	}
	if h.huge, err = c.address(); err != nil {
		return nil, err
	}
	// Free space and its address, managed space three times, and the numbers and sizes
	// of objects.
	if err := c.skip(int64(f.lengths + f.offsets + 3*f.lengths + 5*f.lengths)); err != nil {
		return nil, err
	}
	if err := h.table(c, maxManaged); err != nil {
		return nil, err
	}
	if h.filtered { // the size of the root and a mask stand before the filters
		if err := c.skip(int64(f.lengths) + 4 + filters); err != nil {
			return nil, err
		}
	}
	return h, f.compare("heap", at, c.at)
}

// table reads how the blocks of the heap are arranged: rows of equal width, the blocks
// of each twice as large as those of the row before.
func (h *heap) table(c *cursor, maxManaged uint64) error {
	at := c.at
	width, err := c.u16()
	if err != nil {
		return err
	}
	start, err := c.length()
	if err != nil {
		return err
	}
	most, err := c.length()
	if err != nil {
		return err
	}
	maxBits, err := c.u16()
	if err != nil {
		return err
	}
	if err := c.skip(2); err != nil { // rows of the first root
		return err
	}
	if h.root, err = c.address(); err != nil {
		return err
	}
	rows, err := c.u16()
	if err != nil {
		return err
	}
	powers := bits.OnesCount16(width) == 1 && bits.OnesCount64(uint64(start)) == 1 && bits.OnesCount64(uint64(most)) == 1
	if !powers || most < start || maxBits == 0 || maxBits > 62 || start > 1<<32 || most > 1<<32 {
		return invalid(at, "heap of %d blocks of %d to %d bytes in a row and offsets of %d bits", width, start, most, maxBits)
	}
	h.width, h.start, h.maxBits, h.rootRows = int64(width), start, int(maxBits), int(rows)
	h.offsetSize = (h.maxBits + 7) / 8
	h.lengthSize = min((bits.Len64(uint64(most))-1+7)/8, encodedSize(max(maxManaged, 1)))
	h.directRows = bits.Len64(uint64(most)) - bits.Len64(uint64(start)) + 2
	return nil
}

// Kinds of objects in a heap, in bits 4 and 5 of their identifiers.
const (
	heapManaged = 0
	heapHuge    = 1
	heapTiny    = 2
)

// object returns the object with the identifier that c stands at.
func (h *heap) object(c *cursor) (*cursor, error) {
	at := c.at
	if err := h.step(at); err != nil {
		return nil, err
	}
	id, err := h.block(at, h.idSize, "identifier in a heap")
	if err != nil {
		return nil, err
	}
	flags, err := id.u8()
	if err != nil {
		return nil, err
	}
	switch flags >> 4 & 3 {
	case heapManaged:
		return h.managed(id)
	case heapHuge:
		return h.hugeObject(id)
	case heapTiny:
		return h.tiny(id, int64(flags&0x0f)+1)
	}
	return nil, invalid(at, "object of an unknown kind in a heap")
}

// tiny returns an object that stands in its identifier.
func (h *heap) tiny(id *cursor, n int64) (*cursor, error) {
	if h.idSize > 1+16 { // the length has 12 bits
		low, err := id.u8()
		if err != nil {
			return nil, err
		}
		n = (n-1)<<8 + int64(low) + 1
	}
	if n > id.left() {
		return nil, invalid(id.at, "object of %d bytes in an identifier of %d", n, h.idSize)
	}
	id.end = id.at + n
	return id, nil
}

// hugeObject returns an object that has its own place: in the identifier where that
// is long enough, else by its number in a tree.
func (h *heap) hugeObject(id *cursor) (*cursor, error) {
	if h.filtered {
		return nil, unsupported(id.at, "objects in a compressed heap are not read")
	}
	if h.idSize-1 >= int64(h.offsets+h.lengths) {
		return h.place(id)
	}
	want, err := id.number(min(h.lengths, int(h.idSize-1)))
	if err != nil {
		return nil, err
	}
	if h.huge == undefined {
		return nil, invalid(id.at, "large object in a heap that has none")
	}
	const byNumber = 1
	var found *cursor
	err = h.records(h.huge, byNumber, func(record *cursor) error {
		object, err := h.place(record)
		if err != nil {
			return err
		}
		if got, err := record.number(h.lengths); err == nil && got == want {
			found = object
		}
		return nil
	})
	if err == nil && found == nil {
		err = invalid(id.at, "large object %d is not in its heap", want)
	}
	return found, err
}

// place reads an address and a length and returns what is there.
func (h *heap) place(c *cursor) (*cursor, error) {
	at, err := c.address()
	if err != nil {
		return nil, err
	}
	n, err := c.length()
	if err != nil {
		return nil, err
	}
	return h.block(at, n, "object in a heap")
}

// managed returns an object in one of the blocks.
func (h *heap) managed(id *cursor) (*cursor, error) {
	if h.filtered {
		return nil, unsupported(id.at, "objects in a compressed heap are not read")
	}
	offset, err := id.number(h.offsetSize)
	if err != nil {
		return nil, err
	}
	n, err := id.number(h.lengthSize)
	if err != nil {
		return nil, err
	}
	if h.root == undefined || offset >= 1<<h.maxBits {
		return nil, invalid(id.at, "object at byte %d of a heap that ends before", offset)
	}
	at, size, from := h.root, h.start, int64(0)
	if h.rootRows > 0 {
		if at, size, from, err = h.find(h.root, h.rootRows, 0, int64(offset), 0); err != nil {
			return nil, err
		}
	}
	inside := int64(offset) - from
	if inside > size || int64(n) > size-inside {
		return nil, invalid(id.at, "object of %d bytes at byte %d of a block of %d", n, inside, size)
	}
	block := h.cursor(at, h.size)
	if err := block.mark("FHDB", 0); err != nil {
		return nil, err
	}
	return h.block(at+inside, int64(n), "object in a heap")
}

// find goes down from a table of blocks, which begins at an offset of the heap, to the
// block that has another offset.
func (h *heap) find(table int64, rows int, begin, offset int64, depth int) (at, size, from int64, err error) {
	const maxTables = 64
	if depth == maxTables || rows > maxTables {
		return 0, 0, 0, invalid(table, "tables of a heap inside each other, deeper than %d", maxTables)
	}
	if err := h.step(table); err != nil {
		return 0, 0, 0, err
	}
	row, size := h.row(offset - begin)
	if row >= rows {
		return 0, 0, 0, invalid(table, "object at byte %d of a heap lies beyond its table", offset)
	}
	rowBegin := begin
	if row > 0 {
		rowBegin += h.width * size
	}
	column := (offset - rowBegin) / size
	from = rowBegin + column*size
	c := h.cursor(table, h.size)
	if err := c.mark("FHIB", 0); err != nil {
		return 0, 0, 0, err
	}
	entry := int64(row)*h.width + column
	if err := c.skip(int64(h.offsets+h.offsetSize) + entry*int64(h.offsets)); err != nil {
		return 0, 0, 0, err
	}
	if at, err = c.address(); err != nil {
		return 0, 0, 0, err
	}
	if at == undefined {
		return 0, 0, 0, invalid(table, "object at byte %d of a heap lies in a block that is not there", offset)
	}
	if row < h.directRows {
		return at, size, from, nil
	}
	below := bits.Len64(uint64(size)) - bits.Len64(uint64(h.start*h.width)) + 1
	return h.find(at, below, from, offset, depth+1)
}

// row returns the row of a table that has an offset, and the size of its blocks.
func (h *heap) row(offset int64) (row int, size int64) {
	blocks := uint64(offset / (h.start * h.width))
	if blocks == 0 {
		return 0, h.start
	}
	row = bits.Len64(blocks)
	return row, h.start << (row - 1)
}

// denseObjects calls each with the messages that an index of names leads to.
func (f *file) denseObjects(heapAt, index int64, kind uint8, each func(*cursor) error) error {
	h, err := f.heap(heapAt)
	if err != nil {
		return err
	}
	const ofLinks, hash = 5, 4
	return f.records(index, kind, func(record *cursor) error {
		if kind == ofLinks {
			if err := record.skip(hash); err != nil {
				return err
			}
		}
		object, err := h.object(record)
		if err != nil {
			return err
		}
		return each(object)
	})
}
