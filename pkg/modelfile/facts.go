package modelfile

import (
	"fmt"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// Facts is what the files of a model say. Text is clean: valid UTF-8 without
// control characters, of bounded length; names of tensors and files are not.
type Facts struct {
	Name        string   `json:"name,omitempty"`
	Vendor      string   `json:"vendor,omitempty"`
	Version     string   `json:"version,omitempty"`
	Description string   `json:"description,omitempty"`
	Authors     []string `json:"authors,omitempty"`
	Licenses    []string `json:"licenses,omitempty"` // SPDX expressions
	// Family is the model_type of config.json or the architecture of GGUF,
	// Architecture the class word of a ModelPack config (transformer, cnn, rnn),
	// ModelClass the class that a framework loads the model with.
	Family       string `json:"family,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	ModelClass   string `json:"modelClass,omitempty"`
	// Format is that of the weights: safetensors, gguf, onnx, pt, …
	Format string `json:"format,omitempty"`
	// Parameters is exact, 0 when unknown; ParamSize is the same for people.
	Parameters uint64 `json:"parameters,omitempty"`
	ParamSize  string `json:"paramSize,omitempty"`
	// Tensors is how many hold these parameters, and Types what they consist of, the
	// most frequent first.
	Tensors uint64      `json:"tensors,omitempty"`
	Types   []TypeCount `json:"types,omitempty"`
	// Precision lists ModelPack precisions, the most frequent first.
	Precision     string    `json:"precision,omitempty"`
	Quantization  string    `json:"quantization,omitempty"`
	ContextLength uint64    `json:"contextLength,omitempty"`
	Tokenizer     Tokenizer `json:"tokenizer,omitzero"`

	BaseModels        []string `json:"baseModels,omitempty"`
	BaseModelRelation string   `json:"baseModelRelation,omitempty"`
	Datasets          []string `json:"datasets,omitempty"`
	Languages         []string `json:"languages,omitempty"`
	DocURL            string   `json:"docURL,omitempty"`
	SourceURL         string   `json:"sourceURL,omitempty"`
	Revision          string   `json:"revision,omitempty"`
	Task              string   `json:"task,omitempty"` // pipeline_tag
	InputTypes        []string `json:"inputTypes,omitempty"`
	OutputTypes       []string `json:"outputTypes,omitempty"`
	ToolUsage         *bool    `json:"toolUsage,omitempty"`  // nil when unknown
	RemoteCode        bool     `json:"remoteCode,omitempty"` // config.json or tokenizer_config.json has an auto_map
	// Metrics is what README.md says that the model scored, in its order.
	Metrics []hf.Metric `json:"metrics,omitempty"`

	Weights []Weight   `json:"weights,omitempty"` // by path
	Shards  []ShardSet `json:"shards,omitempty"`
	// Problems are files that are not what others, or they themselves, say of them.
	Problems []Problem `json:"problems,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
}

// TypeCount is how much of a model has an element type.
type TypeCount struct {
	Type     string `json:"type"` // as the format spells it: BF16, Q4_K, float32
	Tensors  uint64 `json:"tensors"`
	Elements uint64 `json:"elements"`
}

// Tokenizer is what the files say of it.
type Tokenizer struct {
	Class      string `json:"class,omitempty"` // that loads it: LlamaTokenizerFast
	Model      string `json:"model,omitempty"` // BPE, Unigram, WordPiece; of GGUF gpt2, llama, …
	Vocabulary uint64 `json:"vocabulary,omitempty"`
}

// Weight is a weight file.
type Weight struct {
	Path   string `json:"path"`
	Format string `json:"format,omitempty"` // empty when it is not known
	// Proven means that the content shows the format, not the name alone.
	Proven bool `json:"proven,omitempty"`
	// Tensors is how many it holds; 0 also when it was not read.
	Tensors uint64 `json:"tensors,omitempty"`
	// LeftOut is why nothing of it is in Parameters, Types and what follows from them.
	LeftOut string `json:"leftOut,omitempty"`
}

// ShardSet is a model in files that say of how many they are.
type ShardSet struct {
	Name    string `json:"name"` // of its files, with * for their number
	Count   int    `json:"count"`
	Present int    `json:"present"`
}

// Problem is what is wrong with a file.
type Problem struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Notes returns problems and warnings as sentences.
func (f *Facts) Notes() []string {
	var out []string
	for _, p := range f.Problems {
		out = append(out, fmt.Sprintf("%q: %s", p.Path, p.Message))
	}
	return append(out, f.Warnings...)
}

// InvalidFileError is a weight file that breaks the rules of its format.
type InvalidFileError struct {
	Path   string
	Format string
	Err    error
}

func (e *InvalidFileError) Error() string {
	return fmt.Sprintf("%q is not a valid %s file: %v", e.Path, e.Format, e.Err)
}

func (e *InvalidFileError) Unwrap() error { return e.Err }
