// Package samplemodel makes a model to try things on: small, but a valid
// sharded safetensors checkpoint with everything that usually lies beside one,
// and with the kinds of files that tools get wrong: in a nested directory,
// empty, executable, named with spaces and Unicode. The same options give the
// same bytes, always.
package samplemodel

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Options of a model.
type Options struct {
	Shards int   // safetensors files, and layers of the transformer; 0 means 4
	Size   int64 // bytes of all weights, about; 0 means 2 MiB
}

// vocabulary is one token per byte value.
const vocabulary = 256

// A tensor is bfloat16, as the weights of most published models are.
type tensor struct {
	name  string
	shape []int
}

func (t tensor) elements() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// Write makes the model in dir, which is made when it is absent.
func Write(dir string, o Options) error {
	if o.Shards <= 0 {
		o.Shards = 4
	}
	if o.Size <= 0 {
		o.Size = 2 << 20
	}
	hidden := hiddenSize(o)
	shards := tensors(o.Shards, hidden)
	if err := writeText(dir, o, shards, hidden); err != nil {
		return err
	}
	for i, shard := range shards {
		if err := writeShard(filepath.Join(dir, shardName(i, len(shards))), shard, uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

// hiddenSize picks the width that comes nearest to the size asked for: a layer
// has 4 matrices of hidden², and 3 of hidden × 2 hidden, of 2 bytes an element.
func hiddenSize(o Options) int {
	h := int(math.Sqrt(float64(o.Size) / float64(2*10*o.Shards)))
	return max(8, h/8*8)
}

// tensors lists the weights of a small Llama, by shard: one layer each, the
// embedding in the first, the head in the last.
func tensors(layers, hidden int) [][]tensor {
	shards := make([][]tensor, layers)
	for i := range shards {
		p := fmt.Sprintf("model.layers.%d.", i)
		if i == 0 {
			shards[i] = append(shards[i], tensor{"model.embed_tokens.weight", []int{vocabulary, hidden}})
		}
		shards[i] = append(
			shards[i],
			tensor{p + "input_layernorm.weight", []int{hidden}},
			tensor{p + "mlp.down_proj.weight", []int{hidden, 2 * hidden}},
			tensor{p + "mlp.gate_proj.weight", []int{2 * hidden, hidden}},
			tensor{p + "mlp.up_proj.weight", []int{2 * hidden, hidden}},
			tensor{p + "post_attention_layernorm.weight", []int{hidden}},
			tensor{p + "self_attn.k_proj.weight", []int{hidden, hidden}},
			tensor{p + "self_attn.o_proj.weight", []int{hidden, hidden}},
			tensor{p + "self_attn.q_proj.weight", []int{hidden, hidden}},
			tensor{p + "self_attn.v_proj.weight", []int{hidden, hidden}},
		)
		if i == layers-1 {
			shards[i] = append(
				shards[i],
				tensor{"lm_head.weight", []int{vocabulary, hidden}},
				tensor{"model.norm.weight", []int{hidden}},
			)
		}
	}
	return shards
}

func shardName(i, n int) string { return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n) }

// writeShard writes one safetensors file: the length of the header, the header,
// padded with spaces to 8 bytes, and the tensors in its order
// (https://github.com/huggingface/safetensors#format).
func writeShard(name string, shard []tensor, seed uint64) error {
	type entry struct {
		Dtype   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	end := 0
	for _, t := range shard {
		begin := end
		end += 2 * t.elements()
		header[t.name] = entry{"BF16", t.shape, [2]int{begin, end}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	_ = binary.Write(w, binary.LittleEndian, uint64(len(text))) // bufio keeps the error for Flush
	_, _ = w.Write(text)
	random := rand.New(rand.NewPCG(seed, 0x6d6f647365616c))
	for range end / 2 {
		// The upper half of a float32 is a bfloat16; 0.02 is how weights are initialised.
		bits := math.Float32bits(float32(random.NormFloat64() * 0.02))
		_, _ = w.Write([]byte{byte(bits >> 16), byte(bits >> 24)})
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Close()
}
