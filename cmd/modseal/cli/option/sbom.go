package option

import (
	"github.com/spf13/pflag"

	"github.com/modseal/modseal/pkg/bom"
)

// SBOM says whether a bill of materials is made while a model is stored, and in what
// form.
type SBOM struct{ Format string }

// AddFlags adds the flags of the group.
func (s *SBOM) AddFlags(fs *pflag.FlagSet) {
	f := fs.VarPF(oneOf(&s.Format, sbomFormats()...), "sbom", "", "make the bill of materials of the model and attach it: signed by what signs the model, else as it is; "+
		"in CycloneDX 1.7, SPDX 2.3 (spdx) or SPDX 3.0.1 (spdx3)")
	f.NoOptDefVal = string(bom.CycloneDX)
}

// Wanted reports whether one is to be made.
func (s *SBOM) Wanted() bool { return s.Format != "" }

// SBOMFormat is the form of a document.
type SBOMFormat struct{ Format string }

// AddFlags adds the flag, which does something by the rest of its usage.
func (s *SBOMFormat) AddFlags(fs *pflag.FlagSet, usage string) {
	fs.Var(oneOf(&s.Format, sbomFormats()...), "format", usage)
}

func sbomFormats() []string {
	var out []string
	for _, f := range bom.Formats() {
		out = append(out, string(f))
	}
	return out
}
