package hf

import (
	"cmp"
	"strings"
)

// Config is what config.json says about a model.
type Config struct {
	ModelType     string
	Architectures []string
	// AttentionHeads and ContextLength are 0 when they are not there.
	AttentionHeads uint64
	ContextLength  uint64
	// DType is the type the weights were saved in, as "bfloat16".
	DType        string
	Quantization Quantization
	Vision       bool // vision_config is there
	Audio        bool // audio_config is there
	// RemoteCode: auto_map names Python classes that come with the model and
	// run when it is loaded.
	RemoteCode bool
}

// Quantization says how weights are packed. Method is empty when they are not;
// Bits is 0 when the file does not say.
type Quantization struct {
	Method string
	Bits   uint64
}

// ParseConfig reads config.json. What a model of several parts does not say at
// the top is taken from its text_config.
func ParseConfig(data []byte) (*Config, error) {
	top, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	text, err := top.object("text_config")
	if err != nil {
		return nil, err
	}
	c, err := readConfig(top)
	if err != nil {
		return nil, err
	}
	inner, err := readConfig(text)
	if err != nil {
		return nil, err
	}
	c.ModelType = cmp.Or(c.ModelType, inner.ModelType)
	c.AttentionHeads = cmp.Or(c.AttentionHeads, inner.AttentionHeads)
	c.ContextLength = cmp.Or(c.ContextLength, inner.ContextLength)
	c.DType = cmp.Or(c.DType, inner.DType)
	c.Quantization = cmp.Or(c.Quantization, inner.Quantization)
	c.RemoteCode = c.RemoteCode || inner.RemoteCode
	if len(c.Architectures) == 0 {
		c.Architectures = inner.Architectures
	}
	return c, nil
}

func readConfig(o object) (*Config, error) {
	c := &Config{Vision: o.has("vision_config"), Audio: o.has("audio_config"), RemoteCode: o.has("auto_map")}
	var err error
	if c.ModelType, err = o.str("model_type"); err != nil {
		return nil, err
	}
	if c.Architectures, err = o.strs("architectures"); err != nil {
		return nil, err
	}
	if c.AttentionHeads, err = firstUint(o, "num_attention_heads", "n_head"); err != nil {
		return nil, err
	}
	if c.ContextLength, err = firstUint(o, "max_position_embeddings", "n_ctx", "n_positions"); err != nil {
		return nil, err
	}
	// transformers renamed torch_dtype to dtype in version 4.56.
	for _, key := range []string{"torch_dtype", "dtype"} {
		dtype, err := o.str(key)
		if err != nil {
			return nil, err
		}
		c.DType = cmp.Or(strings.TrimPrefix(dtype, "torch."), c.DType)
	}
	c.Quantization, err = readQuantization(o)
	return c, err
}

// firstUint returns the first value that is not 0. All are checked.
func firstUint(o object, keys ...string) (uint64, error) {
	var first uint64
	for _, key := range keys {
		n, err := o.maxUint(key)
		if err != nil {
			return 0, err
		}
		first = cmp.Or(first, n)
	}
	return first, nil
}

// readQuantization reads quantization_config. bitsandbytes tells the width by
// a switch and, in its first versions, itself by nothing else.
func readQuantization(o object) (q Quantization, err error) {
	o, err = o.object("quantization_config")
	if err != nil {
		return q, err
	}
	if q.Method, err = o.str("quant_method"); err != nil {
		return q, err
	}
	if q.Bits, err = firstUint(o, "bits", "w_bit"); err != nil {
		return q, err
	}
	for key, bits := range map[string]uint64{"load_in_4bit": 4, "load_in_8bit": 8} {
		on, err := o.bool(key)
		if err != nil {
			return q, err
		}
		if on {
			q.Method, q.Bits = cmp.Or(q.Method, "bitsandbytes"), cmp.Or(q.Bits, bits)
		}
	}
	return q, nil
}

// Adapter is what adapter_config.json says about an adapter (PEFT).
type Adapter struct {
	BaseModel string // base_model_name_or_path
	Revision  string // of the base model
}

// ParseAdapter reads adapter_config.json.
func ParseAdapter(data []byte) (*Adapter, error) {
	o, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	a := &Adapter{}
	if a.BaseModel, err = o.str("base_model_name_or_path"); err != nil {
		return nil, err
	}
	if a.Revision, err = o.str("revision"); err != nil {
		return nil, err
	}
	return a, nil
}
