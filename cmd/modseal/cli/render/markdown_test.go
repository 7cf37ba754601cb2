package render

import "testing"

func TestCode(t *testing.T) {
	for in, want := range map[string]string{
		"":             "",
		"plain":        "`plain`",
		"a|b":          "`a\\|b`",
		"a`b":          "``a`b``",
		"`":            "`` ` ``",
		"```":          "```` ``` ````",
		"@team <b> #1": "`@team <b> #1`",
		"two\nlines":   "`two�lines`",
		" ":            "`   `",
	} {
		if got := Code(in); got != want {
			t.Errorf("Code(%q) = %q, want %q", in, got, want)
		}
	}
}
