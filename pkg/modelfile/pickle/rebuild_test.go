package pickle_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// number is an integer of any size, as LONG1.
func number(n int64) string { return "\x8a\x08" + u64(uint64(n)) }

func tuple(items ...string) string { return "(" + strings.Join(items, "") + "t" }

func list(items ...string) string { return "](" + strings.Join(items, "") + "e" }

func storage(class string, elements int64) string {
	return tuple(str("storage"), global("torch", class), str("0"), str("cpu"), number(elements)) + "Q"
}

func call(module, name string, args ...string) string {
	return global(module, name) + tuple(args...) + "R"
}

func qtensor(storage, offset, size, stride, quantizer string) string {
	return call("torch._utils", "_rebuild_qtensor", storage, offset, size, stride, quantizer, "\x89", call("collections", "OrderedDict"))
}

// Codecs of text are those that models need, for all functions that take one.
func TestCodecs(t *testing.T) {
	for _, tt := range []struct {
		module, name string
		args         []string
		want         hazard.Verdict
	}{
		{"builtins", "bytes", []string{str("a"), str("latin-1")}, hazard.Clean},
		{"builtins", "bytes", []string{str("a"), str("idna")}, hazard.Suspicious},
		{"builtins", "bytes", []string{str("a"), call("builtins", "str")}, hazard.Suspicious},
		{"builtins", "bytes", []string{bin("a")}, hazard.Clean},
		{"builtins", "bytes", nil, hazard.Clean},
		{"builtins", "bytearray", []string{str("a"), str("latin-1")}, hazard.Clean},
		{"builtins", "bytearray", []string{str("a"), str("rot13")}, hazard.Suspicious},
		{"builtins", "str", []string{bin("a"), str("utf-8"), str("strict")}, hazard.Clean},
		{"builtins", "str", []string{bin("a"), str("mbcs")}, hazard.Suspicious},
		{"builtins", "str", []string{number(3)}, hazard.Clean},
		{"__builtin__", "bytearray", []string{uni("a"), uni("latin-1")}, hazard.Clean},
		{"__builtin__", "bytearray", []string{uni("a"), uni("punycode")}, hazard.Suspicious},
		{"__builtin__", "unicode", []string{uni("a"), uni("punycode")}, hazard.Suspicious},
		{"__builtin__", "str", []string{uni("a"), uni("uu")}, hazard.Suspicious},
		{"_codecs", "encode", []string{str("a"), str("latin1")}, hazard.Clean},
		{"_codecs", "encode", []string{str("a"), str("zlib")}, hazard.Suspicious},
	} {
		for _, p := range []byte{2, 4} {
			s := scan(t, cat(proto(p), call(tt.module, tt.name, tt.args...), "."), pickle.Options{})
			if tt.module == "__builtin__" && p > 2 && tt.name == "unicode" {
				continue // Python 3 does not know that name then
			}
			if s.verdict() != tt.want || !s.Whole {
				t.Errorf("%s.%s%q in protocol %d: %s, %+v", tt.module, tt.name, tt.args, p, s.verdict(), s.findings)
			}
		}
	}
	// A subclass of str, as protocols below 2 write it.
	s := scan(t, cat("ccopy_reg\n_reconstructor\n(ccollections\nOrderedDict\nc__builtin__\nstr\nVa\ntR."), pickle.Options{})
	if s.verdict() != hazard.Clean {
		t.Errorf("an object by way of str: %s, %+v", s.verdict(), s.findings)
	}
}

// PyTorch does not compare quantized tensors with their storage.
func TestQuantized(t *testing.T) {
	perTensor := tuple(global("torch", "per_tensor_affine"), "G"+"\x3f\xf0\x00\x00\x00\x00\x00\x00", number(0))
	perChannel := func(scales, zeros string, axis int64) string {
		return tuple(global("torch", "per_channel_affine"), scales, zeros, number(axis))
	}
	tensor := func(n int64) string {
		return call("torch._utils", "_rebuild_tensor_v2", storage("DoubleStorage", n), number(0), tuple(number(n)), tuple(number(1)), "\x89", call("collections", "OrderedDict"))
	}
	numbers := func(n ...int64) string {
		var all []string
		for _, n := range n {
			all = append(all, number(n))
		}
		return tuple(all...)
	}
	s12 := storage("QInt8Storage", 12)
	for _, tt := range []struct {
		name, object string
		want         hazard.Verdict
		why          string
	}{
		{"whole", qtensor(s12, number(0), numbers(3, 4), numbers(4, 1), perTensor), hazard.Clean, ""},
		{"transposed", qtensor(s12, number(0), numbers(4, 3), numbers(1, 4), perTensor), hazard.Clean, ""},
		{"a part", qtensor(s12, number(8), numbers(4), numbers(1), perTensor), hazard.Clean, ""},
		{"one element again", qtensor(s12, number(11), numbers(1<<40), numbers(0), perTensor), hazard.Clean, ""},
		{"a number", qtensor(s12, number(11), numbers(), numbers(), perTensor), hazard.Clean, ""},
		{"empty", qtensor(s12, number(1<<40), numbers(0, 5), numbers(5, 1), perTensor), hazard.Clean, ""},
		{"symmetric", qtensor(s12, number(0), numbers(12), numbers(1), strings.Replace(perTensor, "affine", "symmetric", 1)), hazard.Clean, ""},
		{"two in a byte", qtensor(storage("QUInt4x2Storage", 6), number(0), numbers(12), numbers(1), perTensor), hazard.Clean, ""},
		{"four in a byte", qtensor(storage("QUInt2x4Storage", 3), number(0), numbers(12), numbers(1), perTensor), hazard.Clean, ""},
		{"channels", qtensor(s12, number(0), numbers(3, 4), numbers(4, 1), perChannel(tensor(3), tensor(3), 0)), hazard.Clean, ""},
		{"channels of the second dimension, in lists", qtensor(s12, number(0), numbers(3, 4), numbers(4, 1), perChannel(list(number(1), number(1), number(1), number(1)), list("K\x00", "K\x00", "K\x00", "K\x00"), 1)), hazard.Clean, ""},

		{"too long", qtensor(s12, number(0), numbers(13), numbers(1), perTensor), hazard.Dangerous, "ends at element 13 of a storage of 12"},
		{"too far", qtensor(s12, number(9), numbers(4), numbers(1), perTensor), hazard.Dangerous, "ends at element 13 of a storage of 12"},
		{"too wide", qtensor(s12, number(0), numbers(3, 4), numbers(5, 1), perTensor), hazard.Dangerous, "ends at element 14 of a storage of 12"},
		{"a number behind the end", qtensor(s12, number(12), numbers(), numbers(), perTensor), hazard.Dangerous, "ends at element 13 of a storage of 12"},
		{"too many to count", qtensor(s12, number(1<<54), numbers(1<<54, 1<<54), numbers(1<<54, 1<<54), perTensor), hazard.Dangerous, "of a storage of 12"},
		{"too many in a byte", qtensor(storage("QUInt4x2Storage", 6), number(0), numbers(13), numbers(1), perTensor), hazard.Dangerous, "ends at element 13 of a storage of 12"},
		{"before the begin", qtensor(s12, number(-1), numbers(4), numbers(1), perTensor), hazard.Suspicious, "size that is not known"},
		{"backwards", qtensor(s12, number(0), numbers(4), numbers(-1), perTensor), hazard.Suspicious, "size that is not known"},
		{"fewer strides", qtensor(s12, number(0), numbers(3, 4), numbers(1), perTensor), hazard.Suspicious, "size that is not known"},
		{"a computed size", qtensor(s12, number(0), call("builtins", "list"), numbers(), perTensor), hazard.Suspicious, "size that is not known"},
		{"no storage", qtensor("N", number(0), numbers(4), numbers(1), perTensor), hazard.Suspicious, "not known how large"},
		{"few arguments", call("torch._utils", "_rebuild_qtensor", s12), hazard.Suspicious, "arguments that PyTorch does not write"},
		{"no quantizer", qtensor(s12, number(0), numbers(4), numbers(1), "N"), hazard.Suspicious, "quantizer that is not known"},
		{"another quantizer", qtensor(s12, number(0), numbers(4), numbers(1), strings.Replace(perTensor, "per_tensor_affine", "float32", 1)), hazard.Suspicious, "quantizer that is not known"},
		{"few scales", qtensor(s12, number(0), numbers(3, 4), numbers(4, 1), perChannel(tensor(2), tensor(3), 0)), hazard.Dangerous, "of 3 channels with scales for 2"},
		{"few zero points", qtensor(s12, number(0), numbers(3, 4), numbers(4, 1), perChannel(tensor(3), list(number(0)), 0)), hazard.Dangerous, "of 3 channels with scales for 1"},
		{"another axis", qtensor(s12, number(0), numbers(3, 4), numbers(4, 1), perChannel(tensor(3), tensor(3), 2)), hazard.Dangerous, "of 2 dimensions with scales for number 2"},
		{"an axis below 0", qtensor(s12, number(0), numbers(3, 4), numbers(4, 1), perChannel(tensor(3), tensor(3), -1)), hazard.Dangerous, "of 2 dimensions with scales for number -1"},
		{"scales that are none", qtensor(s12, number(0), numbers(3, 4), numbers(4, 1), perChannel("N", "N", 0)), hazard.Suspicious, "quantizer that is not known"},
	} {
		s := scan(t, cat(proto(2), tt.object, "."), pickle.Options{Torch: true})
		if s.verdict() != tt.want || !s.Whole || !strings.Contains(fmt.Sprint(s.findings), tt.why) {
			t.Errorf("%s: %s, %+v", tt.name, s.verdict(), s.findings)
		}
	}
	allowed := pickle.Options{Torch: true, Allow: pickle.Allowed{{Module: "torch._utils", Name: "_rebuild_qtensor"}: true}}
	if s := scan(t, cat(proto(2), call("torch._utils", "_rebuild_qtensor", s12), "."), allowed); s.verdict() != hazard.Clean {
		t.Errorf("allowed: %s, %+v", s.verdict(), s.findings)
	}
}

// A sparse tensor is reported once, and can be allowed.
func TestSparse(t *testing.T) {
	one := call("torch._utils", "_rebuild_sparse_tensor", global("torch", "dtype"), tuple("N", "N", "N"))
	b := cat(proto(2), tuple(one, one), ".")
	if s := scan(t, b, pickle.Options{Torch: true}); s.verdict() != hazard.Suspicious || len(s.findings) != 1 {
		t.Errorf("%s, %+v", s.verdict(), s.findings)
	}
	allowed := pickle.Options{Torch: true, Allow: pickle.Allowed{{Module: "torch._utils", Name: "_rebuild_sparse_tensor"}: true}}
	if s := scan(t, b, allowed); s.verdict() != hazard.Clean {
		t.Errorf("allowed: %s, %+v", s.verdict(), s.findings)
	}
}
