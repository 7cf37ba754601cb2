package scan

import (
	"maps"
	"regexp"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// scriptHelpers are what TorchScript's pickles call to make lists: they return their
// argument, or a tensor of a table
// (https://github.com/pytorch/pytorch/blob/v2.6.0/torch/jit/_pickle.py).
var scriptHelpers = []string{"build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "build_tensor_from_id", "restore_type_tag"}

// scriptClass is the name of a class whose code is TorchScript in the same archive. It
// is in no module of Python: torch resolves it against that code.
var scriptClass = regexp.MustCompile(`^__torch__(?:\.(?:___torch_mangle_[0-9]+|[A-Za-z][A-Za-z0-9_]*))+$`)

// inScript returns what to let pass, and how to report, in the pickles of an archive
// with TorchScript in it, which is reported as such.
func (x *examination) inScript(allow pickle.Allowed, report hazard.Report) (pickle.Allowed, hazard.Report) {
	if x.rules[torchScript] == 0 {
		return allow, report
	}
	allow = maps.Clone(allow)
	for _, name := range scriptHelpers {
		allow[pickle.Global{Module: "torch.jit._pickle", Name: name}] = true
	}
	return allow, func(f hazard.Finding) {
		if f.Rule == "pickle-dunder-name" && scriptClass.MatchString(f.Subject) && !strings.Contains(strings.TrimPrefix(f.Subject, "__torch__."), ".__") {
			f.Severity, f.Message = hazard.Medium, "a class of TorchScript, whose code is in the archive"
		}
		report(f)
	}
}

// torchScript is the rule by which code in an archive of torch is reported, before
// its members are.
const torchScript = "torch-script-code"
