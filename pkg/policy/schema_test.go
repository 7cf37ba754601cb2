package policy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/policy"
)

func TestSchemaIsUpToDate(t *testing.T) {
	t.Parallel()
	committed, err := os.ReadFile(filepath.Join("..", "..", "docs", "policy.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	now, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(now), string(committed)); diff != "" {
		t.Errorf("docs/policy.schema.json is stale; run make generate (-now +committed):\n%s", diff)
	}
}

// The table is whole: sections that fields refer to are there, and every field
// says what it means and what its absence does.
func TestSections(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, s := range policy.Sections() {
		if ids[s.ID] {
			t.Errorf("two sections are called %s", s.ID)
		}
		ids[s.ID] = true
	}
	for _, s := range policy.Sections() {
		one := map[string]bool{}
		for _, group := range s.OneOf {
			for _, name := range group {
				one[name] = true
			}
		}
		seen := map[string]bool{}
		for _, f := range s.Fields {
			switch {
			case seen[f.Name]:
				t.Errorf("%s.%s stands there twice", s.ID, f.Name)
			case f.Section != "" && !ids[f.Section]:
				t.Errorf("%s.%s: there is no section %s", s.ID, f.Name, f.Section)
			case f.Doc == "" || s.Doc == "":
				t.Errorf("%s.%s is not described", s.ID, f.Name)
			case f.Required && (f.Example == "" || f.Default != "" || one[f.Name]):
				t.Errorf("%s.%s is required, and has no example, or a default", s.ID, f.Name)
			case !f.Required && f.Default == "" && !one[f.Name]:
				t.Errorf("%s.%s: what its absence means is not said", s.ID, f.Name)
			}
			seen[f.Name] = true
		}
		for name := range one {
			if !seen[name] {
				t.Errorf("%s: %s is one of, and not there", s.ID, name)
			}
		}
	}
}

// The names of extensions are those of sigstore-go.
func TestExtensionNames(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(policy.ExtensionNames(), fulcioNames()); diff != "" {
		t.Error(diff)
	}
}
