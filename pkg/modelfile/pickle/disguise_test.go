package pickle_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// A state that is no dictionary of the pickle itself has the same attributes: loaders
// take whatever is a dict or a tuple to Python.
func TestStatesThatCallsMake(t *testing.T) {
	dict, key, class := stackGlobal("builtins", "dict"), str("__class__"), stackGlobal("builtins", "list")
	ordered := stackGlobal("collections", "OrderedDict")
	computed := stackGlobal("builtins", "str") + bin("__clas"+"\x00_") + "\x85R"
	for name, tt := range map[string]struct{ state, rule string }{
		"items of a call":          {ordered + ")R" + key + class + "s", "pickle-dunder-name"},
		"slots that a call made":   {"N" + ordered + ")R" + key + class + "s\x86", "pickle-dunder-name"},
		"pairs":                    {dict + "](" + key + class + "\x86e\x85R", "pickle-dunder-name"},
		"dictionary in a call":     {ordered + "}" + key + class + "s\x85R", "pickle-dunder-name"},
		"tuple that a call made":   {stackGlobal("builtins", "tuple") + "N}" + key + class + "s\x86\x85R", "pickle-dunder-name"},
		"name in bytes":            {dict + "](" + stackGlobal("builtins", "str") + bin("__class__") + str("ascii") + "\x86R" + class + "\x86e\x85R", "pickle-dunder-name"},
		"name that a call made":    {"}" + computed + class + "s", "pickle-computed-name"},
		"the same in slots":        {"N}" + computed + class + "s\x86", "pickle-computed-name"},
		"the same in pairs":        {dict + "](" + computed + class + "\x86e\x85R", "pickle-computed-name"},
		"the same, lists for both": {dict + "](](" + computed + class + "ee\x85R", "pickle-computed-name"},
	} {
		s := scan(t, cat(proto(4), ordered, ")R", tt.state, "b."), pickle.Options{})
		if got := strings.Join(s.rules(), " "); got != tt.rule {
			t.Errorf("%s: %s, not %s", name, got, tt.rule)
		}
	}
	clean := cat(proto(4), ordered, ")R}", str("_metadata"), ordered, ")R", str("version"), "K\x01ssb.")
	if s := scan(t, clean, pickle.Options{}); s.verdict() != hazard.Clean {
		t.Errorf("%+v", s.findings)
	}
}

// NumPy takes an object's word for where its data are, so that the array it makes of it
// is memory of the loader, which SETITEM writes to: a function of Python was replaced, and
// called.
func TestAddressOfData(t *testing.T) {
	number := func(n byte) string { return "K" + string([]byte{n}) }
	address := "}(" + str("shape") + number(1) + "\x85" + str("typestr") + str("<u8") + str("version") + number(3) +
		str("data") + "J\x20\x68\x95\x00\x89\x86u"
	for _, attribute := range []string{"__array_interface__", "__array_struct__", "__array__", "__cuda_array_interface__", "__dlpack__"} {
		object := stackGlobal("collections", "OrderedDict") + ")R}" + str(attribute) + address + "sb"
		s := scan(t, cat(proto(4), stackGlobal("numpy", "uint64"), object, "\x85R", number(0), number(1), "s."), pickle.Options{})
		if !slices.Contains(s.rules(), "pickle-dunder-name") {
			t.Errorf("%s: %s", attribute, s.rules())
		}
	}
}

// Arguments by name can be addresses. A class that somebody allowed may have some.
func TestArgumentsByName(t *testing.T) {
	call := func(module, class, name string) []byte {
		return cat(proto(4), stackGlobal(module, class), ")}", str(name), "M\x00\x10s\x92.")
	}
	for _, b := range [][]byte{call("torch", "Tensor", "cdata"), call("torch.storage", "UntypedStorage", "allocator"), call("numpy", "dtype", "dtype")} {
		if s := scan(t, b, pickle.Options{}); s.verdict() != hazard.Incomplete {
			t.Errorf("%q: %s", b, s.verdict())
		}
	}
	allow := pickle.Allowed{{Module: "mine", Name: "Class"}: true}
	for _, b := range [][]byte{call("mine", "Class", "size"), cat(proto(4), stackGlobal("collections", "OrderedDict"), ")}\x92.")} {
		if s := scan(t, b, pickle.Options{Allow: allow}); s.verdict() != hazard.Clean {
			t.Errorf("%q: %+v", b, s.findings)
		}
	}
}

// A name that is remembered, and too far back to be kept, is one of those that there were.
func TestNameFarAway(t *testing.T) {
	texts := strings.Repeat(uni(strings.Repeat("x", 4096))+"0", 5<<20/4096) // as much as is kept
	later := strings.Repeat(str("a")+"0", 200)
	for _, tt := range []struct{ name, rule string }{{"__class__", "pickle-dunder-name"}, {"weight", ""}} {
		for _, state := range []string{"}h\x00Ns", "N}h\x00Ns\x86"} {
			s := scan(t, cat(proto(4), texts, str(tt.name), "q\x000", later, stackGlobal("collections", "OrderedDict"), ")R", state, "b."), pickle.Options{})
			if got := strings.Join(s.rules(), " "); got != tt.rule {
				t.Errorf("%s: %s, not %s", tt.name, got, tt.rule)
			}
		}
	}
}

// An array of the memory of another one, which that gives back when it is given a state.
func TestMemoryOfAnother(t *testing.T) {
	array := stackGlobal("numpy.core.multiarray", "_reconstruct") + stackGlobal("numpy", "ndarray") + "K\x00\x85C\x01b\x87R"
	u1 := stackGlobal("numpy", "dtype") + str("u1") + "\x89\x88\x87R"
	for name, made := range map[string]string{
		"ndarray":    stackGlobal("numpy", "ndarray") + "K\x09\x85" + u1 + array + "\x87R",
		"new":        stackGlobal("numpy", "ndarray") + "K\x09\x85" + u1 + array + "\x87\x81",
		"scalar":     stackGlobal("numpy", "uint8") + array + "\x85R",
		"frombuffer": stackGlobal("numpy.core.numeric", "_frombuffer") + "(" + array + u1 + "K\x09\x85" + str("C") + "tR",
		"view":       array + "\x98",
	} {
		if s := scan(t, cat(proto(5), made, "."), pickle.Options{}); s.verdict() != hazard.Incomplete {
			t.Errorf("%s: %s, %+v", name, s.verdict(), s.findings)
		}
	}
	honest := stackGlobal("numpy.core.numeric", "_frombuffer") + "(\x96" + u64(1) + "x" + u1 + "K\x01\x85" + str("C") + "tR"
	if s := scan(t, cat(proto(5), honest, "."), pickle.Options{}); s.verdict() != hazard.Clean {
		t.Errorf("%+v", s.findings)
	}
}

// What a function returns as it was given stays what it is: a class that went through one
// is changed all the same, and where that is not known the scan is not whole.
func TestChangesOfWhatWasHandedThrough(t *testing.T) {
	class, intlist := stackGlobal("collections", "OrderedDict"), stackGlobal("torch.jit._pickle", "build_intlist")
	scalar, object := stackGlobal("numpy.core.multiarray", "scalar"), stackGlobal("numpy", "object_")
	objects := stackGlobal("numpy", "dtype") + str("O8") + "\x85R"
	for _, tt := range []struct{ through, rule string }{
		{stackGlobal("torch.jit._pickle", "restore_type_tag") + class + str("x") + "\x86R", "pickle-global-changed"},
		{intlist + stackGlobal("builtins", "tuple") + class + "\x85\x85RR", "pickle-limit"},
		{scalar + objects + class + "\x86R", "pickle-global-changed"},
		{stackGlobal("torch._tensor", "_rebuild_from_type_v2") + "(" + scalar + class + objects + class + "\x86}" + str("a") + "NstR0" + class + ")R", "pickle-global-changed"},
		{stackGlobal("copyreg", "_reconstructor") + object + object + class + "\x87R", "pickle-limit"},
	} {
		s := scan(t, cat(proto(4), tt.through, "}", str("a"), "K\x01sb."), pickle.Options{Torch: true})
		if got := strings.Join(s.rules(), " "); got != tt.rule {
			t.Errorf("%q: %s, not %s", tt.through, got, tt.rule)
		}
	}
}

// Bytes that are loaded are clean when they are those that were looked at.
func TestLoadsOtherBytes(t *testing.T) {
	load := global("torch.storage", "_load_from_bytes")
	hidden := "0cos\nsystem\n(S'true'\ntR."
	honest := "0" + global("collections", "OrderedDict") + ")R."
	n := len(hidden)
	// As Latin-1, the text has n and the hidden ones; as UTF-8, only the former.
	double := "U" + string([]byte{byte(2 * n)}) + strings.Repeat("é", n) + hidden + honest
	raw := "U" + string([]byte{byte(n + 2)}) + "é" + strings.Repeat("a", n) + honest
	escaped := `U` + "\x2a" + strings.Repeat(`\\u0061`, 6) + hidden + strings.Repeat("a", 42-6*2-n) + honest
	ascii := "U\x01a" + honest
	for name, tt := range map[string]struct {
		argument string
		verdict  hazard.Verdict
	}{
		"text as UTF-8":           {global("_codecs", "encode") + uni(double) + uni("utf-8") + "\x86R", hazard.Dangerous},
		"text as Latin-1":         {global("_codecs", "encode") + uni(double) + uni("latin1") + "\x86R", hazard.Clean},
		"ASCII as UTF-8":          {global("_codecs", "encode") + uni(ascii) + uni("utf-8") + "\x86R", hazard.Clean},
		"string of Python 2":      {global("_codecs", "encode") + "U" + string([]byte{byte(len(raw))}) + raw + uni("latin1") + "\x86R", hazard.Dangerous},
		"bytearray":               {"\x96" + string([]byte{byte(len(ascii))}) + "\x00\x00\x00\x00\x00\x00\x00" + ascii, hazard.Dangerous},
		"frame of another length": {bin(proto(4) + "\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x01."), hazard.Dangerous},
	} {
		s := scan(t, cat(proto(5), load, tt.argument, "\x85R."), pickle.Options{})
		if s.verdict() != tt.verdict {
			t.Errorf("%s: %s, %+v", name, s.verdict(), s.findings)
		}
	}
	// Two backslashes are no escape: with them as one, the command is in a text.
	text := "V" + strings.ReplaceAll(escaped, "\n", `\u000a`) + "\n"
	s := scan(t, cat(proto(2), load, global("_codecs", "encode"), text, uni("latin1"), "\x86R\x85R."), pickle.Options{})
	if s.verdict() != hazard.Dangerous {
		t.Errorf("escapes: %+v", s.findings)
	}
}

func TestMayStart(t *testing.T) {
	for prefix, want := range map[string]bool{
		"": false, "{": false, "# Model": false, "\x00": false, "PK\x03\x04": true, "cos\n": true, "\x80\x04": true, "\x80\x09": false, "GGUF": true, "X": true,
	} {
		if got := pickle.MayStart([]byte(prefix)); got != want {
			t.Errorf("%q: %v", prefix, got)
		}
	}
	// What starts a pickle that Probe knows may start one.
	for _, x := range techniques {
		is, err := pickle.Probe(context.Background(), hazard.OfFile("0", bytes.NewReader(x.pickle), int64(len(x.pickle))))
		if err != nil || is && !pickle.MayStart(x.pickle) {
			t.Errorf("%s: %v, %v", x.name, is, err)
		}
	}
}
