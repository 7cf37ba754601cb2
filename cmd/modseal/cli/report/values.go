package report

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
)

// values are what later steps branch on. Each is a word or a digest.
func values(r Report) [][2]string {
	return [][2]string{
		{"digest", r.Digest},
		{"verified", fmt.Sprint(r.Verified)},
		{"vsa", r.VSA},
		{"outcome", r.Outcome},
		{"exit_code", fmt.Sprint(r.ExitCode)},
		{"retry", fmt.Sprint(r.Retry)},
	}
}

// line keeps a value on its line: a second line would be a second value.
func line(s string) string { return render.Clean(s) }

// outputs is the form of the file GITHUB_OUTPUT
// (https://docs.github.com/actions/reference/workflow-commands, "Setting an output parameter").
func outputs(r Report) ([]byte, error) {
	var b bytes.Buffer
	for _, v := range values(r) {
		fmt.Fprintf(&b, "%s=%s\n", v[0], line(v[1]))
	}
	return b.Bytes(), nil
}

// dotenv is the form of GitLab's report artifacts:reports:dotenv, whose names have
// letters, digits and underscores, and whose values are not quoted
// (https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv).
func dotenv(r Report) ([]byte, error) {
	var b bytes.Buffer
	for _, v := range values(r) {
		fmt.Fprintf(&b, "MODSEAL_%s=%s\n", strings.ToUpper(v[0]), line(v[1]))
	}
	return b.Bytes(), nil
}

// value writes one value and nothing else, as Tekton wants a result and Argo
// Workflows an output parameter.
func value(of func(Report) string) func(Report) ([]byte, error) {
	return func(r Report) ([]byte, error) { return []byte(line(of(r))), nil }
}

func asJSON(r Report) ([]byte, error) {
	var b bytes.Buffer
	err := render.JSON(&b, r)
	return b.Bytes(), err
}
