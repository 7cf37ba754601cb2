package lazyregexp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

// No expression is looked at before it is used.
func TestCompiledAtFirstUse(t *testing.T) {
	bad := lazyregexp.New("(")
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	bad.MatchString("")
}

// What panics at its first use only is found here: all expressions of packages
// compile.
func TestAllCompile(t *testing.T) {
	n := 0
	for _, expression := range handedOver(t, "../..") {
		n++
		if _, err := regexp.Compile(expression); err != nil {
			t.Error(err)
		}
	}
	if n < 30 {
		t.Errorf("%d expressions were found", n)
	}
}

// handedOver are the arguments of New in the Go files below root: literals, and
// constants of the same file or another one in its directory.
func handedOver(t *testing.T, root string) []string {
	t.Helper()
	fset := token.NewFileSet()
	calls, constants := map[string][]ast.Expr{}, map[string]ast.Expr{} // by directory; by directory and name
	err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.Dir(name)
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "New" && identifier(s.X) == "lazyregexp" {
					calls[dir] = append(calls[dir], n.Args[0])
				}
			case *ast.ValueSpec:
				if len(n.Values) == len(n.Names) {
					for i := range n.Names {
						constants[filepath.Join(dir, n.Names[i].Name)] = n.Values[i]
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for dir, args := range calls {
		for _, arg := range args {
			if c, ok := constants[filepath.Join(dir, identifier(arg))]; ok {
				arg = c
			}
			literal, ok := arg.(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: no literal and no constant", fset.Position(arg.Pos()))
				continue
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, text)
		}
	}
	return out
}

func identifier(e ast.Expr) string {
	if i, ok := e.(*ast.Ident); ok {
		return i.Name
	}
	return ""
}
