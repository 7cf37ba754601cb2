package render_test

import (
	"testing"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
)

func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"one":                                 "  one",
		"one two three four":                  "  one two\n  three four",
		"a-word-that-is-longer-than-a-line b": "  a-word-that-is-longer-than-a-line\n  b",
		"x a-word-that-is-longer-than-a-line": "  x\n  a-word-that-is-longer-than-a-line",
		"größe größe größe":                   "  größe\n  größe\n  größe",
	} {
		if got := render.Wrap(text, "  ", 12); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
