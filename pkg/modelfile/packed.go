package modelfile

import (
	"math/bits"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hf"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

// quantization is that of config.json.
func (x *inspector) quantization() hf.Quantization {
	if x.config == nil {
		return hf.Quantization{}
	}
	return x.config.Quantization
}

// unpack returns how many weights a tensor stands for, 0 for one that only
// helps to unpack others. It is not ok when the method of packing is not known.
//
// GPTQ and AWQ pack 32/bits weights into an I32, bitsandbytes (4 bits) and
// MXFP4 two into a U8; FP8 packs nothing, and has scales beside its weights.
func unpack(q hf.Quantization, t safetensors.Tensor) (n uint64, packed, ok bool) {
	n = t.Elements()
	switch strings.ToLower(q.Method) {
	case "":
		return n, false, !looksPacked(t.Name)
	case "gptq", "awq":
		switch {
		case q.Bits == 0 || q.Bits > 32:
			return n, false, false
		case hasSuffix(t.Name, ".qzeros", ".scales", ".g_idx"):
			return 0, true, true
		case hasSuffix(t.Name, ".qweight") && t.DType == safetensors.I32:
			hi, lo := bits.Mul64(n, 32)
			return lo / q.Bits, true, hi == 0
		}
	case "bitsandbytes":
		switch {
		case q.Bits != 4:
			return n, false, false
		case hasSuffix(t.Name, ".absmax", ".quant_map") || strings.Contains(t.Name, ".nested_") || strings.Contains(t.Name, ".quant_state."):
			return 0, true, true
		case t.DType == safetensors.U8:
			return 2 * n, true, n < 1<<62
		}
	case "fp8", "fbgemm_fp8":
		if hasSuffix(t.Name, "_scale", "_scale_inv") {
			return 0, true, true
		}
	case "mxfp4":
		switch {
		case hasSuffix(t.Name, "_scales"):
			return 0, true, true
		case hasSuffix(t.Name, "_blocks") && t.DType == safetensors.U8:
			return 2 * n, true, n < 1<<62
		}
	default:
		return n, false, false
	}
	return n, false, true
}

// looksPacked: the names that packing leaves behind when config.json says
// nothing of it.
func looksPacked(name string) bool {
	return hasSuffix(name, ".qweight", ".absmax", "_blocks") || strings.Contains(name, ".quant_state.")
}

func hasSuffix(s string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}
