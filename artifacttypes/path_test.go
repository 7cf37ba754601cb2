package artifacttypes_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modseal/modseal/artifacttypes"
)

func TestValidatePathRefuses(t *testing.T) {
	for name, p := range map[string]string{
		"empty":               "",
		"parent":              "../x",
		"parent inside":       "a/../../x",
		"parent at the end":   "a/..",
		"current":             "./x",
		"absolute":            "/x",
		"empty component":     "a//b",
		"trailing slash":      "a/",
		"drive":               "C:x",
		"drive and backslash": `C:\x`,
		"backslash":           `a\b`,
		"NUL":                 "a\x00b",
		"newline":             "a\nb",
		"escape":              "a\x1b[2Jb",
		"C1 control":          "a\u0085b",
		"reversed text":       "a\u202egnp.exe",
		"invalid UTF-8":       "a\xffb",
		"long component":      strings.Repeat("x", 256),
		"long path":           strings.Repeat("x/", 2048) + "x",
		"deep path":           strings.Repeat("x/", artifacttypes.MaxPathComponents) + "x",
	} {
		t.Run(name, func(t *testing.T) {
			if err := artifacttypes.ValidatePath(p); !errors.Is(err, artifacttypes.ErrUnsafePath) {
				t.Fatalf("ValidatePath(%q) = %v", p, err)
			}
		})
	}
}

func TestValidatePathAccepts(t *testing.T) {
	for _, p := range []string{
		"model.safetensors", "a/b/c", "a..b", "..a", "...", "a b", "données d'été.txt", "模型.gguf", "-rf", "~", "xx:y",
		strings.Repeat("x", 255), strings.Repeat("x/", artifacttypes.MaxPathComponents-1) + "x",
	} {
		if err := artifacttypes.ValidatePath(p); err != nil {
			t.Errorf("ValidatePath(%q) = %v", p, err)
		}
	}
}

func TestPathSetRefusesWhatCannotLiveTogether(t *testing.T) {
	for name, paths := range map[string][]string{
		"twice":                     {"a", "a"},
		"letter case":               {"README.md", "readme.md"},
		"normalisation":             {"caf\u00e9", "cafe\u0301"},
		"file, then below it":       {"a", "a/b"},
		"below it, then file":       {"a/b/c", "a/b"},
		"far below":                 {"a", "a/b/c/d"},
		"directories by case":       {"A/x", "a/X"},
		"file and directory, cased": {"a/b", "A"},
	} {
		t.Run(name, func(t *testing.T) {
			set := artifacttypes.NewPathSet()
			var err error
			for _, p := range paths {
				if err = set.Add(p); err != nil {
					break
				}
			}
			if !errors.Is(err, artifacttypes.ErrUnsafePath) {
				t.Fatalf("%q: %v", paths, err)
			}
		})
	}
}

func TestPathSetAcceptsAModel(t *testing.T) {
	set := artifacttypes.NewPathSet()
	for _, p := range []string{"config.json", "a/b", "a/c", "a.b", "ab/c", "a/b.d/e"} {
		if err := set.Add(p); err != nil {
			t.Errorf("Add(%q) = %v", p, err)
		}
	}
}

func FuzzValidatePath(f *testing.F) {
	for _, p := range []string{"a", "a/b", "../x", "/x", `C:\x`, "a\x00", "a//b", "é"} {
		f.Add(p)
	}
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, p string) {
		if artifacttypes.ValidatePath(p) != nil {
			return
		}
		// What is accepted must stay below a root by every reckoning.
		if !filepath.IsLocal(p) || filepath.Clean(p) != p {
			t.Fatalf("%q was accepted", p)
		}
		rel, err := filepath.Rel(root, filepath.Join(root, p))
		if err != nil || rel != p {
			t.Fatalf("%q became %q: %v", p, rel, err)
		}
	})
}
