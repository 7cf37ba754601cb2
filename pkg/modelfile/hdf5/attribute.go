package hdf5

import (
	"bytes"
	"strings"
)

// attributeInfo reads where the attributes of an object are when they are not in its
// header (IV.A.2.v).
func (o *object) attributeInfo(c *cursor) error {
	heap, index, err := c.dense(2)
	if err != nil || heap == undefined {
		return err
	}
	const ofAttributes = 8
	return o.denseObjects(heap, index, ofAttributes, func(c *cursor) error {
		return o.tolerate(o.path, o.attribute(c))
	})
}

func (o *object) attributeMessage(m message) error {
	if m.shared {
		return unsupported(m.body.at, "attributes that are shared in a heap are not read")
	}
	return o.attribute(m.body)
}

// attribute reads an attribute (IV.A.2.m).
func (o *object) attribute(c *cursor) error {
	head, err := c.attributeHead()
	if err != nil {
		return err
	}
	const sharedType, sharedSpace = 1, 2
	if head.flags&sharedSpace != 0 {
		return unsupported(head.typeAt, "attribute with a shape that is shared")
	}
	t, err := o.datatype(o.cursor(head.typeAt, head.typeAt+head.typeSize), head.flags&sharedType != 0)
	if err != nil {
		return err
	}
	shape, null, err := o.cursor(head.spaceAt, head.spaceAt+head.spaceSize).dataspace()
	if err != nil {
		return err
	}
	a := Attribute{Object: o.path, Name: head.name, Type: t.name, Shape: shape, Offset: -1, Size: -1}
	if !null {
		if err := o.findText(&a, t, c); err != nil {
			return err
		}
	}
	if o.Visitor.Attribute == nil {
		return nil
	}
	return o.Visitor.Attribute(a)
}

// attributeHead is what stands before the value of an attribute.
type attributeHead struct {
	flags              uint8
	name               string
	typeAt, typeSize   int64
	spaceAt, spaceSize int64
}

// attributeHead reads it, so that c stands at the value then.
func (c *cursor) attributeHead() (h attributeHead, err error) {
	at := c.at
	b, err := c.bytes(8)
	if err != nil {
		return h, err
	}
	u16 := func(i int) int64 { return int64(b[i]) | int64(b[i+1])<<8 }
	version, nameSize := b[0], u16(2)
	h.flags, h.typeSize, h.spaceSize = b[1], u16(4), u16(6)
	pad := func(n int64) int64 { return n }
	switch version {
	case 1: // each part to a multiple of 8, and no flags
		h.flags = 0
		pad = func(n int64) int64 { return (n + 7) / 8 * 8 }
	case 2:
	case 3:
		if err := c.skip(1); err != nil { // character set of the name
			return h, err
		}
	default:
		return h, invalid(at, "attribute of version %d is not known", version)
	}
	name, err := c.bytes(int(nameSize))
	if err != nil {
		return h, err
	}
	h.name = strings.TrimRight(string(name), "\x00")
	h.typeAt = c.at + pad(nameSize) - nameSize
	h.spaceAt = h.typeAt + pad(h.typeSize)
	return h, c.skip(h.spaceAt + pad(h.spaceSize) - c.at)
}

// findText finds the text of an attribute that has one; c stands at the value.
func (o *object) findText(a *Attribute, t datatype, c *cursor) error {
	for _, d := range a.Shape {
		if d != 1 {
			return nil
		}
	}
	var text *cursor
	var err error
	switch {
	case t.class == classString || t.class == classOpaque:
		text, err = o.block(c.at, t.size, "text of an attribute")
	case t.variable:
		text, err = o.variable(c)
	}
	if err != nil || text == nil {
		return err
	}
	a.Offset, a.Size = text.at, text.left()
	b, err := text.bytes(int(min(a.Size, MaxText)))
	if err != nil {
		return err
	}
	a.Text = string(bytes.TrimRight(b, "\x00 "))
	return nil
}

// variable reads where a text of variable length is, nil when it is empty: its length,
// and its place in a heap (IV.B).
func (o *object) variable(c *cursor) (*cursor, error) {
	n, err := c.u32()
	if err != nil {
		return nil, err
	}
	at, err := c.address()
	if err != nil {
		return nil, err
	}
	index, err := c.u32()
	if err != nil || n == 0 || at == undefined {
		return nil, err
	}
	text, err := o.globalObject(at, index)
	if err != nil {
		return nil, err
	}
	if int64(n) > text.left() {
		return nil, invalid(c.at, "text of %d bytes in %d of a heap", n, text.left())
	}
	text.end = text.at + int64(n)
	return text, nil
}

// globalObject returns an object of the collection at a place (III.E).
func (f *file) globalObject(at int64, index uint32) (*cursor, error) {
	c := f.cursor(at, f.size)
	if err := c.mark("GCOL", 1); err != nil {
		return nil, err
	}
	if err := c.skip(3); err != nil {
		return nil, err
	}
	size, err := c.length()
	if err != nil {
		return nil, err
	}
	if size > f.size-at {
		return nil, invalid(at, "collection of %d bytes ends beyond the file of %d bytes", size, f.size)
	}
	c.end = at + size
	for c.left() > 0 {
		if err := f.step(c.at); err != nil {
			return nil, err
		}
		b, err := c.bytes(8) // index, references, reserved
		if err != nil {
			return nil, err
		}
		got := uint32(b[0]) | uint32(b[1])<<8
		n, err := c.length()
		if err != nil {
			return nil, err
		}
		if got == 0 { // free space to the end
			break
		}
		if got == index {
			return f.block(c.at, n, "object in a collection")
		}
		if n > c.left() {
			break
		}
		if err := c.skip(min((n+7)/8*8, c.left())); err != nil {
			return nil, err
		}
	}
	return nil, invalid(at, "object %d is not in its collection", index)
}
