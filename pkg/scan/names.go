package scan

import (
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

// Formats that nothing but a reader shows.
const (
	formatONNX       = "onnx"
	formatTensorFlow = "tensorflow"
	formatText       = "text"
	formatJSON       = "json"
)

// promises are the formats that a name promises. Names that promise none, such as
// .bin, are missing.
var promises = map[string][]sniff.Kind{
	".safetensors": {sniff.Safetensors},
	".gguf":        {sniff.GGUF},
	".onnx":        {formatONNX},
	".h5":          {sniff.HDF5},
	".hdf5":        {sniff.HDF5},
	".keras":       {sniff.Zip},
	".npy":         {sniff.NumPy},
	".npz":         {sniff.Zip},
	".tflite":      {sniff.TFLite},
	".pb":          {formatTensorFlow},
	".zip":         {sniff.Zip},
	".tar":         {sniff.Tar},
	".gz":          {sniff.Gzip},
	".tgz":         {sniff.Gzip},
	".bz2":         {sniff.Bzip2},
	".xz":          {sniff.XZ},
	".zst":         {sniff.Zstd},
	".lz4":         {sniff.LZ4},
	".7z":          {sniff.SevenZip},

	".json": {formatText}, ".jsonl": {formatText}, ".txt": {formatText}, ".md": {formatText},
	".yaml": {formatText}, ".yml": {formatText}, ".toml": {formatText}, ".ini": {formatText},
	".cfg": {formatText}, ".csv": {formatText}, ".tsv": {formatText}, ".html": {formatText},
	".jinja": {formatText}, ".jinja2": {formatText}, ".pbtxt": {formatText}, ".py": {formatText},
}

// pickles are the names whose files are read as pickles whatever they begin with:
// protocols 0 and 1 have no mark. Of those with false, others than pickles are usual.
var pickles = map[string]bool{
	".pkl": true, ".pickle": true, ".joblib": true, ".dill": true, ".p": true,
	".pt": true, ".pth": true, ".ckpt": true, ".pdparams": true, ".pdopt": true,
	".bin": false, ".dat": false, ".data": false, ".npy": false, ".npz": false, ".model": false, "": false,
}

func extension(name string) string { return strings.ToLower(path.Ext(path.Base(name))) }

// ofWeights reports whether a file is named, or kept, as if it were weights.
func ofWeights(name, role string) bool {
	e := extension(name)
	_, pickle := pickles[e]
	_, promised := promises[e]
	return role == "weight" || e != "" && (pickle || promised && promises[e][0] != formatText)
}

// disguise says that a file is of another format than its name promises. Nothing is
// said of what has no mark: the reader of the format says what is wrong with it.
func disguise(name string, kind sniff.Kind) (hazard.Finding, bool) {
	e := extension(name)
	promised, ok := promises[e]
	if !ok || kind == "" || kind == formatJSON {
		return hazard.Finding{}, false
	}
	for _, p := range promised {
		// Weak marks, of formats that may begin as texts do, are no proof.
		if p == kind || p == formatText && (kind == sniff.Script || kind == sniff.Zlib || kind == sniff.LZMA) {
			return hazard.Finding{}, false
		}
	}
	f := hazard.Of(hazard.FileDisguised, string(kind), "its content is "+string(kind)+", and "+e+" promises something else")
	switch {
	case kind.Native(), kind == sniff.Script, kind == sniff.Pickle, kind == sniff.TorchLegacy, kind.Container():
	default:
		f.Severity = hazard.Medium // nothing in it can run
	}
	return f, true
}

// program judges machine code and scripts by what they are named.
func program(name, role string, kind sniff.Kind, depth int) (hazard.Finding, bool) {
	weights := ofWeights(name, role)
	switch {
	case kind.Native() && weights, kind == sniff.Script && weights:
		return hazard.Of(hazard.FileExecutable, string(kind), "it is a program ("+string(kind)+") and named as weights are"), true
	case kind.Native():
		return hazard.Of(hazard.CodeNativeLibrary, string(kind), ""), true
	case kind == sniff.Script && extension(name) != ".py":
		f := hazard.Of(hazard.CodeScript, "", "")
		if depth > 0 {
			f.Severity = hazard.High // within weights there is no use for one
		}
		return f, true
	}
	return hazard.Finding{}, false
}
