package gguf

import (
	"slices"
	"strconv"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

func (d *decoder) keys(n uint64) error {
	for i := range n {
		d.after = (n-1-i)*d.minKey + d.h.TensorCount*d.minTensor
		if err := d.key(); err != nil {
			return err
		}
	}
	if d.dropped > 0 {
		d.h.find(hazard.GGUFOdd, "%d strings were too long to keep", d.dropped)
	}
	if d.nested > 0 {
		d.h.find(hazard.GGUFOdd, "%d arrays inside arrays, which llama.cpp refuses", d.nested)
	}
	return nil
}

func (d *decoder) key() error {
	at := d.pos
	key, err := d.str(MaxKeySize, "key")
	if err != nil {
		return err
	}
	if err := d.checkKey(key, at); err != nil {
		return err
	}
	t, err := d.valueType(key)
	if err != nil {
		return err
	}
	v, err := d.value(key, t)
	if err != nil {
		return err
	}
	d.h.KV[key] = v
	return nil
}

func (d *decoder) checkKey(key string, at int64) error {
	if key == "" {
		return invalid(at, "empty key")
	}
	for i := range len(key) {
		if key[i] >= 0x80 {
			return invalid(at, "key %q is not ASCII", key)
		}
	}
	if _, dup := d.h.KV[key]; dup {
		return invalid(at, "duplicate key %q", key)
	}
	if d.keySize += len(key); d.keySize > MaxKeyText {
		return invalid(at, "keys longer than %d bytes in all", MaxKeyText)
	}
	return nil
}

func (d *decoder) valueType(key string) (ValueType, error) {
	at := d.pos
	n, err := d.u32()
	if t := ValueType(n); err != nil || t.known() {
		return t, err
	}
	return 0, invalid(at, "key %q: value of unknown type %d", key, n)
}

func (d *decoder) value(key string, t ValueType) (Value, error) {
	switch t {
	case TypeString:
		return d.text(key)
	case TypeArray:
		return d.array(key)
	}
	v := Value{Type: t}
	at := d.pos
	b, err := d.bytes(int(t.size()))
	if err != nil {
		return v, err
	}
	switch len(b) {
	case 1:
		v.bits = uint64(b[0])
	case 2:
		v.bits = uint64(d.order.Uint16(b))
	case 4:
		v.bits = uint64(d.order.Uint32(b))
	case 8:
		v.bits = d.order.Uint64(b)
	}
	if t == TypeBool && v.bits > 1 {
		return v, invalid(at, "key %q: a bool of %d", key, v.bits)
	}
	return v, nil
}

func (d *decoder) text(key string) (Value, error) {
	v := Value{Type: TypeString}
	n, err := d.length("value of " + strconv.Quote(key))
	if err != nil {
		return v, err
	}
	v.bits, v.Len = uint64(d.pos), n
	if n > uint64(MaxKeptText-d.keptText) {
		d.dropped++
		return v, d.skip(n)
	}
	d.keptText += int(n)
	v.kept = true
	v.text, err = d.take(int(n))
	return v, err
}

// array reads the head of an array and walks over its items. Those of
// keptArrays are kept.
func (d *decoder) array(key string) (Value, error) {
	v := Value{Type: TypeArray}
	var err error
	if v.Elem, v.Len, err = d.arrayHead(key); err != nil {
		return v, err
	}
	if v.Elem != TypeString || v.Len > MaxItems || !slices.Contains(keptArrays, key) {
		return v, d.skipItems(key, v.Elem, v.Len, 1)
	}
	v.kept = true
	behind := d.after
	for i := range v.Len {
		d.after = behind + (v.Len-1-i)*d.least(TypeString)
		item, err := d.text(key)
		if err != nil {
			return v, err
		}
		v.kept = v.kept && item.kept
		v.items = append(v.items, item.text)
	}
	return v, nil
}

func (d *decoder) arrayHead(key string) (ValueType, uint64, error) {
	t, err := d.valueType(key)
	if err != nil {
		return 0, 0, err
	}
	at := d.pos
	n, err := d.count()
	if err != nil {
		return 0, 0, err
	}
	if left := d.remaining(); n > left/d.least(t) {
		return 0, 0, invalid(at, "key %q: %d items of type %s do not fit the %d bytes that are left", key, n, t, left)
	}
	return t, n, nil
}

// least is how many bytes an item of the type takes at least: a string its length,
// an array its type and length.
func (d *decoder) least(t ValueType) uint64 {
	switch {
	case t != TypeString && t != TypeArray:
		return t.size()
	case d.wide:
		return 8
	}
	return 4
}

func (d *decoder) skipItems(key string, t ValueType, n uint64, depth int) error {
	behind := d.after
	switch t {
	case TypeString:
		what := "item of " + strconv.Quote(key)
		for i := range n {
			d.after = behind + (n-1-i)*d.least(t)
			length, err := d.length(what)
			if err != nil {
				return err
			}
			if err := d.skip(length); err != nil {
				return err
			}
		}
		return nil
	case TypeArray:
		if depth == MaxArrayDepth && n > 0 {
			return invalid(d.pos, "key %q: arrays nested deeper than %d", key, MaxArrayDepth)
		}
		for i := range n {
			d.nested++
			d.after = behind + (n-1-i)*d.least(t)
			inner, length, err := d.arrayHead(key)
			if err != nil {
				return err
			}
			if err := d.skipItems(key, inner, length, depth+1); err != nil {
				return err
			}
		}
		return nil
	case TypeBool:
		for range n {
			if _, err := d.value(key, TypeBool); err != nil {
				return err
			}
		}
		return nil
	}
	return d.skip(n * t.size()) // arrayHead has checked that it fits
}

// alignment reads general.alignment, which the format requires to be a
// multiple of 8 and llama.cpp to be a power of two of type u32.
func (d *decoder) alignment() error {
	v, ok := d.h.KV[alignmentKey]
	if !ok {
		return nil
	}
	if v.Type != TypeUint32 {
		return invalid(d.pos, "%s is of type %s, not u32", alignmentKey, v.Type)
	}
	if v.bits%8 != 0 || v.bits&(v.bits-1) != 0 || v.bits == 0 {
		return invalid(d.pos, "%s %d is not a power of two from 8 on", alignmentKey, v.bits)
	}
	d.h.Alignment = v.bits
	return nil
}
