package hf_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/modseal/modseal/pkg/modelfile/hf"
	"github.com/modseal/modseal/pkg/modelfile/jsonscan"
)

// of makes a reader of documents one of bytes.
func of[T any](read func(io.Reader) (T, error)) func([]byte) (T, error) {
	return func(b []byte) (T, error) { return read(bytes.NewReader(b)) }
}

func TestReadTokenizerConfig(t *testing.T) {
	for _, tt := range []struct {
		name, json string
		want       hf.TokenizerConfig
	}{
		{"empty", `{}`, hf.TokenizerConfig{}},
		{
			"all", `{"tokenizer_class":"LlamaTokenizer","model_max_length":4096,"bos_token":"<s>","eos_token":{"__type":"AddedToken","content":"</s>","lstrip":false},"pad_token":null,"unk_token":"\u001b[1m",
				"added_tokens_decoder":{"0":{"content":"<unk>"},"1":{"content":"<s>"}},"auto_map":{"AutoTokenizer":["tok.Tok",null]},"chat_template":"{{ messages }}\n"}`,
			hf.TokenizerConfig{
				Class: "LlamaTokenizer", MaxLength: 4096, Tokens: hf.SpecialTokens{BOS: "<s>", EOS: "</s>", UNK: "[1m"}, RemoteCode: true,
				AutoMap:   []hf.CodeRef{{Field: "auto_map.AutoTokenizer", Module: "tok.py", Class: "Tok"}},
				Templates: []hf.ChatTemplate{{Name: "default", Text: "{{ messages }}\n"}},
			},
		},
		{"no bound", `{"model_max_length":1000000000000000019884624838656}`, hf.TokenizerConfig{}},
		{"a fraction", `{"model_max_length":1e30}`, hf.TokenizerConfig{}},
		{"null", `{"chat_template":null,"tokenizer_class":null}`, hf.TokenizerConfig{}},
		{
			"a list of templates", `{"chat_template":[{"name":"default","template":"a"},{"template":"b","name":"tool_use","x":[]}]}`,
			hf.TokenizerConfig{Templates: []hf.ChatTemplate{{Name: "default", Text: "a"}, {Name: "tool_use", Text: "b"}}},
		},
		{
			"an object of templates", `{"chat_template":{"default":"a","rag":"b","none":null}}`,
			hf.TokenizerConfig{Templates: []hf.ChatTemplate{{Name: "default", Text: "a"}, {Name: "rag", Text: "b"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := hf.ReadTokenizerConfig(strings.NewReader(tt.json))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadTokenizerConfigRefuses(t *testing.T) {
	const notTemplate = `field "chat_template" is not a template or a list of templates`
	refusals(t, of(hf.ReadTokenizerConfig), [][2]string{
		{``, "byte 0: document ends inside a value"},
		{`[]`, "not a JSON object"},
		{`"{}"`, "not a JSON object"},
		{`{"a":1}{}`, "byte 7: '{' after the end of the document"},
		{`{"a":1,"a":1}`, `byte 7: duplicate key "a"`},
		{`{"tokenizer_class":"a","tokenizer_class":"b"}`, `byte 23: duplicate key "tokenizer_class"`},
		{`{"tokenizer_class":1}`, `field "tokenizer_class" is not a string`},
		{`{"tokenizer_class":["a"]}`, `field "tokenizer_class" is not a string`},
		{`{"tokenizer_class":"` + strings.Repeat("a", 64<<10+1) + `"}`, "byte 19: string longer than 65536 bytes"},
		{`{"model_max_length":"4096"}`, `field "model_max_length" is not a number`},
		{`{"bos_token":1}`, `field "bos_token" is not a string`},
		{`{"bos_token":{"content":[]}}`, `field "bos_token.content" is not a string`},
		{`{"chat_template":1}`, notTemplate},
		{`{"chat_template":true}`, notTemplate},
		{`{"chat_template":[1]}`, notTemplate},
		{`{"chat_template":["a"]}`, notTemplate},
		{`{"chat_template":[{}]}`, notTemplate},
		{`{"chat_template":[{"name":"a"}]}`, notTemplate},
		{`{"chat_template":[{"template":2}]}`, notTemplate},
		{`{"chat_template":[{"name":7,"template":""}]}`, `field "chat_template.name" is not a string`},
		{`{"chat_template":"` + strings.Repeat("a", hf.MaxTemplateSize+1) + `"}`, "byte 17: string longer than 1048576 bytes"},
		{`{"chat_template":"\ud800"}`, "byte 18: lone surrogate"},
		{`{"added_tokens_decoder":{"0":{},"0":{}}}`, `byte 32: duplicate key "0"`},
		{`{"auto_map":{"a":"b","a":"c"}}`, `byte 21: duplicate key "a"`},
		{`{"x":` + strings.Repeat("[", 64) + `}`, "byte 68: nested deeper than 64"},
	})
	var many strings.Builder
	for range 5 {
		fmt.Fprintf(&many, `,{"template":"%s"}`, strings.Repeat("a", hf.MaxTemplateSize-100))
	}
	_, err := hf.ReadTokenizerConfig(strings.NewReader(`{"chat_template":[` + many.String()[1:] + `]}`))
	if want := "byte 4193998: string longer than 400 bytes"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestReadTokenizer(t *testing.T) {
	for text, want := range map[string]hf.Tokenizer{
		`{}`: {},
		`{"version":"1.0","added_tokens":[{"id":0,"content":"<s>"}],"model":{"type":"BPE","vocab":{"a":0,"b":1,"\"":2},"merges":["a b",["b","c"]]}}`: {Model: "BPE", Vocabulary: 3, Merges: 2, Added: 1},
		`{"model":{"vocab":[["a",-1.5],["b",0]],"type":"Unigram","unk_id":0},"added_tokens":null}`:                                                   {Model: "Unigram", Vocabulary: 2},
	} {
		got, err := hf.ReadTokenizer(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if d := cmp.Diff(&want, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestReadOtherFiles(t *testing.T) {
	tokens, err := hf.ReadSpecialTokens(strings.NewReader(`{"bos_token":{"content":"<s>"},"mask_token":"[MASK]","additional_special_tokens":["a"]}`))
	if d := cmp.Diff(&hf.SpecialTokens{BOS: "<s>", Mask: "[MASK]"}, tokens); err != nil || d != "" {
		t.Error(err, d)
	}
	config, err := hf.ReadGenerationConfig(strings.NewReader(`{"max_length":20,"max_new_tokens":7,"do_sample":true,"temperature":0.70,"top_p":1,"eos_token_id":[1,2],"transformers_version":"4.56.0"}`))
	want := &hf.GenerationConfig{MaxLength: 20, MaxNewTokens: 7, Sample: true, Temperature: "0.70", TopP: "1", TransformersVersion: "4.56.0"}
	if d := cmp.Diff(want, config); err != nil || d != "" {
		t.Error(err, d)
	}
	templates, err := hf.ReadChatTemplates(strings.NewReader(`{"chat_template":"{{ x }}"}`))
	if d := cmp.Diff([]hf.ChatTemplate{{Name: "default", Text: "{{ x }}"}}, templates); err != nil || d != "" {
		t.Error(err, d)
	}
	adapter, err := hf.ReadAdapter(strings.NewReader(`{"peft_type":"LORA","auto_mapping":{"base_model_class":"A","parent_library":"transformers.models.bert"}}`))
	if d := cmp.Diff(&hf.Adapter{Type: "LORA", ParentLibrary: "transformers.models.bert"}, adapter); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestReadIndex(t *testing.T) {
	var got []string
	total, err := hf.ReadIndex(strings.NewReader(`{"weight_map":{"b":"y","a":"x"},"metadata":{"total_size":7}}`), func(tensor, file string) error {
		got = append(got, tensor+" "+file)
		return nil
	})
	if d := cmp.Diff([]string{"b y", "a x"}, got); err != nil || total != 7 || d != "" {
		t.Error(total, err, d)
	}
	enough := errors.New("enough")
	if _, err := hf.ReadIndex(strings.NewReader(`{"weight_map":{"b":"y"}}`), func(string, string) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	var large strings.Builder
	for i := range hf.MaxIndexed + 1 {
		fmt.Fprintf(&large, `,"%d":"x"`, i)
	}
	if _, err := hf.ParseIndex([]byte(`{"weight_map":{` + large.String()[1:] + `}}`)); !errors.Is(err, hf.ErrTooLarge) {
		t.Error(err)
	}
}

// endless is a document that goes on for ever, and notes what the heap had at most.
type endless struct {
	head, item   string
	i            int
	rest         []byte
	before, most uint64
	reads        int
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (e *endless) Read(b []byte) (int, error) {
	if e.reads++; e.reads%64 == 0 {
		now := heap()
		e.most = max(e.most, now-min(now, e.before))
	}
	n := 0
	for n < len(b) {
		if len(e.rest) == 0 {
			e.rest = e.next()
		}
		c := copy(b[n:], e.rest)
		n, e.rest = n+c, e.rest[c:]
	}
	return n, nil
}

func (e *endless) next() []byte {
	if e.i++; e.i == 1 {
		return []byte(e.head)
	}
	if !strings.Contains(e.item, "%d") {
		return []byte(e.item)
	}
	return fmt.Appendf(nil, e.item, e.i)
}

// A file may have 64 MiB, and a stranger writes it.
func TestMemory(t *testing.T) {
	const budget = 32 << 20
	wide := strings.Repeat("w", 1000)
	index := func(r io.Reader) error {
		_, err := hf.ReadIndex(r, func(string, string) error { return nil })
		return err
	}
	tokenizer := func(r io.Reader) error { _, err := hf.ReadTokenizer(r); return err }
	config := func(r io.Reader) error { _, err := hf.ReadTokenizerConfig(r); return err }
	top := func(r io.Reader) error { _, err := hf.ReadConfig(r); return err }
	for _, tt := range []struct {
		name, head, item, want string
		read                   func(io.Reader) error
	}{
		{"a vocabulary", `{"model":{"vocab":{"x":0`, `,"%d":0`, "more than 500000 members", tokenizer},
		{"a list of tokens", `{"model":{"vocab":[["x",0]`, `,["%d` + wide + `",-1.5]`, "document of more than 67108864 bytes", tokenizer},
		{"merges", `{"model":{"merges":["a b"`, `,"%d ` + wide + `"`, "document of more than 67108864 bytes", tokenizer},
		{"one token", `{"model":{"merges":["`, wide, "document of more than 67108864 bytes", tokenizer},
		{"added tokens", `{"added_tokens_decoder":{"x":{}`, `,"%d":{"content":"a"}`, "more than 500000 members", config},
		{"a template", `{"chat_template":"`, wide, "string longer than 1048576 bytes", config},
		{"templates", `{"chat_template":[{"template":"a"}`, `,{"template":"%d"}`, `field "chat_template" is not a list of so many templates as may be there`, config},
		{"classes", `{"auto_map":{"x":"a"`, `,"%d":"a.b"`, `is not one of so many classes as may be named`, config},
		{"architectures", `{"architectures":["x"`, `,"%d"`, `field "architectures" is not a list of strings of at most 1000`, top},
		{"an unknown field", `{"x":[0`, `,{"%d` + wide + `":[0]}`, "document of more than 16777216 bytes", top},
		{"an index", `{"weight_map":{"x":"x"`, `,"%d":"y"`, "more than 500000 members", index},
		{"an index of long names", `{"weight_map":{"x":"x"`, `,"` + strings.Repeat("n", 200) + `%d":"y"`, "document of more than 16777216 bytes", index},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &endless{head: tt.head, item: tt.item, before: heap()}
			if err := tt.read(r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if r.most > budget {
				t.Errorf("%d bytes of the heap were in use", r.most)
			}
		})
	}
}

// FuzzReadTokenizerConfig: what is read is clean text, templates excepted, and
// survives being written and read again.
func FuzzReadTokenizerConfig(f *testing.F) {
	f.Add([]byte(`{"tokenizer_class":"T","model_max_length":7,"bos_token":"a","eos_token":{"content":"b"},"chat_template":[{"name":"n","template":"t"}],"auto_map":{"A":["b.C",null]}}`))
	f.Add([]byte(`{"chat_template":{"default":"a"},"model_max_length":1e30}`))
	f.Add([]byte(`{"chat_template":"{{ x }}","pad_token":null,"x":{"a":{"a":1,"\u0061":2}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := hf.ReadTokenizerConfig(bytes.NewReader(b))
		if _, ok := errors.AsType[*jsonscan.Error](err); err != nil {
			if !ok && strings.Contains(err.Error(), "read document") {
				t.Fatalf("a complete file gave an error of reading: %v", err)
			}
			return
		}
		clean(t, c.Class, c.Tokens.BOS, c.Tokens.EOS, c.Tokens.UNK, c.Tokens.PAD, c.Tokens.SEP, c.Tokens.CLS, c.Tokens.Mask)
		if c.MaxLength > math.MaxInt64 {
			t.Fatal(c.MaxLength)
		}
		var templates []map[string]string
		for _, x := range c.Templates {
			clean(t, x.Name)
			templates = append(templates, map[string]string{"name": x.Name, "template": x.Text})
		}
		again := map[string]any{
			"tokenizer_class": c.Class, "model_max_length": c.MaxLength, "chat_template": templates,
			"bos_token": c.Tokens.BOS, "eos_token": c.Tokens.EOS, "unk_token": c.Tokens.UNK, "pad_token": c.Tokens.PAD,
			"sep_token": c.Tokens.SEP, "cls_token": c.Tokens.CLS, "mask_token": c.Tokens.Mask,
		}
		c2, err := hf.ReadTokenizerConfig(bytes.NewReader(marshal(t, again)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, c2, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(hf.TokenizerConfig{}, "AutoMap", "RemoteCode")); d != "" {
			t.Fatal(d)
		}
	})
}
