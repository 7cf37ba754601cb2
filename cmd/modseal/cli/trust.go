package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/trust"
)

func (a *app) trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Keep trusted roots and keys, and carry them to sites without a network",
		Long: `The trust store keeps what verification and signing need to know about others:
trusted roots of Sigstore instances, signing configurations, public keys and
certificate authorities, each with its source and the time when it was fetched.
It is in $XDG_CONFIG_HOME/modseal/trust, by default ~/.config/modseal/trust.

What is in the store is not trusted for being there: a policy or a flag must name
it, such as trust:NAME. Only "trust update", keyless signing, and verification
without --offline ask the network.`,
	}
	cmd.AddCommand(a.trustAddCommand(), a.trustUpdateCommand(), a.trustShowCommand(), a.trustExportCommand(), a.trustImportCommand(), a.trustRemoveCommand())
	return cmd
}

// trustClient returns a client with a trust store.
func (a *app) trustClient(cmd *cobra.Command) (*modseal.Client, error) {
	if a.env.trustDir() == "" {
		return nil, usageError(cmd, errors.New("there is no home directory for the trust store; set XDG_CONFIG_HOME"))
	}
	return a.localClient()
}

func kindNames() string {
	var names []string
	for _, k := range trust.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func (a *app) trustAddCommand() *cobra.Command {
	var o option.Output
	var addition modseal.TrustAddition
	var fetched string
	cmd := &cobra.Command{
		Use:        "add KIND NAME FILE",
		SuggestFor: []string{"new"},
		Short:      "Keep trust material from a file in the store",
		Long: `Keep what is in FILE under NAME. KIND is root (trusted_root.json of a Sigstore
instance), signing-config (signing_config.json, version 0.2), key (a public key,
PEM) or certificate (PEM: a root and, in any order, its intermediates).

What was added from a file is never refreshed. Say with --fetched when it came from
its source: a policy that bounds the age of a trusted root takes no other.`,
		Example: `  modseal trust add root corp trusted_root.json --fetched 2026-02-01T00:00:00Z
  modseal trust add key release release.pub
  modseal trust add certificate corp-ca ca-chain.pem`,
		Args: exactArgs("KIND", "NAME", "FILE"),
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&fetched, "fetched", "", "`TIME` (RFC 3339) when FILE came from its source")
	cmd.Flags().BoolVar(&addition.Replace, "replace", false, "replace another one of the same kind and name")
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return strings.Split(kindNames(), ", "), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addition.Kind, addition.Name, addition.File = trust.Kind(args[0]), args[1], args[2]
		if !strings.Contains(", "+kindNames()+", ", ", "+args[0]+", ") {
			return usageError(cmd, fmt.Errorf("there is no kind %q; use one of %s", args[0], kindNames()))
		}
		var err error
		if fetched != "" {
			if addition.Fetched, err = time.Parse(time.RFC3339, fetched); err != nil {
				return usageError(cmd, fmt.Errorf("--fetched %q: a time such as 2026-01-02T15:04:05Z is needed", fetched))
			}
		}
		client, err := a.trustClient(cmd)
		if err != nil {
			return err
		}
		s, err := client.TrustAdd(cmd.Context(), addition)
		if err != nil {
			return err
		}
		a.warn(&o, s.Warnings...)
		return a.print(&o, s, func(w io.Writer) {
			fmt.Fprintf(w, "added %s %s, %s\n", s.Kind, s.Name, render.Short(s.Digest.String()))
			if s.Key != nil {
				// What keygen shows, which the digest of the file is not.
				fmt.Fprintf(w, "fingerprint %s, %s\n", s.Key.Fingerprint, s.Key.Algorithm)
			}
		})
	}
	return cmd
}

func (a *app) trustShowCommand() *cobra.Command {
	var o option.Output
	var check bool
	var maxAge time.Duration
	cmd := &cobra.Command{
		Use:        "show [NAME|FILE]",
		SuggestFor: []string{"list", "ls"},
		Short:      "Show what is kept, how old it is and when it expires",
		Long: `Show the trust store, what it has under NAME, or what is in FILE: a trusted root, a
signing configuration, a key, certificates, or what "trust export" wrote. A name goes
before a file; write ./FILE for a file that is called like something in the store.

What has expired makes no new signatures and stays good for old ones. With --check
the exit code is 4 when something has nothing valid in it any more, or is older than
--max-age.`,
		Example: `  modseal trust show
  modseal trust show public-good
  modseal trust show ./trusted_root.json --output json

  # in a monitoring job
  modseal trust show --check --max-age 720h`,
		Args: cobra.MaximumNArgs(1),
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&check, "check", false, "fail when something has expired or is too old")
	cmd.Flags().DurationVar(&maxAge, "max-age", 0, "with --check: how long ago roots and signing configurations may have been fetched, such as 720h (default: any time)")
	cmd.ValidArgsFunction = a.completeTrust
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if maxAge < 0 || cmd.Flags().Changed("max-age") && (!check || maxAge == 0) {
			return usageError(cmd, errors.New("--max-age needs --check and a time above 0"))
		}
		client, err := a.trustClient(cmd)
		if err != nil {
			return err
		}
		res, err := client.TrustShow(strings.Join(args, ""))
		if err != nil {
			return err
		}
		if check {
			if err := res.Check(maxAge); err != nil {
				if !o.JSON() {
					writeTrustShow(a.out, res, len(args) > 0)
				}
				return err
			}
		}
		return a.print(&o, res, func(w io.Writer) { writeTrustShow(w, res, len(args) > 0) })
	}
	return cmd
}

func (a *app) trustRemoveCommand() *cobra.Command {
	var o option.Output
	cmd := &cobra.Command{
		Use:        "remove NAME…",
		SuggestFor: []string{"delete", "rm"},
		Short:      "Remove trust material from the store",
		Long:       "Remove what the store has under each NAME, of every kind. Policies that name it decide\nnothing then.",
		Example:    "  modseal trust remove corp",
		Args:       cobra.MinimumNArgs(1),
	}
	o.AddFlags(cmd.Flags())
	cmd.ValidArgsFunction = a.completeTrust
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.trustClient(cmd)
		if err != nil {
			return err
		}
		res, err := client.TrustRemove(cmd.Context(), args...)
		if err != nil {
			return err
		}
		return a.print(&o, res, func(w io.Writer) {
			for _, it := range res.Items {
				fmt.Fprintf(w, "removed %s %s, %s\n", it.Kind, it.Name, render.Short(it.Digest.String()))
			}
		})
	}
	return cmd
}

// completeTrust completes names in the store, and files.
func (a *app) completeTrust(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	client, err := a.localClient()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	res, err := client.TrustShow("")
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var out []string
	for _, it := range res.Items {
		out = append(out, it.Name)
	}
	return out, cobra.ShellCompDirectiveDefault
}

func isOfTrust(err error) bool {
	return as[*trust.FetchError](err) || as[*trust.RepositoryError](err) || as[*trust.DamagedError](err) || as[*trust.DigestError](err) ||
		as[*trust.ImportError](err) || as[*trust.NotFoundError](err) || errors.Is(err, trust.ErrExists) || errors.Is(err, trust.ErrNotRefreshable)
}

func trustHints(err error) []string {
	switch {
	case as[*trust.RepositoryError](err):
		return []string{"somebody between here and the repository may give other or old metadata; try another network, check the clock, and ask who runs the repository whether its root metadata are the ones you have"}
	case as[*trust.FetchError](err):
		return []string{"check the URL, the network and HTTPS_PROXY, then try again; without a network: modseal trust import FILE"}
	case as[*trust.DigestError](err):
		return []string{"do not use the file: it is damaged, or not the one that was exported; have it carried again"}
	case as[*trust.DamagedError](err):
		return []string{"move the trust store away, then fetch and import again"}
	case as[*trust.ImportError](err):
		return []string{"look at both with modseal trust show, then decide: --replace takes what the file carries, modseal trust remove what is here"}
	case errors.Is(err, trust.ErrExists):
		return []string{"look at it with modseal trust show; --replace replaces it, another name keeps both"}
	case errors.Is(err, trust.ErrNotRefreshable):
		return []string{"modseal trust add with a newer file and --replace, or modseal trust remove and then update"}
	}
	return []string{"see what is there: modseal trust show"}
}
