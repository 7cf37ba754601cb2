package report

import (
	"bytes"
	"fmt"
	"strings"
)

// annotations are workflow commands of GitHub Actions, one a line
// (https://docs.github.com/actions/reference/workflow-commands, "Setting an error
// message"). A requirement of a policy that is a file is shown at that file.
func annotations(r Report) ([]byte, error) {
	var b bytes.Buffer
	title := r.Command + ": " + strings.ReplaceAll(r.Outcome, "-", " ")
	if r.ExitCode == 0 {
		what := "done"
		if r.Verified {
			what = "verified"
		}
		command(&b, "notice", "", r.Command+": "+what, strings.TrimSpace(r.Target+" "+r.Digest))
		return b.Bytes(), nil
	}
	told := false
	for i, c := range r.Checks {
		if c.Passed || i >= mostChecks {
			continue
		}
		text := r.Target + ": not met: " + c.Name + ": " + c.Found
		if c.Next != "" {
			text += "\nnext: " + c.Next
		}
		command(&b, "error", policyFile(c.Policy), title, text)
		told = true
	}
	if !told {
		text := r.Error
		for _, n := range r.Next {
			text += "\nnext: " + n
		}
		command(&b, "error", "", title+", "+advice(r), text)
	}
	return b.Bytes(), nil
}

// policyFile is the file of a policy, which is called FILE scope PREFIX.
func policyFile(policy string) string {
	policy, _, _ = strings.Cut(policy, " scope ")
	if strings.HasSuffix(policy, ".yaml") || strings.HasSuffix(policy, ".yml") || strings.HasSuffix(policy, ".json") {
		return policy
	}
	return ""
}

// command writes one workflow command, escaped as @actions/core does
// (packages/core/src/command.ts).
func command(b *bytes.Buffer, name, file, title, text string) {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	b.WriteString("::" + name + " ")
	if file != "" {
		fmt.Fprintf(b, "file=%s,", property.Replace(file))
	}
	fmt.Fprintf(b, "title=%s::%s\n", property.Replace(title), data.Replace(cut(text)))
}
