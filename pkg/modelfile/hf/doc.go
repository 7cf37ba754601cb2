// Package hf reads the files that lie beside the weights in a model of the
// Hugging Face hub: config.json, adapter_config.json, generation_config.json,
// tokenizer.json, tokenizer_config.json, special_tokens_map.json, the index of
// sharded weights, and the YAML front matter of README.md (the model card metadata of
// huggingface/hub-docs).
//
// All of them are text that a stranger wrote. JSON with duplicate keys is
// refused, because two readers of it see two models. It is read as it streams in, and
// of a file of any size no more is held than the fields that count. A field that is read must
// have the type it is known with; fields that are not read may hold anything.
// Text comes out as valid UTF-8 without control characters.
package hf
