package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/verify"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write and check the document that says which models may be used",
		Long: `A policy says, per repository, whose signatures a model must carry before it may be
used. pull and verify read it from --policy FILE, or from
$XDG_CONFIG_HOME/modseal/policy.yaml (~/.config/modseal/policy.yaml) when it exists.

Policies of the machine, modseal/policy.yaml in /etc/xdg and in each of $XDG_CONFIG_DIRS,
hold besides, whatever else is said: the stricter wins.`,
	}
	cmd.AddCommand(a.policyInitCommand(), a.policyCheckCommand(), a.policyExplainCommand())
	return cmd
}

func (a *app) policyCheckCommand() *cobra.Command {
	var o option.Output
	var target string
	cmd := &cobra.Command{
		Use:        "check [FILE]",
		SuggestFor: []string{"validate", "lint"},
		Short:      "Read a policy strictly and say what is wrong or perhaps not meant",
		Long: `Read the policy in FILE, or the default one, strictly, load its keys, and say what
is wrong or perhaps not meant.`,
		Example: `  modseal policy check policy.yaml
  modseal policy check policy.yaml --for registry.example.com/team/model`,
		Args: cobra.MaximumNArgs(1),
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&target, "for", "", "say also which scope applies to this `TARGET`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file := a.env.defaultPolicy()
		if len(args) == 1 {
			file = args[0]
		}
		client, err := a.localClient()
		if err != nil {
			return err
		}
		res, err := client.CheckPolicy(cmd.Context(), file, target)
		if errors.Is(err, fs.ErrNotExist) && missing(file) {
			return a.noPolicy(file)
		}
		if err != nil {
			return err
		}
		return a.print(&o, res, func(w io.Writer) { writePolicyCheck(w, res) })
	}
	return cmd
}

func missing(file string) bool {
	_, err := os.Lstat(file)
	return errors.Is(err, fs.ErrNotExist)
}

// noPolicy says that there is no policy to check, and where there is one.
func (a *app) noPolicy(file string) error {
	next := "name another file, or have one written: modseal policy init --file " + file
	for _, site := range a.env.sitePolicies() {
		if !missing(site) {
			next += "; that of the site: modseal policy check " + site
		}
	}
	return &verify.Undecided{Why: "there is no policy at " + file, Next: next}
}

func writePolicyCheck(w io.Writer, r *modseal.PolicyCheck) {
	f := render.NewFields(w)
	f.Add("valid", r.File)
	f.Add("scopes", fmt.Sprint(r.Scopes))
	for _, s := range r.Signers {
		f.Add("signer", policySigner(s))
	}
	if r.Target != "" {
		f.Add("applies", r.Target+": scope "+r.AppliedScope)
	}
	for _, warning := range r.Warnings {
		where := r.File
		if warning.Line > 0 {
			where += fmt.Sprintf(":%d", warning.Line)
		}
		f.Add("warning", where+": "+warning.Message)
	}
	f.Flush()
}

// policySigner says in words who a signer is.
func policySigner(s modseal.PolicySigner) string {
	switch s.Method {
	case sign.MethodCertificate:
		return s.Name + ": a certificate of " + s.Identity
	case sign.MethodKeyless:
		return s.Name + ": keyless, " + s.Identity + " of issuer " + s.Issuer
	case sign.MethodKey:
	}
	out := s.Name + ": " + s.Algorithm
	if s.Fingerprint != "" {
		out += ", " + render.Short(s.Fingerprint)
	}
	return out
}
