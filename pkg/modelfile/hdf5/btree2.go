package hdf5

import (
	"math/bits"
)

// tree2 is a version 2 B-tree (III.A.2).
type tree2 struct {
	kind       uint8
	nodeSize   int64
	recordSize int64
	// countSize and totalSizes are the bytes of the numbers of records in a child and,
	// by its depth, in all that is below it.
	countSize  int
	totalSizes []int
	most       []int64 // records in a node, by its depth
}

const (
	// nodeOverhead is the mark, version, type and checksum of a node.
	nodeOverhead = 4 + 1 + 1 + 4
	// maxTreeDepth bounds the levels; with two records to a node, 40 hold more than a
	// file can have.
	maxTreeDepth = 40
)

// records calls each with the records of the tree of the given kind.
func (f *file) records(at int64, kind uint8, each func(*cursor) error) error {
	c := f.cursor(at, f.size)
	if err := c.mark("BTHD", 0); err != nil {
		return err
	}
	b, err := c.bytes(1 + 4 + 2 + 2 + 2)
	if err != nil {
		return err
	}
	t := &tree2{
		kind:       b[0],
		nodeSize:   int64(b[1]) | int64(b[2])<<8 | int64(b[3])<<16 | int64(b[4])<<24,
		recordSize: int64(b[5]) | int64(b[6])<<8,
	}
	depth := int(b[7]) | int(b[8])<<8
	if t.kind != kind {
		return invalid(at, "tree of kind %d where one of kind %d belongs", t.kind, kind)
	}
	root, err := c.address()
	if err != nil {
		return err
	}
	count, err := c.u16()
	if err != nil {
		return err
	}
	if err := c.skip(int64(f.lengths)); err != nil { // records in all
		return err
	}
	if err := f.compare("tree", at, c.at); err != nil || root == undefined {
		return err // a tree without a record has no root
	}
	if err := t.measure(at, depth, int64(f.offsets)); err != nil {
		return err
	}
	return f.tree2Node(t, root, int64(count), depth, each)
}

// measure computes how many records nodes have at most, which decides the size of
// numbers in them.
func (t *tree2) measure(at int64, depth int, offsets int64) error {
	if depth > maxTreeDepth || t.recordSize == 0 || t.nodeSize < nodeOverhead+t.recordSize {
		return invalid(at, "tree of depth %d with nodes of %d bytes for records of %d", depth, t.nodeSize, t.recordSize)
	}
	leaf := (t.nodeSize - nodeOverhead) / t.recordSize
	t.countSize = encodedSize(uint64(leaf))
	t.most, t.totalSizes = []int64{leaf}, []int{0}
	total := uint64(leaf)
	for d := 1; d <= depth; d++ {
		pointer := offsets + int64(t.countSize) + int64(t.totalSizes[d-1])
		most := (t.nodeSize - nodeOverhead - pointer) / (t.recordSize + pointer)
		if most <= 0 {
			return invalid(at, "nodes of %d bytes are too small for a tree of depth %d", t.nodeSize, depth)
		}
		hi, lo := bits.Mul64(uint64(most)+1, total)
		if hi != 0 || lo > 1<<62 {
			return invalid(at, "tree of depth %d for more than 2^62 records", depth)
		}
		total = lo + uint64(most)
		t.most, t.totalSizes = append(t.most, most), append(t.totalSizes, encodedSize(total))
	}
	return nil
}

// encodedSize is the bytes of a number that is at most n.
func encodedSize(n uint64) int { return (bits.Len64(n)-1)/8 + 1 }

func (f *file) tree2Node(t *tree2, at, count int64, depth int, each func(*cursor) error) error {
	if at == undefined {
		return invalid(0, "node of a tree without an address")
	}
	if count > t.most[depth] {
		return invalid(at, "node with %d records has room for %d", count, t.most[depth])
	}
	c, err := f.block(at, t.nodeSize, "node of a tree")
	if err != nil {
		return err
	}
	signature := "BTLF"
	if depth > 0 {
		signature = "BTIN"
	}
	if err := c.mark(signature, 0); err != nil {
		return err
	}
	if kind, err := c.u8(); err != nil || kind != t.kind {
		return invalid(at, "node of a tree of another kind")
	}
	used := count * t.recordSize // what is behind it is not summed
	if depth > 0 {
		used += (count + 1) * int64(f.offsets+t.countSize+t.totalSizes[depth-1])
	}
	if err := f.compare("node of a tree", at, c.at+used); err != nil {
		return err
	}
	for range count {
		if err := f.step(c.at); err != nil {
			return err
		}
		record, err := f.block(c.at, t.recordSize, "record of a tree")
		if err != nil {
			return err
		}
		if err := each(record); err != nil {
			return err
		}
		if err := c.skip(t.recordSize); err != nil {
			return err
		}
	}
	if depth == 0 {
		return nil
	}
	return f.tree2Children(t, c, count+1, depth, each)
}

func (f *file) tree2Children(t *tree2, c *cursor, n int64, depth int, each func(*cursor) error) error {
	for range n {
		if err := f.step(c.at); err != nil {
			return err
		}
		child, err := c.address()
		if err != nil {
			return err
		}
		count, err := c.number(t.countSize)
		if err != nil {
			return err
		}
		if err := c.skip(int64(t.totalSizes[depth-1])); err != nil {
			return err
		}
		if count > uint64(t.most[depth-1]) {
			return invalid(c.at, "node with %d records has room for %d", count, t.most[depth-1])
		}
		if err := f.tree2Node(t, child, int64(count), depth-1, each); err != nil {
			return err
		}
	}
	return nil
}
