package modelfile_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/hf"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

const dir = "/models/my-model"

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// open makes files of a directory. Weights are told by their extension.
func open(content map[string]string) []modelfile.File {
	var files []modelfile.File
	for name, data := range content {
		role := "weight"
		for _, suffix := range []string{".json", ".md", ".jinja"} {
			if strings.HasSuffix(name, suffix) {
				role = "weight.config"
			}
		}
		files = append(files, modelfile.File{Path: name, Size: int64(len(data)), Role: role, Open: func() (modelfile.ReaderAtCloser, error) {
			return reader{bytes.NewReader([]byte(data))}, nil
		}})
	}
	return files
}

func inspect(t *testing.T, dirName string, content map[string]string) *modelfile.Facts {
	t.Helper()
	facts, err := modelfile.Inspect(t.Context(), dirName, open(content))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

var widths = map[string]uint64{"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "U8": 1, "I8": 1, "F8_E4M3": 1}

// weights writes a safetensors file of tensors "name dtype elements".
func weights(tensors ...string) string {
	var header strings.Builder
	var end uint64
	for i, tensor := range tensors {
		var name, dtype string
		var n uint64
		if _, err := fmt.Sscan(tensor, &name, &dtype, &n); err != nil {
			panic(err)
		}
		if i > 0 {
			header.WriteByte(',')
		}
		begin := end
		end += n * widths[dtype]
		fmt.Fprintf(&header, `%q:{"dtype":%q,"shape":[%d],"data_offsets":[%d,%d]}`, name, dtype, n, begin, end)
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(header.Len()+2))
	return string(b) + "{" + header.String() + "}" + string(make([]byte, end))
}

// ggufFile writes a GGUF file of keys (string, uint32 or []string) and tensors
// "name type elements".
func ggufFile(keys map[string]any, tensors ...string) string {
	b := []byte("GGUF\x03\x00\x00\x00")
	u32 := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	u64 := func(n uint64) { b = binary.LittleEndian.AppendUint64(b, n) }
	str := func(s string) { u64(uint64(len(s))); b = append(b, s...) }
	u64(uint64(len(tensors)))
	u64(uint64(len(keys)))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		str(key)
		switch v := keys[key].(type) {
		case string:
			u32(8)
			str(v)
		case int:
			u32(4)
			u32(uint32(v))
		case []string:
			u32(9)
			u32(8)
			u64(uint64(len(v)))
			for _, s := range v {
				str(s)
			}
		}
	}
	var offset uint64
	for _, tensor := range tensors {
		var name string
		var kind uint32
		var n uint64
		if _, err := fmt.Sscan(tensor, &name, &kind, &n); err != nil {
			panic(err)
		}
		str(name)
		u32(1)
		u64(n)
		u32(kind)
		u64(offset)
		size := n * 4
		switch kind {
		case 1:
			size = n * 2
		case 12:
			size = n / 256 * 144
		case 8:
			size = n / 32 * 34
		}
		offset += (size + 31) / 32 * 32
	}
	b = append(b, make([]byte, (32-len(b)%32)%32)...)
	return string(b) + string(make([]byte, offset))
}

func field(num byte, v string) string {
	return string([]byte{num<<3 | 2}) + string(binary.AppendUvarint(nil, uint64(len(v)))) + v
}

// onnxModel writes an ONNX model with one FLOAT initializer of n elements.
func onnxModel(n uint64, more string) string {
	tensor := "\x08" + string(binary.AppendUvarint(nil, n)) + "\x10\x01" + more
	return "\x08\x08" + field(7, field(2, "g")+field(5, tensor)) + field(8, "\x10\x11")
}

func external(location string) string {
	return "\x70\x01" + field(13, field(1, "location")+field(2, location)) + field(13, field(1, "length")+field(2, "100"))
}

func TestInspect(t *testing.T) {
	yes := true
	hub := "/home/me/.cache/huggingface/hub/models--org--My-Model/snapshots/0123456789abcdef0123456789abcdef01234567"
	for _, tt := range []struct {
		name  string
		dir   string
		files map[string]string
		want  modelfile.Facts
	}{
		{"nothing", dir, nil, modelfile.Facts{}},
		{"no name", "/", nil, modelfile.Facts{}},
		{
			"a model of the hub", hub,
			map[string]string{
				"config.json": `{"model_type":"llama","architectures":["LlamaForCausalLM"],"num_attention_heads":8,"max_position_embeddings":4096,"torch_dtype":"bfloat16","auto_map":{"AutoModel":"m.M"}}`,
				"README.md": "---\nlicense: apache-2.0\nlanguage: [en, de]\nbase_model: org/base\nbase_model_relation: finetune\ndatasets: a/b\npipeline_tag: text-generation\n" +
					"model-index:\n- name: m\n  results:\n  - task: {type: text-generation}\n    dataset: {name: IMDb, split: test}\n    metrics: [{type: accuracy, value: 0.910}]\n---\n",
				"tokenizer_config.json": `{"chat_template":"{% if tools %}{% endif %}"}`,
				"model.safetensors":     weights("a BF16 1990", "b F32 20", "c F16 19"),
			},
			modelfile.Facts{
				Name: "My-Model", Vendor: "org", Revision: "0123456789abcdef0123456789abcdef01234567", SourceURL: "https://huggingface.co/org/My-Model",
				Family: "llama", Architecture: "transformer", ModelClass: "LlamaForCausalLM", ContextLength: 4096, RemoteCode: true,
				Format: "safetensors", Parameters: 2029, ParamSize: "2K", Precision: "bfloat16",
				Licenses: []string{"Apache-2.0"}, Languages: []string{"en", "de"}, BaseModels: []string{"org/base"}, BaseModelRelation: "finetune",
				Datasets: []string{"a/b"}, Task: "text-generation", InputTypes: []string{"text"}, OutputTypes: []string{"text"}, ToolUsage: &yes,
				Metrics: []hf.Metric{{Type: "accuracy", Value: "0.910", Task: "text-generation", Dataset: hf.MetricDataset{Name: "IMDb", Split: "test"}}},
			},
		},
		{
			"an old model of the hub", "/x/models--gpt2/snapshots/0123456789abcdef0123456789abcdef01234567", nil,
			modelfile.Facts{Name: "gpt2", Revision: "0123456789abcdef0123456789abcdef01234567", SourceURL: "https://huggingface.co/gpt2"},
		},
		{
			"gguf", dir,
			map[string]string{"m.gguf": ggufFile(map[string]any{
				"general.architecture": "llama", "general.name": "Tiny\x1b Model", "general.organization": "Org", "general.version": "v1", "general.author": "Me",
				"general.description": "A model", "general.url": "https://example.com", "general.repo_url": "https://example.com/repo", "general.license": "mit",
				"general.file_type": 15, "llama.attention.head_count": 4, "llama.context_length": 2048, "general.languages": []string{"en"}, "general.datasets": []string{"d"},
				"general.base_model.count": 3, "general.base_model.0.repo_url": "https://huggingface.co/org/base", "general.base_model.1.name": "Base", "general.base_model.1.organization": "Org",
				"general.base_model.2.repo_url": "https://me:secret@example.com/x", "tokenizer.chat_template": "{{ tools }}",
			}, "a 12 2560", "b 0 100")},
			modelfile.Facts{
				Name: "Tiny Model", Vendor: "Org", Version: "v1", Authors: []string{"Me"}, Description: "A model", DocURL: "https://example.com", SourceURL: "https://example.com/repo",
				Family: "llama", Architecture: "transformer", ContextLength: 2048, Format: "gguf", Parameters: 2660, ParamSize: "2.7K", Quantization: "q4_k_m",
				Licenses: []string{"MIT"}, Languages: []string{"en"}, Datasets: []string{"d"}, BaseModels: []string{"org/base", "Org/Base"}, ToolUsage: &yes,
			},
		},
		{
			"gguf of single elements", dir,
			map[string]string{"m.gguf": ggufFile(map[string]any{"general.architecture": "rwkv7", "general.file_type": 1, "rwkv7.attention.head_count": 0}, "a 1 900", "b 0 100")},
			modelfile.Facts{Family: "rwkv7", Architecture: "rnn", Format: "gguf", Parameters: 1000, ParamSize: "1K", Precision: "float16,float32"},
		},
		{
			"onnx", dir,
			map[string]string{"model.onnx": onnxModel(1_234_567, external("model.onnx_data")), "model.onnx_data": strings.Repeat("x", 100)},
			modelfile.Facts{Format: "onnx", Parameters: 1_234_567, ParamSize: "1.2M", Precision: "float32"},
		},
		{
			"forms of one onnx model", dir,
			map[string]string{"onnx/model.onnx": onnxModel(5000, ""), "onnx/model_fp16.onnx": onnxModel(4000, "")},
			modelfile.Facts{Format: "onnx", Parameters: 5000, ParamSize: "5K", Precision: "float32"},
		},
		{
			"pickle", dir,
			map[string]string{"pytorch_model.pt": "\x80\x02}q\x00.", "config.json": `{"model_type":"resnet","torch_dtype":"float32"}`},
			modelfile.Facts{Family: "resnet", Architecture: "cnn", Format: "pt", Precision: "float32"},
		},
		{
			"the form that can be counted", dir,
			map[string]string{"a.pt": "\x80\x02" + strings.Repeat("x", 9000), "model.safetensors": weights("a F16 1000")},
			modelfile.Facts{Format: "pt", Parameters: 1000, ParamSize: "1K", Precision: "float16"},
		},
		{
			"vision and audio", dir,
			map[string]string{
				"config.json": `{"vision_config":{},"audio_config":{}}`, "README.md": "---\npipeline_tag: image-text-to-text\n---\n",
			},
			modelfile.Facts{Task: "image-text-to-text", InputTypes: []string{"image", "text", "audio"}, OutputTypes: []string{"text"}},
		},
		{
			"adapter", dir,
			map[string]string{"adapter_config.json": `{"base_model_name_or_path":"org/base"}`, "adapter_model.safetensors": weights("a F32 10")},
			modelfile.Facts{Format: "safetensors", Parameters: 10, Precision: "float32", BaseModels: []string{"org/base"}},
		},
		{
			"parts of a pipeline", dir,
			map[string]string{
				"unet/config.json": `{"model_type":"x"}`, "vae/config.json": `{"model_type":"y"}`,
				"unet/m.safetensors": weights("a F16 1000"), "vae/m.safetensors": weights("a F32 500"),
			},
			modelfile.Facts{Format: "safetensors", Parameters: 1500, ParamSize: "1.5K", Precision: "float16,float32"},
		},
		{
			"the top wins", dir,
			map[string]string{"config.json": `{"model_type":"x"}`, "a/config.json": `{"model_type":"y"}`, "a/README.md": "---\nlicense: mit\n---\n"},
			modelfile.Facts{Family: "x", Licenses: []string{"MIT"}},
		},
		{
			"gptq", dir,
			map[string]string{
				"config.json":       `{"quantization_config":{"quant_method":"gptq","bits":4}}`,
				"model.safetensors": weights("l.qweight I32 1000", "l.qzeros I32 50", "l.scales F16 100", "l.g_idx I32 100", "e F16 2000"),
			},
			modelfile.Facts{Format: "safetensors", Parameters: 10_000, ParamSize: "10K", Precision: "float16", Quantization: "gptq"},
		},
		{
			"bitsandbytes", dir,
			map[string]string{
				"config.json":       `{"quantization_config":{"quant_method":"bitsandbytes","load_in_4bit":true}}`,
				"model.safetensors": weights("l.weight U8 4000", "l.weight.absmax U8 100", "l.weight.nested_absmax F32 10", "l.weight.quant_map F32 16", "l.weight.quant_state.bitsandbytes__nf4 U8 70", "n BF16 2000"),
			},
			modelfile.Facts{Format: "safetensors", Parameters: 10_000, ParamSize: "10K", Precision: "bfloat16", Quantization: "bitsandbytes"},
		},
		{
			"mxfp4", dir,
			map[string]string{
				"config.json":       `{"quantization_config":{"quant_method":"mxfp4"}}`,
				"model.safetensors": weights("l_blocks U8 4000", "l_scales U8 500", "n BF16 2000"),
			},
			modelfile.Facts{Format: "safetensors", Parameters: 10_000, ParamSize: "10K", Precision: "bfloat16", Quantization: "mxfp4"},
		},
		{
			"fp8", dir,
			map[string]string{
				"config.json":       `{"quantization_config":{"quant_method":"fp8"}}`,
				"model.safetensors": weights("l.weight F8_E4M3 8000", "l.weight_scale_inv F32 500", "n.weight BF16 2000"),
			},
			modelfile.Facts{Format: "safetensors", Parameters: 10_000, ParamSize: "10K", Precision: "float8_e4m3,bfloat16", Quantization: "fp8"},
		},
		{
			"packed by a method that nobody knows", dir,
			map[string]string{
				"config.json": `{"quantization_config":{"quant_method":"new"}}`, "model.safetensors": weights("l I32 4000"),
			},
			modelfile.Facts{Format: "safetensors", Precision: "int32", Quantization: "new"},
		},
		{
			"packed without a config", dir,
			map[string]string{"model.safetensors": weights("l.qweight I32 4000")},
			modelfile.Facts{Format: "safetensors", Precision: "int32"},
		},
		{
			"shards with an index", dir,
			map[string]string{
				"model-00001-of-00002.safetensors": weights("a F32 1000"), "model-00002-of-00002.safetensors": weights("b F32 1000"),
				"model.safetensors.index.json": `{"metadata":{"total_size":8000},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`,
			},
			modelfile.Facts{Format: "safetensors", Parameters: 2000, ParamSize: "2K", Precision: "float32"},
		},
		{
			"gguf shards", dir,
			map[string]string{
				"m-00001-of-00002.gguf": ggufFile(map[string]any{"split.no": 1, "split.count": 2, "split.tensors.count": 2}, "a 0 1000"),
				"m-00002-of-00002.gguf": ggufFile(map[string]any{"split.no": 0, "split.count": 2, "split.tensors.count": 2, "general.name": "Sharded"}, "b 0 1000"),
			},
			modelfile.Facts{Name: "Sharded", Format: "gguf", Parameters: 2000, ParamSize: "2K", Precision: "float32"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := inspect(t, tt.dir, tt.files)
			if d := cmp.Diff(&tt.want, got, cmpopts.EquateEmpty(), counted); d != "" {
				t.Error(d)
			}
		})
	}
}

// counted are the facts that TestInspectCounts is about.
var counted = cmpopts.IgnoreFields(modelfile.Facts{}, "Tensors", "Types", "Weights", "Shards", "Tokenizer")

func TestInspectWarns(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"broken config", map[string]string{"config.json": `{"a":1,"a":2}`}, []string{`"config.json": byte 7: duplicate key "a"`}},
		{"large config", map[string]string{"config.json": strings.Repeat(" ", 16<<20+1)}, []string{`"config.json": 16777217 bytes are more than 16777216`}},
		{"broken card", map[string]string{"README.md": "---\nlicense: !x mit\n---\n"}, []string{`"README.md": line 2: yaml tag "!x"`}},
		{"broken metrics", map[string]string{"README.md": "---\nmodel-index: [{results: [{metrics: x}]}]\n---\n"}, []string{`"README.md": model-index[0].results[0].metrics is not a list: no metric is taken from it`}},
		{"a long card", map[string]string{"README.md": "---\nmodel-index:\n- results:\n  - a:\n" + strings.Repeat("    - b\n", 10_000) + "---\n"}, []string{`"README.md": model-index[0].results[0] is longer than 32768 bytes: it is left out`}},
		{"a long card of something else", map[string]string{"README.md": "---\nlicense: mit\ntags:\n" + strings.Repeat("- b\n", 20_000) + "---\n"}, []string{`"README.md": line 16383: the front matter is longer than 65536 bytes without the results of model-index`}},
		{"broken adapter", map[string]string{"adapter_config.json": `[]`}, []string{`"adapter_config.json": not a JSON object`}},
		{"broken tokenizer", map[string]string{"tokenizer_config.json": `[]`}, []string{`"tokenizer_config.json": not a JSON object`}},
		{"broken index", map[string]string{"model.safetensors.index.json": `{}`}, []string{`"model.safetensors.index.json": field "weight_map" is not there`}},
		{"adapter of a local base", map[string]string{"adapter_config.json": `{"base_model_name_or_path":"/home/me/base"}`}, []string{`"adapter_config.json": the base model is not the id of a repository`}},
		{"broken onnx", map[string]string{"m.onnx": "text"}, []string{`"m.onnx": not a valid onnx file: byte 0: model: field 14 has wire type 4`}},
		{"onnx without its weights", map[string]string{"d/m.onnx": onnxModel(1, external("w"))}, []string{`"d/m.onnx": its weights are in "d/w", which is missing`}},
		{"onnx with short weights", map[string]string{"m.onnx": onnxModel(1, external("w")), "w": "x"}, []string{`"m.onnx": its weights need 100 bytes of "w", which has 1`}},
		{"several onnx models", map[string]string{"a.onnx": onnxModel(1, ""), "b.onnx": onnxModel(1, "")}, []string{"2 onnx models: their weights are not counted, since one may be a form of another"}},
		{"finding", map[string]string{"m.gguf": ggufFile(nil, "a 200 1")}, []string{`"m.gguf": 1 tensors of unknown type, the first "a" of type 200: their sizes were not checked`}},
		{
			"conflicts",
			map[string]string{
				"config.json": `{"model_type":"qwen2","max_position_embeddings":1024,"quantization_config":{"quant_method":"awq"}}`,
				"README.md":   "---\nlicense: mit\nbase_model: a/b\nlanguage: [en]\n---\n",
				"m.gguf": ggufFile(map[string]any{
					"general.architecture": "llama", "llama.context_length": 2048, "general.file_type": 15, "general.license": "gemma", "general.languages": []string{"de"},
					"general.base_model.count": 1, "general.base_model.0.name": "c", "general.url": "file:///etc",
				}),
			},
			[]string{
				`"m.gguf": general.url is not the address of a web page`,
				`family: config.json says "qwen2", m.gguf says "llama": the first counts`,
				`quantization: config.json says "awq", m.gguf says "q4_k_m": the first counts`,
				`context length: config.json says 1024, m.gguf says 2048: the first counts`,
				`license: README.md says ["MIT"], m.gguf says ["LicenseRef-gemma"]: the first counts`,
				`languages: README.md says ["en"], m.gguf says ["de"]: the first counts`,
				`base model: README.md says ["a/b"], m.gguf says ["c"]: the first counts`,
			},
		},
		{"spelling is no conflict", map[string]string{"config.json": `{"model_type":"gpt_neox"}`, "m.gguf": ggufFile(map[string]any{"general.architecture": "gptneox"})}, nil},
		{"another precision", map[string]string{"config.json": `{"torch_dtype":"float16"}`, "m.safetensors": weights("a F32 1")}, []string{"precision: the weights are float32, config.json says float16: the first counts"}},
		{
			"missing shards",
			map[string]string{"d/m-00002-of-00006.safetensors": weights("a F32 1")},
			[]string{`"d/m-*-of-00006.safetensors": parts are missing: "00001", "00003", "00004" and 2 more`},
		},
		{
			"one shard too many",
			map[string]string{"m-00001-of-00001.safetensors": weights("a F32 1"), "m-00002-of-00001.safetensors": weights("b F32 1")},
			[]string{`"m-*-of-00001.safetensors": there are parts with numbers outside 1 to 1`},
		},
		{
			"index and shards differ",
			map[string]string{
				"d/a.safetensors": weights("one F32 1", "two F32 1", "three F32 1"), "d/b.safetensors": weights("four F32 1"), "d/stray.safetensors": weights("stray F32 1"),
				"d/model.safetensors.index.json": `{"metadata":{"total_size":999},"weight_map":{"one":"a.safetensors","two":"b.safetensors","four":"b.safetensors","five":"c.safetensors"}}`,
			},
			[]string{
				`"d/model.safetensors.index.json": files that it names are missing: "d/c.safetensors"`,
				`"d/model.safetensors.index.json": tensors of "d/a.safetensors" that it does not name: "three", "two"`,
				`"d/stray.safetensors": no index beside it names it: not counted`,
				`"d/model.safetensors.index.json": tensors that "d/b.safetensors" should hold and does not: "two"`,
				`"d/model.safetensors.index.json": announces 999 bytes of tensors, the files hold 8`,
			},
		},
		{
			"the same weights twice",
			map[string]string{"a.safetensors": weights("x F32 1", "y F32 1"), "b.safetensors": weights("x F16 1", "y F16 1")},
			[]string{`"b.safetensors": 2 tensors are also in "a.safetensors": counted once`},
		},
		{
			"two quantisations",
			map[string]string{
				"a.gguf": ggufFile(map[string]any{"general.file_type": 15}, "x 12 256"), "b.gguf": ggufFile(map[string]any{"general.file_type": 7}, "x 8 256"),
			},
			[]string{`"a.gguf": 1 tensors are also in "b.gguf": counted once`},
		},
		{
			"gguf shards that disagree",
			map[string]string{
				"m-00001-of-00002.gguf": ggufFile(map[string]any{"split.no": 0, "split.count": 2, "split.tensors.count": 5}, "a 0 1"),
				"m-00002-of-00002.gguf": ggufFile(map[string]any{"split.no": 0, "split.count": 3}, "b 0 1"),
			},
			[]string{
				`"m-00002-of-00002.gguf": shard 0 of 3, in a set of 2`,
				`"m-00001-of-00002.gguf": announces 5 tensors, the shards hold 2`,
			},
		},
		{
			"gguf shard missing",
			map[string]string{"m-00001-of-00002.gguf": ggufFile(map[string]any{"split.no": 0, "split.count": 2}, "a 0 1")},
			[]string{`"m-00001-of-00002.gguf": 1 shards of a set of 2`, `"m-*-of-00002.gguf": parts are missing: "00002"`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := inspect(t, dir, tt.files)
			if d := cmp.Diff(tt.want, got.Notes()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestInspectCounts(t *testing.T) {
	got := inspect(t, dir, map[string]string{
		"m-00001-of-00003.safetensors": weights("a F32 1000", "b BF16 500"), "m-00002-of-00003.safetensors": weights("c BF16 4000"),
		"other.pt": "no torch file", "config.json": `{}`,
	})
	want := &modelfile.Facts{
		Tensors: 3,
		Types:   []modelfile.TypeCount{{Type: "BF16", Tensors: 2, Elements: 4500}, {Type: "F32", Tensors: 1, Elements: 1000}},
		Weights: []modelfile.Weight{
			{Path: "m-00001-of-00003.safetensors", Format: "safetensors", Proven: true, Tensors: 2},
			{Path: "m-00002-of-00003.safetensors", Format: "safetensors", Proven: true, Tensors: 1},
			{Path: "other.pt", Format: "pt"},
		},
		Shards:   []modelfile.ShardSet{{Name: "m-*-of-00003.safetensors", Count: 3, Present: 2}},
		Problems: []modelfile.Problem{{Path: "m-*-of-00003.safetensors", Message: `parts are missing: "00003"`}},
	}
	got.Format, got.Parameters, got.ParamSize, got.Precision = "", 0, "", ""
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Every tensor is told, with where its bytes lie.
func TestInspectTellsTensors(t *testing.T) {
	files := map[string]string{
		"a.safetensors": weights("x F32 2", "y BF16 3"), "b.gguf": ggufFile(nil, "z 0 8", "x 1 8"), "c.gguf": ggufFile(nil, "odd 200 1"),
		"stray/a.safetensors": weights("x F32 1"), "stray/model.safetensors.index.json": `{"weight_map":{"q":"q.safetensors"}}`,
	}
	start := func(file string) int64 { return int64(binary.LittleEndian.Uint64([]byte(files[file]))) + 8 }
	var got []modelfile.Tensor
	_, err := modelfile.InspectWith(t.Context(), dir, open(files), modelfile.Options{Tensor: func(tensor modelfile.Tensor) error {
		tensor.Shape = slices.Clone(tensor.Shape)
		got = append(got, tensor)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b modelfile.Tensor) int {
		return strings.Compare(a.File+fmt.Sprintf("%9d", a.Offset), b.File+fmt.Sprintf("%9d", b.Offset))
	})
	want := []modelfile.Tensor{
		{Name: "x", Type: "F32", Shape: []uint64{2}, File: "a.safetensors", Offset: start("a.safetensors"), Size: 8},
		{Name: "y", Type: "BF16", Shape: []uint64{3}, File: "a.safetensors", Offset: start("a.safetensors") + 8, Size: 6},
		{Name: "z", Type: "F32", Shape: []uint64{8}, File: "b.gguf", Offset: int64(len(files["b.gguf"]) - 64), Size: 32},
		{Name: "x", Type: "F16", Shape: []uint64{8}, File: "b.gguf", Offset: int64(len(files["b.gguf"]) - 32), Size: 16},
		{Name: "odd", Type: "type 200", Shape: []uint64{1}, File: "c.gguf", Offset: got[4].Offset, Size: -1},
		{Name: "x", Type: "F32", Shape: []uint64{1}, File: "stray/a.safetensors", Offset: start("stray/a.safetensors"), Size: 4},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	broken := errors.New("enough")
	_, err = modelfile.InspectWith(t.Context(), dir, open(files), modelfile.Options{Tensor: func(modelfile.Tensor) error { return broken }})
	if !errors.Is(err, broken) {
		t.Errorf("an error of who is told: %v", err)
	}
}

// The arrays of other formats are counted too: weights that are used twice once, and
// what an optimizer keeps beside the weights not at all. Fixtures are those of the
// readers.
func TestInspectCountsArrays(t *testing.T) {
	for _, tt := range []struct {
		file, name                 string
		format, precision, class   string
		parameters, tensors, whole uint64
	}{
		{"torch/testdata/state.pt", "m.pt", "pt", "float64,float32,float16,bfloat16", "", 27, 5, 5},
		{"torch/testdata/legacy.pt", "m.bin", "pt", "float64,float32,float16,bfloat16", "", 27, 5, 5},
		{"torch/testdata/script.pt", "m.pt", "pt", "float32", "", 8, 2, 2},
		{"keras/testdata/model.keras", "m.keras", "keras", "float32", "Sequential", 9, 2, 2},
		{"numpy/testdata/stored.npz", "m.npz", "numpy", "float16,int64", "", 7, 2, 2},
		{"numpy/testdata/objects.npy", "m.npy", "numpy", "", "", 0, 0, 1},
		{"joblib/testdata/python/arrays-0.joblib", "m.joblib", "joblib", "float64,int32,float32,int64", "", 19, 6, 8},
		{"joblib/testdata/python/sklearn.joblib", "m.joblib", "joblib", "float64,int64", "", 12, 4, 4},
		{"joblib/testdata/python/arrays-4.joblib", "m.pkl", "pt", "float64,int32,float32,int64", "", 19, 6, 8},
		{"joblib/testdata/python/arrays.joblib.gzip", "m.joblib.gz", "joblib", "float64,int32,float32,int64", "", 19, 6, 8},
		{"joblib/testdata/python/arrays.joblib.gzip", "m.pkl", "pt", "float64,int32,float32,int64", "", 19, 6, 8},
		{"pickle/testdata/python/numpy-0.pkl", "m.pkl", "pt", "float64,int32,float32,int64", "", 19, 6, 8},
		{"onnx/testdata/linear.onnx", "m.onnx", "onnx", "float32", "", 88, 2, 2},
	} {
		t.Run(tt.file, func(t *testing.T) {
			data, err := os.ReadFile(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			var places []string
			got, err := modelfile.InspectWith(t.Context(), dir, open(map[string]string{tt.name: string(data)}), modelfile.Options{Tensor: func(x modelfile.Tensor) error {
				if x.File != tt.name || x.Offset >= 0 && x.Size >= 0 && x.Offset+x.Size > int64(len(data)) {
					t.Errorf("%+v lies outside", x)
				}
				places = append(places, x.Name)
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Notes()) > 0 || got.Format != tt.format || got.Precision != tt.precision || got.ModelClass != tt.class {
				t.Errorf("%s, %s, %s; %v", got.Format, got.Precision, got.ModelClass, got.Notes())
			}
			if got.Parameters != tt.parameters || got.Tensors != tt.tensors || uint64(len(places)) != tt.whole || got.Weights[0].Tensors != tt.whole {
				t.Errorf("%d parameters in %d tensors of %d: %q", got.Parameters, got.Tensors, got.Weights[0].Tensors, places)
			}
		})
	}
}

// Arrays of joblib have a place in the file unless it is compressed.
func TestInspectTellsArraysOfJoblib(t *testing.T) {
	names, err := filepath.Glob("joblib/testdata/versions/*.joblib")
	if err != nil || len(names) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		facts, err := modelfile.InspectWith(t.Context(), dir, open(map[string]string{"m.joblib": string(b)}), modelfile.Options{Tensor: func(x modelfile.Tensor) error {
			if x.Name == "last" && x.Offset >= 0 && !bytes.HasPrefix(b[x.Offset:], make([]byte, 8)) || x.Offset+x.Size > int64(len(b)) {
				t.Errorf("%s: %+v", name, x)
			}
			got = append(got, fmt.Sprintf("%s %s %v %v", x.Name, x.Type, x.Shape, x.Offset >= 0))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		placed := sniff.Of(b) == sniff.Pickle || strings.HasSuffix(name, "-0.joblib") || strings.HasSuffix(name, "-1.joblib")
		var want []string
		for _, x := range []string{
			"weights float64 [2 3]", "layers.0 float32 [3 2]", "layers.1 float16 [3]", "shared int32 [5]", "again int32 [5]", "names <U2 [2]", "objects |O8 [2]", "last float64 [2]",
		} {
			want = append(want, fmt.Sprintf("%s %v", x, placed))
		}
		if d := cmp.Diff(want, got); d != "" || facts.Parameters != 27 || facts.Tensors != 6 || facts.Format != "joblib" || len(facts.Notes()) > 0 {
			t.Errorf("%s: %d in %d tensors, %v\n%s", name, facts.Parameters, facts.Tensors, facts.Notes(), d)
		}
	}
}

// Arrays without a name are told by their number.
func TestInspectTellsArraysWithoutName(t *testing.T) {
	b, err := os.ReadFile("joblib/testdata/python/matrix.joblib")
	if err != nil {
		t.Fatal(err)
	}
	var got []modelfile.Tensor
	_, err = modelfile.InspectWith(t.Context(), dir, open(map[string]string{"m.joblib": string(b)}), modelfile.Options{Tensor: func(x modelfile.Tensor) error {
		got = append(got, x)
		return nil
	}})
	want := []modelfile.Tensor{{Name: "#0", Type: "float64", Shape: []uint64{1, 2}, File: "m.joblib", Offset: 224, Size: 16}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

// What is wrong with a file of joblib is a problem, and its parameters are not known.
func TestInspectOfBrokenJoblib(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile("joblib/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	whole, gz := read("python/arrays-4.joblib"), read("python/arrays.joblib.gzip")
	const unknown = "not all of its arrays are known: "
	for _, tt := range []struct {
		name, data, want string
		tensors          uint64
	}{
		{"empty", "", `not a valid joblib file: it begins with "", as neither a pickle nor a compressed file does`, 0},
		{"text", "weights", `not a valid joblib file: it begins with "weig", as neither a pickle nor a compressed file does`, 0},
		{"a zip", "PK\x03\x04", `not a valid joblib file: it begins with "PK\x03\x04", as neither a pickle nor a compressed file does`, 0},
		{"cut in an array", whole[:250], unknown + "byte 228: the pickle ends in the middle, after 72 opcodes", 0},
		{"cut behind an array", whole[:300], unknown + "byte 297: SHORT_BINUNICODE announces 7 bytes, where 1 follow", 1},
		{"no opcode", whole[:288] + "\xff", unknown + "byte 288: byte 0xff is no opcode: a loader stops here, and has run what was before", 1},
		{"another attribute", strings.Replace(whole, "allow_mmap", "allow_mmop", 1), unknown + `byte 228: an array follows whose size is not known: it has the attribute "allow_mmop", which joblib does not write`, 0},
		{"compressed and cut", gz[:100], unknown + "byte 14 of what comes out of it: the pickle ends in the middle, after 6 opcodes", 0},
		{"compressed and damaged", gz[:60] + "\xff\xff\xff" + gz[63:], unknown + "the compressed data are damaged: flate: corrupt input before offset 53", 0},
		{"compressed text", gzipped(t, "weights"), unknown + "byte 0 of what comes out of it: byte 0x77 is no opcode: a loader stops here, and has run what was before", 0},
		{"compressed zeros", gzipped(t, whole[:288]+"X\xff\xff\xff\x7f"+strings.Repeat("\x00", 1<<20)), unknown + "byte 288 of what comes out of it: the pickle ends in the middle, after 73 opcodes", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := inspect(t, dir, map[string]string{"m.joblib": tt.data})
			want := []modelfile.Problem{{Path: "m.joblib", Message: tt.want}}
			if d := cmp.Diff(want, got.Problems); d != "" || got.Parameters != 0 || got.Weights[0].Tensors != tt.tensors {
				t.Errorf("%d parameters, %d tensors: %s", got.Parameters, got.Weights[0].Tensors, d)
			}
			// Of another ending they are somebody else's.
			if got = inspect(t, dir, map[string]string{"m.pkl": tt.data}); got.Parameters != 0 || tt.tensors == 0 && tt.name != "a zip" && len(got.Notes()) > 0 {
				t.Errorf("a pickle: %d parameters, %v", got.Parameters, got.Notes())
			}
		})
	}
}

// Of what takes long to read, what was found until then is not told.
func TestInspectBoundsJoblib(t *testing.T) {
	b, err := os.ReadFile("joblib/testdata/python/arrays-4.joblib")
	if err != nil {
		t.Fatal(err)
	}
	head := string(b[:288]) // with one array
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zeros := encoder.EncodeAll(make([]byte, 64<<20), nil)
	long := encoder.EncodeAll([]byte(head+"\x8e\x00\x00\x00\x00\x01\x00\x00\x00"), nil)
	for name, data := range map[string]string{
		"read":     head + strings.Repeat("X\x00\x01\x00\x00"+strings.Repeat("x", 256)+"0", 65<<20/262),
		"unpacked": string(long) + strings.Repeat(string(zeros), 17),
	} {
		got := inspect(t, dir, map[string]string{"m.joblib": data})
		want := []modelfile.Problem{{
			Path:    "m.joblib",
			Message: "not all of its arrays are known: more than 67108864 bytes would have to be read, or more than 1073741824 come out of it",
		}}
		if d := cmp.Diff(want, got.Problems); d != "" || got.Parameters != 0 {
			t.Errorf("%s: %d parameters, %s", name, got.Parameters, d)
		}
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Parts of an HDF5 file that are damaged are problems, and the parameters are not known.
func TestInspectOfBrokenHDF5(t *testing.T) {
	whole, err := os.ReadFile("hdf5/testdata/model-latest.h5")
	if err != nil {
		t.Fatal(err)
	}
	if got := inspect(t, dir, map[string]string{"m.h5": string(whole)}); len(got.Notes()) > 0 || got.Parameters == 0 {
		t.Fatalf("%d, %v", got.Parameters, got.Notes())
	}
	b := bytes.Clone(whole)
	b[44] ^= 1 // of the checksum of the superblock
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, text := range map[string]string{"metadata.json": "{}", "config.json": "{}", "model.weights.h5": string(b)} {
		if f, err := w.Create(name); err != nil {
			t.Fatal(err)
		} else if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"m.h5": string(b), "m.keras": archive.String()} {
		got := inspect(t, dir, map[string]string{name: data})
		if len(got.Problems) != 1 || got.Parameters != 0 {
			t.Fatalf("%d, %v", got.Parameters, got.Notes())
		}
		want := "a part of it was not understood: byte 0: checksum of the superblock is "
		if name == "m.keras" {
			want = strings.Replace(want, "byte", `"model.weights.h5": byte`, 1)
		}
		if !strings.HasPrefix(got.Problems[0].Message, want) {
			t.Errorf("%s: %s", name, got.Problems[0].Message)
		}
	}
}

// Many parts of one model take as much work as there are of them, and not its square.
func TestInspectOfManyParts(t *testing.T) {
	state, err := os.ReadFile("torch/testdata/state.pt")
	if err != nil {
		t.Fatal(err)
	}
	allocations := func(n int) uint64 {
		files := map[string]string{}
		for i := range n {
			files[fmt.Sprintf("part-%05d.pt", i)] = string(state)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		facts, err := modelfile.InspectWith(t.Context(), dir, open(files), modelfile.Options{})
		runtime.ReadMemStats(&after)
		if err != nil || facts.Parameters != 27*uint64(n) {
			t.Fatal(facts, err)
		}
		return after.Mallocs - before.Mallocs
	}
	if few, many := allocations(400), allocations(800); many > 3*few { // twice as many; each against each it was 3.7 times
		t.Errorf("%d allocations for 400 files, %d for 800", few, many)
	}
}

// Weights count once, whichever form of them lies beside another, and what training
// leaves behind does not count.
func TestInspectCountsWeightsOnce(t *testing.T) {
	fixture := func(name string) string {
		data, err := os.ReadFile("torch/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	// state.pt and legacy.pt are one state in two forms; script.pt is another model.
	pickled, err := os.ReadFile("joblib/testdata/python/matrix.joblib") // one array of 1 by 2
	if err != nil {
		t.Fatal(err)
	}
	state, legacy, script, optimizer := fixture("state.pt"), fixture("legacy.pt"), fixture("script.pt"), fixture("optimizer.pt")
	var names []string
	if _, err := modelfile.InspectWith(t.Context(), dir, open(map[string]string{"m.pt": state}), modelfile.Options{Tensor: func(x modelfile.Tensor) error {
		names = append(names, x.Name+" BF16 100")
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	converted := weights(names[:len(names)-1]...) // a conversion leaves out what is there twice
	big := weights("a BF16 5000")
	for what, tt := range map[string]struct {
		files      map[string]string
		format     string
		parameters uint64
		leftOut    string // paths, and a word of why
	}{
		"one":                            {map[string]string{"model.pt": state}, "pt", 27, ""},
		"a copy":                         {map[string]string{"model.pt": state, "model.pth": state}, "pt", 27, `model.pth: "model.pt" has`},
		"in another form":                {map[string]string{"model.pth": state, "pytorch_model.bin": legacy}, "pt", 27, `pytorch_model.bin: "model.pth" has`},
		"another model":                  {map[string]string{"model.pt": state, "script.pt": script}, "pt", 35, ""},
		"another directory":              {map[string]string{"a/model.pt": state, "b/model.pt": state}, "pt", 54, ""},
		"pickles without names":          {map[string]string{"a.pkl": string(pickled), "b.pkl": string(pickled)}, "pt", 4, ""},
		"parts of one":                   {map[string]string{"mp_rank_00.pt": state, "mp_rank_01.pt": state}, "pt", 54, ""},
		"parts of a count":               {map[string]string{"x-1-of-2.pt": state, "x-2-of-2.pt": state}, "pt", 54, ""},
		"of two counts":                  {map[string]string{"x-1-of-2.pt": state, "x-1-of-3.pt": state}, "pt", 27, "x-1-of-3.pt: \"x-1-of-2.pt\" has"},
		"parts of DeepSpeed":             {map[string]string{"zero_pp_rank_0_mp_rank_00_model_states.pt": state, "zero_pp_rank_1_mp_rank_00_model_states.pt": state, "layer_01-model_00-model_states.pt": script, "layer_02-model_00-model_states.pt": script}, "pt", 70, ""},
		"parts of fairseq":               {map[string]string{"checkpoint_last-model_part-0-shard0.pt": state, "checkpoint_last-model_part-1-shard1.pt": state}, "pt", 54, ""},
		"states of training":             {map[string]string{"checkpoint-1.pt": state, "checkpoint-2.pt": state, "checkpoint-10.pt": state}, "pt", 27, `checkpoint-10.pt: "checkpoint-1.pt" has|checkpoint-2.pt: "checkpoint-1.pt" has`},
		"states of training in parts":    {map[string]string{"step1-rank0.pt": state, "step1-rank1.pt": state, "step2-rank0.pt": state, "step2-rank1.pt": state}, "pt", 54, `step2-rank0.pt: "step1-rank0.pt" has|step2-rank1.pt: "step1-rank0.pt" has`},
		"models by number":               {map[string]string{"model1.pt": state, "model2.pt": state, "epoch_3_of.pt": state}, "pt", 27, `model1.pt: "epoch_3_of.pt" has|model2.pt: "epoch_3_of.pt" has`},
		"checkpoints and the model":      {map[string]string{"checkpoint-5/model.safetensors": big, "checkpoint-10/model.safetensors": big, "model.safetensors": big, "training_args.bin": state}, "safetensors", 5000, `checkpoint-10/model.safetensors: by its directory it is a state of training, and "model.safetensors" is|checkpoint-5/model.safetensors: by its directory|training_args.bin: by its name`},
		"checkpoints alone":              {map[string]string{"run/checkpoint-5/pytorch_model.bin": state, "run/checkpoint-10/global_step10/mp_rank_00_model_states.pt": state, "run/training_args.bin": state}, "pt", 27, "run/checkpoint-5/pytorch_model.bin: by its directory it is a state of training before checkpoint-10|run/training_args.bin: by"},
		"one checkpoint":                 {map[string]string{"checkpoint-5/pytorch_model.bin": state, "checkpoint-6/optimizer.pt": optimizer}, "pt", 27, "checkpoint-6/optimizer.pt: by its name"},
		"checkpoints of two runs":        {map[string]string{"a/checkpoint-5/model.safetensors": big, "b/checkpoint-6/model.safetensors": big, "b/checkpoint-x/model.safetensors": big}, "safetensors", 15000, ""},
		"as safetensors":                 {map[string]string{"model.safetensors": converted, "pytorch_model.bin": state}, "safetensors", 400, `pytorch_model.bin: "model.safetensors" has`},
		"as safetensors, last by name":   {map[string]string{"pytorch_model.bin": state, "x.safetensors": converted}, "safetensors", 400, `pytorch_model.bin: "x.safetensors" has`},
		"other tensors as safetensors":   {map[string]string{"m.safetensors": weights("a BF16 1"), "m.pt": state}, "pt", 27, "m.safetensors: of several formats one counts, and that is pt"},
		"few of them as safetensors":     {map[string]string{"m.safetensors": weights(names[0]), "m.pt": state}, "pt", 27, "m.safetensors: of several formats"},
		"GGUF and safetensors":           {map[string]string{"m.safetensors": big, "m.gguf": ggufFile(nil, "t 0 32")}, "safetensors", 5000, "m.gguf: of several formats one counts, and that is safetensors"},
		"beside the state of training":   {map[string]string{"net.pt": script, "optimizer.bin": state, "checkpoint-5/optimizer.pt": optimizer}, "pt", 8, "checkpoint-5/optimizer.pt: by its name it is the state|optimizer.bin: by its name it is the state"},
		"more state of training":         {map[string]string{"m.pt": script, "rng_state.pth": state, "rng_state_3.pth": state, "scheduler.pt": state, "training_args.bin": state, "zero_pp_rank_0_mp_rank_00_optim_states.pt": state}, "pt", 8, "rng_state.pth: by|rng_state_3.pth: by|scheduler.pt: by|training_args.bin: by|zero_pp_rank_0_mp_rank_00_optim_states.pt: by"},
		"nothing but state of training":  {map[string]string{"optimizer.pt": state}, "", 0, "optimizer.pt: by"},
		"the name of a state, and GGUF":  {map[string]string{"optimizer.bin": ggufFile(nil, "t 0 32")}, "gguf", 32, ""},
		"consolidated alone":             {map[string]string{"consolidated.00.pth": state, "consolidated.01.pth": state}, "pt", 54, ""},
		"consolidated beside":            {map[string]string{"consolidated.00.pth": state, "model.safetensors": big}, "safetensors", 5000, `consolidated.00.pth: by its name it is another form of the model in "model.safetensors"`},
		"consolidated below":             {map[string]string{"original/consolidated.00.pth": state, "pytorch_model.bin": legacy}, "pt", 27, "original/consolidated.00.pth: by its name"},
		"consolidated somewhere":         {map[string]string{"b/consolidated.00.pth": state, "pytorch_model.bin": legacy}, "pt", 54, ""},
		"consolidated safetensors":       {map[string]string{"consolidated.safetensors": weights("z BF16 900"), "model.safetensors": big}, "safetensors", 5000, "consolidated.safetensors: by its name"},
		"consolidated, and not by index": {map[string]string{"consolidated.safetensors": weights("z BF16 900"), "model-00001-of-00001.safetensors": big, "model.safetensors.index.json": `{"metadata":{"total_size":10000},"weight_map":{"a":"model-00001-of-00001.safetensors"}}`}, "safetensors", 5000, "consolidated.safetensors: by its name"},
	} {
		t.Run(what, func(t *testing.T) {
			got := inspect(t, dir, tt.files)
			var leftOut []string
			for _, w := range got.Weights {
				if w.LeftOut != "" {
					leftOut = append(leftOut, w.Path+": "+w.LeftOut)
				}
			}
			if got.Format != tt.format || got.Parameters != tt.parameters || len(got.Notes()) > 0 {
				t.Errorf("%d parameters of %q; %v", got.Parameters, got.Format, got.Notes())
			}
			want := strings.FieldsFunc(tt.leftOut, func(r rune) bool { return r == '|' })
			if len(leftOut) != len(want) {
				t.Fatalf("left out %q, not %q", leftOut, want)
			}
			for i := range want {
				if !strings.HasPrefix(leftOut[i], want[i]) {
					t.Errorf("left out %q, not %q", leftOut[i], want[i])
				}
			}
		})
	}
}

// What is cut off is a problem, what is another program's is none, and neither is
// guessed at.
func TestInspectOfBrokenArrays(t *testing.T) {
	data, err := os.ReadFile("torch/testdata/legacy.pt")
	if err != nil {
		t.Fatal(err)
	}
	got := inspect(t, dir, map[string]string{"m.pt": string(data[:len(data)/3])})
	if got.Parameters != 0 || got.ParamSize != "" {
		t.Errorf("%d parameters of a third of a file", got.Parameters)
	}
	got = inspect(t, dir, map[string]string{"m.npy": "\x93NUMPY\x01\x00\xff"})
	if len(got.Problems) != 1 || got.Problems[0].Path != "m.npy" {
		t.Errorf("%v", got.Notes())
	}
	if got = inspect(t, dir, map[string]string{"m.pkl": "\x80\x04N."}); len(got.Notes()) != 0 || got.Format != "pt" {
		t.Errorf("a pickle of no tensors: %s, %v", got.Format, got.Notes())
	}
}

// Who only looks is told of broken files beside the others.
func TestInspectTolerates(t *testing.T) {
	files := map[string]string{
		"a.safetensors": weights("x F32 2") + "x", "b.gguf": "GGUF\x03\x00\x00\x00", "c.safetensors": weights("y F32 2"),
		"d.safetensors": "version https://git-lfs.github.com/spec/v1", "model.safetensors.index.json": `{"weight_map":{"x":"a.safetensors","y":"c.safetensors"}}`,
	}
	if _, err := modelfile.Inspect(t.Context(), dir, open(files)); err == nil {
		t.Error("a broken file is no error")
	}
	got, err := modelfile.InspectWith(t.Context(), dir, open(files), modelfile.Options{Tolerant: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []modelfile.Problem{
		{Path: "a.safetensors", Message: "not a valid safetensors file: tensors end at 8, but the file holds 9 bytes of data"},
		{Path: "d.safetensors", Message: "not a valid safetensors file: it is a Git LFS pointer, not the file itself"},
		{Path: "b.gguf", Message: "not a valid gguf file: byte 8: field of 8 bytes ends beyond the file of 8 bytes"},
	}
	if d := cmp.Diff(want, got.Problems); d != "" || got.Parameters != 2 {
		t.Error(got.Parameters, d)
	}
}

func TestInspectHubConflict(t *testing.T) {
	const hub = "/x/models--org--name/snapshots/0123456789abcdef0123456789abcdef01234567"
	got := inspect(t, hub, map[string]string{"m.gguf": ggufFile(map[string]any{"general.name": "Other", "general.organization": "ORG"})})
	want := []string{`name: the hub cache says "name", m.gguf says "Other": the first counts`}
	if d := cmp.Diff(want, got.Notes()); d != "" || got.Name != "name" {
		t.Error(got.Name, d)
	}
}

func TestInspectRefuses(t *testing.T) {
	for _, tt := range []struct{ file, data, format, want string }{
		{"d/m.safetensors", "", "safetensors", `"d/m.safetensors" is not a valid safetensors file: byte 0: a file of 0 bytes has no room for the header length`},
		{"m.safetensors", weights("a F32 1") + "x", "safetensors", `"m.safetensors" is not a valid safetensors file: tensors end at 4, but the file holds 5 bytes of data`},
		{"m.bin", weights("a F32 1") + "x", "safetensors", `"m.bin" is not a valid safetensors file: tensors end at 4, but the file holds 5 bytes of data`},
		{"m.gguf", "GGUFxxxx", "gguf", `"m.gguf" is not a valid gguf file: byte 4: version 2021161080 is not known`},
		{"m.bin", "GGUF\x03\x00\x00\x00", "gguf", `"m.bin" is not a valid gguf file: byte 8: field of 8 bytes ends beyond the file of 8 bytes`},
		{"m.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "safetensors", `"m.safetensors" is not a valid safetensors file: it is a Git LFS pointer, not the file itself`},
		{"m.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "weight", `"m.bin" is not a valid weight file: it is a Git LFS pointer, not the file itself`},
	} {
		_, err := modelfile.Inspect(t.Context(), dir, open(map[string]string{tt.file: tt.data}))
		bad, ok := errors.AsType[*modelfile.InvalidFileError](err)
		if !ok || err.Error() != tt.want {
			t.Errorf("got error %v\nwant      %s", err, tt.want)
			continue
		}
		if bad.Path != tt.file || bad.Format != tt.format || bad.Err == nil {
			t.Errorf("%+v", bad)
		}
	}
}

// Errors of reading are no verdict on the file.
func TestInspectReadErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, name := range []string{"m.safetensors", "m.gguf", "m.onnx", "config.json"} {
		files := open(map[string]string{name: weights("a F32 1")})
		files[0].Open = func() (modelfile.ReaderAtCloser, error) { return nil, broken }
		_, err := modelfile.Inspect(t.Context(), dir, files)
		if _, bad := errors.AsType[*modelfile.InvalidFileError](err); bad || !errors.Is(err, broken) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	files := open(map[string]string{"m.safetensors": weights("a F32 1")})
	files[0].Size++
	files[0].Open = func() (modelfile.ReaderAtCloser, error) { return reader{bytes.NewReader(nil)}, nil }
	if _, err := modelfile.Inspect(t.Context(), dir, files); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := modelfile.Inspect(ctx, dir, open(map[string]string{"m.bin": "x"})); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Files that are not weights are not opened as such, whatever they hold.
func TestInspectOpensWeightsOnly(t *testing.T) {
	files := open(map[string]string{"data.safetensors": "broken", "config.json": `{"model_type":"x"}`})
	for i := range files {
		files[i].Role = "dataset"
		files[i].Open = func() (modelfile.ReaderAtCloser, error) { return nil, errors.New("opened") }
	}
	facts, err := modelfile.Inspect(t.Context(), dir, files)
	if err != nil || facts.Family != "" {
		t.Error(facts, err)
	}
}

func TestSniff(t *testing.T) {
	zip := func(name string) string {
		return "PK\x03\x04" + string(make([]byte, 22)) + string([]byte{byte(len(name)), 0, 0, 0}) + name
	}
	for _, tt := range []struct {
		name, prefix, format string
		proven               bool
	}{
		{"m.safetensors", weights("a F32 1"), "safetensors", true},
		{"m.bin", weights(), "safetensors", true},
		{"M.SafeTensors", "broken", "safetensors", false},
		{"m.gguf", ggufFile(nil), "gguf", true},
		{"m", "GGUF\x00\x00\x00\x03", "gguf", true},
		{"m.gguf", "GGUF\x00\x00\x00\x00", "gguf", false},
		{"m.onnx", onnxModel(1, ""), "onnx", true},
		{"m.bin", onnxModel(1, ""), "onnx", true},
		{"m", onnxModel(1, ""), "onnx", true},
		{"m.onnx", "", "onnx", false},
		{"m.bin", zip("archive/data.pkl"), "pt", true},
		{"m.pt", zip("other"), "pt", false},
		{"m.bin", zip("other"), "", false},
		{"m.npz", zip("arr_0.npy"), "numpy", true},
		{"m.keras", zip("metadata.json"), "keras", false},
		{"m.bin", "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "pt", true},
		{"m.pkl", "\x80\x04\x95", "pt", true},
		{"m.pkl", "(dp0", "pt", false},
		{"m.bin", "\x80\x04\x95", "", false},
		{"m.joblib", "\x80\x04\x95", "joblib", true},
		{"m.JOBLIB", "(dp0", "joblib", false},
		{"m.joblib", "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "pt", true},
		{"m.pkl.gz", "\x1f\x8b\x08", "pt", false},
		{"m.Joblib.Z", "\x78\x9c", "joblib", false},
		{"m.pkl.xz", "\x80\x04\x95", "pt", true}, // whatever its name
		{"m.tar.gz", "\x1f\x8b\x08", "", false},
		{"m.pkl/m.gz", "\x1f\x8b\x08", "", false},
		{"m.h5", "\x89HDF\r\n\x1a\n", "hdf5", true},
		{"m.npy", "\x93NUMPY\x01\x00", "numpy", true},
		{"m.tflite", "\x1c\x00\x00\x00TFL3", "tflite", true},
		{"m.json", "{}", "", false},
		{"README", "", "", false},
	} {
		format, proven := modelfile.Sniff(tt.name, []byte(tt.prefix))
		if format != tt.format || proven != tt.proven {
			t.Errorf("%s %.20q: %q, %v", tt.name, tt.prefix, format, proven)
		}
	}
}

func TestFormatParamSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "", 999: "", 1000: "1K", 1049: "1K", 1050: "1.1K", 999_949: "999.9K", 999_950: "1M", 125_000_000: "125M", 124_439_808: "124.4M",
		1_100_048_384: "1.1B", 7_000_000_000: "7B", 7_241_732_096: "7.2B", 671_026_419_200: "671B", 1_000_000_000_000: "1T",
		1_500_000_000_000_000: "1.5Q", 18_446_744_073_709_551_615: "18446.7Q",
	} {
		if got := modelfile.FormatParamSize(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func ExampleInspect() {
	files := open(map[string]string{
		"config.json":       `{"model_type":"llama","num_attention_heads":8}`,
		"model.safetensors": weights("a BF16 5000"),
	})
	facts, err := modelfile.Inspect(context.Background(), "/models/tiny", files)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(facts.Family, facts.Architecture, facts.Format, facts.ParamSize, facts.Precision)
	// Output: llama transformer safetensors 5K bfloat16
}
