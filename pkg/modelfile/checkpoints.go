package modelfile

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// checkpoint is a directory in which transformers keeps the model as it was after so
// many steps of training (PREFIX_CHECKPOINT_DIR of trainer_utils.py).
var checkpoint = regexp.MustCompile(`^(?:(.*)/)?checkpoint-(\d{1,18})/`)

// checkpoints is what a directory of training has.
type checkpoints struct {
	final string // a weight file beside the checkpoints
	last  int64  // the number of the last one
}

// stepOf returns the directory of training that a file in a checkpoint is below, and the
// step of that.
func stepOf(file string) (training string, step int64, ok bool) {
	m := checkpoint.FindStringSubmatch(file)
	if m == nil {
		return "", 0, false
	}
	step, err := strconv.ParseInt(m[2], 10, 64)
	return path.Clean(m[1]), step, err == nil
}

// findCheckpoints finds the directories of training.
func (x *inspector) findCheckpoints() {
	x.checkpoints = map[string]*checkpoints{}
	for _, f := range x.sorted {
		if training, step, ok := stepOf(f.Path); ok && x.isModel(f) {
			if x.checkpoints[training] == nil {
				x.checkpoints[training] = &checkpoints{}
			}
			c := x.checkpoints[training]
			c.last = max(c.last, step)
		}
	}
	for _, f := range x.sorted {
		if c := x.checkpoints[path.Dir(f.Path)]; c != nil && c.final == "" && x.isModel(f) {
			c.final = f.Path
		}
	}
}

// isModel reports whether a weight file is one by its name, too.
func (x *inspector) isModel(f *File) bool {
	return f.Role == roleWeight && !trainingState.MatchString(strings.ToLower(path.Base(f.Path)))
}

// laterThan says why a file in a checkpoint does not count: the model was trained on.
func (x *inspector) laterThan(f *File) string {
	training, step, ok := stepOf(f.Path)
	c := x.checkpoints[training]
	switch {
	case !ok || c == nil:
		return ""
	case c.final != "":
		return fmt.Sprintf("by its directory it is a state of training, and %q is the model", c.final)
	case step < c.last:
		return fmt.Sprintf("by its directory it is a state of training before checkpoint-%d", c.last)
	}
	return ""
}
