package modseal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The architecture of modseal, as drawn in the README: a package imports only
// from lower rows, never from its own. An entry stands for the package and all
// packages below it, unless one of those has an entry of its own; such a family
// may import within itself.
var rows = []struct {
	row      int
	packages []string
}{
	{8, []string{"hack"}},
	{7, []string{"cmd/modseal"}},
	{6, []string{"pkg/modseal"}},
	{5, []string{"pkg/archive"}},
	{4, []string{"pkg/materialize", "pkg/transfer"}},
	{3, []string{"pkg/pack", "pkg/referrer", "pkg/sign", "pkg/verify"}},
	{2, []string{
		"pkg/source", "pkg/store", "pkg/remote",
		"pkg/trust", "pkg/policy", "pkg/statement",
	}},
	{1, []string{"pkg/partial", "pkg/digestcache", "pkg/inventory", "pkg/diff", "pkg/promotion", "pkg/bom", "pkg/provenance", "pkg/scan", "pkg/lineage", "pkg/profile", "pkg/registry"}},
	{0, []string{
		"artifacttypes", "pkg/modelfile", "pkg/ingest", "pkg/progress", "pkg/fileid",
		"pkg/internal/limits", "pkg/internal/integrity", "pkg/internal/holes", "pkg/internal/filerow", "pkg/internal/yamlshape", "pkg/internal/clone", "pkg/internal/disk", "pkg/internal/statefile", "pkg/internal/redact", "pkg/internal/slsa", "pkg/internal/readahead", "pkg/internal/lazyregexp",
		"pkg/internal/virtual",
	}},
}

// Packages that know cryptography, and packages that know registries.
var (
	cryptography = []string{"pkg/statement", "pkg/sign", "pkg/trust", "pkg/policy", "pkg/verify"}
	registries   = []string{"pkg/store", "pkg/remote", "pkg/referrer", "pkg/transfer", "pkg/archive", "pkg/registry"}
)

// A rule forbids imports to packages.
type rule struct {
	imports []string // import paths; those below them are meant too
	allowed []string // packages that may, all others may not
	denied  []string // packages that may not, all others may; used when allowed is nil
	why     string
}

var importRules = []rule{
	{
		imports: []string{"oras.land/oras-go/v2", "github.com/olareg", "cuelabs.dev/go/oci/ociregistry", "$pkg/store", "$pkg/remote", "$pkg/referrer", "$pkg/transfer", "$pkg/archive", "$pkg/registry"},
		denied:  cryptography,
		why: "rule (a): packages that know cryptography know no registry; " +
			"the two meet in pkg/modseal, which hands over what it fetched",
	},
	{
		imports: []string{"net/http", "net"},
		denied:  []string{"pkg/statement", "pkg/policy", "pkg/verify"},
		why:     "rule (a): what decides asks nobody, so that a verdict depends on bytes alone; sign and trust talk to key and signing services",
	},
	{
		imports: []string{
			"github.com/sigstore", "crypto/ecdsa", "crypto/ed25519", "crypto/rsa",
			"$pkg/statement", "$pkg/sign", "$pkg/trust", "$pkg/policy", "$pkg/verify",
		},
		denied: registries,
		why: "rule (a): packages that know registries know no cryptography, so that none of them can decide what is trusted; " +
			"the two meet in pkg/modseal",
	},
	{
		imports: []string{
			"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "os/signal",
			"log", "log/slog", "github.com/vbauerster/mpb", "github.com/xlab/treeprint",
		},
		allowed: []string{"cmd/modseal", "hack"},
		why: "rule (b): nothing below cmd knows commands, the terminal, signals or a logger; " +
			"return an error, or report to a progress.Reporter",
	},
	{
		imports: []string{"github.com/sigstore/sigstore-go"},
		allowed: []string{"pkg/sign", "pkg/trust", "pkg/verify", "hack", "pkg/internal/virtual"},
		why:     "rule (c): sigstore-go is imported by sign, trust and verify only, so that one place answers for how bundles are made and checked; pkg/internal/virtual is for tests",
	},
	{
		imports: []string{"github.com/sigstore/cosign"},
		allowed: []string{"pkg/sign", "pkg/trust", "hack"},
		why:     "rule (c): cosign is imported by sign and trust only, for key references",
	},
	{
		imports: []string{"github.com/sigstore/cosign/v2/pkg/cosign/kubernetes", "k8s.io/client-go/kubernetes", "k8s.io/api"},
		allowed: []string{"hack"},
		why: "rule (d): all kinds of objects of Kubernetes make the program 31 MB larger, and each start of it 14 MB larger in memory " +
			"and slower; a secret is read without them, as pkg/sign/keyref does",
	},
	{
		imports: []string{"github.com/olareg"},
		allowed: []string{"hack"},
		why: "rule (d): nothing but tests and hack imports olareg, since 0.2.0 of which every start computes a bcrypt hash, 60 ms and more; " +
			"what modseal serves is pkg/registry over pkg/store",
	},
	{
		imports: []string{"cuelabs.dev/go/oci/ociregistry"},
		allowed: []string{"pkg/registry", "pkg/store/registry", "pkg/archive/registry"},
		why: "rule (c): ociregistry is imported by pkg/registry, which answers what it leaves out, and by what is served through it, " +
			"so that the protocol is the same for all of them",
	},
	{
		imports: []string{"oras.land/oras-go/v2/registry/remote"},
		allowed: []string{"pkg/remote", "pkg/referrer", "pkg/transfer", "hack"},
		why: "rule (c): registry/remote is imported by remote, referrer and transfer only, " +
			"so that authentication, retries and limits are the same for every request",
	},
}

// Names that rule (b) forbids below cmd although their packages are fine.
var processNames = map[string][]string{
	"os": {
		"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "UserHomeDir", "UserConfigDir", "UserCacheDir",
		"Stdin", "Stdout", "Stderr", "Args", "Exit",
	},
	"net/http": {"ProxyFromEnvironment", "DefaultClient", "DefaultTransport"},
	"fmt":      {"Print", "Printf", "Println"},
}

func TestArchitecture(t *testing.T) {
	module := readModule(t)
	for _, dir := range module.dirs() {
		files := module.packages[dir]
		family, row, ok := place(dir)
		if !ok {
			t.Errorf("package %s has no place in the architecture: give it a row in pkg/modseal/architecture_test.go "+
				"and in the picture of the README's architecture section", dir)
			continue
		}
		for _, f := range files {
			for _, spec := range f.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if own, ok := strings.CutPrefix(imported, module.path+"/"); ok {
					checkRow(t, module, f, spec, dir, family, row, own)
				}
				for _, r := range importRules {
					if r.covers(imported, module.path) && !r.permits(dir) {
						t.Errorf("%s imports %s.\n\t%s", module.position(f, spec), imported, r.why)
					}
				}
			}
			if row < 7 {
				checkProcessNames(t, module, f)
			}
		}
	}
}

// Every row names something that is there: a row that outlives its package
// would let another one take its place unseen.
func TestArchitectureNamesWhatExists(t *testing.T) {
	module := readModule(t)
	for _, r := range rows {
		for _, p := range r.packages {
			if !slices.ContainsFunc(module.dirs(), func(dir string) bool { return within(dir, p) }) {
				t.Errorf("row %d names %s, and there is no such package", r.row, p)
			}
		}
	}
}

func checkRow(t *testing.T, m *module, f *ast.File, spec ast.Node, dir, family string, row int, imported string) {
	t.Helper()
	importedFamily, importedRow, ok := place(imported)
	if !ok || family == importedFamily || importedRow < row {
		return // a package without a place is reported once, where it is declared
	}
	t.Errorf("%s: %s (row %d) imports %s (row %d).\n\t"+
		"A package imports only from lower rows, never from its own: so each stage can be read, tested and replaced "+
		"knowing only what is below it. What both need belongs lower; what composes them belongs in pkg/modseal.",
		m.position(f, spec), dir, row, imported, importedRow)
}

func checkProcessNames(t *testing.T, m *module, f *ast.File) {
	t.Helper()
	names := map[string]string{} // local name of an import → its path
	for _, spec := range f.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		local := path.Base(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		names[local] = imported
	}
	ast.Inspect(f, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := selector.X.(*ast.Ident)
		if ok && slices.Contains(processNames[names[x.Name]], selector.Sel.Name) {
			t.Errorf("%s uses %s.%s.\n\trule (b): nothing below cmd knows the environment, the terminal or the process; "+
				"take it as a parameter or an option, and let cmd/modseal fill it in",
				m.position(f, n), x.Name, selector.Sel.Name)
		}
		return true
	})
}

// place returns the entry of rows that dir belongs to, the most specific one,
// and its row.
func place(dir string) (family string, row int, ok bool) {
	for _, r := range rows {
		for _, p := range r.packages {
			if within(dir, p) && len(p) > len(family) {
				family, row, ok = p, r.row, true
			}
		}
	}
	return family, row, ok
}

func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

func (r rule) covers(imported, modulePath string) bool {
	return slices.ContainsFunc(r.imports, func(p string) bool {
		if own, ok := strings.CutPrefix(p, "$"); ok {
			p = modulePath + "/" + own
		}
		return within(imported, p)
	})
}

func (r rule) permits(dir string) bool {
	contains := func(list []string) bool {
		return slices.ContainsFunc(list, func(p string) bool { return within(dir, p) })
	}
	if r.allowed != nil {
		return contains(r.allowed)
	}
	return !contains(r.denied)
}

type module struct {
	path     string
	root     string
	fset     *token.FileSet
	packages map[string][]*ast.File // directory, with slashes, relative to root
}

func (m *module) dirs() []string {
	return slices.Sorted(maps.Keys(m.packages))
}

func (m *module) position(f *ast.File, n ast.Node) string {
	p := m.fset.Position(n.Pos())
	file, err := filepath.Rel(m.root, m.fset.Position(f.Package).Filename)
	if err != nil {
		file = p.Filename
	}
	return fmt.Sprintf("%s:%d", filepath.ToSlash(file), p.Line)
}

// readModule parses all Go files of the module but tests, whatever system they
// are for.
func readModule(t *testing.T) *module {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := &module{root: root, fset: token.NewFileSet(), packages: map[string][]*ast.File{}}
	first, _, _ := strings.Cut(string(gomod), "\n")
	m.path = strings.TrimSpace(strings.TrimPrefix(first, "module"))
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && skipDir(name, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(m.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		m.packages[dir] = append(m.packages[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.packages) == 0 {
		t.Fatalf("%s: no Go package was found", root)
	}
	return m
}

// skipDir leaves out what the go command leaves out: other modules, testdata
// and names that begin with a dot or an underscore; and ./bin.
func skipDir(name, base string) bool {
	if base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}
