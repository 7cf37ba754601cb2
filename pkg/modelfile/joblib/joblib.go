// Package joblib reads pickles in which joblib put the data of NumPy arrays.
//
// joblib.dump writes in place of an array an object of its class NumpyArrayWrapper,
// and right behind the opcode that gives it its state the bytes of the array, or a
// pickle of it when its elements are objects (joblib/numpy_pickle.py, versions 0.10 to
// 1.5). From version 1.2 on, objects with the attribute numpy_array_alignment_bytes
// have before the bytes a length and so much padding. A reader of pickles that does not
// know this stops at the first array, with whatever is behind it unseen.
//
// A pickle without such objects is read as [pickle.Scan] does. Compression is a matter
// of who gives the content.
package joblib

import (
	"context"
	"fmt"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// MaxListBytes bounds the memory that the list of arrays takes, which is enough for
// 9,000 of them: a forest of a thousand trees has 5,000. It leaves room within 32 MiB for
// the pickle, 13 MiB, and the window of a compressed file, 16 MiB. All are stepped over.
const MaxListBytes = 2 << 20

// Array is an array of NumPy: one whose data joblib put between the opcodes, or one
// that NumPy pickled, with its data in a literal.
type Array struct {
	// Name is the way to it through keys, indexes and attributes: coef_, tree.values,
	// the first one of several. It is empty where the way is not known, and of an array
	// that is the whole object. Text in it comes from the file.
	Name  string
	DType string // as NumPy spells it: <f8, |V12
	Shape []uint64
	// Objects tells that the elements are Python objects, or have some.
	Objects bool
	// Offset and Size are of its data, in bytes; Offset is -1 where that is in a literal.
	// The data of an array of objects is a pickle, and Size -1 where that is a list.
	Offset, Size int64
}

// Result is that of [pickle.Scan], with the arrays.
type Result struct {
	*pickle.Result
	// Arrays are those that joblib wrote, in the order of the content, then those of
	// NumPy.
	Arrays []Array
	// Listed tells whether Arrays are all.
	Listed bool

	padding int64 // where the first is, -1 without
}

// Scan is [Read] of c as joblib reads it from version 1.2 on, and again as it did before
// when that finds something else.
func Scan(ctx context.Context, c hazard.Content, o pickle.Options, report hazard.Report) (*Result, error) {
	r, err := Read(ctx, c, o, report)
	if err != nil || r.padding < 0 {
		return r, err
	}
	return r, readUnpadded(ctx, c, o, r.padding, report)
}

// Read reads c like [pickle.Scan] and steps over the data of arrays. o.Build is
// replaced.
func Read(ctx context.Context, c hazard.Content, o pickle.Options, report hazard.Report) (*Result, error) {
	s := &scanner{places: map[pickle.Identity]int{}, room: MaxListBytes, listed: true, padding: -1}
	o.Build = s.built
	r, err := pickle.Scan(ctx, c, o, report)
	if err != nil {
		return nil, err
	}
	for _, stream := range r.Streams {
		whole := pickle.Walk(stream.Root, s.visit)
		s.listed = s.listed && whole
	}
	return &Result{Result: r, Arrays: s.arrays, Listed: s.listed && r.Whole, padding: s.padding}, nil
}

type scanner struct {
	arrays []Array
	places map[pickle.Identity]int
	room   int // bytes
	listed bool
	// padding is where the first is, -1 before.
	padding int64
	// unpadded reads as joblib before 1.2, to which padding is data.
	unpadded bool
}

var wrapperClass = pickle.Global{Module: "joblib.numpy_pickle", Name: "NumpyArrayWrapper"}

// wrapper is the state of a NumpyArrayWrapper.
type wrapper struct {
	dtype   pickle.DType
	shape   []uint64
	padded  bool // the data begins with a byte that tells how many follow before it
	objects bool // the data is a pickle
	mapped  bool // it can be a map of the file
}

// built is the [pickle.BuildHook].
func (s *scanner) built(v pickle.Value, next *pickle.Follow) (bool, error) {
	// An array is no longer its wrapper: the loader gives the state to it.
	if g, ok := v.Global(); !ok || g != wrapperClass || v.Kind() != pickle.Call {
		return false, nil
	}
	switch {
	case next.Again():
		return false, next.Unread("an array follows whose wrapper was one before: what it is made of comes from both")
	case s.unpadded && next.InFrame():
		return false, next.Unread("an array is read in the middle of a frame")
	}
	w, err := readWrapper(v)
	if err != nil {
		return false, next.Unread(fmt.Sprintf("an array follows whose size is not known: %v", err))
	}
	array := Array{DType: w.dtype.Name, Shape: w.shape, Objects: w.objects}
	if w.padded && !s.unpadded {
		if s.padding < 0 {
			s.padding = next.Offset()
		}
		padding, err := next.Byte()
		if err != nil {
			return false, err
		}
		if err := next.Skip(int64(padding)); err != nil {
			return false, err
		}
	}
	array.Offset = next.Offset()
	if w.objects {
		whole, err := next.Pickle()
		if err == nil && !whole {
			err = next.Unread("an array of objects follows whose pickle does not end")
		}
		if err != nil {
			return false, err
		}
	} else {
		size, ok := product(w.shape, w.dtype.Size)
		if !ok {
			return false, next.Unread(fmt.Sprintf("an array of the shape %d follows, which has too many elements", w.shape))
		}
		if err := next.Skip(size); err != nil {
			return false, err
		}
	}
	array.Size = next.Offset() - array.Offset
	s.add(v, array)
	return true, nil
}

func (s *scanner) add(v pickle.Value, a Array) {
	if s.take(a) {
		s.places[v.Identity()] = len(s.arrays)
		s.arrays = append(s.arrays, a)
	}
}

// take tells whether there is room to list an array.
func (s *scanner) take(a Array) bool {
	const cost = 200 // of an array and its place
	s.room -= cost + len(a.Name) + 8*len(a.Shape)
	s.listed = s.listed && s.room >= 0
	return s.room >= 0
}

// product returns how many bytes an array has.
func product(shape []uint64, size uint64) (int64, bool) {
	n := size
	const most = 1 << 62
	for _, dim := range shape {
		if dim != 0 && n > most/dim {
			return 0, false
		}
		n *= dim
	}
	return int64(n), n <= most
}

// bare tells whether a wrapper was made without calling it, which gives it attributes of
// its own: what pickle writes is the class alone, or in protocols 0 and 1
// copyreg._reconstructor(class, object, None). Called with three, it fails.
func bare(v pickle.Value) bool {
	args, whole := v.Items()
	if len(args) != 3 {
		return whole && len(args) == 0
	}
	class, _ := args[0].Global()
	base, _ := args[1].Global()
	return class == wrapperClass && (base == pickle.Global{Module: "builtins", Name: "object"} || base == pickle.Global{Module: "__builtin__", Name: "object"}) &&
		args[0].Kind() == pickle.GlobalRef && args[1].Kind() == pickle.GlobalRef && args[2].Kind() == pickle.None
}

// readWrapper reads the attributes of a NumpyArrayWrapper. Others than those that
// joblib writes would replace its methods.
func readWrapper(v pickle.Value) (w wrapper, err error) {
	if !bare(v) {
		return w, fmt.Errorf("it was made with attributes, which joblib does not write")
	}
	state := v.State()
	entries, whole := state.Entries()
	if state.Kind() != pickle.Dict || !whole {
		return w, fmt.Errorf("its attributes are not known")
	}
	seen := map[string]bool{}
	for _, e := range entries {
		key, _ := e.Key.Text()
		if seen[key] {
			return w, fmt.Errorf("it has the attribute %q twice", key)
		}
		seen[key] = true
		switch key {
		case "subclass", "order":
		case "allow_mmap":
			w.mapped = !e.Value.False()
		case "shape":
			w.shape, err = readShape(e.Value)
		case "dtype":
			w.dtype, err = readDType(e.Value)
		case "numpy_array_alignment_bytes":
			_, isInt := e.Value.Int()
			if w.padded = isInt; !isInt && e.Value.Kind() != pickle.None {
				err = fmt.Errorf("its alignment is no number")
			}
		default:
			err = fmt.Errorf("it has the attribute %q, which joblib does not write", key)
		}
		if err != nil {
			return w, err
		}
	}
	if !seen["shape"] || !seen["dtype"] {
		return w, fmt.Errorf("it has no shape or no type")
	}
	w.objects = w.dtype.Objects
	w.padded = w.padded && !w.objects
	if w.objects && w.mapped {
		// Asked for a map, joblib steps over as many bytes as pointers to the objects have.
		return w, fmt.Errorf("it is of objects, and a map of the file")
	}
	return w, nil
}

// readDType reads the type of an array. The memory map of one whose elements are arrays
// has the size of those twice.
func readDType(v pickle.Value) (pickle.DType, error) {
	d, err := v.DType()
	if err == nil && d.Array {
		err = fmt.Errorf("its type has parts, which NumPy does not write of such a type")
	}
	return d, err
}

const maxRank = 64 // of NumPy 2; 32 before

func readShape(v pickle.Value) ([]uint64, error) {
	items, whole := v.Items()
	if v.Kind() != pickle.Tuple || !whole || len(items) > maxRank {
		return nil, fmt.Errorf("its shape is no tuple of numbers")
	}
	shape := []uint64{}
	for _, item := range items {
		n, ok := item.Int()
		if !ok || n < 0 {
			return nil, fmt.Errorf("its shape is no tuple of numbers")
		}
		shape = append(shape, uint64(n))
	}
	return shape, nil
}
