package yamlshape_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/internal/yamlshape"
)

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"a document":       {"a: [b, {c: d}]\ne:\n  - f - g\n", true},
		"empty":            {"", true},
		"too large":        {strings.Repeat("a: b\n", 300), false},
		"too many lines":   {strings.Repeat("\n", 101), false},
		"a long line":      {"a: " + strings.Repeat("x", yamlshape.MaxLineBytes), false},
		"deep brackets":    {strings.Repeat("[", 65), false},
		"deep over lines":  {strings.Repeat("a: {\n", 65), false},
		"deep sequences":   {strings.Repeat("- ", 65), false},
		"closed and again": {strings.Repeat("[]\n", 90), true},
	} {
		const maxBytes, maxLines = 1200, 100
		if name == "a long line" {
			if yamlshape.Check([]byte(tt.text), 1<<20, maxLines) == nil {
				t.Errorf("%s is taken", name)
			}
		}
		if err := yamlshape.Check([]byte(tt.text), maxBytes, maxLines); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
