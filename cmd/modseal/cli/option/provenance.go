package option

import "github.com/spf13/pflag"

// Provenance says how a model came about.
type Provenance struct {
	// Wanted is of commands that do something else besides: whether provenance is
	// made at all.
	Wanted     bool
	Predicate  string
	BaseModels []string
	Datasets   []string
	Source     string
	Parameters map[string]string
	BuilderID  string
	Times      bool
}

// AddFlags adds the flags of the group to a command that makes provenance.
func (p *Provenance) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&p.Predicate, "predicate", "", "provenance of your own instead: a `FILE` with the predicate, a JSON object; \"-\" is standard input")
	p.add(fs)
}

// AddFlagsBeside adds the flags of the group to a command that does something else
// besides.
func (p *Provenance) AddFlagsBeside(fs *pflag.FlagSet) {
	fs.BoolVar(&p.Wanted, "provenance", false, "attest how the model came about: SLSA provenance from the build system's environment, the git checkout and records of training, signed with the model")
	fs.StringVar(&p.Predicate, "provenance-predicate", "", "attest provenance of your own: a `FILE` with the SLSA v1 predicate, a JSON object")
	p.add(fs)
}

func (p *Provenance) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&p.BaseModels, "base-model", nil, "provenance: a `MODEL` that this one was made from: an artifact, which is resolved to its digest, NAME@COMMIT of the hub, or URI@sha256:… (may be repeated; default: what the files say)")
	fs.StringArrayVar(&p.Datasets, "dataset", nil, "provenance: `DATA` that it was made from: the same, or a file, which is hashed (may be repeated; default: what the files say)")
	fs.StringVar(&p.Source, "source", "", "provenance: `DIR` in the git checkout that the model was built from (default: what the build system says, else the model's directory)")
	fs.StringToStringVar(&p.Parameters, "build-parameter", nil, "provenance: a parameter of the build, such as epochs=3 (may be repeated)")
	fs.StringVar(&p.BuilderID, "builder-id", "", "provenance: `URI` of the builder, where the build system does not say which it is")
	fs.BoolVar(&p.Times, "build-times", false, "provenance: write when the build began, as far as the build system says so, and when this was made (default: no time, for the same bytes every day)")
}

// Flags are the names of the flags that say nothing unless provenance is wanted.
func (p *Provenance) Flags() []string {
	return []string{"base-model", "dataset", "source", "build-parameter", "builder-id", "build-times"}
}
