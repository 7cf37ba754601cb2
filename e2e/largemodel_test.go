package e2e_test

import (
	bytesof "encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
)

// largemodel LAYOUT TAG SHARDS writes an OCI layout with a model of the shape of
// Llama 3 70B in FP8, 70 GB, whose tensors are holes. Nobody could have hashed them:
// the digests of its shards are made up, which only who reads them whole can notice.
func largemodel(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "largemodel LAYOUT TAG SHARDS")
	shards, err := strconv.Atoi(args[2])
	ts.Check(err)
	l := &layoutWriter{ts: ts, dir: ts.MkAbs(args[0])}
	ts.Check(os.MkdirAll(filepath.Join(l.dir, "blobs", "sha256"), 0o755))
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactTypeModel}
	m.Config = l.blob(mediaTypeModelConfig, []byte(`{"descriptor":{"name":"large"},"config":{},"modelfs":{"type":"layers","diffIds":[]}}`))
	weightMap := map[string]string{}
	tensors := llamaTensors(80)
	var total uint64
	for i := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, shards)
		part := tensors[i*len(tensors)/shards : (i+1)*len(tensors)/shards]
		for _, t := range part {
			weightMap[t.name] = name
		}
		desc, size := l.holes(name, part)
		total += size
		m.Layers = append(m.Layers, l.layer(desc, name))
	}
	index, err := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": weightMap})
	ts.Check(err)
	for name, text := range map[string][]byte{
		"model.safetensors.index.json": index,
		"config.json": []byte(`{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_attention_heads": 64,
			"max_position_embeddings": 131072, "vocab_size": 128256, "quantization_config": {"quant_method": "fp8"}}`),
		"README.md": []byte("---\nlicense: apache-2.0\nbase_model: example/large-base\nbase_model_relation: quantized\nlanguage: [en, de]\n---\n# Large\n"),
	} {
		role := ".weight.config.v1.raw"
		if filepath.Ext(name) == ".md" {
			role = ".doc.v1.raw"
		}
		m.Layers = append(m.Layers, l.layer(l.blob("application/vnd.cncf.model"+role, text), name))
	}
	l.tag(m, args[1])
}

// llamaTensors are the tensors of a Llama with so many layers.
func llamaTensors(layers int) []weightTensor {
	const hidden, kv, inner, vocabulary = 8192, 1024, 28672, 128256
	out := []weightTensor{{"model.embed_tokens.weight", "BF16", []uint64{vocabulary, hidden}}}
	for i := range layers {
		add := func(name, typ string, shape ...uint64) {
			out = append(out, weightTensor{fmt.Sprintf("model.layers.%d.%s.weight", i, name), typ, shape})
		}
		add("self_attn.q_proj", "F8_E4M3", hidden, hidden)
		add("self_attn.k_proj", "F8_E4M3", kv, hidden)
		add("self_attn.v_proj", "F8_E4M3", kv, hidden)
		add("self_attn.o_proj", "F8_E4M3", hidden, hidden)
		add("mlp.gate_proj", "F8_E4M3", inner, hidden)
		add("mlp.up_proj", "F8_E4M3", inner, hidden)
		add("mlp.down_proj", "F8_E4M3", hidden, inner)
		add("input_layernorm", "BF16", hidden)
		add("post_attention_layernorm", "BF16", hidden)
	}
	return append(out, weightTensor{"model.norm.weight", "BF16", []uint64{hidden}}, weightTensor{"lm_head.weight", "BF16", []uint64{vocabulary, hidden}})
}

// layoutWriter writes an OCI layout with nothing of modseal's.
type layoutWriter struct {
	ts  *testscript.TestScript
	dir string
}

func (l *layoutWriter) path(d digest.Digest) string {
	return filepath.Join(l.dir, "blobs", "sha256", d.Encoded())
}

func (l *layoutWriter) blob(mediaType string, content []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	l.ts.Check(os.WriteFile(l.path(d.Digest), content, 0o644))
	return d
}

// holes writes a safetensors file of which only the header takes room.
func (l *layoutWriter) holes(name string, tensors []weightTensor) (desc ocispec.Descriptor, data uint64) {
	width := map[string]uint64{"BF16": 2, "F8_E4M3": 1}
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	for _, t := range tensors {
		begin := data
		data += t.elements() * width[t.typ]
		header[t.name] = map[string]any{"dtype": t.typ, "shape": t.shape, "data_offsets": []uint64{begin, data}}
	}
	text, err := json.Marshal(header)
	l.ts.Check(err)
	content := append(bytesof.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	desc = ocispec.Descriptor{
		MediaType: "application/vnd.cncf.model.weight.v1.raw", Digest: digest.FromString(name), Size: int64(len(content)) + int64(data),
	}
	l.ts.Check(os.WriteFile(l.path(desc.Digest), content, 0o644))
	l.ts.Check(os.Truncate(l.path(desc.Digest), desc.Size))
	return desc, data
}

func (l *layoutWriter) layer(d ocispec.Descriptor, name string) ocispec.Descriptor {
	d.Annotations = map[string]string{annotationFilePath: name}
	return d
}

func (l *layoutWriter) tag(m ocispec.Manifest, tag string) {
	raw, err := json.Marshal(m)
	l.ts.Check(err)
	d := l.blob(ocispec.MediaTypeImageManifest, raw)
	d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}})
	l.ts.Check(err)
	l.ts.Check(os.WriteFile(filepath.Join(l.dir, "index.json"), index, 0o644))
	l.ts.Check(os.WriteFile(filepath.Join(l.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
}
