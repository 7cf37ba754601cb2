package scan

import (
	"path"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// codeRules looks for code that a configuration has loaded, in the files of
// transformers, sentence-transformers and diffusers.
type codeRules struct {
	report hazard.Report
	name   string // base name of the file
	points func(module string)
}

func (c *codeRules) visit(v *jsonValue) error {
	if v.Kind != '"' {
		return nil
	}
	switch {
	case slices.Contains(v.Path, "auto_map"):
		c.refer(v, v.Text)
	case slices.Contains(v.Path, "custom_pipelines") && v.key() == "impl":
		c.refer(v, v.Text)
	case c.name == "modules.json" && v.key() == "type" && !strings.HasPrefix(v.Text, "sentence_transformers."):
		// https://github.com/UKPLab/sentence-transformers/blob/v5.1.0/sentence_transformers/SentenceTransformer.py
		c.refer(v, v.Text)
	case c.name == "model_index.json" && len(v.Path) == 2 && v.Path[0] == "_class_name":
		// An array is file and class:
		// https://github.com/huggingface/diffusers/blob/v0.35.1/src/diffusers/pipelines/pipeline_loading_utils.py
		c.refer(v, v.Text+".")
	}
	return nil
}

// refer reports a class that is named as module.Class, or as repository--module.Class.
func (c *codeRules) refer(v *jsonValue, class string) {
	if class == "" || strings.TrimSuffix(class, ".") == "" || c.name == "model_index.json" && !strings.HasSuffix(class, ".") {
		return
	}
	subject := strings.TrimSuffix(class, ".")
	if repository, _, elsewhere := strings.Cut(class, "--"); elsewhere {
		c.report(hazard.Of(hazard.CodeElsewhere, subject, "code of the repository "+repository+" is run with this model").At(v.Offset))
		return
	}
	module := class
	if i := strings.LastIndex(class, "."); i >= 0 {
		module = class[:i]
	}
	file := strings.ReplaceAll(module, ".", "/") + ".py"
	c.report(hazard.Of(hazard.CodeRemote, subject, "the configuration has "+file+" of the model run when it is loaded").At(v.Offset))
	c.points(path.Clean(file))
}
