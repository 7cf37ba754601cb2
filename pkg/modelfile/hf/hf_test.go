package hf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

func readFrontMatter(b []byte) (*hf.FrontMatter, error) {
	return hf.ReadFrontMatter(iotest.OneByteReader(bytes.NewReader(b)))
}

// refusals runs a table of inputs with the error each must give.
func refusals[T any](t *testing.T, parse func([]byte) (*T, error), table [][2]string) {
	t.Helper()
	for _, row := range table {
		got, err := parse([]byte(row[0]))
		if err == nil || err.Error() != row[1] {
			t.Errorf("%.80q: got error %v\nwant %s", row[0], err, row[1])
		}
		if got != nil {
			t.Errorf("%.80q: a value came with the error", row[0])
		}
	}
}

func TestParseConfig(t *testing.T) {
	for _, tt := range []struct {
		name, json string
		want       hf.Config
	}{
		{"empty", `{}`, hf.Config{}},
		{
			"decoder", `{"architectures":["LlamaForCausalLM"],"model_type":"llama","num_attention_heads":32,"max_position_embeddings":131072,"torch_dtype":"bfloat16","vocab_size":1e5}`,
			hf.Config{Architectures: []string{"LlamaForCausalLM"}, ModelType: "llama", AttentionHeads: 32, ContextLength: 131072, DType: "bfloat16"},
		},
		{
			"old names", `{"model_type":"gpt2","n_head":12,"n_ctx":1024,"n_positions":2048,"architectures":null,"auto_map":{"AutoModel":"m.M"}}`,
			hf.Config{ModelType: "gpt2", AttentionHeads: 12, ContextLength: 1024, RemoteCode: true, AutoMap: []hf.CodeRef{{Field: "auto_map.AutoModel", Module: "m.py", Class: "M"}}},
		},
		{
			"code", `{"auto_map":{"AutoTokenizer":["a.b.Slow",null],"AutoModel":"org/repo--m.M","x":7},"custom_pipelines":{"p":{"impl":"pipe.P","pt":["AutoModel"]}},"text_config":{"auto_map":"C"}}`,
			hf.Config{RemoteCode: true, AutoMap: []hf.CodeRef{
				{Field: "auto_map.AutoTokenizer", Module: "a/b.py", Class: "Slow"},
				{Field: "auto_map.AutoModel", Repo: "org/repo", Module: "m.py", Class: "M"},
				{Field: "custom_pipelines.p.impl", Module: "pipe.py", Class: "P"},
				{Field: "text_config.auto_map", Class: "C"},
			}},
		},
		{"vocabulary", `{"vocab_size":151936,"text_config":{"vocab_size":7}}`, hf.Config{VocabSize: 151936}},
		{"vocabulary of a part", `{"vocab_size":-1,"text_config":{"vocab_size":7}}`, hf.Config{VocabSize: 7}},
		{"dtype wins", `{"dtype":"float16","torch_dtype":"torch.float32"}`, hf.Config{DType: "float16"}},
		{"case counts", `{"Model_Type":"x","model_type":"y"}`, hf.Config{ModelType: "y"}},
		{"stages", `{"num_attention_heads":[1,2,5,8]}`, hf.Config{AttentionHeads: 8}},
		{"gptq", `{"quantization_config":{"quant_method":"gptq","bits":4}}`, hf.Config{Quantization: hf.Quantization{Method: "gptq", Bits: 4}}},
		{"bitsandbytes", `{"quantization_config":{"load_in_4bit":true,"load_in_8bit":false}}`, hf.Config{Quantization: hf.Quantization{Method: "bitsandbytes", Bits: 4}}},
		{
			"nested", `{"model_type":"llava","text_config":{"model_type":"llama","num_attention_heads":8,"max_position_embeddings":4096,"dtype":"float16","architectures":["A"],"quantization_config":{"quant_method":"awq","bits":4}},"vision_config":{},"audio_config":{"a":[]}}`,
			hf.Config{
				ModelType: "llava", AttentionHeads: 8, ContextLength: 4096, DType: "float16", Architectures: []string{"A"}, Vision: true, Audio: true,
				Quantization: hf.Quantization{Method: "awq", Bits: 4},
			},
		},
		{"null is not set", `{"model_type":null,"n_head":null,"text_config":null,"vision_config":null,"quantization_config":null}`, hf.Config{}},
		{"clean text", `{"model_type":" a\u0000\u001b\u202eb\nc "}`, hf.Config{ModelType: "ab c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := hf.ParseConfig([]byte(tt.json))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseConfigRefuses(t *testing.T) {
	refusals(t, hf.ParseConfig, [][2]string{
		{``, "byte 0: document ends inside a value"},
		{`[]`, "not a JSON object"},
		{`null`, "not a JSON object"},
		{`{"a":1}x`, "byte 7: 'x' after the end of the document"},
		{`{"a":NaN}`, "byte 5: 'N' where a value should begin"},
		{"{\"a\":\"\xff\"}", "byte 5: string is not valid UTF-8"},
		{`{"a":1,"\u0061":2}`, `byte 7: duplicate key "a"`},
		{`{"x":[{"b":{},"b":[]}]}`, `byte 14: duplicate key "b"`},
		{`{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "byte 68: nested deeper than 64"},
		{`{"a":"` + strings.Repeat("a", 16<<20) + `"}`, "byte 16777216: document of more than 16777216 bytes"},
		{`{"model_type":1}`, `field "model_type" is not a string`},
		{`{"architectures":{}}`, `field "architectures" is not a list of strings`},
		{`{"architectures":["a",null]}`, `field "architectures" is not a list of strings`},
		{`{"n_head":-1}`, `field "n_head" is not an unsigned integer`},
		{`{"n_head":12.0}`, `field "n_head" is not an unsigned integer`},
		{`{"n_head":[1,"2"]}`, `field "n_head" is not a list of unsigned integers`},
		{`{"n_head":[1,-2]}`, `field "n_head" is not a list of unsigned integers`},
		{`{"max_position_embeddings":18446744073709551616}`, `field "max_position_embeddings" is not an unsigned integer`},
		{`{"vocab_size":"32000"}`, `field "vocab_size" is not a number`},
		{`{"dtype":16}`, `field "dtype" is not a string`},
		{`{"text_config":[]}`, `field "text_config" is not an object`},
		{`{"text_config":{"n_ctx":"1"}}`, `field "text_config.n_ctx" is not an unsigned integer`},
		{`{"quantization_config":"gptq"}`, `field "quantization_config" is not an object`},
		{`{"quantization_config":{"bits":"4"}}`, `field "quantization_config.bits" is not an unsigned integer`},
		{`{"quantization_config":{"load_in_4bit":1}}`, `field "quantization_config.load_in_4bit" is not true or false`},
	})
}

func TestParseAdapter(t *testing.T) {
	got, err := hf.ParseAdapter([]byte(`{"base_model_name_or_path":"org/base","revision":null,"peft_type":"LORA"}`))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&hf.Adapter{BaseModel: "org/base", Type: "LORA"}, got); d != "" {
		t.Error(d)
	}
}

func TestParseIndex(t *testing.T) {
	for text, want := range map[string]hf.Index{
		`{"weight_map":{}}`: {WeightMap: map[string]string{}},
		`{"metadata":{"total_size":7},"weight_map":{"a":"x.safetensors","b":"d/y.safetensors"}}`: {
			WeightMap: map[string]string{"a": "x.safetensors", "b": "d/y.safetensors"}, TotalSize: 7,
		},
		`{"metadata":{"total_size":7.00},"weight_map":{}}`: {WeightMap: map[string]string{}, TotalSize: 7},
	} {
		got, err := hf.ParseIndex([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if d := cmp.Diff(&want, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestReadFrontMatter(t *testing.T) {
	card := func(block string) string { return "---\n" + block + "---\n# Title\n" }
	for _, tt := range []struct {
		name, readme string
		want         *hf.FrontMatter
	}{
		{"none", "# Title\n", nil},
		{"empty file", "", nil},
		{"rule further down", "# Title\n---\nlicense: mit\n---\n", nil},
		{"empty block", "---\n---\n", &hf.FrontMatter{}},
		{"comment only", card("# nothing\n"), &hf.FrontMatter{}},
		{
			"all", card("license: other\nlicense_name: my-license\nlicense_link: https://example.com\nlanguage:\n- en\n- no\nbase_model: org/base\nbase_model_relation: quantized\ndatasets: [a/b, c]\npipeline_tag: text-generation\nlibrary_name: transformers\ntags: [x, 1.10, true]\nmodel-index:\n- name: x\n"),
			&hf.FrontMatter{
				License: []string{"other"}, LicenseName: "my-license", LicenseLink: "https://example.com", Language: []string{"en", "no"},
				BaseModel: []string{"org/base"}, BaseModelRelation: "quantized", Datasets: []string{"a/b", "c"}, PipelineTag: "text-generation",
				LibraryName: "transformers", Tags: []string{"x", "1.10", "true"},
			},
		},
		{"one field", card("license: mit\n"), &hf.FrontMatter{License: []string{"mit"}}},
		{"carriage returns and a mark", "\ufeff---\r\nlicense: mit\r\nlanguage:\r\n- en\r\n---\r\n", &hf.FrontMatter{License: []string{"mit"}, Language: []string{"en"}}},
		{"end of file ends the fence", "---\nlicense: mit\n---", &hf.FrontMatter{License: []string{"mit"}}},
		{"quotes and blocks", card("license: \"a\\nb\"\nlicense_name: |\n  c\n  d\n"), &hf.FrontMatter{License: []string{"a b"}, LicenseName: "c d"}},
		{"null", card("license: null\nlanguage: ~\ndatasets:\ntags: [null, a]\n"), &hf.FrontMatter{Tags: []string{"a"}}},
		{"anchors", card("license: &l mit\ntags: [*l, &t b]\nlanguage: &x [en, *t]\ndatasets: *x\n"), &hf.FrontMatter{
			License: []string{"mit"}, Tags: []string{"mit", "b"}, Language: []string{"en", "b"}, Datasets: []string{"en", "b"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readFrontMatter([]byte(tt.readme))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// numbered repeats a text with the number of each.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// What is many and is not the keys of one mapping is read.
func TestReadFrontMatterLong(t *testing.T) {
	for _, block := range []string{
		"tags:\n" + numbered("- t%d\n", 1_700) + "license: mit\n",
		"tags: [\n" + numbered("t%d,\n", 1_700) + "]\nlicense: mit\n",
		"x:\n" + numbered("- name: r%d\n  value: 1\n", 1_700) + "license: mit\n",
		numbered("# %d\n", 1_700) + "license: mit\n",
		"x: |\n" + numbered(" a%d: b\n", 1_700) + "license: mit\n",
	} {
		got, err := readFrontMatter([]byte("---\n" + block + "---\n"))
		if err != nil || !slices.Equal(got.License, []string{"mit"}) {
			t.Errorf("%.20q…: %v, %+v", block, err, got)
		}
	}
}

func TestReadFrontMatterRefuses(t *testing.T) {
	refusals(t, readFrontMatter, [][2]string{
		{"---\nlicense: mit\n", `front matter has no end: no line "---" follows`},
		{"---", `front matter has no end: no line "---" follows`},
		{"---\n" + strings.Repeat("# x\n", 17_000) + "---\n", "line 16386: the front matter is longer than 65536 bytes without the results of model-index"},
		{"---\nmodel-index:\n- results:\n" + strings.Repeat("  - metrics:\n", 200_000) + "---\n", "front matter does not end within 2097152 bytes"},
		{"---\nx: " + strings.Repeat("x", 65_600) + "\n---\n", "line 2: longer than 65536 bytes"},
		{"---\nlicense: *x\n---\n", `line 2: alias "x" names nothing that is read with it`},
		{"---\nlicense: \xff\n---\n", "not valid UTF-8"},
		{"---\nlicense: !!str mit\n---\n", `line 2: yaml tag "!!str"`},
		{"---\na: b\nx: !ruby/object {}\n---\n", `line 3: yaml tag "!ruby/object"`},
		{"---\n%YAML 1.2\n---\n", "line 2: yaml directive"},
		{"---\na: &x b\nc: [" + strings.Repeat("*x,", 101) + "]\n---\n", "line 3: more than 100 aliases"},
		{"---\na: " + strings.Repeat("[", 33) + "\n---\n", "line 2: nested deeper than 32"},
		{"---\n" + strings.Repeat("- ", 20_000) + "\n---\n", "line 2: nested deeper than 32"},
		{"---\n" + strings.Repeat("? ", 20_000) + "\n---\n", "line 2: nested deeper than 32"},
		{"---\na: b\ntags: [" + strings.Repeat("x,", 2_000) + "]\n---\n", "line 3: more than 4000 yaml tokens"},
		{"---\n" + numbered("a%d: b\n", 1_501) + "---\n", "line 1502: more than 1500 keys in one yaml mapping"},
		{"---\nx:\n- y:\n" + numbered("    a%d:\n#\n    - b\n", 1_501) + "---\n", "line 4504: more than 1500 keys in one yaml mapping"},
		{"---\n" + numbered("? a%d\n: b\n", 751) + "---\n", "line 1502: more than 1500 keys in one yaml mapping"},
		{"---\n- a\n---\n", "not a yaml mapping"},
		{"---\nplain\n---\n", "not a yaml mapping"},
		{"---\na: b\n...\nc: d\n---\n", "more than one yaml document"},
		{"---\na: [b\n---\n", "yaml: [2:4] sequence end token ']' not found"},
		{"---\nlicense: mit\nlicense: gpl\n---\n", `yaml: [3:1] mapping key "license" already defined at [2:1]`},
		{"---\nlicense: {a: b}\n---\n", `field "license" is not a string or a list of strings`},
		{"---\nlicense: [[a]]\n---\n", `field "license" is not a string or a list of strings`},
		{"---\npipeline_tag: [a]\n---\n", `field "pipeline_tag" is not a string`},
	})
}

// An alias costs what its text costs, however often anchors nest: 9^9 texts would take
// hours.
func TestReadFrontMatterExpansion(t *testing.T) {
	var b strings.Builder
	b.WriteString("---\na0: &a0 [x]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	b.WriteString("tags: *a9\n---\n")
	_, err := readFrontMatter([]byte(b.String()))
	if want := `field "tags" is not a string or a list of strings`; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestLicense(t *testing.T) {
	for _, tt := range []struct {
		license []string
		name    string
		want    string
	}{
		{nil, "", ""},
		{[]string{"apache-2.0"}, "", "Apache-2.0"},
		{[]string{"MIT"}, "ignored", "MIT"},
		{[]string{"cc-by-nc-sa-4.0"}, "", "CC-BY-NC-SA-4.0"},
		{[]string{"agpl-3.0"}, "", "AGPL-3.0-only"},
		{[]string{"gpl-2.0"}, "", "GPL-2.0-only"},
		{[]string{"GPL-3.0"}, "", "GPL-3.0-only"},
		{[]string{"lgpl-2.1"}, "", "LGPL-2.1-only"},
		{[]string{"lgpl-3.0"}, "", "LGPL-3.0-only"},
		{[]string{"odc-by"}, "", "ODC-By-1.0"},
		{[]string{"odbl"}, "", "ODbL-1.0"},
		{[]string{"pddl"}, "", "PDDL-1.0"},
		{[]string{"c-uda"}, "", "C-UDA-1.0"},
		{[]string{"lgpl-lr"}, "", "LGPLLR"},
		{[]string{"bigscience-openrail-m"}, "", "LicenseRef-bigscience-openrail-m"},
		{[]string{"llama3.1"}, "", "LicenseRef-llama3.1"},
		{[]string{"gemma"}, "", "LicenseRef-gemma"},
		{[]string{"bsd"}, "", "LicenseRef-bsd"},
		{[]string{"cc"}, "", "LicenseRef-cc"},
		{[]string{"gpl"}, "", "LicenseRef-gpl"},
		{[]string{"other"}, "", "LicenseRef-other"},
		{[]string{"other"}, "My License, v1_0!", "LicenseRef-My-License-v1-0"},
		{[]string{"other"}, "LicenseRef-mine", "LicenseRef-mine"},
		{[]string{"other"}, "许可", "LicenseRef-other"},
		{[]string{"unknown"}, "x", ""},
		{[]string{"mit", "other", "gemma"}, "mine", "MIT AND LicenseRef-mine AND LicenseRef-gemma"},
		{[]string{"mit", "MIT"}, "", "MIT"},
		{[]string{"Apache-2.0 OR MIT"}, "", "Apache-2.0 OR MIT"},
	} {
		if got := hf.License(&hf.FrontMatter{License: tt.license, LicenseName: tt.name}); got != tt.want {
			t.Errorf("%q named %q: %q, want %q", tt.license, tt.name, got, tt.want)
		}
	}
	if got := hf.License(nil); got != "" {
		t.Errorf("no front matter: %q", got)
	}
}

func TestModalities(t *testing.T) {
	for tag, want := range map[string][2]string{
		"text-generation": {"text", "text"}, "token-classification": {"text", "other"}, "feature-extraction": {"text", "embedding"},
		"image-text-to-text": {"image text", "text"}, "depth-estimation": {"image", "other"}, "image-feature-extraction": {"image", "embedding"},
		"text-to-image": {"text", "image"}, "image-to-image": {"image", "image"}, "text-to-video": {"text", "video"},
		"automatic-speech-recognition": {"audio", "text"}, "text-to-speech": {"text", "audio"}, "audio-to-audio": {"audio", "audio"},
		"audio-text-to-text": {"audio text", "text"}, "video-text-to-text": {"video text", "text"}, "robotics": {"other", "other"},
		"any-to-any": {"", ""}, "": {"", ""},
	} {
		in, out := hf.Modalities(tag)
		if strings.Join(in, " ") != want[0] || strings.Join(out, " ") != want[1] {
			t.Errorf("%s: %q to %q", tag, in, out)
		}
	}
	// The caller may extend what it got.
	in, _ := hf.Modalities("text-generation")
	_ = append(in, "image")
	if again, _ := hf.Modalities("translation"); !slices.Equal(again, []string{"text"}) {
		t.Errorf("shared slices: %q", again)
	}
}

func TestTemplateUsesTools(t *testing.T) {
	for template, want := range map[string]bool{
		"":                                false,
		"{% for tool in tools %}":         true,
		"{%- if tools is defined -%}":     true,
		"{{ tools | tojson }}":            true,
		"{{tools}}":                       true,
		"{{ x }} {{ tools[0] }}":          true,
		"You may use tools {{ x }} tools": false,
		"{# tools #}{{ x }}":              false,
		"{{ 'the tools' }}":               false,
		`{{ "a\"tools" }}`:                false,
		"{{ message.tools }}":             false,
		"{{ builtin_tools }}":             false,
		"{{ {'a': 1} }} tools":            false,
		"{{ tools":                        true,
		"{":                               false,
		"{{ 'open":                        false,
		"{# open":                         false,
	} {
		if got := hf.TemplateUsesTools(template); got != want {
			t.Errorf("%q: %v", template, got)
		}
	}
}

func TestChatTemplateUsesTools(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`:                                 false,
		`{"chat_template":null}`:             false,
		`{"chat_template":"{{ messages }}"}`: false,
		`{"chat_template":"{{ tools }}"}`:    true,
		`{"chat_template":[{"name":"default","template":"{{ m }}"},{"name":"tool_use","template":"{{ tools }}"}]}`: true,
	} {
		got, err := hf.ChatTemplateUsesTools([]byte(text))
		if got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{`{"chat_template":1}`, `{"chat_template":[{}]}`, `{"chat_template":[{"template":2}]}`} {
		_, err := hf.ChatTemplateUsesTools([]byte(text))
		if want := `field "chat_template" is not a template or a list of templates`; err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCleanText(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"a\x00b\x1b[31mc\u009b\u202ed\u2028", 100, "ab[31mcd"},
		{" a\tb\r\nc ", 100, "a b  c"},
		{"a\xffb\ufffd", 100, "ab"},
		{"äöü", 5, "äö"},
		{strings.Repeat("\x00", 10) + "a", 2, ""},
	} {
		if got := hf.CleanText(tt.in, tt.limit); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

// clean fails unless every text is what CleanText promises.
func clean(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !utf8.ValidString(s) || len(s) > hf.MaxTextSize || strings.ContainsFunc(s, unicode.IsControl) {
			t.Fatalf("text %q", s)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzParseConfig: what is read of a config is clean text and survives being
// written and read again.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"architectures":["A"],"model_type":"llama","n_head":[1,2],"n_ctx":7,"dtype":"torch.bfloat16","auto_map":{},"quantization_config":{"load_in_4bit":true}}`))
	f.Add([]byte(`{"text_config":{"model_type":"x","quantization_config":{"quant_method":"gptq","w_bit":4}},"vision_config":{},"audio_config":1}`))
	f.Add([]byte(`{"a":{"a":[{"a":1,"\u0061":2}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := hf.ParseConfig(b)
		if err != nil {
			return
		}
		clean(t, append(c.Architectures, c.ModelType, c.DType, c.Quantization.Method)...)
		again := map[string]any{
			"model_type": c.ModelType, "architectures": c.Architectures, "num_attention_heads": c.AttentionHeads, "n_positions": c.ContextLength,
			"torch_dtype": "torch." + c.DType, "quantization_config": map[string]any{"quant_method": c.Quantization.Method, "bits": c.Quantization.Bits},
		}
		for key, on := range map[string]bool{"vision_config": c.Vision, "audio_config": c.Audio, "auto_map": c.RemoteCode} {
			if on {
				again[key] = true
			}
		}
		c2, err := hf.ParseConfig(marshal(t, again))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, c2, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzParseIndex: all files of an accepted index are local, and it survives
// being written and read again.
func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":7.0},"weight_map":{"a":"x-00001-of-00002.safetensors","é":"d/y"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x"}}`))
	f.Add([]byte(`{"weight_map":{"a":"x","a":"y"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := hf.ParseIndex(b)
		if err != nil {
			return
		}
		for _, p := range x.WeightMap {
			clean(t, p)
			if !fs.ValidPath(p) {
				t.Fatalf("path %q", p)
			}
		}
		x2, err := hf.ParseIndex(marshal(t, map[string]any{"weight_map": x.WeightMap, "metadata": map[string]any{"total_size": x.TotalSize}}))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(x, x2); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzReadFrontMatter: what is read of a block is clean text, its license is
// an expression that SPDX allows, and it survives being written and read again.
func FuzzReadFrontMatter(f *testing.F) {
	f.Add([]byte("---\nlicense: other\nlicense_name: my license\nlanguage:\n- en\n- no\ndatasets: [a/b, \"c\\td\"]\ntags: [x, 1.10, true]\n---\n# x\n"))
	f.Add([]byte("---\nlicense: &l mit\ntags: [*l, &t b]\nbase_model: |\n  a\n  b\n---"))
	f.Add([]byte("---\n? a\n: b\n<<: {license: x}\n---\n"))
	f.Add([]byte("---\nlicense: [*a, &a [*a]]\n---\n"))
	f.Add([]byte("---\nmodel-index:\n- name: m\n  results:\n  - task: {type: a, name: A}\n    dataset: {type: d, name: D, config: c, split: s, revision: r, args: x}\n    metrics:\n    - type: wer\n      value: 20.90\n      name: n\n    - {type: cer, value: \"1 ± 2\", config: c}\n    source: {name: s, url: https://example.com}\n---\n"))
	f.Add([]byte("---\nmodel-index:\n- results: &r\n  - metrics: &m [{type: a, value: 1}, {value: 2}]\n  - metrics: *m\n- results: *r\n---\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fm, err := readFrontMatter(b)
		if err != nil || fm == nil {
			return
		}
		if len(fm.LeftOut) > 5 || len(fm.Metrics) > hf.MaxMetrics {
			t.Fatalf("%d metrics, %q", len(fm.Metrics), fm.LeftOut)
		}
		fm.LeftOut = nil // of which nothing is to be written
		lists := map[string][]string{"license": fm.License, "language": fm.Language, "base_model": fm.BaseModel, "datasets": fm.Datasets, "tags": fm.Tags}
		texts := map[string]string{
			"license_name": fm.LicenseName, "license_link": fm.LicenseLink, "base_model_relation": fm.BaseModelRelation,
			"pipeline_tag": fm.PipelineTag, "library_name": fm.LibraryName,
		}
		var block strings.Builder
		block.WriteString("---\n")
		for key, list := range lists {
			clean(t, list...)
			fmt.Fprintf(&block, "%s:\n", key)
			for _, s := range list {
				fmt.Fprintf(&block, "- %s\n", marshal(t, s))
			}
		}
		for key, s := range texts {
			clean(t, s)
			fmt.Fprintf(&block, "%s: %s\n", key, marshal(t, s))
		}
		writeMetrics(t, &block, fm.Metrics)
		block.WriteString("---\n")
		for _, x := range hf.Licenses(fm) {
			if ref, ok := strings.CutPrefix(x, "LicenseRef-"); ok && (ref == "" || strings.Trim(ref, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "") {
				t.Fatalf("license %q", x)
			}
		}
		// The data set of a result is written with each of its metrics, which may make too
		// many marks of it.
		if block.Len() > hf.MaxParsedSize || block.Len() > 16_000 && len(fm.Metrics) > 0 {
			return
		}
		fm2, err := readFrontMatter([]byte(block.String()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, block.String())
		}
		if d := cmp.Diff(fm, fm2, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%s\n%s", d, block.String())
		}
	})
}

// writeMetrics writes a model-index with a result for each metric.
func writeMetrics(t *testing.T, block *strings.Builder, metrics []hf.Metric) {
	t.Helper()
	block.WriteString("model-index:\n- results:\n")
	seen := map[string]bool{}
	for i, name := range hf.MetricNames(metrics) {
		m, s := metrics[i], metrics[i].Dataset
		clean(t, m.Type, m.Value, m.Name, m.Config, m.Task, m.TaskName, m.Source, m.SourceURL, s.Type, s.Name, s.Config, s.Split, s.Revision)
		text := func(s string) string { return string(marshal(t, s)) }
		fmt.Fprintf(block, "  - task:\n      type: %s\n      name: %s\n    source:\n      name: %s\n      url: %s\n", text(m.Task), text(m.TaskName), text(m.Source), text(m.SourceURL))
		fmt.Fprintf(block, "    dataset:\n      type: %s\n      name: %s\n      config: %s\n      split: %s\n      revision: %s\n", text(s.Type), text(s.Name), text(s.Config), text(s.Split), text(s.Revision))
		fmt.Fprintf(block, "    metrics:\n    - type: %s\n      value: %s\n      name: %s\n      config: %s\n", text(m.Type), text(m.Value), text(m.Name), text(m.Config))
		if name = s.On(name); seen[name] || m.Type == "" || m.Value == "" {
			t.Fatalf("%q is of two metrics, or of none: %+v", name, m)
		}
		seen[name] = true
	}
}
