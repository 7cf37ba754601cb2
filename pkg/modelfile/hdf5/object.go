package hdf5

import (
	"context"
	"fmt"
	"slices"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Types of messages in object headers (IV.A.2) that are read.
const (
	msgDataspace     = 0x01
	msgLinkInfo      = 0x02
	msgDatatype      = 0x03
	msgLink          = 0x06
	msgExternal      = 0x07
	msgLayout        = 0x08
	msgFilters       = 0x0b
	msgAttribute     = 0x0c
	msgContinuation  = 0x10
	msgSymbolTable   = 0x11
	msgAttributeInfo = 0x15
)

// message is one message of an object header.
type message struct {
	typ    uint16
	shared bool
	body   *cursor
}

// headerBlock is a part of an object header.
type headerBlock struct{ at, end int64 }

// messages calls each with the messages of the object header at a place.
func (f *file) messages(at int64, each func(message) error) error {
	c := f.cursor(at, f.size)
	b, err := c.bytes(4)
	if err != nil {
		return err
	}
	if string(b) == "OHDR" {
		return f.newHeader(c, each)
	}
	c.at = at
	return f.oldHeader(c, each)
}

// oldHeader reads a header of version 1.
func (f *file) oldHeader(c *cursor, each func(message) error) error {
	at := c.at
	version, err := c.u8()
	if err != nil {
		return err
	}
	if version != 1 {
		return invalid(at, "object header of version %d is not known", version)
	}
	if err := c.skip(1 + 2 + 4); err != nil { // reserved, number of messages, references
		return err
	}
	size, err := c.u32()
	if err != nil {
		return err
	}
	if err := c.skip(4); err != nil { // to a multiple of 8
		return err
	}
	return f.blocks(headerBlock{c.at, c.at + int64(size)}, each, func(block headerBlock, follow func(message) error) error {
		c, err := f.block(block.at, block.end-block.at, "object header")
		if err != nil {
			return err
		}
		for c.left() >= 8 {
			if err := f.oldMessage(c, follow); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *file) oldMessage(c *cursor, each func(message) error) error {
	typ, err := c.u16()
	if err != nil {
		return err
	}
	size, err := c.u16()
	if err != nil {
		return err
	}
	flags, err := c.u8()
	if err != nil {
		return err
	}
	if err := c.skip(3); err != nil {
		return err
	}
	return f.message(c, typ, int64(size), flags, each)
}

// newHeader reads a header of version 2, behind its signature.
func (f *file) newHeader(c *cursor, each func(message) error) error {
	at := c.at
	version, err := c.u8()
	if err != nil {
		return err
	}
	if version != 2 {
		return invalid(at, "object header of version %d is not known", version)
	}
	flags, err := c.u8()
	if err != nil {
		return err
	}
	skipped := 0
	if flags&(1<<5) != 0 { // times
		skipped += 16
	}
	if flags&(1<<4) != 0 { // when attributes move to a heap
		skipped += 4
	}
	if err := c.skip(int64(skipped)); err != nil {
		return err
	}
	size, err := c.number(1 << (flags & 3))
	if err != nil {
		return err
	}
	if size > uint64(f.size) {
		return invalid(at, "object header of %d bytes is longer than the file of %d bytes", size, f.size)
	}
	first := headerBlock{c.at, c.at + int64(size) + checksumSize}
	begin := at - int64(len("OHDR"))
	return f.blocks(first, each, func(block headerBlock, follow func(message) error) error {
		c, err := f.block(block.at, block.end-block.at-checksumSize, "object header")
		if err != nil {
			return err
		}
		summed := begin
		if block != first {
			summed = block.at
		}
		if err := f.compare("object header", summed, c.end); err != nil {
			return err
		}
		if block != first {
			if b, err := c.bytes(4); err != nil || string(b) != "OCHK" {
				return invalid(block.at, "no continuation of an object header is here")
			}
		}
		return f.newMessages(c, flags, follow)
	})
}

func (f *file) newMessages(c *cursor, headerFlags uint8, each func(message) error) error {
	head := int64(4)
	if headerFlags&(1<<2) != 0 { // order of creation
		head = 6
	}
	for c.left() >= head {
		b, err := c.bytes(int(head))
		if err != nil {
			return err
		}
		size := int64(b[1]) | int64(b[2])<<8
		if err := f.message(c, uint16(b[0]), size, b[3], each); err != nil {
			return err
		}
	}
	return nil
}

// message calls each with a message and steps over it.
func (f *file) message(c *cursor, typ uint16, size int64, flags uint8, each func(message) error) error {
	if err := f.step(c.at); err != nil {
		return err
	}
	if size > c.left() {
		return invalid(c.at, "message of %d bytes, %d are left in the object header", size, c.left())
	}
	const shared = 1 << 1
	body := *c
	body.end = c.at + size
	if err := each(message{typ, flags&shared != 0, &body}); err != nil {
		return err
	}
	return c.skip(size)
}

// blocks reads the first block of a header and those that it continues in.
func (f *file) blocks(first headerBlock, each func(message) error, read func(headerBlock, func(message) error) error) error {
	blocks := []headerBlock{first}
	follow := func(m message) error {
		if m.typ != msgContinuation {
			return each(m)
		}
		at, err := m.body.address()
		if err != nil {
			return err
		}
		n, err := m.body.length()
		if err != nil {
			return err
		}
		if at == undefined || n > f.size-at {
			return invalid(m.body.at, "continuation of %d bytes does not fit the file", n)
		}
		next := headerBlock{at, at + n}
		if slices.Contains(blocks, next) {
			return invalid(m.body.at, "object header continues in itself")
		}
		blocks = append(blocks, next)
		return nil
	}
	const maxBlocks = 10_000
	for i := 0; i < len(blocks); i++ {
		if i == maxBlocks {
			return invalid(blocks[i].at, "object header in more than %d parts", maxBlocks)
		}
		if err := read(blocks[i], follow); err != nil {
			return err
		}
	}
	return nil
}

// object visits what is at an address, and what it leads to.
func (w *walker) object(ctx context.Context, path string, at int64, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if at == undefined {
		return w.tolerate(path, invalid(0, "object without an address"))
	}
	if _, seen := w.seen[at]; seen {
		return nil // a second name of the same, or a circle
	}
	if len(w.seen) == MaxObjects {
		return w.tolerate(path, invalid(at, "more than %d objects", MaxObjects))
	}
	w.seen[at] = struct{}{}
	if depth > MaxDepth || len(path) > MaxNameSize {
		return w.tolerate(path, invalid(at, "groups inside groups, deeper than %d or with a path of more than %d bytes", MaxDepth, MaxNameSize))
	}
	defer func(outer string) { w.at = outer }(w.at)
	w.at = path
	o := &object{walker: w, path: path, depth: depth, Dataset: Dataset{Path: path, Offset: -1, Size: -1}}
	if err := w.tolerate(path, w.messages(at, func(m message) error { return o.message(ctx, m) })); err != nil {
		return err
	}
	return o.finish()
}

// object is an object whose messages are being read.
type object struct {
	*walker
	path  string
	depth int
	Dataset
	group, layout bool
	typed, null   bool
}

// message reads one message. What is wrong with one does not keep the others from
// being read.
func (o *object) message(ctx context.Context, m message) error {
	switch m.typ {
	case msgSymbolTable, msgLink, msgLinkInfo:
		if err := o.beginGroup(); err != nil {
			return err
		}
	}
	var err error
	switch m.typ {
	case msgSymbolTable:
		err = o.symbolTable(ctx, m.body)
	case msgLinkInfo:
		err = o.linkInfo(ctx, m.body)
	case msgLink:
		err = o.link(ctx, m.body)
	case msgAttribute:
		err = o.attributeMessage(m)
	case msgAttributeInfo:
		err = o.attributeInfo(m.body)
	case msgDataspace, msgDatatype, msgLayout, msgFilters, msgExternal:
		err = o.datasetMessage(m)
	}
	return o.tolerate(o.path, err)
}

func (o *object) beginGroup() error {
	if o.group {
		return nil
	}
	if o.group = true; o.Visitor.Group == nil {
		return nil
	}
	return o.Visitor.Group(o.path)
}

// finish tells of a data set, whose messages may come in any order.
func (o *object) finish() error {
	if !o.layout {
		return nil
	}
	o.measure()
	if len(o.External) > 0 {
		o.Finding(hazard.Of("hdf5-external", o.path, fmt.Sprintf("the data are in the file %q", o.External[0])))
	}
	if o.Visitor.Dataset == nil {
		return nil
	}
	return o.Visitor.Dataset(o.Dataset)
}
