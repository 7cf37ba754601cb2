package modseal

import (
	"slices"
	"strings"
	"testing"
)

func TestCutGlob(t *testing.T) {
	for _, c := range []struct{ ref, base, pattern string }{
		{"host/team/llama:v1", "host/team/llama:v1", ""},
		{"host/team/llama:v1.*", "host/team/llama", "v1.*"},
		{"host:5000/team/llama:*", "host:5000/team/llama", "*"},
		{"host:5000/team/llama", "host:5000/team/llama", ""},
		{"host:5000/team/*", "host:5000/team/*", ""},
		{"host/team/llama:{a,b}", "host/team/llama", "{a,b}"},
		{"host/team/llama@sha256:00", "host/team/llama@sha256:00", ""},
		{"oci:./a:v?", "oci:./a", "v?"},
		{"oci:./a*/b", "oci:./a*/b", ""},
		{"oci:./a:b/c", "oci:./a:b/c", ""},
		{"archive:f.tar:host/team/*:v1", "archive:f.tar", "host/team/*:v1"},
		{"archive:f.tar:host:5000/team/llama:v1", "archive:f.tar:host:5000/team/llama:v1", ""},
		{"archive:f*.tar", "archive:f*.tar", ""},
	} {
		if base, pattern := cutGlob(c.ref); base != c.base || pattern != c.pattern {
			t.Errorf("cutGlob(%q) = %q, %q", c.ref, base, pattern)
		}
	}
}

func TestListedIn(t *testing.T) {
	got, err := listedIn("f", []byte("# all\nhost/a:v1\n\n  host/b:* # of b\r\noci:./x:v1"))
	if err != nil || !slices.Equal(got, []string{"host/a:v1", "host/b:*", "oci:./x:v1"}) {
		t.Errorf("listedIn = %q, %v", got, err)
	}
	for text, want := range map[string]string{
		"a b":                             "line 1: one reference",
		"x\n@other":                       "line 2: a list cannot name",
		strings.Repeat("x", 1<<16) + "\n": "too long",
	} {
		if _, err := listedIn("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || ClassOf(err) != ClassUsage {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}
