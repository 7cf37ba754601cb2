package modelfile

import (
	"encoding/binary"
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/onnx"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
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
	formatJoblib      = "joblib"
	formatKeras       = "keras"
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
	".joblib":      formatJoblib,
	".keras":       formatKeras,
	".tflite":      "tflite",
}

// Extension returns the extension of a file in lower case. Of what joblib compresses it
// is the one before that of the compressor, which joblib takes from the name too
// (joblib 1.2, joblib.dump): ".pkl" of "model.pkl.gz".
func Extension(name string) string {
	ext := strings.ToLower(path.Ext(name))
	switch ext {
	case ".z", ".gz", ".bz2", ".lzma", ".xz", ".lz4":
		switch inner := strings.ToLower(path.Ext(name[:len(name)-len(ext)])); inner {
		case ".joblib", ".pkl", ".pickle":
			return inner
		}
	}
	return ext
}

// Sniff returns the format of a weight file by the first bytes of its content,
// else by its extension, and whether the content proved it. It returns "" for
// what neither shows to be weights. All forms of pickle are "pt", but for files
// with the extension of joblib.
func Sniff(name string, prefix []byte) (format string, proven bool) {
	byName := extensions[Extension(name)]
	switch kind := sniff.Of(prefix); {
	case kind == sniff.Safetensors:
		return formatSafetensors, true
	case kind == sniff.GGUF:
		return formatGGUF, true
	case kind == sniff.HDF5:
		return formatHDF5, true
	case kind == sniff.NumPy:
		return formatNumpy, true
	case kind == sniff.Zip:
		if format := zipFormat(prefix); format != "" {
			return format, true
		}
		return byName, false
	case kind == sniff.TorchLegacy, byName == formatPT && kind == sniff.Pickle:
		return formatPT, true
	case byName == formatJoblib && kind == sniff.Pickle:
		return formatJoblib, true
	case byName == "tflite" && kind == sniff.TFLite:
		return "tflite", true
	case (byName == formatONNX || byName == "") && onnx.Sniff(prefix):
		return formatONNX, true
	}
	return byName, false
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
