package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/profile"
)

type lintFlags struct {
	option.Output
	option.Registry
	option.Trust
}

func (a *app) lintCommand() *cobra.Command {
	var f lintFlags
	cmd := &cobra.Command{
		Use:   "lint TARGET",
		Short: "Check the CNCF AI profile of a model, what backs its promises, and its ModelPack manifest",
		Long: `Hold the annotations of the model that TARGET names against the CNCF AI
interoperability profile (draft 0.1). An annotation is a pointer and no proof: one that
promises a signature, an SBOM or provenance holds only when that is attached, is
about this artifact, and verifies by whom you trust.

It also tells what the manifest and its config have otherwise than the ModelPack
specification (v0.0.7) wants it, and with which modseal and others read them all the
same. That is for who makes such models, and changes no exit code.

Manifests, the config and claims are read, no layer. It exits with 0 when everything holds that the
profile demands, with 3 when something does not, and with 4 when only nobody was
named to verify with.`,
		Example: `  modseal lint registry.example.com/team/model:v1 --key release.pub

  # pushed so that it conforms
  modseal push ./model registry.example.com/team/model:v1 --key release.key --sbom --provenance --profile cncf-ai`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Trust.AddFlags(cmd.Flags())
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkTrust(cmd) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runLint(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runLint(ctx context.Context, target string, f *lintFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	res, err := client.Lint(ctx, target, modseal.LintOptions{Trust: a.trust(&f.Trust)})
	if err != nil {
		return err
	}
	if err := a.print(&f.Output, res, func(w io.Writer) { writeLint(w, res) }); err != nil {
		return err
	}
	switch {
	case res.Conforms:
		return nil
	case res.Undecided:
		return &toldError{code: exitUndecided}
	}
	return errToldAlready
}

// outcomeWords are the outcomes of annotations in the words of people.
var outcomeWords = map[profile.Outcome]string{
	profile.Holds: "holds", profile.Missing: "MISSING", profile.Invalid: "INVALID", profile.Unproven: "UNPROVEN", profile.Undecided: "undecided",
}

func writeLint(w io.Writer, r *modseal.LintResult) {
	f := render.NewFields(w)
	f.Add("reference", r.Reference)
	f.Add("digest", r.Digest)
	f.Add("profile", r.Profile+" "+r.Version)
	switch {
	case r.Conforms:
		f.Add("result", "it conforms")
	case r.Undecided:
		f.Add("result", "undecided: nobody was named to verify with")
	default:
		f.Add("result", "it does NOT conform")
	}
	f.Flush()
	fmt.Fprintln(w)
	wide := 0
	for _, x := range r.Findings {
		wide = max(wide, len(x.Key))
	}
	for _, x := range r.Findings {
		writeLintLine(w, x.Level, outcomeWords[x.Outcome], wide, x.Key, x.Value, x.Found, prefixed("next: ", x.Next))
	}
	if len(r.Deviations) == 0 {
		return
	}
	fmt.Fprintf(w, "\notherwise than ModelPack %s has it, and read all the same\n", profile.ModelPackVersion)
	wide = 0
	for _, x := range r.Deviations {
		wide = max(wide, len(x.Where))
	}
	for _, x := range r.Deviations {
		of := ""
		if x.Layers > 1 {
			of = "in " + render.Count(x.Layers, "layer")
		}
		writeLintLine(w, x.Level, "note", wide, x.Where, of, x.Found, "see "+x.Clause)
	}
}

func writeLintLine(w io.Writer, level profile.Level, outcome string, wide int, key, value string, more ...string) {
	fmt.Fprintln(w, strings.TrimSpace(fmt.Sprintf("%-6s  %-9s  %-*s  %s", level, outcome, wide, key, render.Clean(value))))
	for _, text := range more {
		if text != "" {
			fmt.Fprintln(w, strings.Repeat(" ", 21)+render.Clean(text))
		}
	}
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
