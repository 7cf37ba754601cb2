package pickle

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
)

// DType is a type of the elements of NumPy arrays.
type DType struct {
	Name string // as NumPy spells it: <f8, |V12
	Size uint64 // bytes
	// Objects tells that elements are Python objects, or have some.
	Objects bool
	// Array tells that an element is an array itself, as it is in fields only.
	Array bool

	kind    byte
	pointer bool // an element is an object, or an array of some
}

const (
	maxFieldDepth = 8
	maxTypeSize   = 1 << 31

	// Flags of NumPy's types: NPY_ITEM_REFCOUNT, NPY_LIST_PICKLE and NPY_ITEM_IS_POINTER.
	// They tell it which bytes are addresses of objects.
	hasObject   = 1
	asList      = 2
	isPointer   = 4
	objectFlags = hasObject | asList | isPointer
)

var dtypeClass = Global{"numpy", "dtype"}

// records is the class of records that have their fields as attributes, which NumPy writes
// in place of a name, in its versions.
var records = map[Global]bool{
	{"numpy", "record"}: true, {"numpy.rec", "record"}: true, {"numpy.core.records", "record"}: true, {"numpy._core.records", "record"}: true,
}

// DType reads what numpy.dtype.__reduce__ writes: the call dtype(name, align, copy), and
// the state (version, order, subtype, names, fields, size, alignment, flags[, metadata])
// (numpy/core/src/multiarray/descriptor.c, versions 1.17 to 2.3). NumPy believes the
// state, so that one which contradicts itself is an error: with it, an array reaches
// beyond its memory, or takes bytes for the addresses of objects.
func (v Value) DType() (DType, error) { return v.dtype(0) }

func (v Value) dtype(depth int) (DType, error) {
	fn, ok := v.Global()
	if !ok || v.Kind() != Call || fn != dtypeClass {
		return DType{}, errors.New("its type is no numpy.dtype")
	}
	if depth > maxFieldDepth {
		return DType{}, fmt.Errorf("its type has fields in fields, more than %d deep", maxFieldDepth)
	}
	args, _ := v.Items()
	if len(args) == 0 {
		return DType{}, errors.New("its type has no name")
	}
	name, _ := args[0].Text()
	if g, ok := args[0].Global(); ok && records[g] {
		name = "V0"
	}
	d, err := parseDType(name)
	if v.Restated() { // NumPy keeps fields of the first one
		return DType{}, errors.New("its type was given a state twice")
	}
	if err != nil || v.State().Kind() == Unknown {
		return d, err
	}
	return d, d.setState(v.State(), depth)
}

// parseDType reads a letter and a size: f8, U5 (characters of 4 bytes), V16.
func parseDType(name string) (DType, error) {
	bad := fmt.Errorf("its type %q is not known", name)
	if len(name) < 2 {
		return DType{}, bad
	}
	n, err := strconv.ParseUint(name[1:], 10, 31)
	if err != nil || name[1] == '+' {
		return DType{}, bad
	}
	d := DType{Name: name, Size: n, kind: name[0]}
	switch d.kind {
	case 'b', 'i', 'u', 'f', 'c', 'm', 'M':
		if n > 32 {
			return DType{}, bad
		}
	case 'U':
		d.Size = 4 * n
	case 'S', 'a', 'V':
	case 'O':
		d.Objects, d.pointer = true, true
		d.Size = 8 // O4 of other machines, too
	default:
		return DType{}, bad
	}
	return d, nil
}

// setState applies a state to a type that has a name.
func (d *DType) setState(state Value, depth int) error {
	items, whole := state.Items()
	if state.Kind() != Tuple || !whole || len(items) != 8 && len(items) != 9 {
		return errors.New("the state of its type is not known")
	}
	sub, fields := items[2], items[4]
	if d.kind != 'V' && (sub.Kind() != None || fields.Kind() != None) {
		return errors.New("its type has parts, which NumPy does not write of such a type")
	}
	if size, _ := items[5].Int(); d.kind == 'V' {
		d.Name = fmt.Sprintf("V%d", size)
	}
	order, _ := items[1].Text()
	if order == "<" || order == ">" || order == "|" {
		d.Name = order + d.Name
	}
	size, sized := items[5].Int()
	flags, flagged := items[7].Int()
	if !sized || !flagged {
		return errors.New("the state of its type is not known")
	}
	switch d.kind {
	case 'U', 'S', 'a', 'V':
		if size < 0 || size > maxTypeSize {
			return errors.New("its type has no size")
		}
		d.Size = uint64(size)
	}
	if err := d.setParts(sub, fields, depth); err != nil {
		return err
	}
	if flags&objectFlags != d.flags() {
		return errors.New("the flags of its type are not those that NumPy writes")
	}
	return nil
}

// flags returns those of objectFlags that NumPy gives such a type.
func (d *DType) flags() int64 {
	switch {
	case d.pointer:
		return objectFlags
	case d.Objects:
		return hasObject | asList
	}
	return 0
}

// setParts looks into a subtype, (type, shape), and into fields, a dictionary of
// (type, offset[, title]).
func (d *DType) setParts(sub, fields Value, depth int) error {
	unknown := errors.New("the fields of its type are not known")
	if sub.Kind() != None {
		items, _ := sub.Items()
		if sub.Kind() != Tuple || len(items) != 2 {
			return unknown
		}
		part, err := items[0].dtype(depth + 1)
		if err != nil {
			return err
		}
		if n, ok := elements(items[1], part.Size); !ok || n != d.Size {
			return errors.New("its type is of arrays of another size")
		}
		d.Array, d.Objects, d.pointer = true, part.Objects, part.pointer
	}
	if fields.Kind() == None {
		return nil
	}
	entries, whole := fields.Entries()
	if fields.Kind() != Dict || !whole || d.Array {
		return unknown
	}
	for _, e := range entries {
		items, _ := e.Value.Items()
		if e.Value.Kind() != Tuple || len(items) < 2 {
			return unknown
		}
		part, err := items[0].dtype(depth + 1)
		if err != nil {
			return err
		}
		at, ok := items[1].Int()
		if !ok || at < 0 || at > maxTypeSize || uint64(at)+part.Size > d.Size {
			return errors.New("its type has fields outside of it")
		}
		d.Objects = d.Objects || part.Objects
	}
	return nil
}

// elements returns how many bytes an array of a shape has, which is a tuple or a number.
func elements(shape Value, size uint64) (uint64, bool) {
	dims, whole := []Value{shape}, true
	if shape.Kind() == Tuple {
		dims, whole = shape.Items()
	}
	for _, dim := range dims {
		n, ok := dim.Int()
		hi, lo := bits.Mul64(size, uint64(n))
		if !ok || n < 0 || hi != 0 || lo > maxTypeSize {
			return 0, false
		}
		size = lo
	}
	return size, whole
}

// maxFields bounds the types with fields of a stream.
const maxFields = 1 << 14

// typed looks at the state that a type of NumPy was given. One that is in use changes for
// those, too, who believe what it was; and so it does with the dictionary of its fields,
// which NumPy keeps.
func (m *machine) typed(v Value, o *object) {
	if fn, ok := v.Global(); !ok || fn != dtypeClass || v.ofClass() {
		return
	}
	_, err := v.DType()
	if err == nil && o.used {
		err = errors.New("its type is changed when it is in use")
	}
	if err != nil {
		m.limit(m.at, fmt.Sprintf("numpy.dtype is given a state that NumPy does not write: %v", err))
		return
	}
	if items, _ := v.State().Items(); items[4].Kind() == Dict {
		if m.fields == nil {
			m.fields = map[uint64]bool{}
		}
		if m.fields[items[4].v.id()] = true; len(m.fields) > maxFields {
			m.limit(m.at, fmt.Sprintf("more than %d types of NumPy have fields", maxFields))
			m.fields = nil
		}
	}
}

// element looks at what scalar takes an element of: an object, or an array of records with
// objects. NumPy does not look whether that has an element, nor whether there is one.
func (m *machine) element(j judged, typ, from Value) {
	d, err := typ.DType()
	state, _ := from.State().Items()
	fn, _ := from.Global()
	switch {
	case from.Kind() == Call && (python3(fn) == Global{"builtins", "bytes"}): // protocols below 3 write none so
	case err == nil && d.pointer && from.Kind() > Bytes:
	case err == nil && len(state) > 1 && state[1].Kind() == Tuple && state[1].object() != nil && state[1].object().count == 0:
	default:
		m.limit(m.at, fmt.Sprintf("%s is called with %s, of which it takes an element that may not be there", j, m.describe(from.v)))
	}
}

// ofClass tells whether a type is made of a class that is not NumPy's, which somebody has
// to know.
func (v Value) ofClass() bool {
	args, _ := v.Items()
	if len(args) == 0 {
		return false
	}
	g, ok := args[0].Global()
	return ok && !records[g] && !cleanNames[g]
}
