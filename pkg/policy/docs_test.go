package policy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

// The pieces of policies in the documentation are read, each in the place where
// it belongs.
func TestDocumentationParses(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	const roots = "trustedRoots: [{name: public-good, tuf: public-good, maxAge: 30d}]\n"
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 8 {
		t.Fatalf("%d blocks were found", len(blocks))
	}
	for _, b := range blocks {
		text := b[1]
		switch {
		case strings.HasPrefix(text, "version:"), strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "- "):
			text = scopes("registry.example.com") + "      " + strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\n      "), "      ")
		case strings.HasPrefix(text, "signers:"):
			text = strings.TrimSuffix(scopes("registry.example.com"), "{signers: [{name: k, key: k.pub}]}\n") + "\n          " + strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\n          "), "          ")
		default:
			text += scopes("registry.example.com")
		}
		if strings.HasPrefix(text, "#") {
			continue
		}
		if !strings.Contains(text, "trustedRoots:") {
			text = roots + text
		}
		if _, err := policy.Parse("docs/policy.md", []byte(text)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}
