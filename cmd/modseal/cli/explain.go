package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/xlab/treeprint"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/verify"
)

type explainFlags struct {
	option.Output
	option.Registry
	option.Trust
}

func (a *app) policyExplainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain TARGET",
		Short: "Show, requirement by requirement, what was found and why it holds or not",
		Long: `Decide on the model that TARGET names as verify does, and show each requirement of
each policy that applies: what was looked for, what was found, from whom, and why it
holds or not. The exit code is that of verify: 3 when the model is refused. Nothing
is remembered, and no layer is read.`,
		Example: `  modseal policy explain registry.example.com/team/model:v1
  modseal policy explain registry.example.com/team/model:v1 --policy next.yaml --output json`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Trust.AddFlags(cmd.Flags())
	cmd.ValidArgsFunction = a.completeTarget
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkTrust(cmd) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.client(&f.Registry, nil)
		if err != nil {
			return err
		}
		res, err := client.Explain(cmd.Context(), args[0], a.trust(&f.Trust))
		if err != nil {
			return err
		}
		a.warn(&f.Output, res.Verification.Warnings...)
		if err := a.print(&f.Output, res, func(w io.Writer) { fmt.Fprint(w, explanation(res)) }); err != nil {
			return err
		}
		if res.Verification.Decision == verify.Refused {
			return errToldAlready
		}
		return nil
	}
	return cmd
}

// explanation draws the decision as a tree: policies, their requirements, and the
// evidence of each.
func explanation(r *modseal.VerifyResult) string {
	tree := treeprint.NewWithRoot(render.Clean(r.Reference) + "\n" + r.Digest + "  " + decisionWord(r.Verification.Decision))
	var branch treeprint.Tree
	policyName := ""
	for i, q := range r.Verification.Requirements {
		if name := policyLine(q); i == 0 || name != policyName {
			policyName = name
			branch = tree.AddBranch(render.Clean(name))
		}
		addRequirement(branch, q)
	}
	return tree.String()
}

func policyLine(q verify.RequirementResult) string {
	if q.Mode == policy.ModeWarn {
		return q.Policy + ", which only warns"
	}
	return q.Policy
}

func decisionWord(d verify.Decision) string {
	switch d {
	case verify.Accepted:
		return "accepted"
	case verify.Warned:
		return "accepted with warnings"
	case verify.Refused:
		return "REFUSED"
	case verify.Skipped:
	}
	return string(d)
}

func addRequirement(tree treeprint.Tree, q verify.RequirementResult) {
	word := "holds    "
	if q.Outcome != verify.Passed {
		word = "NOT MET  "
	}
	branch := tree.AddBranch(word + render.Clean(q.Name))
	say := func(format string, args ...any) { branch.AddNode(render.Clean(fmt.Sprintf(format, args...))) }
	if q.Outcome != verify.Passed {
		say("looked for: %s", q.LookedFor)
	}
	if q.Found != "" && (q.Outcome != verify.Passed || len(q.Evidence) == 0) {
		say("found:      %s", q.Found)
	}
	for _, d := range q.Details {
		if !aboutEvidence(d, q.Evidence) {
			say("- %s", d)
		}
	}
	for _, e := range q.Evidence {
		// What does not count matters where something is missing.
		if e.Outcome == verify.Counted || q.Outcome != verify.Passed {
			say("%s", evidenceLine(e))
		}
	}
	if q.Next != "" {
		say("next:       %s", q.Next)
	}
}

// aboutEvidence holds for a detail that names a bundle, of which its own line
// says the same.
func aboutEvidence(detail string, evidence []verify.EvidenceResult) bool {
	return slices.ContainsFunc(evidence, func(e verify.EvidenceResult) bool {
		return strings.HasPrefix(detail, render.Short(e.Digest.String()))
	})
}

// evidenceLine says what one bundle is for a requirement.
func evidenceLine(e verify.EvidenceResult) string {
	if e.Outcome != verify.Counted {
		return fmt.Sprintf("%s does not count: it %s", render.Short(e.Digest.String()), e.Why)
	}
	line := fmt.Sprintf("%s counts: by %s", render.Short(e.Digest.String()), who(e.Signer, e.Identity))
	switch {
	case e.Issuer != "":
		line += ", vouched for by " + e.Issuer
	case e.Fingerprint != "":
		line += ", key " + render.Short(e.Fingerprint)
	}
	if e.TimeSource != "" && e.TimeSource != "clock" {
		line += fmt.Sprintf(", at %s by %s", e.Time.UTC().Format(time.RFC3339), e.TimeSource)
	}
	if e.Summary != nil {
		line += ": " + e.Summary.String()
	}
	return line
}
