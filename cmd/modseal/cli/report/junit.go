package report

import (
	"encoding/xml"
	"strings"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
)

// JUnit's form as GitLab reads it: what differs from the last run is shown at the
// merge request (https://docs.gitlab.com/ci/testing/unit_test_reports/).
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   junitSuite
	}
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit has a case for each requirement, and one for the command. A requirement
// that is not met is a failure; that nothing could be decided is an error.
func junit(r Report) ([]byte, error) {
	s := junitSuite{Name: line(r.Command + " " + r.Target)}
	for _, c := range r.Checks {
		jc := junitCase{Class: line(r.Command), Name: line(c.Name)}
		if !c.Passed {
			jc.Failure = &junitProblem{Message: line(c.Found), Text: line(c.Next)}
			s.Failures++
		}
		s.Cases = append(s.Cases, jc)
	}
	whole := junitCase{Class: line(r.Command), Name: line(r.Target)}
	problem := &junitProblem{Message: line(r.Error), Text: render.Clean(strings.Join(r.Next, "; "))}
	switch {
	case r.ExitCode == 0:
	case r.Outcome == Refused || r.Outcome == Drift || r.Outcome == Integrity:
		whole.Failure = problem
		s.Failures++
	default:
		whole.Error = problem
		s.Errors++
	}
	s.Cases = append(s.Cases, whole)
	s.Tests = len(s.Cases)
	out, err := xml.MarshalIndent(junitSuites{Suite: s}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(out, '\n')...), nil
}
