package scan_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/gguf"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/scan"
)

type closer struct{ *bytes.Reader }

func (closer) Close() error { return nil }

func file(path, role, content string) modelfile.File {
	return modelfile.File{Path: path, Size: int64(len(content)), Role: role, Open: func() (modelfile.ReaderAtCloser, error) {
		return closer{bytes.NewReader([]byte(content))}, nil
	}}
}

func do(t *testing.T, o scan.Options, files ...modelfile.File) *scan.Report {
	t.Helper()
	r, err := scan.Scan(t.Context(), files, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// found lists findings as rule and subject, in the order of the report.
func found(r *scan.Report) []string {
	out := []string{}
	for _, f := range r.Findings {
		out = append(out, strings.TrimSpace(f.Rule+" "+f.Subject))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

const evil = "cos\nsystem\n(S'id'\ntR."

func zipped(t *testing.T, members ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		m, err := w.Create(members[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asUTF16(text string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

const lambda = `{"class_name":"Sequential","config":{"layers":[{"class_name":"Lambda","config":{"name":"l"}}]}}`

func TestScan(t *testing.T) {
	t.Parallel()
	elf := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 100)
	for _, tt := range []struct {
		name, path, content string
		verdict             hazard.Verdict
		want                []string
	}{
		{"a pickle by its name", "model.pkl", evil, hazard.Dangerous, []string{"pickle-dangerous-global os.system"}},
		{"a pickle without a name", "model", evil, hazard.Dangerous, []string{"pickle-dangerous-global os.system"}},
		{"a pickle in what may be data", "model.bin", evil, hazard.Dangerous, []string{"pickle-dangerous-global os.system"}},
		{"a pickle under another name", "m.safetensors", evil, hazard.Dangerous, []string{"file-invalid", "file-other-than-its-name pickle", "pickle-dangerous-global os.system"}},
		{"a compressed pickle", "m.joblib", gzipped(t, evil), hazard.Dangerous, []string{"pickle-dangerous-global os.system"}},
		{"compressed three times", "m.pkl", gzipped(t, gzipped(t, gzipped(t, evil))), hazard.Dangerous, []string{"pickle-dangerous-global os.system"}},
		{"compressed too often", "m.pkl", gzipped(t, gzipped(t, gzipped(t, gzipped(t, evil)))), hazard.Incomplete, []string{"archive-nesting gzip"}},
		{"an archive in an archive", "m.zip", zipped(t, "inner.zip", zipped(t, "deep.pkl", evil)), hazard.Dangerous, []string{"pickle-dangerous-global os.system"}},
		{"raw bytes", "m.bin", strings.Repeat("\x3f\x80\x00\x01", 100), hazard.Clean, []string{}},
		{"a program as weights", "m.bin", elf, hazard.Dangerous, []string{"file-executable-as-weights elf"}},
		{"a library beside weights", "ops.so", elf, hazard.Dangerous, []string{"code-native-library elf"}},
		{"a library in weights", "m.pt", zipped(t, "a/ops.so", elf), hazard.Dangerous, []string{"code-native-library elf"}},
		{"Python in weights", "m.pt", zipped(t, "a/run.py", "import os"), hazard.Dangerous, []string{"code-python"}},
		{"a script", "train.sh", "#!/bin/sh\n", hazard.Clean, []string{"code-script"}},
		{"a pointer instead of a file", "m.safetensors", "version https://git-lfs.github.com/spec/v1\n", hazard.Incomplete, []string{"file-invalid"}},
		{"a zip behind a header", "m.bin", strings.Repeat("\xff", 70<<10) + zipped(t, "a", "b"), hazard.Dangerous, []string{"archive-polyglot zip"}},
		{"a zip behind a text", "m.txt", "text " + zipped(t, "a", "b"), hazard.Dangerous, []string{"archive-polyglot zip"}},
		{"a zip behind a pickle", "m.pkl", "\x80\x02N." + zipped(t, "a", "b"), hazard.Dangerous, []string{"archive-polyglot zip", "pickle-trailing-bytes"}},
		{"a zip behind a pickle without a mark", "m.pkl", "I1\n." + zipped(t, "a", "b"), hazard.Dangerous, []string{"archive-polyglot zip", "pickle-trailing-bytes"}},
		{"a zip in a pickle", "m.pkl", "\x80\x03B" + lengthed(zipped(t, "a", "b")) + ".", hazard.Clean, []string{}},
		{"a zip behind tensors", "m.safetensors", safetensorsOf(oneTensor, 4) + zipped(t, "a", "b"), hazard.Dangerous, []string{"archive-polyglot zip", "file-invalid safetensors"}},
		{"a zip behind GGUF", "m.gguf", ggufOf("a.b", "c") + zipped(t, "a", "b"), hazard.Dangerous, []string{"archive-polyglot zip", "gguf-trailing-bytes"}},
		{"bytes behind GGUF", "m.gguf", ggufOf("a.b", "c") + strings.Repeat("x", 40), hazard.Suspicious, []string{"gguf-trailing-bytes"}},
		{"a long text in GGUF", "m.gguf", ggufOf("a.b", strings.Repeat("x", gguf.MaxKeptText+1)), hazard.Clean, []string{"gguf-odd"}},
		{"GGUF of the first version", "m.gguf", "GGUF\x01\x00\x00\x00" + strings.Repeat("\x00", 8), hazard.Incomplete, []string{"file-unread"}},

		{"a Keras layer", "model.json", lambda, hazard.Dangerous, []string{"keras-lambda Lambda"}},
		{"a Keras layer in UTF-16", "model.json", asUTF16(lambda), hazard.Dangerous, []string{"keras-lambda Lambda"}},
		{"a Keras layer behind a doubled key", "model.json", strings.Replace(lambda, `"class_name":"Lambda"`, `"class_name":"Dense","class_name":"Lambda"`, 1), hazard.Dangerous, []string{"keras-lambda Lambda"}},
		{"a Keras layer by escapes", "model.json", strings.Replace(lambda, "Lambda", `\u004cambda`, 1), hazard.Dangerous, []string{"keras-lambda Lambda"}},
		{"a Keras layer in a Keras layer", "m.keras", zipped(t, "metadata.json", "{}", "config.json", `{"module":"keras","class_name":"Functional","config":{"a":[{"b":`+lambda+`}]}}`), hazard.Dangerous, []string{"keras-lambda Lambda"}},
		{"a foreign module", "m.keras", zipped(t, "metadata.json", "{}", "config.json", `{"module":"keras","class_name":"S","config":{"x":{"config":"system","class_name":"function","module":"os"}}}`), hazard.Dangerous, []string{"keras-foreign-module os.system"}},
		{"a function of Keras that fetches", "m.keras", zipped(t, "metadata.json", "{}", "config.json", `{"module":"keras.utils","class_name":"function","config":"get_file"}`), hazard.Dangerous, []string{"keras-foreign-module keras.utils.get_file"}},
		{"a name that only begins like Keras", "m.keras", zipped(t, "metadata.json", "{}", "config.json", `{"module":"keras_evil","class_name":"S","config":{}}`), hazard.Dangerous, []string{"keras-foreign-module keras_evil.S"}},
		{"an activation", "m.keras", zipped(t, "metadata.json", "{}", "config.json", `{"module":"keras.activations","class_name":"function","config":"relu"}`), hazard.Clean, []string{}},
		{"safe mode off", "m.keras", zipped(t, "metadata.json", "{}", "config.json", `{"module":"keras","class_name":"S","config":{"safe_mode":false}}`), hazard.Dangerous, []string{"keras-unsafe-setting safe_mode"}},
		{"an operation by name", "model.json", strings.Replace(lambda, `"Lambda"`, `"TFOpLambda"`, 1), hazard.Suspicious, []string{"keras-tf-op TFOpLambda"}},
		{"what merely names it", "data.json", `{"class_name":"Lambda"}`, hazard.Clean, []string{}},
		{"a Keras configuration cut short", "m.keras", zipped(t, "metadata.json", "{}", "config.json", `{"a":`), hazard.Incomplete, []string{"file-invalid json"}},

		{"code of the model", "config.json", `{"auto_map":{"AutoModel":"modeling_x.X"}}`, hazard.Suspicious, []string{"code-remote modeling_x.X"}},
		{"code of a tokenizer", "tokenizer_config.json", `{"auto_map":{"AutoTokenizer":["tok.Slow",null]}}`, hazard.Suspicious, []string{"code-remote tok.Slow"}},
		{"code of somebody else", "config.json", `{"auto_map":{"AutoModel":"org/repo--m.X"}}`, hazard.Dangerous, []string{"code-from-another-repository org/repo--m.X"}},
		{"a pipeline of one's own", "model_index.json", `{"_class_name":["pipeline_x","X"],"unet":["diffusers","UNet"]}`, hazard.Suspicious, []string{"code-remote X", "code-remote pipeline_x"}},
		{"a module of one's own", "modules.json", `[{"type":"sentence_transformers.models.Pooling"},{"type":"custom_st.T"}]`, hazard.Suspicious, []string{"code-remote custom_st.T"}},
		{"numbers that only Python knows", "config.json", `{"loss":NaN,"x":-Infinity,"model_type":"llama"}`, hazard.Clean, []string{}},
		{"no configuration", "config.json", `{"a"`, hazard.Incomplete, []string{"file-invalid json"}},
		{"lines of data", "rows.json", "{\"a\":1}\n{\"a\":2}\n", hazard.Clean, []string{}},
		{"deeper than any reader", "config.json", strings.Repeat("[", 2000), hazard.Incomplete, []string{"file-invalid json"}},

		{"a template", "tokenizer_config.json", `{"chat_template":"{% for m in messages %}{{ m['role'] + ': ' + m['content'] | trim }}{% endfor %}{{ raise_exception('no') }}"}`, hazard.Clean, []string{}},
		{"a template that climbs", "tokenizer_config.json", `{"chat_template":"{{ x.__class__.__mro__ }}"}`, hazard.Suspicious, []string{"template-reaches-outside __class__", "template-reaches-outside __mro__"}},
		{"one of several templates", "tokenizer_config.json", `{"chat_template":[{"name":"a","template":"ok"},{"name":"b","template":"{{ cycler|attr('x') }}"}]}`, hazard.Suspicious, []string{"template-reaches-outside |attr"}},
		{"a template by escapes", "chat_template.jinja", `{{ ''['\x5f\x5fclass\x5f\x5f'] }}`, hazard.Suspicious, []string{"template-reaches-outside __class__"}},
		{"a template in pieces", "chat_template.jinja", `{{ ''['__cl'~'ass__'] }}`, hazard.Suspicious, []string{"template-reaches-outside ['__cl'~'ass__']"}},
		{"a template that runs", "chat_template.jinja", `{{ os.system('id') }}`, hazard.Suspicious, []string{"template-reaches-outside os.s"}},

		{"a graph as text", "graph.pbtxt", "node {\n op: \"PyFunc\"\n}", hazard.Dangerous, []string{"tensorflow-python-op PyFunc"}},
		{"a graph that prints", "saved_model.pb", savedModel("PrintV2", ""), hazard.Suspicious, []string{"tensorflow-reaching-op PrintV2"}},
		{"a graph that writes", "saved_model.pb", savedModel("WriteFile", ""), hazard.Dangerous, []string{"tensorflow-file-op WriteFile"}},
		{"a function that writes", "saved_model.pb", savedModel("Add", "WriteFile"), hazard.Dangerous, []string{"tensorflow-file-op WriteFile"}},
		{"a graph that saves", "saved_model.pb", savedModel("SaveV2", "MergeV2Checkpoints"), hazard.Clean, []string{}},
		{"half a graph", "saved_model.pb", savedModel("Add", "WriteFile")[:20], hazard.Incomplete, []string{"file-invalid tensorflow"}},

		{"a credential", ".env", "HF_TOKEN=hf_" + random("abcdefghijklmnopqrstuvwyz", 34) + "\n", hazard.Dangerous, []string{"file-secret huggingface-access-token"}},
		{"an alphabet for a credential", ".env", "HF_TOKEN=hf_" + strings.Repeat("abcdefghijklmnopqrstuvwxyz", 2)[:34] + "\n", hazard.Clean, []string{}},
		{"nothing", "empty.bin", "", hazard.Clean, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := do(t, scan.Options{}, file(tt.path, "", tt.content))
			if diff := cmp.Diff(tt.want, found(r)); diff != "" || r.Verdict != tt.verdict {
				t.Errorf("%s, want %s\n%s", r.Verdict, tt.verdict, diff)
			}
		})
	}
}

// field is a field of a protocol buffer that holds bytes.
func field(number byte, content string) string {
	return string([]byte{number<<3 | 2, byte(len(content))}) + content
}

func savedModel(op, inFunction string) string {
	node := func(op string) string { return field(1, "n") + field(2, op) }
	library := ""
	if inFunction != "" {
		library = field(2, field(1, field(3, node(inFunction))))
	}
	return "\x08\x01" + field(2, field(2, field(1, node(op))+library))
}

// What torch, numpy and joblib write is judged as documented, and what was made to
// harm is found, in whatever it lies.
func TestFixtures(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]hazard.Verdict{
		"../modelfile/pickle/testdata/python/command-*.pkl":        hazard.Dangerous,
		"../modelfile/pickle/testdata/python/nested-command-*.pkl": hazard.Dangerous,
		"../modelfile/pickle/testdata/python/numpy-*.pkl":          hazard.Clean,
		"../modelfile/pickle/testdata/python/checkpoint.legacy.pt": hazard.Clean,
		"../modelfile/torch/testdata/optimizer.pt":                 hazard.Clean,
		"../modelfile/torch/testdata/legacy.pt":                    hazard.Clean,
		"../modelfile/torch/testdata/script.pt":                    hazard.Suspicious,
		"../modelfile/numpy/testdata/float32.npy":                  hazard.Clean,
		"../modelfile/numpy/testdata/stored.npz":                   hazard.Clean,
		"../modelfile/hdf5/testdata/model-*.h5":                    hazard.Dangerous, // with a Lambda layer
		"../modelfile/onnx/testdata/linear.onnx":                   hazard.Clean,
	} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r := do(t, scan.Options{}, file(filepath.Base(name), "weight", string(content)))
			if r.Verdict != want {
				t.Errorf("%s is %s, want %s: %+v", name, r.Verdict, want, r.Findings)
			}
		}
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	own := file("training_args.bin", "weight", "ctiny.training\nArguments\n(tR.")
	r := do(t, scan.Options{Allow: []string{"tiny.training.Arguments"}}, own)
	if r.Verdict != hazard.Clean || !slices.Equal(r.Allowed, []string{"tiny.training.Arguments"}) {
		t.Errorf("%s, %v: %v", r.Verdict, r.Allowed, found(r))
	}
	for _, other := range []string{"tiny.training.Argument", "tiny.Arguments", "tiny.training.arguments"} {
		if r := do(t, scan.Options{Allow: []string{other}}, own); r.Verdict != hazard.Suspicious {
			t.Errorf("%s lets it pass: %s", other, r.Verdict)
		}
	}
	for _, bad := range []string{"", "Arguments", "os. system"} {
		if _, err := scan.Scan(t.Context(), nil, scan.Options{Allow: []string{bad}}); !errors.Is(err, scan.ErrAllow) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Python is judged when it is known what points to it, whatever came first.
func TestPython(t *testing.T) {
	t.Parallel()
	r := do(t, scan.Options{Concurrency: 1},
		file("a/modeling_x.py", "code", "import torch"),
		file("b.py", "code", "import torch"),
		file("a/config.json", "weight.config", `{"auto_map":{"AutoModel":"modeling_x.X"}}`))
	got := map[string]hazard.Severity{}
	for _, f := range r.Findings {
		if f.Rule == hazard.CodePython {
			got[f.Path] = f.Severity
		}
	}
	if diff := cmp.Diff(map[string]hazard.Severity{"a/modeling_x.py": hazard.Medium, "b.py": hazard.Low}, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnread(t *testing.T) {
	t.Parallel()
	r := do(t, scan.Options{Unread: []scan.Unread{{Path: "weights.tar.gz", Size: 7, Why: "it is compressed"}}})
	if r.Verdict != hazard.Incomplete || len(r.Files) != 1 || r.Counts.High != 1 {
		t.Errorf("%+v", r)
	}
}

// random returns n characters, the same ones every time: a credential that stood here
// would be found by everybody's scanner.
func random(alphabet string, n int) string {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}
