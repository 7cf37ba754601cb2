package modseal

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/profile"
	"github.com/modseal/modseal/pkg/source"
)

// promising is a Saying that backs an annotation of a profile.
type promising interface {
	// promises returns of what kind it is, sbom or provenance, and the value of the
	// annotation.
	promises() (kind, value string)
}

// profiled lays the annotations of the profile that o names below those that the user
// gives. warnings say what the profile demands besides. An annotation that promises
// something else than what is attached is an error.
func (o PackOptions) profiled(tree *source.Tree, overrides pack.Overrides) (merged pack.Overrides, warnings []string, err error) {
	switch o.Profile {
	case "":
		return overrides, nil, nil
	case profile.Name:
	default:
		return overrides, nil, fmt.Errorf("%w: profile %q is not known; %s is", ErrUsage, o.Profile, profile.Name)
	}
	promise := profile.Promise{Signed: o.Signer != nil}
	for _, s := range o.Say {
		if p, ok := s.(promising); ok && o.Signer != nil {
			switch kind, value := p.promises(); kind {
			case "sbom":
				promise.SBOM = value
			case "provenance":
				promise.Provenance = value
			}
		}
	}
	if promise.MOF, err = openness(tree); err != nil {
		return overrides, nil, err
	}
	own := profile.Annotations(promise)
	for _, key := range slices.Sorted(maps.Keys(overrides.Annotations)) {
		said := overrides.Annotations[key]
		if backed := own[key]; profile.Backed(key) && backed != "" && said != "" && said != backed {
			return overrides, nil, fmt.Errorf("%w: annotation %s says %q, and what is attached is %q", ErrUsage, key, said, backed)
		}
	}
	overrides = pack.Overrides{Annotations: own}.Merge(overrides)
	warnings, err = unmet(tree, overrides.Annotations, own)
	return overrides, warnings, err
}

// unmet says what the profile demands and the annotations have not. A value that the
// profile does not know is an error: no manifest is made that no reader of the profile
// takes.
func unmet(tree *source.Tree, annotations, own map[string]string) (warnings []string, err error) {
	s := profile.Subject{ArtifactType: artifacttypes.ArtifactTypeModel, Annotations: annotations}
	for i := range tree.Files {
		s.Files = append(s.Files, tree.Files[i].Path)
	}
	var missing []string
	for _, f := range profile.Check(s).Findings {
		switch {
		case f.Outcome == profile.Invalid:
			return nil, fmt.Errorf("%w: annotation %s=%q: %s", ErrUsage, f.Key, f.Value, f.Found)
		case f.Outcome == profile.Missing && f.Level == profile.Must:
			missing = append(missing, f.Key)
		case profile.Backed(f.Key) && f.Value != own[f.Key]:
			warnings = append(warnings, fmt.Sprintf("profile %s: %s says %q, and nothing of the kind is attached yet", profile.Name, f.Key, f.Value))
		}
	}
	if len(missing) > 0 {
		warnings = append(warnings, fmt.Sprintf("profile %s: it does not conform without %s; modseal lint says where each comes from", profile.Name, strings.Join(missing, ", ")))
	}
	return warnings, nil
}

// openness reads the model openness configuration file of a model, the one nearest to
// its top; nil when there is none.
func openness(tree *source.Tree) (*profile.MOF, error) {
	var file *source.File
	for i := range tree.Files {
		f := &tree.Files[i]
		if profile.IsMOFFile(f.Path) && (file == nil || len(f.Path) < len(file.Path)) {
			file = f
		}
	}
	if file == nil {
		return nil, nil // that there is none is an answer
	}
	if file.Size > limits.OverridesBytes {
		return nil, fmt.Errorf("%w: %q has more than %d bytes", ErrUsage, file.Path, limits.OverridesBytes)
	}
	r, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.NewSectionReader(r, 0, file.Size))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", file.Path, err)
	}
	mof, err := profile.ParseMOF(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrUsage, file.Path, err)
	}
	return mof, nil
}

// promises implements [promising].
func (*provenanceSaying) promises() (kind, value string) {
	return "provenance", profile.ProvenanceSLSA
}

// promises implements [promising].
func (s *sbomSaying) promises() (kind, value string) { //nolint:unparam // the interface has it for all sayings
	if s.format == bom.CycloneDX {
		return "sbom", profile.SBOMCycloneDX
	}
	return "sbom", profile.SBOMSPDX
}
