package joblib_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// padded is an array of 4 numbers behind padding of n bytes, whose data end with tail:
// joblib before 1.2 takes the last n + 1 bytes for opcodes.
func padded(tail string) string {
	n := len(tail) - 1
	size := 8 * (len(tail)/8 + 1)
	array := array("subclass", global("numpy", "ndarray"), "shape", tuple(num(int32(size/8))), "order", str("C"), "dtype", f8,
		"allow_mmap", "\x88", "numpy_array_alignment_bytes", num(16))
	return array + string([]byte{byte(n)}) + strings.Repeat("\xff", n) + strings.Repeat("\x00", size-len(tail)) + tail
}

// farName calls os.system by attributes of attributes.
var farName = func() string {
	name := strings.Repeat("path.os.", 600) + "system"
	return "0" + str("os") + "X" + long(len(name)) + name + "\x93" + str("true") + "\x85R0"
}()

func long(n int) string { return num(int32(n))[1:] }

// What joblib before 1.2 would run, and later versions take for numbers.
func TestSeesWhatOldJoblibReads(t *testing.T) {
	const dangerous = "pickle-dangerous-global os.system"
	for _, tt := range []struct {
		name string
		file []byte
		want []string
	}{
		{"a call", file(padded("cos\nsystem\n(S'true'\ntR0")), []string{dangerous}},
		{"a call by texts", file(padded(str("os") + str("system") + "\x93" + str("true") + "\x85R0")), []string{dangerous}},
		{"a call and no end", file(padded("cos\nsystem\n(S'true'\ntR\xff")), []string{dangerous}},
		{"in the second array", file("](", padded("000000000000000000000000"), padded("cos\nsystem\n(S'true'\ntR0"), "e"), nil},
		{"behind an array that is passed over", file("](", padded("N0"), padded("cos\nsystem\n(S'true'\ntR0"), "e"), []string{dangerous}},
		// The rest of the pickle names what the end of the array has put into the memo.
		{"texts that change their places", file("](", str("numpy"), "q\x01", str("ndarray"), "q\x02", padded(str("os")+"q\x01"+str("system")+"q\x020"+"0"), "h\x01h\x02\x93", "e"), []string{dangerous}},
		// The end of the array is the head of a text, at whose end other opcodes begin.
		{"a text that hides opcodes", file("](", padded("C\x06"), "\x8c\x26", "text", "cos\nsystem\n(S'true'\ntR"+strings.Repeat("0", 12), "e"), []string{dangerous}},
		{"a name that a call returns", file(padded("cbuiltins\nstr\n(S'os'\ntR" + "cbuiltins\nstr\n(S'system'\ntR\x93" + str("true") + "\x85R0")), []string{"pickle-computed-name what builtins.str returned"}},
		// More than is kept, inside of a literal whose head is the end of the array.
		{"a name that is long", file("](", padded("C\x05"), "B"+long(len(farName)), farName, "e"), []string{"pickle-computed-name a text"}},
		{"a class that nobody knows", file(padded("cabc\ndef\n)R0")), []string{"pickle-unknown-global abc.def"}},
		{"an extension, which nobody has", file(padded("\x82\x010")), nil},
		{"an array in a frame", file(padded("\x95\xff\x00\x00\x00\x00\x00\x00\x000"), shaped(tuple(num(40)), f8), strings.Repeat("\x00", 320)), []string{"pickle-array-unread "}},
		{"numbers", file(padded("\x00\x00\x00\x00\x00\x00\x14\x40")), nil},
		{"a harmless name", file(padded("cnumpy\nndarray\n0")), nil},
		{"the end of the pickle", file(padded("N.")), nil},
		{"what is no name", file(padded("c\x00\x01\n\xff\n0")), nil},
		{"a call of numbers", file("](", padded("NNR0"), "e"), nil},
	} {
		s := scan(t, tt.file)
		var got []string
		for _, f := range s.findings {
			got = append(got, f.Rule+" "+f.Subject)
			if !strings.HasPrefix(f.Message, "joblib before 1.2") {
				t.Errorf("%s: %s", tt.name, f.Message)
			}
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}
