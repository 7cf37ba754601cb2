package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/remote"
)

type pullFlags struct {
	option.Output
	option.Registry
	option.Report
	option.Trust
	roles       option.Roles
	dir         string
	include     []string
	noVerify    bool
	check       bool
	overwrite   bool
	noResume    bool
	concurrency int
}

func (a *app) pullCommand() *cobra.Command {
	var f pullFlags
	cmd := &cobra.Command{
		Use:        "pull REF -o DIR",
		SuggestFor: []string{"download", "fetch", "get"},
		Short:      "Verify a model by policy, then fetch its files",
		Long: `Resolve REF once, verify signatures and policy on its digest, and only then fetch
the files, each checked against its digest while it streams. No file appears in
DIR under its final name before all of them are good.

Pulled again, only what is missing or was edited is fetched. A file that modseal
did not write is neither replaced (without --overwrite) nor deleted.

After an interruption, of the process or of the machine, the next pull into the
same DIR goes on in the middle of a file. What is kept for it, in
DIR/.modseal-partial, is checked like everything else.`,
		Example: `  # accept what one key signed
  modseal pull registry.example.com/team/model:v1 -o ./model --key release.pub

  # decide by policy, fetch no weights
  modseal pull registry.example.com/team/model:v1 -o ./model --policy policy.yaml --role weight.config --role doc

  # compare every file with its digest again
  modseal pull registry.example.com/team/model:v1 -o ./model --key release.pub --check`,
		Args: pullArgs,
	}
	flags := cmd.Flags()
	f.Output.AddFlags(flags)
	f.Registry.AddFlags(flags)
	f.Report.AddFlags(flags)
	f.Trust.AddFlags(flags)
	f.roles.AddFlags(flags)
	flags.StringVarP(&f.dir, "dir", "o", "", "`DIR` to write the files to")
	flags.StringArrayVar(&f.include, "include", nil, "only files that match the `GLOB`, such as '**/*.json' (may be repeated)")
	flags.BoolVar(&f.noVerify, "no-verify", false, "UNSAFE: accept what nobody vouches for; only digests are checked")
	flags.BoolVar(&f.check, "check", false, "compare files that are there by their content, not by their status")
	flags.BoolVar(&f.noResume, "no-resume", false, "throw away what an interrupted pull left, and start over")
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace files in DIR that modseal did not write")
	addConcurrency(cmd, &f.concurrency)
	_ = cmd.RegisterFlagCompletionFunc("role", completeRoles)
	cmd.ValidArgsFunction = a.completeTarget
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if f.dir == "" {
			return usageError(cmd, errors.New("say where to write the files with -o DIR"))
		}
		for _, name := range append(option.SignerFlags(), "policy") {
			if err := notBoth(cmd, "no-verify", name); err != nil {
				return err
			}
		}
		return checkTrust(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runPull(cmd.Context(), args[0], &f) }
	a.reports(cmd, &f.Report)
	return cmd
}

// pullArgs takes one reference, and helps who gives the directory like other
// tools want it.
func pullArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 2 {
		return usageError(cmd, fmt.Errorf("unexpected argument %q; say where to write the files with -o %s", args[1], args[1]))
	}
	return exactArgs("REF")(cmd, args)
}

func (a *app) runPull(ctx context.Context, ref string, f *pullFlags) error {
	if f.noVerify {
		// Said even when quiet: who reads the log later must see it.
		a.warn(&option.Output{Format: f.Format}, "--no-verify: nobody vouches for what is pulled; it may be anything")
	}
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	res, err := client.Pull(ctx, ref, f.dir, modseal.PullOptions{
		Trust: a.trust(&f.Trust), SkipVerificationUnsafe: f.noVerify,
		Include: f.include, Roles: f.roles, Check: f.check, Overwrite: f.overwrite, NoResume: f.noResume, Concurrency: f.concurrency,
	})
	p.Close(err)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Verification.Warnings...)
	a.warn(&f.Output, res.Files.Warnings...)
	a.warnUnknown(&f.Output, res.Files)
	return a.print(&f.Output, res, func(w io.Writer) { writePull(w, res) })
}

// warnUnknown names the first few files that do not belong to the model.
func (a *app) warnUnknown(o *option.Output, r *materialize.Result) {
	const most = 5
	for _, name := range r.Unknown[:min(most, len(r.Unknown))] {
		a.warn(o, fmt.Sprintf("not part of the model, left alone: %q", name))
	}
	switch more := len(r.Unknown) - most; {
	case r.MoreUnknown:
		a.warn(o, fmt.Sprintf("and more than %d other files that are not part of the model", more))
	case more > 0:
		a.warn(o, fmt.Sprintf("and %d other files that are not part of the model", more))
	}
}

func writePull(w io.Writer, r *modseal.PullResult) {
	f := render.NewFields(w)
	writeVerification(f, r.Reference, r.Digest, &r.Verification)
	counts := map[string]int{}
	var size int64
	for _, file := range r.Files.Files {
		counts[string(file.Outcome)]++
		size += file.Size
	}
	f.Add("pulled to", r.Files.Dir)
	f.Add("files", summary(counts)+" ("+render.Bytes(size)+"); "+render.Bytes(r.Files.BytesFetched)+" fetched")
	f.Add("from", sources(r.Sources))
	f.Flush()
}

// sources says how much came from whom.
func sources(from []remote.Source) string {
	var s []string
	for _, host := range from {
		kind := ""
		if host.Mirror {
			kind = "mirror "
		}
		s = append(s, fmt.Sprintf("%s%s (%s)", kind, host.Host, render.Bytes(host.Bytes)))
	}
	return strings.Join(s, ", ")
}
