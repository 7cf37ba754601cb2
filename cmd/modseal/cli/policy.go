package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write and check the document that says which models may be used",
		Long: `A policy says, per repository, whose signatures a model must carry before it may be
used. pull and verify read it from --policy FILE, or from
$XDG_CONFIG_HOME/modseal/policy.yaml when it exists.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.policyInitCommand(), a.policyCheckCommand())
	return cmd
}

func (a *app) policyInitCommand() *cobra.Command {
	var o option.Output
	var p modseal.PolicyInit
	var file string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a policy to begin with",
		Long: `Write a policy that accepts what the given key signed in the repositories below
the given prefix, and nothing else. The key itself is written into the policy, so
that the file can be moved. An existing file is never overwritten.`,
		Example: `  # the default policy of this user
  modseal policy init --key release.pub --prefix registry.example.com/team

  # look at it first
  modseal policy init --key release.pub --prefix registry.example.com/team --file -`,
		Args: exactArgs(),
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&p.KeyFile, "key", "", "public key `FILE` of the signer")
	cmd.Flags().StringVar(&p.Prefix, "prefix", "", "registry, or repository, or the beginning of its path; oci: for layouts, * for everything")
	cmd.Flags().StringVar(&p.SignerName, "name", "", "name of the signer in messages (default: the key's file name)")
	cmd.Flags().BoolVar(&p.OMSRequired, "require-oms", false, "demand an OMS signature of the files too")
	cmd.Flags().StringVar(&file, "file", "", "`FILE` to write; - for standard output (default: $XDG_CONFIG_HOME/modseal/policy.yaml)")
	_ = cmd.MarkFlagRequired("key")
	_ = cmd.MarkFlagRequired("prefix")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			if file = a.env.defaultPolicy(); file == "" {
				return usageError(cmd, errors.New("there is no home directory; say where to write with --file"))
			}
		}
		if file == "-" {
			text, err := modseal.NewPolicy(p)
			if err == nil {
				_, err = a.out.Write(text)
			}
			return err
		}
		if err := modseal.WritePolicy(file, p); err != nil {
			return err
		}
		return a.print(&o, map[string]string{"file": file}, func(w io.Writer) { fmt.Fprintf(w, "wrote %s\n", file) })
	}
	return cmd
}

func (a *app) policyCheckCommand() *cobra.Command {
	var o option.Output
	var target string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Read a policy strictly and say what is wrong or perhaps not meant",
		Long: `Read the policy in FILE, or the default one, strictly, load its keys, and say what
is wrong or perhaps not meant.`,
		Example: `  modseal policy check policy.yaml
  modseal policy check policy.yaml --for registry.example.com/team/model`,
		Args: cobra.MaximumNArgs(1),
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&target, "for", "", "say also which scope applies to this `TARGET`")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		file := a.env.defaultPolicy()
		if len(args) == 1 {
			file = args[0]
		}
		res, err := modseal.CheckPolicy(file, target)
		if err != nil {
			return err
		}
		return a.print(&o, res, func(w io.Writer) { writePolicyCheck(w, res) })
	}
	return cmd
}

func writePolicyCheck(w io.Writer, r *modseal.PolicyCheck) {
	f := render.NewFields(w)
	f.Add("valid", r.File)
	f.Add("scopes", fmt.Sprint(r.Scopes))
	for _, k := range r.Keys {
		f.Add("key", k.Name+", "+k.Algorithm+", "+render.Short(k.Fingerprint))
	}
	if r.Target != "" {
		f.Add("applies", r.Target+": scope "+r.AppliedScope)
	}
	for _, warning := range r.Warnings {
		f.Add("warning", fmt.Sprintf("%s:%d: %s", r.File, warning.Line, warning.Message))
	}
	f.Flush()
}
