package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// call runs modseal and returns its exit code and what it says.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(t.Context(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func TestValuesApart(t *testing.T) {
	const ref = "127.0.0.1:1/a/b:v1"
	for _, row := range []struct {
		args string
		want string // empty: it is understood, whatever becomes of it
	}{
		{"push ./m " + ref + " --sbom spdx", `"spdx" is no value of --sbom, which takes one only behind =: write --sbom=spdx (or ./spdx `},
		{"push --sbom spdx ./m " + ref, "write --sbom=spdx"},
		{"push ./m --sbom spdx", "write --sbom=spdx"}, // not taken for a reference
		{"pack ./m oci:l:v1 --scan enforce", "write --scan=enforce"},
		{"save " + ref + " --with-trust corp -o x.tar", "write --with-trust=corp"},
		{"inspect " + ref + " --manifest false", "write --manifest=false"},
		{"push ./m " + ref + " --sbom=spdx", ""},
		{"trust export --quiet false -o x", "write --quiet=false"}, // of any number of arguments
		{"push --sbom ./m " + ref, ""},
		{"push --sbom ./spdx " + ref, ""},
		{"save --with-trust " + ref + " -o x.tar", ""},
		{"push ./m " + ref + " --sbom -- spdx", "unexpected argument"},
		{"push ./m " + ref + " other", "unexpected argument"},
	} {
		code, _, stderr := call(t, strings.Fields(row.args)...)
		if row.want == "" {
			if strings.Contains(stderr, "behind =") {
				t.Errorf("%s: %s", row.args, stderr)
			}
			continue
		}
		if code != exitUsage || !strings.Contains(stderr, row.want) || !strings.Contains(stderr, "--help") {
			t.Errorf("%s: exit code %d: %s", row.args, code, stderr)
		}
	}
}

// Of all commands, flags that exclude each other and flags that are missing are told in
// the words of this program, with its exit code, and as a document.
func TestFlagGroups(t *testing.T) {
	groups := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			for _, group := range f.Annotations[exclusiveFlags] {
				groups++
				names := strings.Fields(group)
				args := append(path, "--"+names[0], "--"+names[1])
				for _, word := range strings.Fields(cmd.Use)[1:] {
					args = append(args, "oci:"+word)
				}
				want := fmt.Sprintf("--%s and --%s contradict each other: use one of them", names[0], names[1])
				if code, _, stderr := call(t, args...); code != exitUsage || !strings.Contains(stderr, want) || strings.Contains(stderr, "group") {
					t.Errorf("%q: exit code %d: %s", args, code, stderr)
				}
			}
		})
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(Command(strings.NewReader(""), io.Discard, io.Discard))
	if groups == 0 {
		t.Error("no flags exclude each other: is the annotation of cobra another one?")
	}
	for _, args := range []string{"attest oci:l:v1 --key k --predicate p", "attest oci:l:v1 --key k --type custom"} {
		if code, _, stderr := call(t, strings.Fields(args)...); code != exitUsage || !strings.Contains(stderr, " is missing\n") {
			t.Errorf("%s: exit code %d: %s", args, code, stderr)
		}
	}
	code, stdout, _ := call(t, "inspect", "oci:l:v1", "--manifest", "--tensors", "--output", "json")
	var f failure
	if err := json.Unmarshal([]byte(stdout), &f); err != nil || code != exitUsage || f.ExitCode != exitUsage || f.Error != "--manifest and --tensors contradict each other: use one of them" {
		t.Errorf("exit code %d: %s, %v", code, stdout, err)
	}
}

// What a flag takes is told in words, and what makes no sense is not passed over.
func TestFlagValues(t *testing.T) {
	for args, want := range map[string]string{
		"push ./m oci:l:v1 --concurrency four":                               `"four" is no number such as 4`,
		"push ./m oci:l:v1 --concurrency -1":                                 `"-1" is no number such as 4`,
		"lineage oci:l:v1 --depth -1":                                        `"-1" is no number such as 4`,
		"lineage oci:l:v1 --follow r.example.com/team":                       `--follow "r.example.com/team": the name of a registry is needed`,
		"check x.tar --concurrency 1.5":                                      `"1.5" is no number such as 4`,
		"push ./m oci:l:v1 --keyless=maybe":                                  `"--keyless" flag: it is neither true nor false`,
		"push ./m oci:l:v1 --scan=off --allow-global a.b":                    "--scan=off and --allow-global contradict each other",
		"login r.example.com -u ci --password-stdin":                         "the password is empty; is a variable not set?",
		"push . oci:l:v1 --key k --provenance --provenance-predicate p.json": "--provenance-predicate and --provenance contradict each other",
	} {
		if code, _, stderr := call(t, strings.Fields(args)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d: %s", args, code, stderr)
		}
	}
}

// A variable that cannot be read is named.
func TestSourceDate(t *testing.T) {
	t.Setenv(envSourceDate, "today")
	for _, args := range []string{"sbom .", "push . oci:l:v1"} {
		if code, _, stderr := call(t, strings.Fields(args)...); code != exitUsage || !strings.Contains(stderr, `SOURCE_DATE_EPOCH is "today", and must be seconds since 1970`) {
			t.Errorf("%s: exit code %d: %s", args, code, stderr)
		}
	}
}
