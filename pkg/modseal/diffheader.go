package modseal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/diff"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/gguf"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

// headerFacts is what a header says, or why it is not known.
type headerFacts struct {
	tensors []diff.Tensor
	fields  []diff.Field
	why     string
}

// readHeader reads the header of one file. What is wrong with the file itself is
// no error: it is said beside the others.
func (s *diffSide) readHeader(ctx context.Context, f headerFile, room *tensorRoom) (headerFacts, error) {
	r, err := s.openParts(ctx, f.Layer)
	if err != nil {
		return headerFacts{why: "it is not there"}, unlessAbsent(err)
	}
	defer r.Close()
	facts, err := parseHeader(f, r, func() error { return room.keep(ctx) })
	switch {
	case err == nil:
		return facts, nil
	case ctx.Err() != nil:
		return headerFacts{}, context.Cause(ctx)
	case isAbsent(err):
		return headerFacts{why: "it is not there"}, nil
	case isTransport(err) || isUnauthorized(err):
		return headerFacts{}, fmt.Errorf("%q: %w", f.Path, err)
	}
	return headerFacts{why: err.Error()}, nil
}

// openParts opens a file to read parts of it: exactly those that are asked for.
func (s *diffSide) openParts(ctx context.Context, l artifacttypes.Layer) (modelfile.ReaderAtCloser, error) {
	if s.tree != nil {
		return s.view.open(ctx, l.Path)
	}
	return s.view.openLayer(ctx, l)
}

func unlessAbsent(err error) error {
	if isAbsent(err) {
		return nil
	}
	return err
}

// parseHeader asks keep for each tensor before it keeps it.
func parseHeader(f headerFile, r io.ReaderAt, keep func() error) (headerFacts, error) {
	if headerFormat(f.Path) == "gguf" {
		return parseGGUF(f, r, keep)
	}
	var out headerFacts
	h, err := safetensors.Walk(r, f.Descriptor.Size, func(t *safetensors.Tensor) error {
		if err := keep(); err != nil {
			return err
		}
		out.tensors = append(out.tensors, diff.Tensor{Name: t.Name, Type: string(t.DType), Shape: slices.Clone(t.Shape), File: f.Path})
		return nil
	})
	if err != nil {
		return out, err
	}
	return out, f.fields(&out, h.Metadata)
}

func parseGGUF(f headerFile, r io.ReaderAt, keep func() error) (headerFacts, error) {
	var out headerFacts
	h, err := gguf.Walk(r, f.Descriptor.Size, func(t *gguf.Tensor) error {
		if err := keep(); err != nil {
			return err
		}
		out.tensors = append(out.tensors, diff.Tensor{Name: t.Name, Type: t.Type.String(), Shape: slices.Clone(t.Shape), File: f.Path})
		return nil
	})
	if err != nil {
		return out, err
	}
	values := map[string]string{}
	for name, v := range h.KV {
		values[name] = v.String()
	}
	return out, f.fields(&out, values)
}

// fields adds the values of a header, where it has a counterpart. Numbers stay
// numbers.
func (f headerFile) fields(out *headerFacts, values map[string]string) error {
	if f.source == "" {
		return nil
	}
	for name, v := range values {
		text, err := diff.Value(v)
		if err != nil {
			return err
		}
		if _, err := strconv.ParseFloat(v, 64); err == nil && json.Valid([]byte(v)) {
			text = v
		}
		out.fields = append(out.fields, diff.Field{Source: f.source, Name: name, Value: text})
	}
	return nil
}
