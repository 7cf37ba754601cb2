package modelfile

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// trainingState are files with which training goes on, and of which no model is made:
// the names that transformers (trainer.py), accelerate (utils/constants.py) and
// DeepSpeed (*_optim_states.pt) give them.
var trainingState = regexp.MustCompile(`^(?:(?:optimizer|scheduler|scaler|sampler|rng_state)(?:_\d+)?\.(?:pt|pth|bin)|` +
	`random_states_\d+\.pkl|training_args\.bin|.+_optim_states\.pt)$`)

// Makers of models keep the file from which the hub's form was made beside it:
// consolidated.00.pth, also in a directory "original", and consolidated.safetensors.
// Its tensors have other names.
var (
	consolidated = regexp.MustCompile(`^consolidated(?:[.-][^/]*)?\.(?:pth|pt|bin|safetensors)$`)
	hubForm      = regexp.MustCompile(`^(?:model(?:-\d{5}-of-\d{5})?\.safetensors|pytorch_model(?:-\d{5}-of-\d{5})?\.bin)$`)
)

// originalDir is where makers put what is not in the hub's form.
const originalDir = "original"

// leftOut says why a weight file of the format does not count, as far as its name and
// those of others tell; empty when it does.
func (x *inspector) leftOut(f *File, format string) string {
	name := strings.ToLower(path.Base(f.Path))
	if format != formatPT && format != formatSafetensors {
		return "" // whatever its name
	}
	if trainingState.MatchString(name) {
		return "by its name it is the state of training, and no weights"
	}
	if why := x.laterThan(f); why != "" {
		return why
	}
	switch {
	case !consolidated.MatchString(name):
		return ""
	}
	dir := path.Dir(f.Path)
	hub := x.hubForms[dir]
	if hub == "" && path.Base(dir) == originalDir {
		hub = x.hubForms[path.Dir(dir)]
	}
	if hub == "" {
		return ""
	}
	return fmt.Sprintf("by its name it is another form of the model in %q", hub)
}

// leaveOutBut says of weights in other formats than the one that is counted that they
// are not: they may be the same ones.
func (x *inspector) leaveOutBut(format string) {
	for i := range x.facts.Weights {
		if w := &x.facts.Weights[i]; w.LeftOut == "" && w.Format != format && w.Tensors > 0 {
			w.LeftOut = "of several formats one counts, and that is " + format
		}
	}
}

// findHubForms finds the first weight file of each directory that has the name by
// which the hub's programs load it.
func (x *inspector) findHubForms() {
	x.hubForms = map[string]string{}
	for _, f := range x.sorted {
		dir, name := path.Split(f.Path)
		dir = path.Clean(dir)
		if f.Role == roleWeight && x.hubForms[dir] == "" && hubForm.MatchString(name) {
			x.hubForms[dir] = f.Path
		}
	}
}
