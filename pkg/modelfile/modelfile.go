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

// Options change what [InspectWith] does.
type Options struct {
	// Tensor is called for every tensor of every weight file, one file after the other;
	// nil for none. Text in it is as it is in the file. An error ends the inspection.
	Tensor func(Tensor) error
	// Tolerant makes a weight file that breaks the rules of its format a [Problem]
	// beside all others, instead of an [*InvalidFileError].
	Tolerant bool
	// Missing reports whether an error of reading means that a file is not there, which
	// is a [Problem] then; nil: every such error ends the inspection.
	Missing func(error) bool
}

// Inspect reads what the files of a model say. dirName is the absolute path of
// the directory they come from, whose name may say something too.
//
// Files with the role weight are opened as weights. A safetensors or GGUF file
// that breaks the rules of its format is an [*InvalidFileError]; whatever else
// cannot be understood is a warning.
func Inspect(ctx context.Context, dirName string, files []File) (*Facts, error) {
	return InspectWith(ctx, dirName, files, Options{})
}

// InspectWith is [Inspect] with options.
func InspectWith(ctx context.Context, dirName string, files []File, o Options) (*Facts, error) {
	x := &inspector{options: o, files: map[string]*File{}, tallies: map[string]*tally{}, broken: map[string]bool{}, weightAt: map[string]int{}}
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
	if err := x.checkIndexes(ctx); err != nil {
		return nil, err
	}
	x.checkShards()
	x.tallyONNX()
	x.describe(dirName)
	x.measure()
	return &x.facts, nil
}

// inspector gathers what files say until all have been read.
type inspector struct {
	options Options
	facts   Facts
	files   map[string]*File
	sorted  []*File // by path

	texts
	indexes []*index
	tallies map[string]*tally // by format
	tensors tensorNames
	speaker ggufShard // the GGUF file that speaks for all of them
	onnxes  []onnxFile
	torches []*torchFile
	// torchNames counts the names in torches.
	torchNames int
	hubForms   map[string]string // by directory: a file with the name of the hub's form
	// checkpoints has what lies in directories of training.
	checkpoints map[string]*checkpoints
	weightAt    map[string]int // by path: the place in facts.Weights
	current     *Weight        // the file that is read
	// layerClass is the class of the outermost layer of a Keras model.
	layerClass string
	broken     map[string]bool // weight files that break the rules of their format
}

func (x *inspector) warn(format string, args ...any) {
	x.facts.Warnings = append(x.facts.Warnings, fmt.Sprintf(format, args...))
}

// problem notes what is wrong with a file.
func (x *inspector) problem(file, format string, args ...any) {
	x.facts.Problems = append(x.facts.Problems, Problem{file, fmt.Sprintf(format, args...)})
}

// missing reports whether err, of reading a file, means that it is not there, and
// notes that.
func (x *inspector) missing(f *File, err error) bool {
	if err == nil || x.options.Missing == nil || !x.options.Missing(err) {
		return false
	}
	x.broken[f.Path] = true
	x.problem(f.Path, "it is not there")
	return true
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
