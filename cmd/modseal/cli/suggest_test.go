package cli

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Whoever mistypes a command or a flag is told what was probably meant, and that it was
// wrong usage.
func TestSuggestions(t *testing.T) {
	const ref = " 127.0.0.1:1/a/b:v1"
	for args, want := range map[string]string{
		"puhs ./m" + ref:                        `unknown command "puhs"; did you mean push?`,
		"puhs ./m" + ref + " --key k":           `unknown command "puhs"; did you mean push?`, // not: unknown flag
		"polcy --for x check":                   `unknown command "polcy"; did you mean policy?`,
		"hlep":                                  `did you mean help?`,
		"tr":                                    `did you mean tree or trust?`,
		"download" + ref:                        `did you mean pull?`,
		"sbom shwo" + ref:                       `unknown command "shwo"; did you mean show?`,
		"sbom shwo":                             `unknown command "shwo"; did you mean show?`,
		"sbom shwo --referrer x" + ref:          `unknown command "shwo"; did you mean show?`,
		"provenance list" + ref:                 `unknown command "list"; did you mean show?`,
		"policy explian" + ref:                  `unknown command "explian"; did you mean explain?`,
		"policy explian --policy p" + ref:       `unknown command "explian"; did you mean explain?`,
		"policy sign":                           `unknown command "sign"; modseal policy has check, explain, init`,
		"trust list":                            `unknown command "list"; did you mean show?`,
		"trust rm x":                            `unknown command "rm"; did you mean remove?`,
		"completion bsh":                        `unknown command "bsh"; did you mean bash or zsh?`,
		"help foo":                              `unknown command "foo"`,
		"help psuh":                             `unknown command "psuh"; did you mean push?`,
		"help sbom shwo":                        `unknown command "shwo"; did you mean show?`,
		"help push foo":                         `modseal push has no command "foo"`,
		"mv":                                    `unknown command "mv"` + "\n",
		"x":                                     `unknown command "x"` + "\n",
		"verify --kye k" + ref:                  `unknown flag: --kye; did you mean --key?`,
		"inspect --json" + ref:                  `unknown flag: --json; did you mean --output json?`,
		"inspect -o json" + ref:                 `in -o; did you mean --output?`,
		"pull --json" + ref:                     `did you mean --output json?`,
		"verify -x" + ref:                       `unknown shorthand flag: 'x' in -x` + "\n",
		"sbom 127.0.0.1:1/a/b:v1 other":         `unexpected argument "other"`,
		"sbom other":                            `it names no registry`,
		"sbom show":                             `TARGET is missing`,
		"keygen --output-key-prefxi k":          `did you mean --output-key-prefix?`,
		"inspect --unheard-of-altogether" + ref: "unknown flag: --unheard-of-altogether\n",
	} {
		code, stdout, stderr := call(t, strings.Fields(args)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
	code, stdout, _ := call(t, "sbom", "shwo", "127.0.0.1:1/a/b:v1", "--output", "json")
	var f failure
	if err := json.Unmarshal([]byte(stdout), &f); err != nil || code != exitUsage || f.ExitCode != exitUsage || !strings.Contains(f.Error, "did you mean show?") {
		t.Errorf("exit code %d: %s, %v", code, stdout, err)
	}
}

// Every command that has others below it answers a slip in any of their names, and
// shows the help of all that there are.
func TestSuggestionsOfAllCommands(t *testing.T) {
	groups := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		if cmd.HasSubCommands() {
			groups++
		}
		for _, c := range cmd.Commands() {
			if code, _, stderr := call(t, slices.Concat(path, []string{c.Name() + "x"})...); code != exitUsage || !strings.Contains(stderr, "did you mean ") || !strings.Contains(stderr, c.Name()) {
				t.Errorf("%s %sx: exit code %d: %s", cmd.CommandPath(), c.Name(), code, stderr)
			}
			if code, stdout, stderr := call(t, slices.Concat([]string{"help"}, path, []string{c.Name()})...); code != exitDone || stdout == "" || stderr != "" {
				t.Errorf("help %s: exit code %d: %s", c.CommandPath(), code, stderr)
			}
			walk(c)
		}
	}
	walk(Command(strings.NewReader(""), io.Discard, io.Discard))
	if groups < 6 {
		t.Errorf("%d commands have others below them", groups)
	}
}

func TestSlips(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"show", "show", 0},
		{"shwo", "show", 1},
		{"hsow", "show", 1},
		{"sow", "show", 1},
		{"showw", "show", 1},
		{"shaw", "show", 1},
		{"wohs", "show", 3},
		{"pull", "push", 2},
		{"ca", "abc", 3},
	} {
		if got := slips(row.a, row.b); got != row.want {
			t.Errorf("slips(%q, %q) = %d, not %d", row.a, row.b, got, row.want)
		}
	}
}
