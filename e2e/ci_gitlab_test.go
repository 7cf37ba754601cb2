package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

type (
	gitlabHeader struct {
		Spec struct {
			Inputs map[string]struct {
				Default *string `json:"default"`
			} `json:"inputs"`
		} `json:"spec"`
	}
	gitlabJob struct {
		Variables map[string]string `json:"variables"`
		Script    []string          `json:"script"`
		Retry     struct {
			Max       int   `json:"max"`
			ExitCodes []int `json:"exit_codes"`
		} `json:"retry"`
		Artifacts struct {
			When    string   `json:"when"`
			Paths   []string `json:"paths"`
			Reports struct {
				Dotenv string `json:"dotenv"`
				JUnit  string `json:"junit"`
			} `json:"reports"`
		} `json:"artifacts"`
	}
)

var gitlabInput = regexp.MustCompile(`\$\[\[ inputs\.([a-z_]+) \]\]`)

// gitlab runs the one job of a component as a runner does: the lines of its script one
// after the other in one POSIX shell that stops at the first that fails, again when the
// exit code is one of retry, and with the reports of a job that failed when it says so.
func (r *ciRun) gitlab(file, _ string) int {
	text, err := os.ReadFile(filepath.Join(file, "template.yml"))
	r.ts.Check(err)
	head, body, _ := strings.Cut(string(text), "\n---\n")
	inputs := parseYAML[gitlabHeader](r.ts, head).Spec.Inputs
	for name := range r.inputs {
		if _, ok := inputs[name]; !ok {
			r.ts.Fatalf("there is no input %s", name)
		}
	}
	body = gitlabInput.ReplaceAllStringFunc(body, func(m string) string {
		name := gitlabInput.FindStringSubmatch(m)[1]
		if value, ok := r.inputs[name]; ok {
			return value
		}
		if inputs[name].Default == nil {
			r.ts.Fatalf("the input %s is missing", name)
		}
		return *inputs[name].Default
	})
	_ = os.Remove(r.ts.MkAbs("ci.out"))
	for _, job := range parseYAML[map[string]gitlabJob](r.ts, body) {
		return r.gitlabJob(job)
	}
	r.ts.Fatalf("%s has no job", file)
	return 0
}

func (r *ciRun) gitlabJob(job gitlabJob) int {
	var env []string
	for name, value := range job.Variables {
		env = append(env, name+"="+value)
	}
	script := filepath.Join(r.dir, "script.sh")
	r.ts.Check(os.WriteFile(script, []byte("set -e\n"+strings.Join(job.Script, "\n")+"\n"), 0o644))
	code := 0
	for range job.Retry.Max + 1 {
		for _, f := range append(job.Artifacts.Paths, job.Artifacts.Reports.Dotenv, job.Artifacts.Reports.JUnit) {
			_ = os.Remove(r.ts.MkAbs(f))
		}
		if code = r.exec(env, "sh", script); !slices.Contains(job.Retry.ExitCodes, code) {
			break
		}
	}
	if code == 0 || job.Artifacts.When == "always" {
		r.take(r.read(job.Artifacts.Reports.Dotenv))
		for _, f := range append(job.Artifacts.Paths, job.Artifacts.Reports.JUnit) {
			if r.read(f) == "" {
				r.ts.Fatalf("the job left no %s", f)
			}
		}
	}
	return code
}
