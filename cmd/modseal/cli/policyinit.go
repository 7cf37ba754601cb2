package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

type policyInitFlags struct {
	option.Output
	option.Registry
	option.Signers
	prefix      string
	name        string
	file        string
	omsRequired bool
	yes         bool
}

func (a *app) policyInitCommand() *cobra.Command {
	var f policyInitFlags
	cmd := &cobra.Command{
		Use:        "init [TARGET]",
		SuggestFor: []string{"create", "new"},
		Short:      "Write a policy to begin with",
		Long: `Write a policy that accepts what the given signers signed in the repositories below
the given prefix, and nothing else.

With TARGET, the policy is made from what that artifact carries: whoever signed it
and can be verified becomes a signer, and the attestations by them that are there
are required. It is shown first, and you are asked; --yes writes without asking.
Keyless signatures are verified by --trusted-root; others by the --key or the
--certificate-chain that you name, since what came with an artifact proves nothing
about itself. With --certificate-identity or --certificate-oidc-issuer, nobody else
with a certificate becomes a signer.

Keys and certificates are written into the policy, so that the file can be moved. An
existing file is never overwritten.`,
		Example: `  # the default policy of this user
  modseal policy init --key release.pub --prefix registry.example.com/team

  # from what an artifact carries
  modseal policy init registry.example.com/team/model:v1 --key release.pub

  # look at it first
  modseal policy init --key release.pub --prefix registry.example.com/team --file -`,
		Args: cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	f.Output.AddFlags(flags)
	f.Registry.AddFlags(flags)
	f.Signers.AddFlags(flags)
	flags.StringVar(&f.prefix, "prefix", "", "registry, or repository, or the beginning of its path; oci: for layouts, * for everything (default: the repository of TARGET)")
	flags.StringVar(&f.name, "name", "", "name of the signer in messages (default: the key's file name, or the identity)")
	flags.BoolVar(&f.omsRequired, "require-oms", false, "demand an OMS signature of the files too")
	flags.StringVar(&f.file, "file", "", "`FILE` to write; - for standard output (default: $XDG_CONFIG_HOME/modseal/policy.yaml)")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask before a policy made from TARGET is written")
	cmd.ValidArgsFunction = a.completeTarget
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && f.prefix == "" {
			return usageError(cmd, errors.New("say for which repositories with --prefix, or name an artifact to begin from"))
		}
		return checkTrust(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runPolicyInit(cmd, args, &f) }
	return cmd
}

func (a *app) runPolicyInit(cmd *cobra.Command, args []string, f *policyInitFlags) error {
	if f.file == "" {
		if f.file = a.env.defaultPolicy(); f.file == "" {
			return usageError(cmd, errors.New("there is no home directory; say where to write with --file"))
		}
	}
	if f.file != "-" {
		if err := modseal.CheckNewPolicy(f.file); err != nil {
			return err
		}
	}
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	init := modseal.PolicyInit{
		Trust:  a.trust(&option.Trust{Signers: f.Signers}),
		Prefix: f.prefix, SignerName: f.name, OMSRequired: f.omsRequired,
	}
	if len(args) == 1 {
		init.Target = args[0]
	}
	draft, err := client.DraftPolicy(cmd.Context(), init)
	if draft != nil && !f.Quiet && !f.JSON() {
		a.showFound(draft.Found)
	}
	if err != nil {
		return err
	}
	for _, key := range draft.Unused {
		a.warn(&f.Output, "nothing attached is signed by "+key+", and the policy does not name it")
	}
	if f.file == "-" {
		_, err = a.out.Write(draft.Text)
		return err
	}
	if init.Target != "" && !f.yes {
		if ok, err := a.agree(cmd, draft, f); err != nil || !ok {
			return err
		}
	}
	if err := modseal.WritePolicy(f.file, draft.Text); err != nil {
		return err
	}
	result := struct {
		File string `json:"file"`
		*modseal.PolicyDraft
	}{f.file, draft}
	return a.print(&f.Output, result, func(w io.Writer) { fmt.Fprintf(w, "wrote %s\n", f.file) })
}

// showFound says what the artifact carries, and who is verified to have signed it.
func (a *app) showFound(found []modseal.FoundClaim) {
	fields := render.NewFields(a.err)
	for _, c := range found {
		name := modseal.ClaimName(c.PredicateType)
		if c.Signer == "" {
			fields.Add("left out", name+" "+render.Short(c.Digest)+": "+c.Why)
			continue
		}
		by := " by " + c.Signer
		if c.Issuer != "" {
			by += ", vouched for by " + c.Issuer
		}
		fields.Add("verified", name+by)
	}
	fields.Flush()
}

// showDraft shows the policy line by line: names in it are the signers'.
func (a *app) showDraft(draft *modseal.PolicyDraft) {
	fmt.Fprintln(a.err)
	for line := range strings.Lines(string(draft.Text)) {
		fmt.Fprintln(a.err, render.Clean(strings.TrimSuffix(line, "\n")))
	}
	fmt.Fprintln(a.err)
}

// agree shows the policy that comes of what the artifact carries, and asks.
func (a *app) agree(cmd *cobra.Command, draft *modseal.PolicyDraft, f *policyInitFlags) (bool, error) {
	if f.JSON() || !a.interactive() {
		if !f.JSON() {
			a.showDraft(draft)
		}
		return false, usageError(cmd, errors.New("there is nobody to ask whether these signers are the right ones: look at them (--file - shows the policy), then say --yes"))
	}
	a.showDraft(draft)
	fmt.Fprintf(a.err, "Are these the signers that you expect? Write %s? [y/N] ", f.file)
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	fmt.Fprintln(a.err, "nothing was written")
	return false, nil
}
