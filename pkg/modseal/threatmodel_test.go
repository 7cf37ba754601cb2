package modseal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A test of the threat model is `package.TestName`, with or without the name of a
// row, or a script of e2e.
var (
	testName   = regexp.MustCompile(`^([a-z0-9]+)\.((?:Test|Fuzz)[A-Za-z0-9]+)(?:/(.+))?$`)
	scriptName = regexp.MustCompile(`^[a-z0-9_]+\.txtar$`)
	codeSpan   = regexp.MustCompile("`([^`]+)`")
)

// What the threat model says is shown by a test is shown by one that is there: a
// test that is renamed or removed takes its name along.
func TestThreatModelNamesWhatExists(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := readTests(t, root)
	column, rows := -1, 0
	for i, line := range strings.Split(string(page), "\n") {
		shown := 0
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for n, cell := range cells {
			for _, span := range codeSpan.FindAllStringSubmatch(cell, -1) {
				name := span[1]
				switch {
				case scriptName.MatchString(name):
					if _, err := os.Stat(filepath.Join(root, "e2e", "testdata", name)); err != nil {
						t.Errorf("line %d: there is no script %s", i+1, name)
					}
				case testName.MatchString(name):
					m := testName.FindStringSubmatch(name)
					if why := tests.lacks(m[1], m[2], m[3]); why != "" {
						t.Errorf("line %d: %s: %s", i+1, name, why)
					}
				default:
					continue
				}
				if n == column {
					shown++
				}
			}
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			column = -1
		case strings.TrimSpace(cells[len(cells)-1]) == "Shown by":
			column = len(cells) - 1
		case column >= 0 && !strings.HasPrefix(line, "|-"):
			if rows++; shown == 0 {
				t.Errorf("line %d: nothing shows that: %s", i+1, line)
			}
		}
	}
	if rows < 80 {
		t.Errorf("only %d rows were read", rows)
	}
}

// testsOf are the tests of a package and the texts that its tests write, which
// are the names of their rows among others.
type testsOf struct{ functions, texts map[string]bool }

// testIndex has packages by their name, without "_test".
type testIndex map[string]*testsOf

func (x testIndex) lacks(pkg, function, row string) string {
	p := x[pkg]
	switch {
	case p == nil:
		return "there is no such package"
	case !p.functions[function]:
		return "there is no such test"
	case row != "" && !p.texts[row]:
		return "no test of the package has such a row"
	}
	return ""
}

// readTests parses all tests of the repository, those of other modules too.
func readTests(t *testing.T, root string) testIndex {
	t.Helper()
	out := testIndex{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg := strings.TrimSuffix(f.Name.Name, "_test")
		if out[pkg] == nil {
			out[pkg] = &testsOf{map[string]bool{}, map[string]bool{}}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil {
					out[pkg].functions[n.Name.Name] = true
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					out[pkg].texts[text] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
