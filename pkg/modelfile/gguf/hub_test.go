package gguf_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/gguf"
)

// Files of another writer: see hack/fixtures/gguf.mjs.
func TestReadFilesOfAnotherWriter(t *testing.T) {
	want := map[string]string{
		"general.architecture": "llama", "general.name": "Größe 😀", "general.alignment": "64", "general.tags": `["a" "" "ü"]`,
		"tokenizer.chat_template": "{{ messages }}", "tokenizer.ggml.scores": "(array of 3 f32)", "tokenizer.ggml.token_type": "(array of 2 i32)",
		"x.u8": "255", "x.i8": "-128", "x.u16": "65535", "x.i16": "-32768", "x.i32": "-2147483648", "x.f32": "0.5", "x.bool": "true",
		"x.u64": "18446744073709551615", "x.i64": "-9223372036854775808", "x.f64": "1e+300", "x.flags": "(array of 2 bool)",
	}
	for _, tt := range []struct {
		file    string
		version uint32
		big     bool
	}{{"hub-v3.gguf", 3, false}, {"hub-v2.gguf", 2, false}, {"hub-v3-big-endian.gguf", 3, true}} {
		t.Run(tt.file, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata", tt.file))
			if err != nil {
				t.Fatal(err)
			}
			h, err := read(b)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for key, v := range h.KV {
				got[key] = v.String()
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if h.Version != tt.version || h.BigEndian != tt.big || h.Alignment != 64 || int(h.DataStart) != len(b) || len(h.Findings) > 0 {
				t.Errorf("%+v, file of %d bytes", h, len(b))
			}
			templates := h.ChatTemplates()
			if d := cmp.Diff([]gguf.Template{{Key: "tokenizer.chat_template", Offset: templates[0].Offset, Size: 14}}, templates); d != "" {
				t.Error(d)
			}
			if got := string(b[templates[0].Offset:][:14]); got != "{{ messages }}" {
				t.Errorf("at the place of the template is %q", got)
			}
		})
	}
}
