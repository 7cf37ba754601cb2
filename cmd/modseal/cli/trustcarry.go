package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/trust"
)

func (a *app) trustUpdateCommand() *cobra.Command {
	var o option.Output
	var u modseal.TrustUpdate
	cmd := &cobra.Command{
		Use:   "update [NAME…]",
		Short: "Fetch trusted roots from their TUF repositories",
		Long: `Fetch trusted roots and signing configurations through TUF (The Update Framework)
and keep them: those of NAME, or all that came from TUF before, or, when there are
none, those of the public-good instance of Sigstore, which are called public-good.

A repository that is new needs --tuf and its first root metadata, which must come to
you by another way: everything else is believed because of them.`,
		Example: `  modseal trust update
  modseal trust update corp --tuf https://tuf.example.com --tuf-root root.json`,
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&u.URL, "tuf", "", "`URL` of a TUF repository that the store does not know yet")
	cmd.Flags().StringVar(&u.RootFile, "tuf-root", "", "its root metadata (root.json), any version, in a `FILE`")
	cmd.ValidArgsFunction = a.completeTrust
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.trustClient(cmd)
		if err != nil {
			return err
		}
		u.Names = args
		res, err := client.TrustUpdate(cmd.Context(), u)
		if err != nil {
			if res != nil && !o.JSON() {
				writeTrustUpdate(a.out, res)
			}
			return err
		}
		for _, it := range res.Items {
			for _, w := range it.Warnings {
				a.warn(&o, string(it.Kind)+" "+it.Name+": "+w)
			}
		}
		return a.print(&o, res, func(w io.Writer) { writeTrustUpdate(w, res) })
	}
	return cmd
}

func writeTrustUpdate(w io.Writer, r *modseal.TrustUpdateResult) {
	for _, it := range r.Items {
		verb := "unchanged"
		if it.Changed {
			verb = "fetched"
		}
		fmt.Fprintf(w, "%s: %s %s, %s\n", verb, it.Kind, it.Name, render.Short(it.Digest.String()))
	}
}

func (a *app) trustExportCommand() *cobra.Command {
	var o option.Output
	var file string
	cmd := &cobra.Command{
		Use:   "export -o FILE [NAME…]",
		Short: "Write trust material into one file, for sites without a network",
		Long: `Write what the store has under each NAME, or everything, into FILE. The same
material makes the same bytes. Carry the digest that is shown by another way than the
file, and give it to "trust import --sha256".`,
		Example: `  modseal trust update
  modseal trust export -o trust.json
  modseal trust export -o - public-good | sha256sum`,
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVarP(&file, "file", "o", "", "`FILE` to write, which must not exist; - for standard output")
	_ = cmd.MarkFlagRequired("file")
	cmd.ValidArgsFunction = a.completeTrust
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.trustClient(cmd)
		if err != nil {
			return err
		}
		if file == "-" {
			data, _, err := client.TrustExport(args)
			if err == nil {
				_, err = a.out.Write(data)
			}
			return err
		}
		res, err := client.WriteTrustExport(file, args)
		if err != nil {
			return err
		}
		return a.print(&o, res, func(w io.Writer) {
			writeTrustItems(w, res.Items)
			fmt.Fprintf(w, "wrote %s\n%s\n", render.Clean(file), res.Digest)
		})
	}
	return cmd
}

func (a *app) trustImportCommand() *cobra.Command {
	var o option.Output
	var options trust.ImportOptions
	var sum string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Keep the trust material that a file carries",
		Long: `Keep everything that FILE, which "trust export" wrote, carries, or nothing. Nothing is
imported when something differs from what is kept under the same name, is older than
that, or is good for old signatures only, unless --replace says so. With --sha256,
newer material of the same TUF repository needs no --replace.

The file is not signed: whoever can change it on its way chooses whom you trust. Compare
its digest with the one that "trust export" showed, with --sha256.`,
		Example: `  modseal trust import trust.json --dry-run
  modseal trust import trust.json --sha256 4cf2…`,
		Args: exactArgs("FILE"),
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&sum, "sha256", "", "the `DIGEST` that the file must have, 64 hexadecimal digits, with or without sha256: before them")
	cmd.Flags().BoolVar(&options.Replace, "replace", false, "replace what differs or is newer, and take what has expired")
	cmd.Flags().BoolVar(&options.DryRun, "dry-run", false, "say what would be imported and import nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if sum != "" {
			options.Digest = digest.Digest("sha256:" + strings.ToLower(strings.TrimPrefix(sum, "sha256:")))
			if err := options.Digest.Validate(); err != nil {
				return usageError(cmd, fmt.Errorf("--sha256 %q: 64 hexadecimal digits are needed", sum))
			}
		}
		client, err := a.trustClient(cmd)
		if err != nil {
			return err
		}
		return a.runTrustImport(cmd.Context(), client, args[0], options, &o)
	}
	return cmd
}

func (a *app) runTrustImport(ctx context.Context, client *modseal.Client, file string, options trust.ImportOptions, o *option.Output) error {
	res, err := client.TrustImport(ctx, file, options)
	if err != nil {
		if res != nil && !o.JSON() {
			writeTrustImport(a.out, res, "")
		}
		return err
	}
	taken := false
	for _, it := range res.Items {
		taken = taken || it.Action != trust.ActionKeep
		for _, w := range it.Warnings {
			a.warn(o, string(it.Kind)+" "+it.Name+": "+w)
		}
	}
	if options.Digest == "" && !options.DryRun && taken {
		a.warn(o, "nothing says that "+file+" is what was exported: compare "+res.Digest.String()+" with what trust export showed, or give it with --sha256")
	}
	return a.print(o, res, func(w io.Writer) { writeTrustImport(w, res, a.env.trustDir()) })
}
