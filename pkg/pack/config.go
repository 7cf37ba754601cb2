package pack

import (
	"context"
	"fmt"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/source"
)

type facts = modelfile.Facts

// inspect asks the readers of model files what the files say of the model.
func inspect(ctx context.Context, tree *source.Tree) (*facts, error) {
	files := make([]modelfile.File, len(tree.Files))
	for i := range tree.Files {
		f := &tree.Files[i]
		files[i] = modelfile.File{
			Path: f.Path, Size: f.Size, Role: string(f.Role),
			Open: func() (modelfile.ReaderAtCloser, error) { return f.Open() },
		}
	}
	return modelfile.Inspect(ctx, tree.Dir, files)
}

// describe says what the model is: what its files say, below what the user says.
func describe(f *facts, o Options) (*modelspec.Model, error) {
	m := &modelspec.Model{
		Descriptor: modelspec.ModelDescriptor{
			CreatedAt: o.Created, Name: f.Name, Vendor: f.Vendor, Version: f.Version, Description: f.Description, Family: f.Family,
			Authors: f.Authors, Licenses: f.Licenses, DocURL: f.DocURL, SourceURL: f.SourceURL, Revision: f.Revision,
		},
		Config: modelspec.ModelConfig{
			Architecture: f.Architecture, Format: f.Format, ParamSize: f.ParamSize,
			Precision: f.Precision, Quantization: f.Quantization,
		},
	}
	if len(f.InputTypes) > 0 {
		capabilities(m).InputTypes = toModalities(f.InputTypes)
	}
	if len(f.OutputTypes) > 0 {
		capabilities(m).OutputTypes = toModalities(f.OutputTypes)
	}
	if f.ToolUsage != nil {
		capabilities(m).ToolUsage = f.ToolUsage
	}
	if err := o.Overrides.Validate(); err != nil {
		return nil, err
	}
	// No two keys set the same field, so their order is of no matter.
	for k, v := range o.Overrides.Set {
		if err := settable[k](m, v); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrOverrides, k, err)
		}
	}
	return m, nil
}

// encodeConfig writes the ModelPack config and has it judged by the
// specification's own schema.
func encodeConfig(m *modelspec.Model, layers []ocispec.Descriptor) ([]byte, error) {
	m.ModelFS = modelspec.ModelFS{Type: "layers", DiffIDs: make([]digest.Digest, len(layers))}
	for i, l := range layers {
		// Raw files and uncompressed tars are what their layer is.
		m.ModelFS.DiffIDs[i] = l.Digest
	}
	config, err := artifacttypes.Marshal(m)
	if err != nil {
		return nil, err
	}
	if err := validateConfig(config); err != nil {
		return nil, fmt.Errorf("%w: the ModelPack schema refuses the config: %w", ErrOverrides, err)
	}
	return config, nil
}

func toModalities(names []string) []modelspec.Modality {
	out := make([]modelspec.Modality, len(names))
	for i, n := range names {
		out[i] = modelspec.Modality(n)
	}
	return out
}
