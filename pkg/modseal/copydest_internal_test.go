package modseal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDestinationOf(t *testing.T) {
	const digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	for _, c := range []struct {
		src, dst string
		many     bool
		want     string // empty: it makes no sense
	}{
		{"a.example/team/llama:v1", "b.example/prod/llama", false, "b.example/prod/llama:v1"},
		{"a.example/team/llama:v1", "b.example/prod/llama:stable", false, "b.example/prod/llama:stable"},
		{"a.example/team/llama@" + digest, "b.example/prod/llama", false, "b.example/prod/llama@" + digest},
		{"a.example/team/llama:v1", "b.example/prod/llama", true, "b.example/prod/llama:v1"},
		{"a.example/team/llama:v1", "b.example/prod/llama:stable", true, ""},
		{"a.example/team/llama:v1", "b.example/", false, "b.example/team/llama:v1"},
		{"a.example/team/llama:v1", "b.example:5000/mirror/", true, "b.example:5000/mirror/team/llama:v1"},
		{"a.example/team/llama:v1", "oci:layout", true, "oci:layout:v1"},
		{"a.example/team/llama:v1", "oci:mirror/", true, "oci:" + filepath.Join("mirror", "team", "llama") + ":v1"},
		{"oci:layout:v1", "b.example/prod/llama", true, "b.example/prod/llama:v1"},
		{"oci:layout:v1", "b.example/", false, ""},
		{"a.example/team/llama:v1", "./directory", false, ""},
		{"a.example/team/llama:v1", "archive:f.tar", false, ""},
		{"a.example/team/llama:v1", "b.example//", false, ""},
	} {
		src, err := ParseTarget(c.src)
		if err != nil {
			t.Fatal(err)
		}
		got, err := destinationOf(c.dst, src, c.many)
		switch {
		case c.want == "" && !errors.Is(err, ErrUsage):
			t.Errorf("%s to %s: %s, %v", c.src, c.dst, got, err)
		case c.want != "" && (err != nil || got.String() != c.want):
			t.Errorf("%s to %s: %s, %v; want %s", c.src, c.dst, got, err, c.want)
		}
	}
}

func TestReadCopyList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	read := func(text string, to ...string) ([]CopyLine, error) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ReadCopyList(file, to)
	}
	lines, err := read("# all of it\na/b:v1\n\n a/c:*  d/e # of theirs\r\n", "x/y", "z/")
	if err != nil || len(lines) != 2 {
		t.Fatal(lines, err)
	}
	if l := lines[0]; l.Source != "a/b:v1" || strings.Join(l.Destinations, " ") != "x/y z/" || l.Single() {
		t.Errorf("%+v", l)
	}
	if l := lines[1]; l.Source != "a/c:*" || strings.Join(l.Destinations, " ") != "d/e" || l.Single() {
		t.Errorf("%+v", l)
	}
	if lines, err := read("a/b:v1 d/e\n"); err != nil || !lines[0].Single() {
		t.Errorf("%+v, %v", lines, err)
	}
	for text, want := range map[string]string{
		"a/b:v1\n":                         "line 1: a/b:v1 has no destination",
		"\na b c\n":                        "line 2",
		"@other x/y\n":                     "another list",
		"# nothing\n":                      "names nothing",
		strings.Repeat("x", 1<<17):         "too long",
		strings.Repeat("a/b d/e\n", 1e4+1): "more than",
	} {
		if _, err := read(text); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	if _, err := ReadCopyList(file+"-absent", nil); ClassOf(err) != ClassNotFound {
		t.Errorf("a list that is not there: %v", err)
	}
}

// Two names of one place are one place, whatever they look like.
func TestPlace(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, same := range map[string][]string{
		"prod.example.com/team/model:v1": {"PROD.example.com/team/model:v1"},
		"docker.io/team/model:v1":        {"registry-1.docker.io/team/model:v1"},
		"oci:layout:v1":                  {"oci:./layout:v1", "oci:layout/:v1", "oci:other/../layout:v1"},
	} {
		want, err := ParseTarget(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range same {
			if got, err := ParseTarget(other); err != nil || got.place() != want.place() {
				t.Errorf("%s is %q, and %s is %q (%v)", other, got.place(), name, want.place(), err)
			}
		}
		for _, other := range []string{name + "x", strings.Replace(name, "layout", "Layout", 1) + ".2", strings.Replace(name, ":v1", ":V1", 1)} {
			if got, err := ParseTarget(other); err != nil || got.place() == want.place() {
				t.Errorf("%s and %s are one place (%v)", other, name, err)
			}
		}
	}
}
