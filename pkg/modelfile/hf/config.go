package hf

import (
	"bytes"
	"cmp"
	"io"
	"strings"
)

// Config is what config.json says about a model.
type Config struct {
	ModelType     string
	Architectures []string
	// AttentionHeads, ContextLength and VocabSize are 0 when they are not there.
	AttentionHeads uint64
	ContextLength  uint64
	VocabSize      uint64
	// DType is the type the weights were saved in, as "bfloat16".
	DType        string
	Quantization Quantization
	Vision       bool // vision_config is there
	Audio        bool // audio_config is there
	// RemoteCode: auto_map or custom_pipelines name Python classes that come with
	// the model and run when it is loaded. AutoMap is which.
	RemoteCode bool
	AutoMap    []CodeRef
}

// Quantization says how weights are packed. Method is empty when they are not;
// Bits is 0 when the file does not say.
type Quantization struct {
	Method string
	Bits   uint64
}

// ParseConfig is [ReadConfig] of what is in memory.
func ParseConfig(data []byte) (*Config, error) { return ReadConfig(bytes.NewReader(data)) }

// ReadConfig reads config.json, of at most [MaxJSONSize]. What a model of several
// parts does not say at the top is taken from its text_config.
func ReadConfig(r io.Reader) (*Config, error) {
	c, inner := &configReader{}, &configReader{}
	err := readDocument(r, MaxJSONSize, func(d *document) fields {
		fs := c.fields(d)
		fs["text_config"] = d.object(inner.fields(d))
		return fs
	})
	if err != nil {
		return nil, err
	}
	out, text := c.done(), inner.done()
	out.ModelType = cmp.Or(out.ModelType, text.ModelType)
	out.AttentionHeads = cmp.Or(out.AttentionHeads, text.AttentionHeads)
	out.ContextLength = cmp.Or(out.ContextLength, text.ContextLength)
	out.VocabSize = cmp.Or(out.VocabSize, text.VocabSize)
	out.DType = cmp.Or(out.DType, text.DType)
	out.Quantization = cmp.Or(out.Quantization, text.Quantization)
	out.RemoteCode = out.RemoteCode || text.RemoteCode
	out.AutoMap = append(out.AutoMap, text.AutoMap...)
	if len(out.Architectures) == 0 {
		out.Architectures = text.Architectures
	}
	return out, nil
}

// configReader holds the fields of which one of several counts, until all are read.
type configReader struct {
	Config
	heads, nHead                uint64
	positions, nCtx, nPositions uint64
	torchDType, dtype           string
	bits, wBit                  uint64
	loadIn4, loadIn8            bool
	autoMap, pipelines          bool
}

func (c *configReader) fields(d *document) fields {
	return fields{
		"model_type":              d.text(&c.ModelType),
		"architectures":           d.texts(&c.Architectures),
		"num_attention_heads":     d.maxUint(&c.heads),
		"n_head":                  d.maxUint(&c.nHead),
		"max_position_embeddings": d.maxUint(&c.positions),
		"n_ctx":                   d.maxUint(&c.nCtx),
		"n_positions":             d.maxUint(&c.nPositions),
		"vocab_size":              d.lenientUint(&c.VocabSize),
		"torch_dtype":             d.text(&c.torchDType),
		"dtype":                   d.text(&c.dtype),
		"vision_config":           d.there(&c.Vision),
		"audio_config":            d.there(&c.Audio),
		"auto_map":                d.code(&c.autoMap, &c.AutoMap),
		"custom_pipelines":        d.code(&c.pipelines, &c.AutoMap),
		"quantization_config": d.object(fields{
			"quant_method": d.text(&c.Quantization.Method),
			"bits":         d.maxUint(&c.bits),
			"w_bit":        d.maxUint(&c.wBit),
			"load_in_4bit": d.bool(&c.loadIn4),
			"load_in_8bit": d.bool(&c.loadIn8),
		}),
	}
}

func (c *configReader) done() *Config {
	c.AttentionHeads = cmp.Or(c.heads, c.nHead)
	c.ContextLength = cmp.Or(c.positions, c.nCtx, c.nPositions)
	// transformers renamed torch_dtype to dtype in version 4.56.
	c.DType = cmp.Or(strings.TrimPrefix(c.dtype, "torch."), strings.TrimPrefix(c.torchDType, "torch."))
	c.RemoteCode = c.autoMap || c.pipelines
	q := &c.Quantization
	q.Bits = cmp.Or(c.bits, c.wBit)
	// bitsandbytes tells the width by a switch and, in its first versions, itself
	// by nothing else.
	switch {
	case c.loadIn4:
		q.Method, q.Bits = cmp.Or(q.Method, "bitsandbytes"), cmp.Or(q.Bits, 4)
	case c.loadIn8:
		q.Method, q.Bits = cmp.Or(q.Method, "bitsandbytes"), cmp.Or(q.Bits, 8)
	}
	return &c.Config
}

// Adapter is what adapter_config.json says about an adapter (PEFT).
type Adapter struct {
	BaseModel string // base_model_name_or_path
	Revision  string // of the base model
	Type      string // peft_type, as LORA
	// ParentLibrary is the Python module of auto_mapping, which PEFT imports to find
	// the class of the base model.
	ParentLibrary string
}

// ParseAdapter is [ReadAdapter] of what is in memory.
func ParseAdapter(data []byte) (*Adapter, error) { return ReadAdapter(bytes.NewReader(data)) }

// ReadAdapter reads adapter_config.json, of at most [MaxJSONSize].
func ReadAdapter(r io.Reader) (*Adapter, error) {
	a := &Adapter{}
	err := readDocument(r, MaxJSONSize, func(d *document) fields {
		return fields{
			"base_model_name_or_path": d.text(&a.BaseModel),
			"revision":                d.text(&a.Revision),
			"peft_type":               d.text(&a.Type),
			"auto_mapping":            d.object(fields{"parent_library": d.text(&a.ParentLibrary)}),
		}
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}
