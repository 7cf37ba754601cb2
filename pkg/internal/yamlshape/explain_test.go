package yamlshape_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/modseal/modseal/pkg/internal/yamlshape"
)

func TestExplain(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "line 1: the document is empty",
		"a: b: c\n":                   "line 1: mapping value is not allowed in this context",
		"# a\ntext: {a: b}\n":         "line 2: here is a mapping, and a text is needed",
		"text: [a]\n":                 "line 1: here is a list, and a text is needed",
		"list:\n  a: b\n":             "line 2: here is a mapping, and a list is needed",
		"list: a\n":                   "line 1: here is a text, and a list is needed",
		"map: 3\n":                    "line 1: here is a whole number, and a mapping is needed",
		"map: [a]\n":                  "line 1: here is a list, and a mapping is needed",
		"map: true\n":                 "line 1: here is true or false, and a mapping is needed",
		"map: 1.5\n":                  "line 1: here is a number, and a mapping is needed",
		"- a\n":                       "line 1: here is a list, and a mapping is needed",
		"number: x\n":                 "line 1: here is a text, and a whole number is needed",
		"number: 300\n":               "line 1: the number 300 is too large or below 0",
		"flag: 3\n":                   "line 1: here is a whole number, and true or false is needed",
		"text: a\ntext: b\n":          `line 2: mapping key "text" already defined at [1:1]`,
		"other: a\n":                  `line 1: unknown field "other"`,
		"text: a\nlist: [a, *x]\n":    `line 2: could not find alias "x"`,
		"list:\n- a\n- {b: c}\n":      "line 3: here is a mapping, and a text is needed",
		"inner:\n- text: {a: 1}\n":    "line 2: here is a mapping, and a text is needed",
		"inner:\n- text: a\n- text\n": "line 3: here is a text, and a mapping is needed",
	} {
		var doc struct {
			Text   string            `yaml:"text"`
			List   []string          `yaml:"list"`
			Map    map[string]string `yaml:"map"`
			Number uint8             `yaml:"number"`
			Flag   bool              `yaml:"flag"`
			Inner  []struct {
				Text string `yaml:"text"`
			} `yaml:"inner"`
		}
		err := yaml.NewDecoder(strings.NewReader(text), yaml.Strict()).Decode(&doc)
		if err == nil {
			t.Errorf("%q is taken", text)
			continue
		}
		if got := yamlshape.Explain(fmt.Errorf("wrapped: %w", err)).Error(); got != want {
			t.Errorf("%q: %s, not %s", text, got, want)
		}
	}
	if got := yamlshape.Explain(errors.New("other\nmore")).Error(); got != "line 1: other" {
		t.Error(got)
	}
}
