package hdf5

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// symbolTable reads the message of a group of the older kind: a tree of nodes with
// names in a heap.
func (o *object) symbolTable(ctx context.Context, c *cursor) error {
	tree, err := c.address()
	if err != nil {
		return err
	}
	heapAt, err := c.address()
	if err != nil {
		return err
	}
	if tree == undefined || heapAt == undefined {
		return invalid(c.at, "group without a tree or without names")
	}
	names, err := o.localHeap(heapAt)
	if err != nil {
		return err
	}
	return o.treeNode(ctx, tree, names, -1)
}

// localHeap returns the part of the file that holds names (III.D).
func (f *file) localHeap(at int64) (names headerBlock, err error) {
	c := f.cursor(at, f.size)
	if err := c.mark("HEAP", 0); err != nil {
		return names, err
	}
	if err := c.skip(3); err != nil {
		return names, err
	}
	n, err := c.length()
	if err != nil {
		return names, err
	}
	if err := c.skip(int64(f.lengths)); err != nil { // free list
		return names, err
	}
	data, err := c.address()
	if err != nil {
		return names, err
	}
	if data == undefined || n > f.size-data {
		return names, invalid(at, "heap of %d bytes does not fit the file", n)
	}
	return headerBlock{data, data + n}, nil
}

// text reads what is at an offset of a heap, up to a zero.
func (f *file) text(heap headerBlock, offset uint64) (string, error) {
	if offset >= uint64(heap.end-heap.at) {
		return "", invalid(heap.at, "a name at byte %d of a heap of %d bytes", offset, heap.end-heap.at)
	}
	return f.textAt(heap.at+int64(offset), heap.end)
}

func (f *file) textAt(at, end int64) (string, error) {
	c := f.cursor(at, end)
	for size := int64(64); ; size *= 8 {
		n := min(size, c.left(), MaxNameSize)
		b, err := c.bytes(int(n))
		if err != nil {
			return "", err
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(b[:i]), nil
		}
		if n < size {
			return "", invalid(at, "a name does not end within %d bytes", n)
		}
		c.at = at
	}
}

// treeNode reads a node of the tree of a group (III.A.1). level is what its parent
// makes of it, -1 at the top: it goes down with each step, so that there are no circles.
func (o *object) treeNode(ctx context.Context, at int64, names headerBlock, level int) error {
	c := o.cursor(at, o.size)
	b, err := c.bytes(8)
	if err != nil {
		return err
	}
	if string(b[:5]) != "TREE\x00" {
		return invalid(at, "no node of a tree of links is here")
	}
	own, entries := int(b[5]), int(b[6])|int(b[7])<<8
	if level >= 0 && own != level {
		return invalid(at, "node of level %d where one of level %d belongs", own, level)
	}
	if err := c.skip(int64(2 * o.offsets)); err != nil { // siblings
		return err
	}
	for range entries {
		if err := o.step(c.at); err != nil {
			return err
		}
		if err := c.skip(int64(o.lengths)); err != nil { // the least name below
			return err
		}
		child, err := c.address()
		if err != nil {
			return err
		}
		if err := o.treeChild(ctx, child, names, own); err != nil {
			return err
		}
	}
	return nil
}

func (o *object) treeChild(ctx context.Context, at int64, names headerBlock, level int) error {
	switch {
	case at == undefined:
		return o.tolerate(o.path, invalid(0, "node of a tree without an address"))
	case level > 0:
		return o.tolerate(o.path, o.treeNode(ctx, at, names, level-1))
	}
	return o.tolerate(o.path, o.symbolNode(ctx, at, names))
}

// symbolNode reads the links in a leaf (III.B, III.C).
func (o *object) symbolNode(ctx context.Context, at int64, names headerBlock) error {
	c := o.cursor(at, o.size)
	if err := c.mark("SNOD", 1); err != nil {
		return err
	}
	if err := c.skip(1); err != nil {
		return err
	}
	n, err := c.u16()
	if err != nil {
		return err
	}
	for range n {
		if err := o.symbol(ctx, c, names); err != nil {
			return err
		}
	}
	return nil
}

func (o *object) symbol(ctx context.Context, c *cursor, names headerBlock) error {
	if err := o.step(c.at); err != nil {
		return err
	}
	nameAt, err := c.number(o.offsets)
	if err != nil {
		return err
	}
	target, err := c.address()
	if err != nil {
		return err
	}
	b, err := c.bytes(4 + 4 + 16) // kind, reserved, scratch
	if err != nil {
		return err
	}
	const softLink = 2
	soft := b[0] == softLink
	name, err := o.text(names, nameAt)
	if err != nil || soft { // a soft link leads to what is visited by its own name
		return err
	}
	return o.child(ctx, name, target)
}

func (o *object) child(ctx context.Context, name string, at int64) error {
	return o.object(ctx, strings.TrimSuffix(o.path, "/")+"/"+name, at, o.depth+1)
}

// link reads a link of the newer kind (IV.A.2.g).
func (o *object) link(ctx context.Context, c *cursor) error {
	at := c.at
	b, err := c.bytes(2)
	if err != nil {
		return err
	}
	if b[0] != 1 {
		return invalid(at, "link of version %d is not known", b[0])
	}
	flags, kind := b[1], uint8(linkHard)
	if flags&(1<<3) != 0 {
		if kind, err = c.u8(); err != nil {
			return err
		}
	}
	skipped := 0
	if flags&(1<<2) != 0 { // order of creation
		skipped += 8
	}
	if flags&(1<<4) != 0 { // character set
		skipped++
	}
	if err := c.skip(int64(skipped)); err != nil {
		return err
	}
	n, err := c.number(1 << (flags & 3))
	if err != nil {
		return err
	}
	if n > MaxNameSize {
		return invalid(at, "name of a link of %d bytes is longer than %d", n, MaxNameSize)
	}
	name, err := c.bytes(int(n))
	if err != nil {
		return err
	}
	return o.linkTarget(ctx, c, string(name), kind)
}

// Kinds of links.
const (
	linkHard     = 0
	linkSoft     = 1
	linkExternal = 64
)

func (o *object) linkTarget(ctx context.Context, c *cursor, name string, kind uint8) error {
	switch kind {
	case linkHard:
		at, err := c.address()
		if err != nil {
			return err
		}
		return o.child(ctx, name, at)
	case linkSoft:
		return nil // leads to what is visited by its own name
	}
	n, err := c.u16()
	if err != nil {
		return err
	}
	value, err := c.bytes(int(n))
	if err != nil {
		return err
	}
	if kind != linkExternal {
		return unsupported(c.at, "link %q of kind %d, which a program has to know", name, kind)
	}
	target := bytes.Trim(value, "\x00")
	other, _, _ := bytes.Cut(target, []byte{0})
	o.Finding(hazard.Of("hdf5-external", o.path, fmt.Sprintf("the link %q leads to the file %q", name, other)).At(c.at))
	return nil
}

// linkInfo reads where the links of a group are when they are not in its header
// (IV.A.2.c).
func (o *object) linkInfo(ctx context.Context, c *cursor) error {
	heap, index, err := c.dense(8)
	if err != nil || heap == undefined {
		return err
	}
	const ofLinks = 5
	return o.denseObjects(heap, index, ofLinks, func(c *cursor) error {
		return o.tolerate(o.path, o.link(ctx, c))
	})
}

// dense reads the addresses of a heap and of the index of names in it. counter is the
// size of the number that stands before them where creation is counted.
func (c *cursor) dense(counter int) (heap, index int64, err error) {
	at := c.at
	b, err := c.bytes(2)
	if err != nil {
		return 0, 0, err
	}
	if b[0] != 0 {
		return 0, 0, invalid(at, "heap of messages of version %d is not known", b[0])
	}
	if b[1]&1 != 0 {
		if err := c.skip(int64(counter)); err != nil {
			return 0, 0, err
		}
	}
	if heap, err = c.address(); err != nil {
		return 0, 0, err
	}
	if index, err = c.address(); err != nil {
		return 0, 0, err
	}
	if heap != undefined && index == undefined {
		return 0, 0, invalid(at, "heap of messages without an index")
	}
	return heap, index, nil
}
