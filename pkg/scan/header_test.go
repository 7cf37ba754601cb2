package scan_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/replay"
	"github.com/modseal/modseal/pkg/scan"
)

func safetensorsOf(header string, data int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("\x00", data)
}

const oneTensor = `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`

// ggufOf has texts, each behind its key, and no tensors.
func ggufOf(texts ...string) string {
	b := []byte("GGUF\x03\x00\x00\x00")
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(texts)/2))
	for i, text := range texts {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
		if i%2 == 0 {
			b = binary.LittleEndian.AppendUint32(b, 8)
		}
	}
	return string(b)
}

// lengthed is text behind its length, as BINBYTES has it.
func lengthed(text string) string {
	return string(binary.LittleEndian.AppendUint32(nil, uint32(len(text)))) + text
}

// onnxOf has one node of a domain.
func onnxOf(domain string) string {
	node := field(4, "Op") + field(7, domain)
	opset := field(1, domain) + "\x10\x01"
	return "\x08\x08" + field(7, field(1, node)) + field(8, opset) + field(8, "\x10\x12")
}

// What is compressed is read as what lies open: the header of a format that has one is
// gone over in a stream, and what it says is judged.
func TestCompressedHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, content string
		verdict       hazard.Verdict
		want          []string
	}{
		{"m.safetensors", safetensorsOf(oneTensor, 4), hazard.Clean, []string{}},
		{"m.safetensors", safetensorsOf(oneTensor, 4) + "more", hazard.Incomplete, []string{"file-invalid safetensors"}},
		{"m.safetensors", safetensorsOf(oneTensor, 3), hazard.Incomplete, []string{"file-invalid safetensors"}},
		{"m.gguf", ggufOf("tokenizer.chat_template", "{{ messages }}"), hazard.Clean, []string{}},
		{"m.gguf", ggufOf("tokenizer.chat_template", "{{ x.__class__ }}"), hazard.Suspicious, []string{"template-reaches-outside __class__"}},
		{"m.gguf", ggufOf("general.name", "x")[:40], hazard.Incomplete, []string{"file-invalid gguf"}},
		{"m.onnx", onnxOf(""), hazard.Clean, []string{}},
		{"m.onnx", onnxOf("own"), hazard.Suspicious, []string{"onnx-custom-operator own::Op"}},
		{"m.onnx", onnxOf("own")[:9], hazard.Incomplete, []string{"onnx-malformed"}},
		{"saved_model.pb", savedModel("Add", ""), hazard.Clean, []string{}},
		{"saved_model.pb", savedModel("PyFunc", ""), hazard.Dangerous, []string{"tensorflow-python-op PyFunc"}},
		{"saved_model.pb", savedModel("PyFunc", "")[:9], hazard.Incomplete, []string{"file-invalid tensorflow"}},
	} {
		for in, f := range map[string][2]string{
			"as it is":     {tt.name, tt.content},
			"zip":          {"m.zip", zipped(t, tt.name, tt.content)},
			"gzip":         {tt.name + ".gz", gzipped(t, tt.content)},
			"gzip in gzip": {tt.name + ".gz.gz", gzipped(t, gzipped(t, tt.content))},
			"zip in gzip":  {"m.zip.gz", gzipped(t, zipped(t, tt.name, tt.content))},
		} {
			t.Run(fmt.Sprintf("%s %v %s", tt.name, tt.want, in), func(t *testing.T) {
				t.Parallel()
				r := do(t, scan.Options{}, file(f[0], "", f[1]))
				if diff := cmp.Diff(tt.want, found(r)); diff != "" || r.Verdict != tt.verdict {
					t.Errorf("%s, want %s\n%s", r.Verdict, tt.verdict, diff)
				}
			})
		}
	}
}

// A member that cannot be read to the end of its header is said to be unread, and the
// members behind it are read.
func TestCompressedHeaderCutShort(t *testing.T) {
	t.Parallel()
	packed := gzipped(t, safetensorsOf(oneTensor, 4))
	r := do(t, scan.Options{}, file("m.zip", "", zipped(t, "first.safetensors.gz", packed[:len(packed)-12], "second.pkl", evil)))
	if diff := cmp.Diff([]string{"archive-malformed", "pickle-dangerous-global os.system"}, found(r)); diff != "" {
		t.Error(diff)
	}

	// What would be gone over again and again is given up.
	var front, back []string
	for i := range 40 {
		front = append(front, fmt.Sprintf("tokenizer.chat_template.%03d", 2*i), "{{ a }}")
		back = append(back, fmt.Sprintf("tokenizer.chat_template.%03d", 2*i+1), "{{ b }}")
	}
	texts := slices.Concat(front, []string{"general.description", strings.Repeat("-", replay.Window+1<<10)}, back)
	r = do(t, scan.Options{}, file("m.zip", "", zipped(t, "m.gguf", ggufOf(texts...), "n.pkl", evil)))
	if diff := cmp.Diff([]string{"file-unread gguf", "pickle-dangerous-global os.system"}, found(r)); diff != "" {
		t.Error(diff)
	}
}
