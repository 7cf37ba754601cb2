package policy_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		match policy.Match
		text  string
		want  bool
	}{
		{policy.Match{}, "", false},
		{policy.Match{}, "x", false},
		{policy.Match{Exact: "a.c"}, "a.c", true},
		{policy.Match{Exact: "a.c"}, "abc", false},
		{policy.Match{Exact: "a.c"}, "A.C", false},
		{policy.Match{Exact: ".*"}, "x", false},
		{policy.Match{Regexp: "a.c"}, "abc", true},
		{policy.Match{Regexp: "a.c"}, "xabc", false},
		{policy.Match{Regexp: "a.c"}, "abcx", false},
		{policy.Match{Regexp: "a.c"}, "abc\n", false},
		{policy.Match{Regexp: "a|b"}, "a", true},
		{policy.Match{Regexp: "a|b"}, "ax", false},
		{policy.Match{Regexp: "a|b"}, "xb", false},
		{policy.Match{Regexp: "(?m)a$"}, "a", true},
		{policy.Match{Regexp: "(?m)a$"}, "a\nb", false},
		{policy.Match{Regexp: "(?i)ABC"}, "abc", true},
		{policy.Match{Regexp: "a)|(?:b"}, "ax", false},
		{policy.Match{Regexp: "a)|(?:b"}, "xb", false},
		{policy.Match{Regexp: "a(?#"}, "a", false},
		{policy.Match{Regexp: `a\`}, "a", false},
		{policy.Match{Exact: "a", Regexp: "a"}, "a", false},
	} {
		if got := row.match.Matches(row.text); got != row.want {
			t.Errorf("%s matches %q: %t", row.match, row.text, got)
		}
		if compiled, err := policy.Pattern(row.match.Regexp); err == nil && row.match.Exact == "" && row.match.Regexp != "" {
			if compiled.Matches(row.text) != row.want || !compiled.Equal(row.match) {
				t.Errorf("%s compiled matches %q: %t", row.match, row.text, !row.want)
			}
		}
	}
}

func TestMatchValid(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		match policy.Match
		want  string // empty: valid
	}{
		"text":        {policy.Match{Exact: "a("}, ""},
		"expression":  {policy.Match{Regexp: "a(b)?"}, ""},
		"nothing":     {policy.Match{}, "nothing to match"},
		"both":        {policy.Match{Exact: "a", Regexp: "a"}, "both given"},
		"no RE2":      {policy.Match{Regexp: "(?=a)"}, "error parsing regexp"},
		"breaks out":  {policy.Match{Regexp: "a)|(?:b"}, "unexpected )"},
		"long":        {policy.Match{Regexp: strings.Repeat("a", 1025)}, "1025 bytes, more than 1024"},
		"short, huge": {policy.Match{Regexp: "((a{1,30}){1,30}b){1,30}"}, "invalid repeat count"},
		"large":       {policy.Match{Regexp: "(a{1,30}b){1,30}"}, "exceeds limit of 1000"},
	} {
		err := row.match.Valid()
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := (policy.Match{Regexp: "a|b"}).Anchored(); got != "^(?:a|b)$" {
		t.Errorf("anchored: %s", got)
	}
	if got := (policy.Match{Exact: "a|b"}).Anchored(); got != "" {
		t.Errorf("a text has the expression %s", got)
	}
}
