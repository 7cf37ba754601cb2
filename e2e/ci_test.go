package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"
)

// What hack/ci has is run here as its systems run it: as little of each as it takes,
// with the documents as they are.

// ciRun is one run of something in hack/ci.
type ciRun struct {
	ts     *testscript.TestScript
	dir    string // of its own: RUNNER_TEMP, results, mounts
	inputs map[string]string
	lists  map[string][]string // inputs that are lists: KEY+=VALUE, one after the other

	outputs map[string]string
}

// ci SYSTEM CODE FILE [NAME] [KEY=VALUE…] [KEY+=VALUE…] runs FILE of hack/ci, which ends
// with CODE. In a value \n is a line break, and @FILE is what is in FILE. Afterwards ci.out has what it printed,
// ci.outputs its outputs, ci.summary and ci.commands what GitHub would show.
func ci(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 3, neg, "ci github|gitlab|tekton|argo|container CODE FILE [NAME] [KEY=VALUE…]")
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir, err := os.MkdirTemp(ts.MkAbs("."), ".ci-")
	ts.Check(err)
	r := &ciRun{ts: ts, dir: dir, inputs: map[string]string{}, lists: map[string][]string{}, outputs: map[string]string{}}
	file, rest := repository(filepath.Join("hack/ci", args[2])), args[3:]
	name := ""
	if len(rest) > 0 && !strings.Contains(rest[0], "=") {
		name, rest = rest[0], rest[1:]
	}
	for _, a := range rest {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			ts.Fatalf("%q is no KEY=VALUE", a)
		}
		value = strings.ReplaceAll(value, `\n`, "\n")
		if from, ok := strings.CutPrefix(value, "@"); ok {
			value = strings.TrimSpace(ts.ReadFile(from))
		}
		if list, ok := strings.CutSuffix(key, "+"); ok {
			r.lists[list] = append(r.lists[list], value)
			continue
		}
		r.inputs[key] = value
	}
	run := map[string]func(file, name string) int{
		"github": r.github, "gitlab": r.gitlab, "tekton": r.tekton, "argo": r.argo, "container": r.container,
	}[args[0]]
	if run == nil {
		ts.Fatalf("there is no system %q", args[0])
	}
	code := run(file, name)
	var lines []string
	for k, v := range r.outputs {
		lines = append(lines, k+"="+v+"\n")
	}
	slices.Sort(lines)
	r.write("ci.outputs", strings.Join(lines, ""))
	if code != want {
		ts.Fatalf("it ended with %d, not with %d\n%s", code, want, r.read("ci.out"))
	}
}

func (r *ciRun) write(name, text string) {
	r.ts.Check(os.WriteFile(r.ts.MkAbs(name), []byte(text), 0o644))
}

func (r *ciRun) read(name string) string {
	text, err := os.ReadFile(r.ts.MkAbs(name))
	if err != nil && !os.IsNotExist(err) {
		r.ts.Fatalf("%v", err)
	}
	return string(text)
}

// parse reads a document of hack/ci.
func parseYAML[T any](ts *testscript.TestScript, text string) T {
	var v T
	ts.Check(yaml.Unmarshal([]byte(text), &v))
	return v
}

// exec runs a program in the environment of the script and env, with what it prints
// in ci.out, and returns its exit code.
func (r *ciRun) exec(env []string, argv ...string) int {
	err := r.ts.Exec("env", append(env, argv...)...)
	r.write("ci.out", r.read("ci.out")+r.ts.ReadFile("stdout")+r.ts.ReadFile("stderr"))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.ts.Fatalf("%q: %v", argv, err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// take reads KEY=VALUE lines as outputs.
func (r *ciRun) take(text string) {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			r.ts.Fatalf("%q is no output", line)
		}
		r.outputs[key] = value
	}
}

// program VAR sets VAR to the path of the real modseal, a binary of its own.
func programPath(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "program VAR")
	ts.Setenv(args[0], realProgram(ts, "modseal"))
}
