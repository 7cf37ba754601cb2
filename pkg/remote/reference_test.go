package remote_test

import (
	"errors"
	"strings"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/remote"
)

var someDigest = "sha256:" + strings.Repeat("ab", 32)

func TestParseReference(t *testing.T) {
	for in, want := range map[string]remote.Reference{
		"localhost/m":                                        {Registry: "localhost", Repository: "m"},
		"localhost:5000/team/m:v1":                           {Registry: "localhost:5000", Repository: "team/m", Reference: "v1"},
		"r.example.com/a/b-c/d_e@" + someDigest:              {Registry: "r.example.com", Repository: "a/b-c/d_e", Reference: someDigest},
		"r.example.com/m:v1@" + someDigest:                   {Registry: "r.example.com", Repository: "m", Reference: someDigest},
		"[::1]:5000/m":                                       {Registry: "[::1]:5000", Repository: "m"},
		"r.example.com/m@sha512:" + strings.Repeat("ab", 64): {Registry: "r.example.com", Repository: "m", Reference: "sha512:" + strings.Repeat("ab", 64)},
	} {
		got, err := remote.ParseReference(in)
		if err != nil || got != want {
			t.Errorf("ParseReference(%q) = %v, %v", in, got, err)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for in, why := range map[string]string{
		"":                                      "empty",
		"model":                                 "names no registry",
		"model:v1":                              "names no registry",
		"model:5000":                            "names no registry",
		"llama3.1":                              "names no registry",
		"localhost":                             "names no repository; write localhost/repository",
		"127.0.0.1:5000":                        "names no repository; write 127.0.0.1:5000/repository",
		"r.example.com:443":                     "names no repository",
		"[::1]:5000":                            "names no repository",
		"team/model":                            "no registry host",
		"https://r.example.com/m":               "leave out the part",
		"r.example.com/":                        "names no repository",
		"r.example.com/Team/m":                  "lower case",
		"r.example.com/m:":                      "empty",
		"r.example.com/m:-x":                    "no tag",
		"r.example.com/m@sha256:12":             "no digest",
		"r.example.com/m@md5:" + someDigest:     "no digest",
		"r.example.com/m@":                      "no digest",
		"r.example.com/a//b":                    "no repository",
		"r.example.com/../b":                    "no repository",
		"r.exa mple.com/b":                      "no registry host",
		"alice:hunter2@r.example.com/m":         "credentials",
		"https://alice:hunter2@r.example.com/m": "credentials",
		"r.example.com/" + strings.Repeat("a", 600): "longer",
	} {
		_, err := remote.ParseReference(in)
		switch {
		case !errors.Is(err, errdef.ErrInvalidReference):
			t.Errorf("ParseReference(%q): %v", in, err)
		case !strings.Contains(err.Error(), why):
			t.Errorf("ParseReference(%q): %v; want %q in it", in, err, why)
		case strings.Contains(err.Error(), "hunter2"):
			t.Errorf("ParseReference(%q): the error holds a password: %v", in, err)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"localhost:5000/team/m:v1", "r.example.com/m:v1@" + someDigest, "a:b@c/d", "[::1]:1/x", "https://x/y", "r.io/m@sha384:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := remote.ParseReference(s)
		if err != nil {
			if !errors.Is(err, errdef.ErrInvalidReference) {
				t.Fatalf("%q: %v is no ErrInvalidReference", s, err)
			}
			return
		}
		if err := ref.Validate(); err != nil {
			t.Fatalf("%q: accepted and invalid: %v", s, err)
		}
		again, err := remote.ParseReference(ref.String())
		if err != nil || again != ref {
			t.Fatalf("%q: %q does not read back: %v, %v", s, ref, again, err)
		}
		for part := range strings.SplitSeq(ref.Repository, "/") {
			if part == "" || part == "." || part == ".." {
				t.Fatalf("%q: repository %q", s, ref.Repository)
			}
		}
	})
}
