package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// githubAction is a composite action
// (https://docs.github.com/actions/reference/metadata-syntax-reference).
type githubAction struct {
	Inputs map[string]struct {
		Required bool   `json:"required"`
		Default  string `json:"default"`
	} `json:"inputs"`
	Outputs map[string]struct {
		Value string `json:"value"`
	} `json:"outputs"`
	Runs struct {
		Steps []struct {
			ID  string            `json:"id"`
			Env map[string]string `json:"env"`
			Run string            `json:"run"`
		} `json:"steps"`
	} `json:"runs"`
}

var expression = regexp.MustCompile(`\$\{\{ ([a-z0-9_.-]+) \}\}`)

// github runs a composite action as a runner does: each step by bash with the flags
// that the runner gives it, its files of outputs and of the summary, and commands of the
// workflow read from what it prints. What one run prints twice, as attempts do, is
// appended.
func (r *ciRun) github(file, _ string) int {
	text, err := os.ReadFile(filepath.Join(file, "action.yml"))
	r.ts.Check(err)
	action := parseYAML[githubAction](r.ts, string(text))
	values := map[string]string{}
	for name, in := range action.Inputs {
		value, given := r.inputs[name]
		if !given && in.Required {
			r.ts.Fatalf("the input %s is missing", name)
		}
		if !given {
			value = in.Default
		}
		values["inputs."+name] = value
	}
	for name := range r.inputs {
		if _, ok := action.Inputs[name]; !ok {
			r.ts.Fatalf("there is no input %s", name)
		}
	}
	fill := func(s string) string {
		return expression.ReplaceAllStringFunc(s, func(m string) string { return values[expression.FindStringSubmatch(m)[1]] })
	}
	for _, f := range []string{"ci.out", "ci.summary", "ci.commands"} {
		_ = os.Remove(r.ts.MkAbs(f))
	}
	code := 0
	for _, step := range action.Runs.Steps {
		output, script := filepath.Join(r.dir, "output"), filepath.Join(r.dir, "step.sh")
		r.ts.Check(os.WriteFile(output, nil, 0o644))
		r.ts.Check(os.WriteFile(script, []byte(fill(step.Run)), 0o644))
		env := []string{
			"GITHUB_ACTION_PATH=" + file, "RUNNER_TEMP=" + r.dir, "GITHUB_OUTPUT=" + output,
			"GITHUB_STEP_SUMMARY=" + r.ts.MkAbs("ci.summary"), "GITHUB_PATH=" + filepath.Join(r.dir, "path"),
		}
		for name, value := range step.Env {
			env = append(env, name+"="+fill(value))
		}
		code = r.exec(env, "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script)
		r.outputs = map[string]string{}
		written, err := os.ReadFile(output)
		r.ts.Check(err)
		r.take(string(written))
		for name, value := range r.outputs {
			values["steps."+step.ID+".outputs."+name] = value
		}
		if code != 0 {
			break
		}
	}
	r.outputs = map[string]string{}
	for name, out := range action.Outputs {
		r.outputs[name] = fill(out.Value)
	}
	r.write("ci.commands", strings.Join(workflowCommands(r.read("ci.out")), ""))
	return code
}

// workflowCommands are the lines that a runner takes for commands: those that begin
// with "::", after blanks, and those with "##[" anywhere, unless commands are stopped
// (https://docs.github.com/actions/reference/workflow-commands, "Stopping and starting
// workflow commands").
func workflowCommands(log string) (out []string) {
	stopped := ""
	for line := range strings.Lines(log) {
		text := strings.TrimSpace(line)
		switch {
		case stopped != "":
			if text == "::"+stopped+"::" {
				stopped = ""
			}
		case strings.HasPrefix(text, "::stop-commands::"):
			stopped = strings.TrimPrefix(text, "::stop-commands::")
		case strings.HasPrefix(text, "::"), strings.Contains(text, "##["):
			out = append(out, line)
		}
	}
	return out
}
