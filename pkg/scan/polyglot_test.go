package scan_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
	"github.com/modseal/modseal/pkg/scan"
)

// command is a pickle without a mark that calls os.system.
const command = "cos\nsystem\n(S'true'\ntR."

// scanned returns the verdict of a file and the rules that it broke.
func scanned(t *testing.T, name string, content []byte) (hazard.Verdict, map[string]int) {
	t.Helper()
	r := do(t, scan.Options{}, file(name, "", string(content)))
	return r.Files[0].Verdict, r.Rules
}

// safetensorsPickle is a valid safetensors file. As a pickle, the length of its header
// is BINUNICODE with the begin of the header as its text; further texts lead to the
// tensor, which has the opcodes that call.
func safetensorsPickle() []byte {
	const headerSize, text = 'X' | 25<<8, 120 // 5+25 bytes: up to the text of "k"
	step := "Ux" + strings.Repeat("a", text)
	header := `{"__metadata__":{"k":"`
	tail := func(n int) string {
		return fmt.Sprintf(`"},"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%[1]d]}}`, n)
	}
	header += strings.Repeat(step, (headerSize-len(header))/len(step)-1)
	header += "U0" + strings.Repeat("a", '0') + "Ux"
	left := headerSize - len(header) // which the last text has in the header
	tensor := strings.Repeat("a", text-left) + command
	header += strings.Repeat("a", left-len(tail(len(tensor)))) + tail(len(tensor))
	return append(append(binary.LittleEndian.AppendUint64(nil, headerSize), header...), tensor...)
}

// tarPickle is a tar archive, the first member of which is called as a pickle that
// steps over the mark of the archive.
func tarPickle(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: command, Size: 0, Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPickleOfAnotherFormat(t *testing.T) {
	skippable := "\x55\x2a\x4d\x18" + "\x40\x00\x00\x00" + strings.Repeat("a", 36) + command
	skippable += strings.Repeat("a", 8+0x40-len(skippable))
	tensors := safetensorsPickle()
	if _, err := safetensors.Walk(bytes.NewReader(tensors), int64(len(tensors)), nil); err != nil {
		t.Fatalf("not the safetensors file that it should be: %v", err)
	}
	for name, content := range map[string][]byte{
		"safetensors": tensors,
		"tflite":      []byte("U\x06\x00\x00TFL3" + command),
		"gguf":        []byte("GGUF\x03\x00\x00\x00\x01" + command),
		"tar":         tarPickle(t),
		"zstd":        []byte(skippable + "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello"),
		"pe":          append([]byte("MZ\x90"+command+strings.Repeat("a", 0x39-len(command))), "\x40\x00\x00\x00PE\x00\x00"...),
	} {
		for _, path := range []string{"pytorch_model.bin", "x.pkl", "x." + name} {
			verdict, rules := scanned(t, path, content)
			if verdict != hazard.Dangerous || rules["pickle-dangerous-global"] != 1 || rules[hazard.FilePolyglot] == 0 {
				t.Errorf("%s as %s: %s, %v", name, path, verdict, rules)
			}
		}
	}
}

func TestPickleOfAnyName(t *testing.T) {
	for _, path := range []string{
		"x.pth.tar", "x.sav", "x.th", "x.weights", "x.params", "x.txt", "x.json", "x.md", "x.py", "x.onnx", "x.pb", "x.npz", "x.safetensors", "x.bin", "x",
	} {
		verdict, rules := scanned(t, path, []byte(command))
		if verdict != hazard.Dangerous || rules["pickle-dangerous-global"] != 1 {
			t.Errorf("%s: %s, %v", path, verdict, rules)
		}
	}
	for path, content := range map[string]string{
		"README.md": "Introduction\n\nclass of things\nand others\n", "vocab.txt": "N\nI\nc\nat\n.\n", "x.md": "(see below)\nright\nof all.", "LICENSE": "Licence\nis\nfree.",
	} {
		if verdict, rules := scanned(t, path, []byte(content)); verdict != hazard.Clean {
			t.Errorf("%s: %s, %v", path, verdict, rules)
		}
	}
}

// A stream of which nothing can be had is not an empty one.
func TestCutStreamIsNotClean(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(strings.Repeat(command, 1000))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if verdict, rules := scanned(t, "x.joblib", b.Bytes()[:24]); verdict != hazard.Incomplete || rules["archive-malformed"] != 1 {
		t.Errorf("%s, %v", verdict, rules)
	}
}
