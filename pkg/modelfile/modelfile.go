// Package modelfile finds out what a model is from its files: the headers of
// its weights, the configuration and the model card beside them, and the name
// of the directory.
//
// Each fact has its sources in a fixed order, of which the first that says
// anything wins; one that says something else is a warning. What is not said
// anywhere stays empty: nothing is guessed from file names or sizes.
//
// Each format has its reader in a package below this one. They read foreign
// bytes and trust none of them; this package only combines what they return.
package modelfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// The roles of files, as in the media types of a ModelPack artifact.
const (
	roleWeight  = "weight"
	roleDataset = "dataset"
)

// ReaderAtCloser is an open file.
type ReaderAtCloser interface {
	io.ReaderAt
	io.Closer
}

// File is one file of a model.
type File struct {
	// Path is relative to the directory of the model, with slashes.
	Path string
	Size int64
	// Role is one of weight, weight.config, doc, code and dataset.
	Role string
	Open func() (ReaderAtCloser, error)
}

// Facts is what the files of a model say. Text is clean: valid UTF-8 without
// control characters, of bounded length.
type Facts struct {
	Name, Vendor, Version, Description string
	Authors                            []string
	Licenses                           []string // SPDX expressions
	// Family is the model_type of config.json or the architecture of GGUF,
	// Architecture the class word of a ModelPack config (transformer, cnn, rnn),
	// ModelClass the class that a framework loads the model with.
	Family, Architecture, ModelClass string
	// Format is that of the weights: safetensors, gguf, onnx, pt, …
	Format string
	// Parameters is exact, 0 when unknown; ParamSize is the same for people.
	Parameters uint64
	ParamSize  string
	// Precision lists ModelPack precisions, the most frequent first.
	Precision, Quantization string
	ContextLength           uint64

	BaseModels                  []string
	BaseModelRelation           string
	Datasets, Languages         []string
	DocURL, SourceURL, Revision string
	Task                        string // pipeline_tag
	InputTypes, OutputTypes     []string
	ToolUsage                   *bool // nil when unknown
	RemoteCode                  bool  // config.json has an auto_map
	Warnings                    []string
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

// Inspect reads what the files of a model say. dirName is the absolute path of
// the directory they come from, whose name may say something too.
//
// Files with the role weight are opened as weights. A safetensors or GGUF file
// that breaks the rules of its format is an [*InvalidFileError]; whatever else
// cannot be understood is a warning.
func Inspect(ctx context.Context, dirName string, files []File) (*Facts, error) {
	x := &inspector{files: map[string]*File{}, tallies: map[string]*tally{}}
	for i := range files {
		x.files[files[i].Path] = &files[i]
		x.sorted = append(x.sorted, &files[i])
	}
	slices.SortFunc(x.sorted, func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
	if err := x.readTexts(ctx); err != nil {
		return nil, err
	}
	if err := x.readWeights(ctx); err != nil {
		return nil, err
	}
	x.checkIndexes()
	x.checkShards()
	x.tallyGGUF()
	x.tallyONNX()
	x.describe(dirName)
	x.measure()
	return &x.facts, nil
}

// inspector gathers what files say until all have been read.
type inspector struct {
	facts  Facts
	files  map[string]*File
	sorted []*File // by path

	texts
	indexes []*index
	tallies map[string]*tally // by format
	tensors tensorNames
	ggufs   []*ggufModel
	onnxes  []onnxFile
}

func (x *inspector) warn(format string, args ...any) {
	x.facts.Warnings = append(x.facts.Warnings, fmt.Sprintf(format, args...))
}

// readPrefix reads the first limit bytes of f, or all when it has fewer.
func readPrefix(f *File, r io.ReaderAt, limit int64) ([]byte, error) {
	b := make([]byte, max(min(f.Size, limit), 0))
	if n, err := r.ReadAt(b, 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%q: %w", f.Path, err)
	}
	return b, nil
}

// topmost returns the file of the given name that speaks for the whole model:
// the one at the top, else the only one at the least depth. Several at that
// depth describe parts of the model, as the folders of a pipeline do.
func (x *inspector) topmost(name string) *File {
	var found *File
	alone := true
	for _, f := range x.sorted {
		if path.Base(f.Path) != name || f.Role == roleWeight || f.Role == roleDataset {
			continue
		}
		switch {
		case found == nil || depth(f.Path) < depth(found.Path):
			found, alone = f, true
		case depth(f.Path) == depth(found.Path):
			alone = false
		}
	}
	if !alone {
		return nil
	}
	return found
}

func depth(p string) int { return strings.Count(p, "/") }

// source is a place that may say something, and what it says.
type source struct{ place, value string }

// pick returns the first value that is there and warns of others that differ.
func (x *inspector) pick(fact string, sources ...source) string {
	var first source
	for _, s := range sources {
		switch {
		case s.value == "":
		case first.value == "":
			first = s
		case fold(s.value) != fold(first.value):
			x.warn("%s: %s says %q, %s says %q: the first counts", fact, first.place, first.value, s.place, s.value)
		}
	}
	return first.value
}

// pickList is pick for lists, whose order does not matter.
func (x *inspector) pickList(fact, place string, list []string, otherPlace string, other []string) []string {
	if len(list) == 0 || len(other) == 0 {
		return append(list, other...)
	}
	set := func(list []string) []string {
		folded := make([]string, len(list))
		for i, s := range list {
			folded[i] = fold(s)
		}
		slices.Sort(folded)
		return slices.Compact(folded)
	}
	if !slices.Equal(set(list), set(other)) {
		x.warn("%s: %s says %q, %s says %q: the first counts", fact, place, list, otherPlace, other)
	}
	return list
}

// fold makes spellings of one name equal: case and all that is neither letter
// nor digit do not count.
func fold(s string) string {
	folded := strings.Map(func(r rune) rune {
		if r < 0x80 && !('0' <= r && r <= '9' || 'a' <= r && r <= 'z') {
			return -1
		}
		return r
	}, strings.ToLower(s))
	return cmp.Or(folded, s)
}
