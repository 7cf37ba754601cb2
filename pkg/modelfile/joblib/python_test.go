package joblib_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// debianPython has joblib where Debian's python3-joblib is installed.
const debianPython = "/usr/bin/python3"

// Where joblib itself resolves a name in a broken file that the scan has not seen, the
// file is at least incomplete: they differ only where the scan says that it stopped.
func TestSeesWhatJoblibSees(t *testing.T) {
	if err := exec.Command(debianPython, "-c", "import joblib, numpy").Run(); err != nil {
		t.Skip("python3-joblib is not installed: nothing to compare with")
	}
	contents := brokenFiles(t, 250)
	var in bytes.Buffer
	for _, c := range contents {
		in.WriteString(hex.EncodeToString(c) + "\n")
	}
	cmd := exec.Command(debianPython, filepath.Join("testdata", "unpickle.py"))
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(contents) {
		t.Fatalf("%d results for %d files", len(lines), len(contents))
	}
	for i, line := range lines {
		var resolved [][2]string
		if err := json.Unmarshal(line, &resolved); err != nil {
			t.Fatal(err, string(line))
		}
		if i == 0 && len(resolved) == 0 {
			t.Fatal("joblib resolves nothing of a file that it wrote")
		}
		s := scan(t, contents[i])
		if v := hazard.Judge(s.findings); v == hazard.Incomplete || v == hazard.Dangerous {
			continue
		}
		for _, g := range resolved {
			named := func(use pickle.GlobalUse) bool { return use.Global == pickle.Global{Module: g[0], Name: g[1]} }
			if !slices.ContainsFunc(s.Globals, named) {
				t.Errorf("%q: joblib resolves %q, which was not seen: %+v", contents[i], g, s.findings)
			}
		}
	}
}

// brokenFiles are the fixtures, and n files that were made of them.
func brokenFiles(t *testing.T, n int) [][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "python", "*.joblib"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no fixtures", err)
	}
	var files [][]byte
	for _, path := range paths {
		files = append(files, fixture(t, filepath.Base(path)))
	}
	seeds := slices.Clone(files)
	random := rand.New(rand.NewPCG(12, 0))
	for range n {
		b := bytes.Clone(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(b))
			switch other := seeds[random.IntN(len(seeds))]; random.IntN(4) {
			case 0:
				b[at] = byte(random.IntN(256))
			case 1:
				b = append(slices.Delete(b, at, min(at+1+random.IntN(3), len(b))), '.')
			case 2:
				b = slices.Insert(b, at, byte(random.IntN(256)))
			default:
				from := random.IntN(len(other))
				b = slices.Insert(b, at, other[from:min(from+random.IntN(60), len(other))]...)
			}
		}
		files = append(files, b)
	}
	return files
}
