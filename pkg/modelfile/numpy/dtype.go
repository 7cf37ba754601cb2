package numpy

import (
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// dtype is what a descr comes to.
type dtype struct {
	name    string // of one type of numbers
	size    int64
	objects bool // it is an object, or has one among its fields
}

// kinds are the characters of the array interface protocol with the sizes that they
// come in; 0 is any. Those without a size are written by their name alone.
var kinds = map[byte]struct {
	name  string
	sizes []int64
}{
	'i': {"int", []int64{1, 2, 4, 8}},
	'u': {"uint", []int64{1, 2, 4, 8}},
	'f': {"float", []int64{2, 4, 8, 12, 16}},
	'c': {"complex", []int64{8, 16, 24, 32}},
	'm': {"", []int64{8}},
	'M': {"", []int64{8}},
	'S': {"", nil},
	'a': {"", nil},
	'V': {"", nil},
	'U': {"", nil},
}

// simple is a type in the array interface protocol: byte order, kind, size and, for
// times, a unit.
var simple = regexp.MustCompile(`^[<>|=]?([iufcmMSaVU])(\d{1,18})(\[[0-9A-Za-z/]{1,32}\])?$`)

// words are names of types that numpy.dtype takes and numpy.save does not write, as far
// as they are in use. What is on no list is refused: it may be a spelling of objects.
var words = map[string]dtype{
	"?": {name: "bool", size: 1}, "b1": {name: "bool", size: 1}, "bool": {name: "bool", size: 1},
	"int8": {name: "int8", size: 1}, "int16": {name: "int16", size: 2}, "int32": {name: "int32", size: 4}, "int64": {name: "int64", size: 8},
	"uint8": {name: "uint8", size: 1}, "uint16": {name: "uint16", size: 2}, "uint32": {name: "uint32", size: 4}, "uint64": {name: "uint64", size: 8},
	"float16": {name: "float16", size: 2}, "float32": {name: "float32", size: 4}, "float64": {name: "float64", size: 8},
	"complex64": {name: "complex64", size: 8}, "complex128": {name: "complex128", size: 16},
	"O": {objects: true}, "O4": {objects: true}, "O8": {objects: true}, "object": {objects: true}, "object_": {objects: true}, "object0": {objects: true},
}

var errTooLarge = errors.New("an item would have more than 2^62 bytes")

// parseDescr reads a type: its name, or a list of fields.
func parseDescr(v value, fields *int, depth int) (dtype, error) {
	if depth > maxDepth {
		return dtype{}, fmt.Errorf("types are nested deeper than %d", maxDepth)
	}
	switch data := v.data.(type) {
	case string:
		return parseName(data)
	case []value:
		if v.tuple {
			return parseSubarray(data, fields, depth)
		}
		return parseFields(data, fields, depth)
	}
	return dtype{}, errors.New("descr is no name of a type and no list of fields")
}

// parseName reads the name of a type, or several with commas, which numpy.dtype takes
// for fields.
func parseName(text string) (dtype, error) {
	var all dtype
	names := strings.Split(text, ",")
	for _, name := range names {
		t, err := parseOne(strings.TrimSpace(name))
		if err != nil {
			return dtype{}, err
		}
		if len(names) == 1 {
			return t, nil
		}
		if err := all.add(t, 1); err != nil {
			return dtype{}, err
		}
	}
	return all, nil
}

func parseOne(name string) (dtype, error) {
	if t, ok := words[strings.TrimLeft(name, "<>|=")]; ok {
		return t, nil
	}
	m := simple.FindStringSubmatch(name)
	if m == nil {
		return dtype{}, fmt.Errorf("type %q is not known", name)
	}
	size, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return dtype{}, errTooLarge
	}
	kind := kinds[m[1][0]]
	if m[1] == "U" {
		if size > 1<<60 {
			return dtype{}, errTooLarge
		}
		size *= 4
	}
	if kind.sizes != nil && !slices.Contains(kind.sizes, size) {
		return dtype{}, fmt.Errorf("type %q is not known", name)
	}
	t := dtype{size: size}
	if kind.name != "" {
		t.name = kind.name + strconv.FormatInt(8*size, 10)
	}
	return t, nil
}

// parseFields reads a list of (name, type) and (name, type, shape).
func parseFields(items []value, fields *int, depth int) (dtype, error) {
	var all dtype
	for _, item := range items {
		if *fields++; *fields > MaxFields {
			return dtype{}, fmt.Errorf("more than %d fields", MaxFields)
		}
		parts, ok := item.data.([]value)
		if !ok || len(parts) != 2 && len(parts) != 3 {
			return dtype{}, errors.New("a field is no name with a type")
		}
		t, err := parseDescr(parts[1], fields, depth+1)
		if err != nil {
			return dtype{}, err
		}
		n := uint64(1)
		if len(parts) == 3 {
			if n, err = elements(parts[2]); err != nil {
				return dtype{}, err
			}
		}
		if err := all.add(t, n); err != nil {
			return dtype{}, err
		}
	}
	return all, nil
}

// parseSubarray reads (type, shape), which descr_to_dtype takes for an array in each
// item.
func parseSubarray(items []value, fields *int, depth int) (dtype, error) {
	var all dtype
	if len(items) != 2 {
		return dtype{}, errors.New("a type is no pair of a type and a shape")
	}
	t, err := parseDescr(items[0], fields, depth+1)
	if err != nil {
		return dtype{}, err
	}
	n, err := elements(items[1])
	if err != nil {
		return dtype{}, err
	}
	return all, all.add(t, n)
}

// elements returns how many a shape has: a number, or a tuple of them.
func elements(v value) (uint64, error) {
	dims, ok := v.data.([]value)
	if !ok {
		dims = []value{v}
	}
	n := uint64(1)
	for _, d := range dims {
		size, ok := d.data.(uint64)
		if !ok {
			return 0, errors.New("the shape of a field has a dimension that is no number")
		}
		hi, lo := bits.Mul64(n, size)
		if hi != 0 {
			return 0, errTooLarge
		}
		n = lo
	}
	return n, nil
}

// add appends n of another type.
func (t *dtype) add(other dtype, n uint64) error {
	t.objects = t.objects || other.objects
	hi, lo := bits.Mul64(uint64(other.size), n)
	if hi != 0 || lo > 1<<62-uint64(t.size) {
		return errTooLarge
	}
	t.size += int64(lo)
	return nil
}
