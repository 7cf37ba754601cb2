//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// tensorSize is how large one tensor of the model is at most: as many as a real
// model of this size has, so that headers are read as they are in practice.
const tensorSize = 32 << 20

// The seeds of the weights, and of a shard that was changed.
const (
	firstSeed = 1
	otherSeed = 2
)

// A model on disk.
type model struct {
	dir   string
	files []string // relative, in order
	size  int64    // bytes of all files
}

// writeModel makes a model of about size bytes in shards safetensors files, all
// of random bytes, with the text files that lie beside one. The bytes are the same
// every time.
func writeModel(dir string, size int64, shards int) (model, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return model{}, err
	}
	weights := map[string]string{}
	for i := range shards {
		name := shardName(i, shards)
		tensors, err := writeShard(filepath.Join(dir, name), i, size/int64(shards), firstSeed)
		if err != nil {
			return model{}, err
		}
		for _, t := range tensors {
			weights[t] = name
		}
	}
	texts := map[string]any{
		"config.json": map[string]any{
			"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "torch_dtype": "bfloat16",
			"hidden_size": 4096, "num_hidden_layers": shards, "vocab_size": 32000,
		},
		"generation_config.json": map[string]any{"do_sample": true, "temperature": 0.7},
		"tokenizer.json":         map[string]any{"version": "1.0", "model": map[string]any{"type": "WordLevel", "vocab": map[string]int{"<unk>": 0}}},
	}
	if shards > 1 {
		texts["model.safetensors.index.json"] = map[string]any{"metadata": map[string]any{"total_size": size}, "weight_map": weights}
	}
	for name, content := range texts {
		text, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return model{}, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644); err != nil {
			return model{}, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte(readme), 0o644); err != nil {
		return model{}, err
	}
	return readModel(dir)
}

const readme = `---
license: apache-2.0
---

# benchmark

Random weights that are only good for measuring how fast they move.
`

func shardName(i, n int) string {
	if n == 1 {
		return "model.safetensors"
	}
	return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n)
}

// writeShard writes one safetensors file of about size bytes and returns the
// names of its tensors (https://github.com/huggingface/safetensors#format).
func writeShard(name string, shard int, size int64, seed uint64) ([]string, error) {
	type entry struct {
		Dtype   string   `json:"dtype"`
		Shape   [1]int64 `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header := map[string]entry{}
	var tensors []string
	for begin := int64(0); begin < size; {
		length := min(tensorSize, size-begin) &^ 1 // of two bytes an element
		if length == 0 {
			break
		}
		t := fmt.Sprintf("model.layers.%d.block.%d.weight", shard, len(tensors))
		header[t] = entry{"BF16", [1]int64{length / 2}, [2]int64{begin, begin + length}}
		tensors = append(tensors, t)
		begin += length
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	text = append(text, strings.Repeat(" ", (8-len(text)%8)%8)...)
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := binary.Write(f, binary.LittleEndian, uint64(len(text))); err != nil {
		return nil, err
	}
	if _, err := f.Write(text); err != nil {
		return nil, err
	}
	if err := writeRandom(f, size&^1, seed<<16|uint64(shard)); err != nil {
		return nil, err
	}
	return tensors, f.Close()
}

func writeRandom(f *os.File, n int64, seed uint64) error {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	source := rand.NewChaCha8(key)
	buffer := make([]byte, 1<<20)
	for n > 0 {
		part := buffer[:min(n, int64(len(buffer)))]
		_, _ = source.Read(part) // never fails
		if _, err := f.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// writeChanged makes the model of from, which has size and shards, in dir, with
// its last shard replaced by other bytes. The other files are hard links.
func writeChanged(from model, dir string, size int64, shards int) (model, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return model{}, err
	}
	changed := shardName(shards-1, shards)
	for _, name := range from.files {
		if name == changed {
			continue
		}
		if err := os.Link(filepath.Join(from.dir, name), filepath.Join(dir, name)); err != nil {
			return model{}, err
		}
	}
	if _, err := writeShard(filepath.Join(dir, changed), shards-1, size/int64(shards), otherSeed); err != nil {
		return model{}, err
	}
	return readModel(dir)
}

// writeSmall makes n files of a few bytes, no two alike, a hundred a directory.
func writeSmall(dir string, n int) (model, error) {
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("part-%03d", i/100), fmt.Sprintf("%05d.txt", i))
		if i%100 == 0 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return model{}, err
			}
		}
		if err := os.WriteFile(name, fmt.Appendf(nil, "file %d\n", i), 0o644); err != nil {
			return model{}, err
		}
	}
	return readModel(dir)
}

func readModel(dir string) (model, error) {
	m := model{dir: dir}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		m.files = append(m.files, relative)
		m.size += info.Size()
		return err
	})
	return m, err
}
