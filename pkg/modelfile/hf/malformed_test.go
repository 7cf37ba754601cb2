package hf_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

const byteOrderMark = "not a JSON object: it begins with a byte order mark, and JSON is UTF-8 without one (RFC 8259, section 8.1)"

// deep is a value with n lists in each other.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// long is a text of more bytes than a field may have.
var long = strings.Repeat("a", 64<<10+1)

func TestReadIndexRefuses(t *testing.T) {
	notLocal := func(file, quoted string) [2]string {
		return [2]string{`{"weight_map":{"a":"` + file + `"}}`, `tensor "a": ` + quoted + ` is no local path`}
	}
	refusals(t, hf.ParseIndex, [][2]string{
		{``, "byte 0: document ends inside a value"},
		{`{"weight_map":{"a":"x"`, "byte 22: document ends inside a value"},
		{`{"weight_map":{"a":"x"}}{}`, "byte 24: '{' after the end of the document"},
		{"\ufeff" + `{"weight_map":{}}`, byteOrderMark},
		{`["weight_map"]`, "not a JSON object"},
		{`{}`, `field "weight_map" is not there`},
		{`{"Weight_Map":{}}`, `field "weight_map" is not there`},
		{`{"weight_map":null}`, `field "weight_map" is not there`},
		{`{"weight_map":[]}`, `field "weight_map" is not an object`},
		{`{"weight_map":{"a":1}}`, `tensor "a": its file is not named by a string`},
		{`{"weight_map":{"a\u001b":null}}`, `tensor "a\x1b": its file is not named by a string`},
		{`{"weight_map":{"a":["x"]}}`, `tensor "a": its file is not named by a string`},
		{`{"weight_map":{"a":{"file":"x"}}}`, `tensor "a": its file is not named by a string`},
		notLocal(``, `""`),
		notLocal(`.`, `"."`),
		notLocal(`..`, `".."`),
		notLocal(`../x`, `"../x"`),
		notLocal(`d/../../x`, `"d/../../x"`),
		notLocal(`/etc/passwd`, `"/etc/passwd"`),
		notLocal(`d//x`, `"d//x"`),
		notLocal(`d/`, `"d/"`),
		notLocal(`d\\x`, `"d\\x"`),
		notLocal(`c:x`, `"c:x"`),
		notLocal(`x:stream`, `"x:stream"`),
		notLocal(`x\u0000`, `"x\x00"`),
		notLocal(`x\u001b[2J`, `"x\x1b[2J"`),
		notLocal(`\u202ex`, `"\u202ex"`),
		notLocal(` x`, `" x"`),
		{`{"weight_map":{"a":"` + strings.Repeat("x", 4097) + `"}}`, "byte 19: string longer than 4096 bytes"},
		{`{"weight_map":{"` + strings.Repeat("x", 4097) + `":"a"}}`, "byte 15: string longer than 4096 bytes"},
		{`{"weight_map":{"a":"x","\u0061":"y"}}`, `byte 23: duplicate key "a"`},
		{`{"weight_map":{},"weight_map":{}}`, `byte 17: duplicate key "weight_map"`},
		{`{"weight_map":{"a":"\ud800"}}`, "byte 20: lone surrogate"},
		{"{\"weight_map\":{\"a\":\"\xff\"}}", "byte 19: string is not valid UTF-8"},
		{"{\"weight_map\":{\"\n\":\"x\"}}", "byte 16: control character 0x0a in a string"},
		{`{"weight_map":{},"x":` + deep(64) + `}`, "byte 84: nested deeper than 64"},
		{`{"weight_map":{},"metadata":1}`, `field "metadata" is not an object`},
		{`{"weight_map":{},"metadata":{"total_size":"7"}}`, `field "metadata.total_size" is not an unsigned integer`},
		{`{"weight_map":{},"metadata":{"total_size":1.5}}`, `field "metadata.total_size" is not an unsigned integer`},
		{`{"weight_map":{},"metadata":{"total_size":1e9}}`, `field "metadata.total_size" is not an unsigned integer`},
		{`{"weight_map":{},"metadata":{"total_size":-1}}`, `field "metadata.total_size" is not an unsigned integer`},
		{`{"weight_map":{},"metadata":{"total_size":007}}`, `byte 42: "007" is no number`},
		{`{"weight_map":{},"metadata":{"total_size":9223372036854775808}}`, `field "metadata.total_size" is not an unsigned integer`},
	})
}

func TestReadAdapterRefuses(t *testing.T) {
	refusals(t, hf.ParseAdapter, [][2]string{
		{``, "byte 0: document ends inside a value"},
		{`{`, "byte 1: document ends inside a value"},
		{`{"peft_type":"LO`, "byte 16: document ends inside a value"},
		{`{"peft_type":"LORA"}]`, "byte 20: ']' after the end of the document"},
		{"\ufeff{}", byteOrderMark},
		{"\xff\xfe{\x00}\x00", byteOrderMark},
		{`[{"peft_type":"LORA"}]`, "not a JSON object"},
		{`"LORA"`, "not a JSON object"},
		{`{'peft_type':"LORA"}`, `byte 1: '\'' where a key should begin`},
		{`{"peft_type" "LORA"}`, "byte 13: no colon after a key"},
		{`{"peft_type":"LORA",}`, "byte 20: '}' where a key should begin"},
		{`{"peft_type":"LORA" "r":8}`, `byte 20: '"' after a value, where ',' or '}' should be`},
		{`{"peft_type":LORA}`, `field "peft_type" is not a string`},
		{`{"peft_type":["LORA"]}`, `field "peft_type" is not a string`},
		{`{"peft_type":"LORA","peft_type":"IA3"}`, `byte 20: duplicate key "peft_type"`},
		{`{"revision":1}`, `field "revision" is not a string`},
		{`{"revision":false}`, `field "revision" is not a string`},
		{`{"base_model_name_or_path":[]}`, `field "base_model_name_or_path" is not a string`},
		{`{"base_model_name_or_path":{"id":"org/base"}}`, `field "base_model_name_or_path" is not a string`},
		{`{"base_model_name_or_path":"` + long + `"}`, "byte 27: string longer than 65536 bytes"},
		{`{"base_model_name_or_path":"\ude00"}`, "byte 28: lone surrogate"},
		{"{\"base_model_name_or_path\":\"org/\xc3\x28\"}", "byte 27: string is not valid UTF-8"},
		{"{\"base_model_name_or_path\":\"org/\x00base\"}", "byte 32: control character 0x00 in a string"},
		{`{"auto_mapping":"transformers"}`, `field "auto_mapping" is not an object`},
		{`{"auto_mapping":{"parent_library":["os"]}}`, `field "auto_mapping.parent_library" is not a string`},
		{`{"auto_mapping":{"parent_library":"a","parent_\u006cibrary":"b"}}`, `byte 38: duplicate key "parent_library"`},
		{`{"r":0x8}`, `byte 6: 'x' after a value, where ',' or '}' should be`},
		{`{"target_modules":` + deep(64) + `}`, "byte 81: nested deeper than 64"},
		{`{"` + strings.Repeat("k", 4097) + `":1}`, "byte 1: string longer than 4096 bytes"},
		{`{"x":"` + strings.Repeat("a", hf.MaxJSONSize) + `"}`, "byte 16777216: document of more than 16777216 bytes"},
	})
}

func TestReadTokenizerRefuses(t *testing.T) {
	const vocab, merges, tokens = `field "model.vocab" is not a vocabulary`, `field "model.merges" is not a list of merges`, `field "added_tokens" is not a list of tokens`
	refusals(t, of(hf.ReadTokenizer), [][2]string{
		{``, "byte 0: document ends inside a value"},
		{`{`, "byte 1: document ends inside a value"},
		{`{"model":{"vocab":{"a":0,`, "byte 25: document ends inside a value"},
		{`{"model":{}}{}`, "byte 12: '{' after the end of the document"},
		{"\ufeff{}", byteOrderMark},
		{`null`, "not a JSON object"},
		{`{"model":[]}`, `field "model" is not an object`},
		{`{"model":"BPE"}`, `field "model" is not an object`},
		{`{"model":{},"model":{}}`, `byte 12: duplicate key "model"`},
		{`{"model":{"type":1}}`, `field "model.type" is not a string`},
		{`{"model":{"type":"` + long + `"}}`, "byte 17: string longer than 65536 bytes"},
		{`{"model":{"type":"\ud83dx"}}`, "byte 18: lone surrogate"},
		{`{"model":{"vocab":1}}`, vocab},
		{`{"model":{"vocab":"a b"}}`, vocab},
		{`{"model":{"vocab":{"a":"0"}}}`, vocab},
		{`{"model":{"vocab":{"a":-1}}}`, vocab},
		{`{"model":{"vocab":["a"]}}`, vocab},
		{`{"model":{"vocab":[{"a":0}]}}`, vocab},
		{`{"model":{"vocab":{"a":0,"\u0061":1}}}`, `byte 25: duplicate key "a"`},
		{`{"model":{"vocab":{"a":1.}}}`, `byte 23: "1." is no number`},
		{`{"model":{"vocab":[["a",NaN]]}}`, "byte 24: 'N' where a value should begin"},
		{`{"model":{"vocab":{"` + strings.Repeat("k", 4097) + `":1}}}`, "byte 19: string longer than 4096 bytes"},
		{"{\"model\":{\"vocab\":{\"\xed\xa0\x80\":0}}}", "byte 19: string is not valid UTF-8"},
		{"{\"model\":{\"vocab\":{\"\t\":0}}}", "byte 20: control character 0x09 in a string"},
		{`{"model":{"merges":{"a":"b"}}}`, merges},
		{`{"model":{"merges":"a b"}}`, merges},
		{`{"model":{"merges":[1]}}`, merges},
		{`{"model":{"merges":["a b" "c d"]}}`, `byte 26: '"' after a value, where ',' or ']' should be`},
		{`{"model":{"merges":["\x61 b"]}}`, `byte 21: unknown escape \x`},
		{`{"model":{"merges":[` + deep(62) + `]}}`, "byte 81: nested deeper than 64"},
		{`{"added_tokens":"a"}`, tokens},
		{`{"added_tokens":{"0":{"content":"a"}}}`, tokens},
		{`{"added_tokens":["a"]}`, tokens},
		{`{"added_tokens":[{"id":0,"id":1}]}`, `byte 25: duplicate key "id"`},
	})
}

func TestReadGenerationConfigRefuses(t *testing.T) {
	refusals(t, of(hf.ReadGenerationConfig), [][2]string{
		{``, "byte 0: document ends inside a value"},
		{`{"max_length":20`, "byte 16: document ends inside a value"},
		{`{"max_length":20}0`, "byte 17: '0' after the end of the document"},
		{"\ufeff{}", byteOrderMark},
		{`true`, "not a JSON object"},
		{`{"max_length":"20"}`, `field "max_length" is not a number`},
		{`{"max_length":[20]}`, `field "max_length" is not a number`},
		{`{"max_length":020}`, `byte 14: "020" is no number`},
		{`{"max_length":Infinity}`, `field "max_length" is not a number`},
		{`{"max_length":20,"max_length":30}`, `byte 17: duplicate key "max_length"`},
		{`{"max_new_tokens":true}`, `field "max_new_tokens" is not a number`},
		{`{"max_new_tokens":1e}`, `byte 18: "1e" is no number`},
		{`{"max_new_tokens":` + strings.Repeat("1", 257) + `}`, "byte 18: number of more than 256 digits"},
		{`{"do_sample":"yes"}`, `field "do_sample" is not true or false`},
		{`{"do_sample":1}`, `field "do_sample" is not true or false`},
		{`{"do_sample":tru}`, "byte 13: no literal but true, false and null"},
		{`{"do_sample":True}`, `field "do_sample" is not true or false`},
		{`{"do_sample":nil}`, "byte 13: no literal but true, false and null"},
		{`{"temperature":"0.7"}`, `field "temperature" is not a number`},
		{`{"temperature":1.}`, `byte 15: "1." is no number`},
		{`{"temperature":.7}`, `field "temperature" is not a number`},
		{`{"temperature":+0.7}`, `field "temperature" is not a number`},
		{`{"temperature":--1}`, `byte 15: "--1" is no number`},
		{`{"temperature":0,7}`, "byte 17: '7' where a key should begin"},
		{`{"top_p":{}}`, `field "top_p" is not a number`},
		{`{"top_p":-}`, `byte 9: "-" is no number`},
		{`{"transformers_version":4.56}`, `field "transformers_version" is not a string`},
		{`{"transformers_version":"` + long + `"}`, "byte 24: string longer than 65536 bytes"},
		{`{"transformers_version":"\udc00"}`, "byte 25: lone surrogate"},
		{"{\"transformers_version\":\"\xf8\"}", "byte 24: string is not valid UTF-8"},
		{"{\"transformers_version\":\"\x1b[2J\"}", "byte 25: control character 0x1b in a string"},
		{`{"eos_token_id":` + deep(64) + `}`, "byte 79: nested deeper than 64"},
	})
}

func TestReadSpecialTokensRefuses(t *testing.T) {
	refusals(t, of(hf.ReadSpecialTokens), [][2]string{
		{``, "byte 0: document ends inside a value"},
		{`{"bos_token":{"content":"<s>"}`, "byte 30: document ends inside a value"},
		{`{"bos_token":"<s>"};`, "byte 19: ';' after the end of the document"},
		{"\ufeff{}", byteOrderMark},
		{`["<s>","</s>"]`, "not a JSON object"},
		{`{bos_token:"<s>"}`, "byte 1: 'b' where a key should begin"},
		{`{"bos_token":1}`, `field "bos_token" is not a string`},
		{`{"bos_token":["<s>"]}`, `field "bos_token" is not a string`},
		{`{"bos_token":{}}`, `field "bos_token.content" is not there`},
		{`{"bos_token":{"content":null}}`, `field "bos_token.content" is not there`},
		{`{"bos_token":"a","bos_token":"b"}`, `byte 17: duplicate key "bos_token"`},
		{`{"bos_token":<s>}`, `field "bos_token" is not a string`},
		{`{"eos_token":{"content":2}}`, `field "eos_token.content" is not a string`},
		{`{"eos_token":{"content":"a","con\u0074ent":"b"}}`, `byte 28: duplicate key "content"`},
		{`{"eos_token":{"content":{"content":"a"}}}`, `field "eos_token.content" is not a string`},
		{`{"unk_token":false}`, `field "unk_token" is not a string`},
		{`{"unk_token":"\q"}`, `byte 14: unknown escape \q`},
		{`{"pad_token":"` + long + `"}`, "byte 13: string longer than 65536 bytes"},
		{`{"pad_token":{"content":"` + long + `"}}`, "byte 24: string longer than 65536 bytes"},
		{`{"sep_token":"\ud800\ud800"}`, "byte 14: lone surrogate"},
		{`{"sep_token":"\u12g4"}`, `byte 14: \u without four hex digits`},
		{"{\"cls_token\":\"\xc0\x80\"}", "byte 13: string is not valid UTF-8"},
		{"{\"cls_token\":\"\r\n\"}", "byte 14: control character 0x0d in a string"},
		{`{"mask_token":[{"content":"a"}]}`, `field "mask_token" is not a string`},
		{`{"additional_special_tokens":["a",]}`, "byte 34: ']' where a value should begin"},
		{`{"additional_special_tokens":` + deep(64) + `}`, "byte 92: nested deeper than 64"},
	})
}

func TestReadChatTemplatesRefuses(t *testing.T) {
	const notTemplate = `field "chat_template" is not a template or a list of templates`
	read := func(b []byte) (*[]hf.ChatTemplate, error) {
		ts, err := of(hf.ReadChatTemplates)(b)
		if ts == nil {
			return nil, err
		}
		return &ts, err
	}
	refusals(t, read, [][2]string{
		{``, "byte 0: document ends inside a value"},
		{`{"chat_template":"{{ x }`, "byte 24: document ends inside a value"},
		{`{"chat_template":"a"}"b"`, `byte 21: '"' after the end of the document`},
		{"\ufeff{}", byteOrderMark},
		{`{% if x %}`, "byte 1: '%' where a key should begin"},
		{`"{{ x }}"`, "not a JSON object"},
		{`{}`, `field "chat_template" is not there`},
		{`{"chat_template":null}`, `field "chat_template" is not there`},
		{`{"chat-template":"a"}`, `field "chat_template" is not there`},
		{`{"chat_template":"a","chat_template":"b"}`, `byte 21: duplicate key "chat_template"`},
		{`{"chat_template":1}`, notTemplate},
		{`{"chat_template":false}`, notTemplate},
		{`{"chat_template":["a"]}`, notTemplate},
		{`{"chat_template":[null]}`, notTemplate},
		{`{"chat_template":[[{"template":"a"}]]}`, notTemplate},
		{`{"chat_template":[{"name":"a"}]}`, notTemplate},
		{`{"chat_template":[{"template":null}]}`, notTemplate},
		{`{"chat_template":[{"template":["a"]}]}`, notTemplate},
		{`{"chat_template":[{"name":7,"template":""}]}`, `field "chat_template.name" is not a string`},
		{`{"chat_template":[{"template":"a","template":"b"}]}`, `byte 34: duplicate key "template"`},
		{`{"chat_template":{"default":{"template":"a"}}}`, `field "chat_template.default" is not a template or a list of templates`},
		{`{"chat_template":{"a":"1","a":"2"}}`, `byte 26: duplicate key "a"`},
		{`{"chat_template":"` + strings.Repeat("a", hf.MaxTemplateSize+1) + `"}`, "byte 17: string longer than 1048576 bytes"},
		{`{"chat_template":[` + strings.Repeat(`{"template":""},`, 1_001) + `]}`, `field "chat_template" is not a list of so many templates as may be there`},
		{`{"chat_template":"\ud83d"}`, "byte 18: lone surrogate"},
		{"{\"chat_template\":\"\xfe\"}", "byte 17: string is not valid UTF-8"},
		{"{\"chat_template\":\"a\nb\"}", "byte 19: control character 0x0a in a string"},
		{`{"x":` + deep(64) + `}`, "byte 68: nested deeper than 64"},
	})
}
