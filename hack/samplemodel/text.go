package samplemodel

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

const readme = `---
license: apache-2.0
language:
  - en
library_name: transformers
pipeline_tag: text-generation
base_model: modseal/sample-base
tags:
  - sample
---

# sample-llama

A very small Llama with random weights, to try tools on. It says nothing useful.
`

const license = `Copyright The modseal Authors

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
`

const script = `#!/bin/sh
# Lists the shards of the model beside this script.
ls "$(dirname "$0")"/../*.safetensors
`

// writeText writes everything but the weights.
func writeText(dir string, o Options, shards [][]tensor, hidden int) error {
	index, err := indexJSON(shards)
	if err != nil {
		return err
	}
	config, err := indented(map[string]any{
		"architectures":           []string{"LlamaForCausalLM"},
		"bos_token_id":            1,
		"eos_token_id":            2,
		"hidden_act":              "silu",
		"hidden_size":             hidden,
		"intermediate_size":       2 * hidden,
		"max_position_embeddings": 128,
		"model_type":              "llama",
		"num_attention_heads":     hidden / 8,
		"num_hidden_layers":       o.Shards,
		"num_key_value_heads":     hidden / 8,
		"rms_norm_eps":            1e-05,
		"tie_word_embeddings":     false,
		"torch_dtype":             "bfloat16",
		"vocab_size":              vocabulary,
	})
	if err != nil {
		return err
	}
	tokenizer, err := tokenizerJSON()
	if err != nil {
		return err
	}
	generation, err := indented(map[string]any{"bos_token_id": 1, "eos_token_id": 2, "do_sample": true, "temperature": 0.7})
	if err != nil {
		return err
	}
	files := []struct {
		path, content string
		mode          os.FileMode
	}{
		{"config.json", config, 0o644},
		{"generation_config.json", generation, 0o644},
		{"tokenizer.json", tokenizer, 0o644},
		{"model.safetensors.index.json", index, 0o644},
		{"README.md", readme, 0o644},
		{"LICENSE", license, 0o644},
		{"added_tokens.txt", "", 0o644},
		{"notes/données d'été.txt", "Mesuré à l'ombre.\n", 0o644},
		{"scripts/list shards.sh", script, 0o755},
	}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(f.content), f.mode); err != nil {
			return err
		}
		// The umask has no say in what the model is.
		if err := os.Chmod(name, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func indexJSON(shards [][]tensor) (string, error) {
	where := map[string]string{}
	total := 0
	for i, shard := range shards {
		for _, t := range shard {
			where[t.name] = shardName(i, len(shards))
			total += 2 * t.elements()
		}
	}
	return indented(map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": where})
}

// tokenizerJSON is a tokenizer with one token per byte value, in the format of
// the Hugging Face tokenizers library.
func tokenizerJSON() (string, error) {
	vocab := map[string]int{"<unk>": 0, "<s>": 1, "</s>": 2}
	for i := 3; i < vocabulary; i++ {
		vocab[fmt.Sprintf("<0x%02X>", i)] = i
	}
	return indented(map[string]any{
		"version":       "1.0",
		"added_tokens":  []any{},
		"pre_tokenizer": map[string]any{"type": "WhitespaceSplit"},
		"model":         map[string]any{"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
	})
}

func indented(v any) (string, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return string(b) + "\n", err
}
