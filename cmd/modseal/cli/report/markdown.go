package report

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
)

// mostChecks and mostText bound what people read: GitHub shows a summary of 1 MiB at
// most, and nothing of a longer one.
const (
	mostChecks = 100
	mostText   = 1_000
)

// markdown is a section of a job summary.
func markdown(r Report) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "### %s: %s\n\n", r.Command, headline(r))
	rows := [][]string{{"target", code(r.Target)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, code(value)})
		}
	}
	add("digest", r.Digest)
	add("verification summary", r.VSA)
	for _, f := range r.Facts {
		add(f.Name, f.Value)
	}
	if r.ExitCode != 0 {
		rows = append(rows, []string{"exit code", fmt.Sprintf("%d (%s)", r.ExitCode, advice(r))})
	}
	render.Table(&b, []string{"", ""}, rows)
	if len(r.Checks) > 0 {
		fmt.Fprintln(&b)
		render.Table(&b, []string{"", "requirement", "found"}, checkRows(r.Checks))
	}
	if r.Error != "" {
		fmt.Fprintf(&b, "\n%s\n", code(r.Error))
	}
	for _, n := range r.Next {
		fmt.Fprintf(&b, "\nNext: %s\n", code(n))
	}
	fmt.Fprintln(&b) // another section may follow
	return b.Bytes(), nil
}

func checkRows(checks []Check) [][]string {
	var rows [][]string
	for i, c := range checks {
		if i == mostChecks {
			rows = append(rows, []string{"", fmt.Sprintf("and %d more", len(checks)-i), ""})
			break
		}
		mark := "❌ not met"
		if c.Passed {
			mark = "✅ met"
		}
		rows = append(rows, []string{mark, code(c.Name), code(c.Found)})
	}
	return rows
}

func code(s string) string { return render.Code(cut(s)) }

func cut(s string) string {
	if r := []rune(s); len(r) > mostText {
		return string(r[:mostText]) + "…"
	}
	return s
}

// headline is the outcome in a few words.
func headline(r Report) string {
	switch {
	case r.ExitCode == 0 && r.Verified:
		return "✅ verified"
	case r.ExitCode == 0:
		return "✅ done"
	}
	return "❌ " + strings.ReplaceAll(r.Outcome, "-", " ")
}

// advice says whether to try again.
func advice(r Report) string {
	switch r.Outcome {
	case Transport:
		return "try again: work that was done is kept"
	case Refused:
		return "refused: trying again changes nothing"
	case Drift:
		return "the destination tag holds something else"
	case Undecided:
		return "nothing says whom to trust"
	}
	return strings.ReplaceAll(r.Outcome, "-", " ")
}
