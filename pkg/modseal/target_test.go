package modseal_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modseal"
)

func TestParseTarget(t *testing.T) {
	digest := "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for text, want := range map[string]struct {
		kind      modseal.TargetKind
		path, ref string
	}{
		"localhost:5000/a/b:v1":             {modseal.KindRegistry, "", "v1"},
		"registry.example.com/a@" + digest:  {modseal.KindRegistry, "", digest},
		"registry.example.com/a":            {modseal.KindRegistry, "", ""},
		"oci:layout:v1":                     {modseal.KindLayout, "layout", "v1"},
		"oci:./a:b/c":                       {modseal.KindLayout, "./a:b/c", ""},
		"oci:/a/b@" + digest:                {modseal.KindLayout, "/a/b", digest},
		"oci:a@b:v1":                        {modseal.KindLayout, "a@b", "v1"},
		"archive:models.tar":                {modseal.KindArchive, "models.tar", ""},
		"archive:./a/models.tar:v1":         {modseal.KindArchive, "./a/models.tar", "v1"},
		"archive:m.tar:host:5000/team/x:v1": {modseal.KindArchive, "m.tar", "host:5000/team/x:v1"},
		"dir:model":                         {modseal.KindDirectory, "model", ""},
		"./model":                           {modseal.KindDirectory, "./model", ""},
		"../model":                          {modseal.KindDirectory, "../model", ""},
		"/model":                            {modseal.KindDirectory, "/model", ""},
		".":                                 {modseal.KindDirectory, ".", ""},
	} {
		got, err := modseal.ParseTarget(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.Kind != want.kind || got.Path != want.path || got.Reference != want.ref {
			t.Errorf("%s: got %+v", text, got)
		}
		again, err := modseal.ParseTarget(got.String())
		if err != nil || again != got {
			t.Errorf("%s: written as %s it is read as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "oci:", "dir:", "model", "UPPER/x:y", "host/a:b c", "oci:x:not a tag", "https://host/a:b", "host/a@sha256:12"} {
		if got, err := modseal.ParseTarget(text); !errors.Is(err, modseal.ErrUsage) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

// Whoever names a directory as one does elsewhere is told how it is written here.
func TestParseTargetSuggests(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("team/model", 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"team": true, "team/model": true, "other": false} {
		_, err := modseal.ParseTarget(text)
		if !errors.Is(err, modseal.ErrUsage) || strings.Contains(err.Error(), "write ./"+text) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"host/a:b", "oci:a:b", "oci:a@b:c", "dir:x", "./x", "oci:C:\\x:v"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := modseal.ParseTarget(s)
		if err != nil {
			return
		}
		again, err := modseal.ParseTarget(got.String())
		if err != nil || again != got {
			t.Fatalf("%q: written as %q it is read as %+v, %v", s, got, again, err)
		}
	})
}
