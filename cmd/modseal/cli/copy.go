package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/transfer"
)

type copyFlags struct {
	option.Output
	option.Registry
	option.Upload
	noReferrers bool
	overwrite   bool
	expect      string
	dryRun      bool
	failFast    bool
	spoolDir    string
	concurrency int
}

func (a *app) copyCommand() *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:     "copy SRC DST [DST...]",
		Aliases: []string{"cp"},
		Short:   "Copy models with their signatures between registries and layouts",
		Long: `Copy the artifact that SRC names, with everything that refers to it, to each DST,
and set the tag of DST last. Every byte is checked against its digest; signatures
are carried along, not verified.

SRC is one artifact, several of one repository (host/repo:v1.*, host/repo:*), or a
list: @FILE has a line "SRC" or "SRC DST" for each, with comments after #. A DST of
several is a repository or a layout, which keeps the tags, or with a slash at its
end a prefix, which keeps the repository as well: host/prefix/ makes
host/prefix/team/llama:v1 of other.host/team/llama:v1.

Several DST are written at once, from one read of SRC: what they lack is fetched
once. None waits for another, and one that fails does not stop the others. The exit
code is that of the first failure.

From a registry, large layers go through a directory on disk (--spool-dir), so that
an interrupted copy goes on where it was, on either side. A layer is removed from it
when it has arrived everywhere.

A tag of DST that holds something else is not moved without --overwrite, or with
--expect only while it holds that digest; --dry-run shows what would be done, and
writes nothing.`,
		Example: `  modseal copy dev.example.com/team/model:v1 prod.example.com/team/model:v1
  modseal copy registry.example.com/team/model:v1 oci:./layout:v1
  modseal copy 'dev.example.com/team/model:v1.*' eu.example.com/team/model us.example.com/mirror/
  modseal copy @models.txt prod.example.com/ --dry-run`,
		Args: copyArgs,
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Upload.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&f.noReferrers, "no-referrers", false, "copy the artifact alone, without signatures and attestations")
	cmd.Flags().BoolVar(&f.overwrite, "overwrite", false, "move the destination tag if it holds something else")
	cmd.Flags().StringVar(&f.expect, "expect", "", "move the destination tag if it holds this `DIGEST`, and not if it holds anything else or is not there")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be copied, and write nothing")
	cmd.Flags().BoolVar(&f.failFast, "fail-fast", false, "begin no other artifact once one has failed")
	cmd.Flags().StringVar(&f.spoolDir, "spool-dir", "", "`DIR` for layers on their way from a registry to others (default: $XDG_CACHE_HOME/modseal/spool)")
	addConcurrency(cmd, &f.concurrency)
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := notBoth(cmd, "overwrite", "expect"); err != nil {
			return err
		}
		return a.runCopy(cmd.Context(), args[0], args[1:], &f)
	}
	return cmd
}

// copyArgs requires SRC and DST; lines of a list may name their own DST.
func copyArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usageError(cmd, errors.New("SRC is missing"))
	case len(args) == 1 && !strings.HasPrefix(args[0], "@"):
		return usageError(cmd, errors.New("DST is missing"))
	}
	return nil
}

func (a *app) runCopy(ctx context.Context, src string, dst []string, f *copyFlags) error {
	lines := []modseal.CopyLine{{Source: src, Destinations: dst}}
	if file, list := strings.CutPrefix(src, "@"); list {
		var err error
		if lines, err = modseal.ReadCopyList(file, dst); err != nil {
			return err
		}
	} else if lines[0].Single() {
		return a.runCopyOne(ctx, src, dst[0], f)
	}
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	report, err := client.CopyAll(ctx, lines, a.copyOptions(f))
	if err == nil {
		err = report.Err()
	}
	p.Close(err)
	if report == nil {
		return err
	}
	a.warnOfCopies(f, report)
	return a.printCopies(f, report, err)
}

func (a *app) runCopyOne(ctx context.Context, src, dst string, f *copyFlags) error {
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	res, err := client.Copy(ctx, src, dst, a.copyOptions(f))
	p.Close(err)
	if res == nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	return a.printCopy(f, res, err)
}

func (a *app) copyOptions(f *copyFlags) modseal.CopyOptions {
	spool := f.spoolDir
	if spool == "" {
		spool = a.env.spoolDir()
	}
	return modseal.CopyOptions{
		WithoutReferrers: f.noReferrers, Overwrite: f.overwrite, Expect: f.expect, DryRun: f.dryRun, FailFast: f.failFast,
		Concurrency: f.concurrency, Upload: transfer.Mode(f.Upload.Mode), SpoolDir: spool,
	}
}

func (a *app) warnOfCopies(f *copyFlags, r *modseal.CopyReport) {
	a.warn(&f.Output, r.Warnings...)
	for _, c := range r.Copies {
		for _, w := range c.Warnings {
			a.warn(&f.Output, fmt.Sprintf("%s: %s", c.Destination, w))
		}
	}
}
