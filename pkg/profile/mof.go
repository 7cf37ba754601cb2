package profile

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/yamlshape"
	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// The classes of the Model Openness Framework, the most open first: open science, open
// tooling, open model.
const (
	ClassI   = "I"
	ClassII  = "II"
	ClassIII = "III"
)

type component struct {
	name, inFile string
	class        int
}

// components are the components of the Model Openness Framework 1.0: as the profile
// names them, as the model openness configuration file does, and the class from which
// on each is required; 0 for those that are optional. The classes are those of
// https://github.com/lfai/model_openness_tool/blob/1711a30a700e4e0988b2ce8aa1fb0a141c4df207/web/modules/mof/config/install/mof.settings.yml.
var components = []component{
	{"datasets", "Datasets", 1},
	{"data-preprocessing-code", "Data preprocessing code", 1},
	{"model-architecture", "Model architecture", 3},
	{"final-model-parameters", "Model parameters (Final)", 3},
	{"intermediate-model-parameters", "Model parameters (Intermediate)", 1},
	{"model-metadata", "Model metadata", 0},
	{"training-code", "Training code", 2},
	{"inference-code", "Inference code", 2},
	{"evaluation-code", "Evaluation code", 2},
	{"evaluation-data", "Evaluation data", 2},
	{"evaluation-results", "Evaluation results", 3},
	{"supporting-libraries-and-tools", "Supporting libraries and tools", 0},
	{"model-card", "Model card", 3},
	{"data-card", "Data card", 3},
	{technicalReport, "Technical report", 3},
	{researchPaper, "Research paper", 1},
	{"sample-model-outputs", "Sample model outputs", 0},
	{opennessFile, "", 3},
}

// A research paper does what a technical report does for classes II and III.
const (
	technicalReport = "technical-report"
	researchPaper   = "research-paper"
)

// classNumbers are the classes in the order in which requirements add up.
var classNumbers = map[string]int{ClassI: 1, ClassII: 2, ClassIII: 3}

// lacking lists what a class requires and is not among have.
func lacking(class string, have []string) []string {
	var out []string
	for _, c := range components {
		required := c.class >= classNumbers[class]
		if c.name == technicalReport && slices.Contains(have, researchPaper) {
			required = false
		}
		if required && !slices.Contains(have, c.name) {
			out = append(out, c.name)
		}
	}
	return out
}

// ErrMOF is wrapped when a model openness configuration file cannot be read.
var ErrMOF = errors.New("not a model openness configuration file")

// MOF is what a model openness configuration file says.
type MOF struct {
	Version    string   // of the framework
	Components []string // that are there, in the words and the order of the profile
}

// IsMOFFile reports whether a file of this path is a model openness configuration
// file: MOF.JSON as the framework calls it, or YAML as its tool writes it.
func IsMOFFile(file string) bool {
	switch strings.ToLower(path.Base(file)) {
	case "mof.json", "mof.yaml", "mof.yml":
		return true
	}
	return false
}

// absent is what the framework's tool writes for a component that is not there.
const absent = "component not included"

// ParseMOF reads a model openness configuration file, JSON or YAML, in either form of
// https://github.com/lfai/model_openness_tool/tree/6ece587258c637298bd4a7e1c9f312d9d94c5fdc/schema.
// A component is there when the file names its licence or its place. Errors wrap
// [ErrMOF].
func ParseMOF(text []byte) (*MOF, error) {
	if err := yamlshape.Check(text, limits.OverridesBytes, limits.OverridesLines); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMOF, err)
	}
	var doc struct {
		Framework struct {
			Name    string `yaml:"name"`
			Version string `yaml:"version"`
		} `yaml:"framework"`
		Release struct {
			Components []struct {
				Name        string `yaml:"name"`
				License     string `yaml:"license"`
				LicenseName string `yaml:"license_name"`
				Path        string `yaml:"component_path"`
				Location    string `yaml:"location"`
			} `yaml:"components"`
		} `yaml:"release"`
	}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrMOF, hf.CleanText(yamlshape.Explain(err).Error(), 500))
	}
	if doc.Framework.Name != "Model Openness Framework" {
		return nil, fmt.Errorf("%w: framework.name is %.100q", ErrMOF, doc.Framework.Name)
	}
	there := map[string]bool{opennessFile: true}
	for _, c := range doc.Release.Components {
		license := firstOf(c.License, c.LicenseName)
		if strings.ToLower(license) == absent || firstOf(license, c.Path, c.Location) == "" {
			continue
		}
		there[strings.ToLower(c.Name)] = true
	}
	m := &MOF{Version: hf.CleanText(doc.Framework.Version, 100)}
	for _, c := range components {
		if there[c.name] || c.inFile != "" && there[strings.ToLower(c.inFile)] {
			m.Components = append(m.Components, c.name)
		}
	}
	return m, nil
}

// Class returns the most open class whose components are all there; empty when not
// even those of the third are. Whether their licences are open it does not judge.
func (m *MOF) Class() string {
	for _, class := range []string{ClassI, ClassII, ClassIII} {
		if len(lacking(class, m.Components)) == 0 {
			return class
		}
	}
	return ""
}

// List returns the components as the annotation has them.
func (m *MOF) List() string { return strings.Join(m.Components, ",") }

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
