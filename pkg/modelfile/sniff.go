package modelfile

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/onnx"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

// SniffSize is how much of a file Sniff likes to see.
const SniffSize = 512

const (
	formatSafetensors = "safetensors"
	formatGGUF        = "gguf"
	formatONNX        = "onnx"
	formatPT          = "pt"
	formatHDF5        = "hdf5"
	formatNumpy       = "numpy"
)

// extensions of weights. Those that other files have too (.bin, .data) are
// missing: they say nothing without their content.
var extensions = map[string]string{
	".safetensors": formatSafetensors,
	".gguf":        formatGGUF,
	".onnx":        formatONNX,
	".pt":          formatPT,
	".pth":         formatPT,
	".ckpt":        formatPT,
	".pkl":         formatPT,
	".pickle":      formatPT,
	".h5":          formatHDF5,
	".hdf5":        formatHDF5,
	".npy":         formatNumpy,
	".npz":         formatNumpy,
	".keras":       "keras",
	".tflite":      "tflite",
}

// Sniff returns the format of a weight file by the first bytes of its content,
// else by its extension, and whether the content proved it. It returns "" for
// what neither shows to be weights. All forms of pickle are "pt".
func Sniff(name string, prefix []byte) (format string, proven bool) {
	byName := extensions[strings.ToLower(path.Ext(name))]
	switch {
	case isSafetensors(prefix):
		return formatSafetensors, true
	case isGGUF(prefix):
		return formatGGUF, true
	case bytes.HasPrefix(prefix, []byte("\x89HDF\r\n\x1a\n")):
		return formatHDF5, true
	case bytes.HasPrefix(prefix, []byte("\x93NUMPY")):
		return formatNumpy, true
	case bytes.HasPrefix(prefix, []byte("PK\x03\x04")):
		if format := zipFormat(prefix); format != "" {
			return format, true
		}
		return byName, false
	case bytes.HasPrefix(prefix, legacyTorch):
		return formatPT, true
	case byName == formatPT && isPickle(prefix):
		return formatPT, true
	case byName == "tflite" && len(prefix) >= 8 && string(prefix[4:8]) == "TFL3":
		return "tflite", true
	case (byName == formatONNX || byName == "") && onnx.Sniff(prefix):
		return formatONNX, true
	}
	return byName, false
}

// isSafetensors: a length that a header may have, and the begin of an object
// whose first key or end follows.
func isSafetensors(prefix []byte) bool {
	if len(prefix) < 10 || prefix[8] != '{' {
		return false
	}
	n := binary.LittleEndian.Uint64(prefix)
	inside := bytes.TrimLeft(prefix[9:], " \t\r\n")
	return n >= 2 && n <= safetensors.MaxHeaderSize && len(inside) > 0 && (inside[0] == '"' || inside[0] == '}')
}

// isGGUF: the magic and a version in either byte order.
func isGGUF(prefix []byte) bool {
	return len(prefix) >= 8 && string(prefix[:4]) == "GGUF" &&
		(prefix[4] != 0 && prefix[6] == 0 && prefix[7] == 0 || prefix[7] != 0 && prefix[4] == 0 && prefix[5] == 0)
}

// legacyTorch begins what torch.save wrote before it wrote zip files: a pickle
// of the number 0x1950a86a20f9469cfc6c.
var legacyTorch = []byte("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")

// isPickle: the opcode PROTO, which pickles have from protocol 2 on.
func isPickle(prefix []byte) bool {
	return len(prefix) >= 2 && prefix[0] == 0x80 && 2 <= prefix[1] && prefix[1] <= 5
}

// zipFormat tells by the name of its first member what a zip file holds: torch
// puts all members in one folder and data.pkl first, numpy has arrays only.
func zipFormat(prefix []byte) string {
	const nameAt = 30 // the size of a local file header
	if len(prefix) < nameAt {
		return ""
	}
	n := int(binary.LittleEndian.Uint16(prefix[26:]))
	if len(prefix) < nameAt+n {
		return ""
	}
	switch name := string(prefix[nameAt : nameAt+n]); {
	case strings.HasSuffix(name, "/data.pkl"):
		return formatPT
	case strings.HasSuffix(name, ".npy"):
		return formatNumpy
	}
	return ""
}
