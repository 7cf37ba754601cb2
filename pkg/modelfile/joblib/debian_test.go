package joblib_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Files that joblib 0.9 to 0.11 wrote with Python 2.7 to 3.6, which Debian's
// python3-joblib has for its own tests: four arrays, of which one is of objects and one
// a numpy.matrix. Those of 0.9 have their arrays in files beside them.
func TestFilesOfDebian(t *testing.T) {
	const dir = "/usr/lib/python3/dist-packages/joblib/test/data"
	files, err := filepath.Glob(filepath.Join(dir, "joblib_*.pkl"))
	if err != nil || len(files) == 0 {
		t.Skip("python3-joblib is not installed: its files are not here")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rules, arrays := []string{"pickle-unknown-global"}, 4
		if strings.Contains(file, "_0.9.") {
			rules, arrays = []string{"pickle-dangerous-global", "pickle-unknown-global"}, 0
		}
		s := scan(t, b)
		if d := cmp.Diff(rules, s.rules()); d != "" || len(s.Arrays) != arrays || !s.Listed || s.End != int64(len(b)) {
			t.Errorf("%s: %s, %d arrays, all %v, end %d of %d", filepath.Base(file), d, len(s.Arrays), s.Listed, s.End, len(b))
		}
	}
}
