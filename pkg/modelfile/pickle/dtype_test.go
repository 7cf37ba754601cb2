package pickle_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// Pieces of what NumPy writes of a type.
const (
	noParts = "NNN"
	oneName = "(Va\nt"
)

// dtypeOf is a type that is given a state, of which size and flags are numbers.
func dtypeOf(name, parts, size, flags string) string {
	return stackGlobal("numpy", "dtype") + str(name) + "\x89\x88\x87R(K\x03" + str("|") + parts + size + "K\x01" + flags + "tb"
}

// withField are the parts of a record with one field.
func withField(typ, at string) string { return "N" + oneName + "}Va\n" + typ + at + "\x86s" }

// A state with which an array reaches beyond its memory, or takes bytes for the addresses
// of objects, is one that NumPy does not write.
func TestStatesOfTypes(t *testing.T) {
	u8 := stackGlobal("numpy", "dtype") + str("u8") + "\x89\x88\x87R"
	objects := dtypeOf("O8", noParts, "J\xff\xff\xff\xff", "K\x3f")
	late := stackGlobal("numpy", "dtype") + str("V8") + "\x89\x88\x87Rq\x09"
	state := func(size string) string { return "(K\x03" + str("|") + noParts + size + "K\x01K\x00tb" }
	fields := strings.Replace(withField(u8, "K\x00"), "}", "}q\x08", 1)
	for name, tt := range map[string]struct {
		typ   string
		clean bool
	}{
		"text":                     {dtypeOf("U2", noParts, "K\x08", "K\x08"), true},
		"objects":                  {objects, true},
		"record":                   {dtypeOf("V8", withField(u8, "K\x00"), "K\x08", "K\x00"), true},
		"record that is aligned":   {dtypeOf("V8", withField(u8, "K\x00"), "K\x08", "J\x90\xff\xff\xff"), true},
		"record of objects":        {dtypeOf("V16", withField(objects, "K\x08"), "K\x10", "K\x1b"), true},
		"arrays":                   {dtypeOf("V16", u8+"K\x02\x85\x86NN", "K\x10", "K\x00"), true},
		"arrays of objects":        {dtypeOf("V16", objects+"K\x02\x85\x86NN", "K\x10", "K\x3f"), true},
		"objects that are bytes":   {dtypeOf("O8", noParts, "J\xff\xff\xff\xff", "K\x00"), false},
		"objects in no list":       {dtypeOf("O8", noParts, "J\xff\xff\xff\xff", "K\x01"), false},
		"bytes that are objects":   {dtypeOf("V8", noParts, "K\x08", "K\x3f"), false},
		"record that is a pointer": {dtypeOf("V16", withField(objects, "K\x08"), "K\x10", "K\x1f"), false},
		"field of hidden objects":  {dtypeOf("V8", withField(objects, "K\x00"), "K\x08", "K\x00"), false},
		"field behind the record":  {dtypeOf("V8", withField(u8, "K\x01"), "K\x08", "K\x00"), false},
		"field before the record":  {dtypeOf("V8", withField(u8, "J\xff\xff\xff\xff"), "K\x08", "K\x00"), false},
		"arrays that are larger":   {dtypeOf("V8", u8+"K\x02\x85\x86NN", "K\x08", "K\x00"), false},
		"state twice":              {dtypeOf("V8", noParts, "K\x08", "K\x00") + state("K\x10"), false},
		"state of one in use":      {late + "0]h\x09a0h\x09" + state("M\x00\x10"), false},
		"field that is changed":    {dtypeOf("V8", fields, "K\x08", "K\x00") + "0h\x08Va\n" + u8 + "M\x00\x10\x86s", false},
		"class of NumPy":           {stackGlobal("numpy", "dtype") + stackGlobal("numpy", "void") + "\x89\x88\x87R" + state("K\x10"), false},
	} {
		s := scan(t, cat(proto(4), tt.typ, "."), pickle.Options{})
		if clean := s.verdict() == hazard.Clean; clean != tt.clean || !clean && s.verdict() != hazard.Incomplete {
			t.Errorf("%s: %s, %+v", name, s.verdict(), s.findings)
		}
	}
}

// A scalar is an object, or an element of an array that has one.
func TestScalarsOfNothing(t *testing.T) {
	objects := dtypeOf("O8", noParts, "J\xff\xff\xff\xff", "K\x3f")
	record := dtypeOf("V8", withField(objects, "K\x00"), "K\x08", "K\x1b")
	array := stackGlobal("numpy.core.multiarray", "_reconstruct") + stackGlobal("numpy", "ndarray") + "K\x00\x85C\x01b\x87R"
	shaped := func(shape string) string { return array + "(K\x01" + shape + record + "\x89](N\x85etb" }
	for name, tt := range map[string]struct {
		arguments string
		want      hazard.Verdict
	}{
		"number":              {dtypeOf("f8", noParts, "J\xff\xff\xff\xff", "K\x00") + "C\x0812345678\x86", hazard.Clean},
		"no bytes":            {dtypeOf("S0", noParts, "K\x00", "K\x00") + global("__builtin__", "bytes") + ")R\x86", hazard.Clean},
		"object":              {objects + "]\x86", hazard.Clean},
		"record":              {record + shaped(")") + "\x86", hazard.Clean},
		"nothing":             {objects + "\x85", hazard.Incomplete},
		"record of none":      {record + shaped("K\x00\x85") + "\x86", hazard.Incomplete},
		"record of no state":  {record + array + "\x86", hazard.Incomplete},
		"record of no array":  {record + "]\x86", hazard.Incomplete},
		"of an unknown type":  {"N" + shaped("K\x00\x85") + "\x86", hazard.Incomplete},
		"record and one more": {record + shaped(")") + "N\x87", hazard.Clean},
	} {
		s := scan(t, cat(proto(4), stackGlobal("numpy.core.multiarray", "scalar"), tt.arguments, "R."), pickle.Options{})
		if s.verdict() != tt.want {
			t.Errorf("%s: %s, %+v", name, s.verdict(), s.findings)
		}
	}
}

// Records with attributes are made of a class; with another one it is not known what a
// state says.
func TestTypesOfClasses(t *testing.T) {
	typ := func(class, size string) []byte {
		return cat(proto(4), stackGlobal("numpy", "dtype"), class, "\x89\x88\x87R(K\x03", str("|"), "N", oneName, "}Va\n",
			stackGlobal("numpy", "dtype"), str("u8"), "\x89\x88\x87RK\x00\x86s", size, "K\x01K\x00tb.")
	}
	for _, tt := range []struct {
		pickle []byte
		want   hazard.Verdict
	}{
		{typ(stackGlobal("numpy", "record"), "K\x08"), hazard.Suspicious},
		{typ(stackGlobal("numpy.rec", "record"), "K\x04"), hazard.Incomplete},
		{typ(stackGlobal("mine", "bfloat16"), "K\x08"), hazard.Suspicious},
	} {
		if s := scan(t, tt.pickle, pickle.Options{}); s.verdict() != tt.want {
			t.Errorf("%q: %s, %+v", tt.pickle, s.verdict(), s.findings)
		}
	}
}

// A type that is too far back is not forgotten to be one, nor are its fields.
func TestTypeFarAway(t *testing.T) {
	texts := strings.Repeat(uni(strings.Repeat("x", 4096))+"0", 5<<20/4096) // as much as is kept
	later := strings.Repeat("]0", 300)
	u8 := stackGlobal("numpy", "dtype") + str("u8") + "\x89\x88\x87R"
	fields := strings.Replace(withField(u8, "K\x00"), "}", "}q\x08", 1)
	for name, p := range map[string]string{
		"type":   stackGlobal("numpy", "dtype") + str("V8") + "\x89\x88\x87R" + later + "(K\x03" + str("|") + noParts + "K\x10K\x01K\x00tb",
		"fields": dtypeOf("V8", fields, "K\x08", "K\x00") + "0" + later + "h\x08Va\n" + u8 + "M\x00\x10\x86s",
	} {
		if s := scan(t, cat(proto(4), texts, later, p, "."), pickle.Options{}); s.verdict() != hazard.Incomplete {
			t.Errorf("%s: %s, %+v", name, s.verdict(), s.findings)
		}
	}
}
