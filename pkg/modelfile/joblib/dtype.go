package joblib

import (
	"strconv"
	"strings"
)

// Kind returns the letter of the type of elements: f for numbers with a fraction, V for
// records; 0 without one.
func (a *Array) Kind() byte {
	name := strings.TrimLeft(a.DType, "<>|")
	if name == "" {
		return 0
	}
	return name[0]
}

// TypeName returns the name of the type of numbers as NumPy has it (float32, int64,
// bool), and DType for all others.
func (a *Array) TypeName() string {
	name := strings.TrimLeft(a.DType, "<>|")
	if name == "b1" {
		return "bool"
	}
	kind := map[byte]string{'i': "int", 'u': "uint", 'f': "float", 'c': "complex"}[a.Kind()]
	if kind == "" {
		return a.DType
	}
	size, err := strconv.ParseUint(name[1:], 10, 31)
	if err != nil {
		return a.DType
	}
	return kind + strconv.FormatUint(8*size, 10)
}
