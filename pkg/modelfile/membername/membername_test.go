package membername_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/membername"
)

func TestCheck(t *testing.T) {
	for _, name := range []string{"a", "a/b/c.pkl", "..a", "a..", ".hidden", "π", strings.Repeat("a", membername.MaxSize)} {
		if err := membername.Check(name); err != nil {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"": "empty", "/a": "absolute", "//a": "absolute", "..": "goes up", "../a": "goes up", "a/../b": "goes up", "a/..": "goes up",
		"./a": "empty component", "a//b": "empty component", "a/": "empty component", `a\b`: "backslash", "C:a": "drive letter", "c:/a": "drive letter",
		"a\x00b": "control", "a\nb": "control", "a\x7f": "control", "\xff": "not UTF-8", strings.Repeat("a", membername.MaxSize+1): "4097 bytes",
	} {
		if err := membername.Check(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", name, err, want)
		}
	}
}
