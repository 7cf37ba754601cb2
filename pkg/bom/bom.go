package bom

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile"
)

// Format is a form of a bill of materials.
type Format string

// The forms that are written.
const (
	CycloneDX Format = "cyclonedx" // CycloneDX 1.7, JSON (ECMA-424)
	SPDX      Format = "spdx"      // SPDX 2.3, JSON (ISO/IEC 5962)
	SPDX3     Format = "spdx3"     // SPDX 3.0.1, JSON-LD, with the AI and Dataset profiles
)

// ErrFormat is wrapped when a form is named that there is not.
var ErrFormat = errors.New("format of the bill of materials")

// ErrInvalid is wrapped when a document is no bill of materials that can be read.
var ErrInvalid = errors.New("not a bill of materials that can be read")

// Formats lists the forms that are written.
func Formats() []Format { return []Format{CycloneDX, SPDX, SPDX3} }

// ParseFormat returns the form of that name. It takes the names that cosign gives to
// the types of attestations, too.
func ParseFormat(name string) (Format, error) {
	if name == "spdxjson" {
		return SPDX, nil
	}
	if f := Format(name); slices.Contains(Formats(), f) {
		return f, nil
	}
	names := make([]string, len(Formats()))
	for i, f := range Formats() {
		names[i] = string(f)
	}
	return "", fmt.Errorf("%w: %q is none of %s", ErrFormat, name, strings.Join(names, ", "))
}

// PredicateType is the type of a signed statement that holds a document of the form.
func (f Format) PredicateType() string {
	switch f {
	case CycloneDX:
		return artifacttypes.PredicateCycloneDX
	case SPDX3:
		return artifacttypes.PredicateSPDX3
	case SPDX:
	}
	return artifacttypes.PredicateSPDX
}

// MediaType is that of a document of the form.
func (f Format) MediaType() string {
	if f == CycloneDX {
		return artifacttypes.MediaTypeCycloneDX
	}
	return artifacttypes.MediaTypeSPDX
}

// Model is what a bill of materials is written from.
type Model struct {
	Digest digest.Digest // of the manifest
	// Config is the config of a ModelPack artifact, whose word goes before that of
	// the files; nil when there is none. Its creation time is that of the document.
	Config *modelspec.Model
	// Facts is what the files say. Without the name of the directory that they lie
	// in: that is in the config when it means something.
	Facts *modelfile.Facts
	Files []File
	Tool  Tool
}

// File is a file of a model.
type File struct {
	Path   string
	Role   artifacttypes.Role // empty when unknown
	Size   int64              // in bytes
	Digest digest.Digest      // of the content
}

// Tool is the program that writes the document.
type Tool struct {
	Name    string
	Version string // empty when it knows none
}

// Write writes the bill of materials of m: indented JSON that ends with a line break.
func Write(m *Model, f Format) ([]byte, error) {
	d, err := describe(m)
	if err != nil {
		return nil, err
	}
	switch f {
	case CycloneDX:
		return writeCycloneDX(d)
	case SPDX:
		return writeSPDX(d)
	case SPDX3:
		return writeSPDX3(d)
	}
	_, err = ParseFormat(string(f))
	return nil, err
}
