package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// generateScanRules writes what each rule of scan means into dir, under a heading
// that is its id: SARIF links there.
func generateScanRules(dir string) error {
	return os.WriteFile(filepath.Join(dir, "scan-rules.md"), scanRules(), 0o644)
}

func scanRules() []byte {
	var out bytes.Buffer
	fmt.Fprint(&out, `# The rules of scan

Generated from the scanner's own table (`+"`pkg/modelfile/hazard`"+`). [Scan](../scan.md) explains how they work together. The
severity is that of most findings of a rule; some are lowered or raised by what they are about. A file with a finding of a rule
marked *incomplete* was not read to its end.
`)
	for _, r := range hazard.Rules() {
		fmt.Fprintf(&out, "\n## %s\n\n**%s**", r.ID, r.Severity)
		if r.Incomplete {
			fmt.Fprint(&out, ", *incomplete*")
		}
		fmt.Fprintf(&out, ": %s.\n\n%s\n", strings.TrimSuffix(r.Title, "."), markdownText(r.Help))
		for i, ref := range r.References {
			if i == 0 {
				fmt.Fprint(&out, "\n")
			}
			fmt.Fprintf(&out, "- %s\n", ref)
		}
	}
	return out.Bytes()
}

// markdownText keeps what Markdown would take for emphasis or HTML as it is.
func markdownText(s string) string {
	return strings.NewReplacer("_", `\_`, "*", `\*`, "<", `\<`).Replace(s)
}
