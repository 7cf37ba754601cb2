package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/transfer"
)

type copyFlags struct {
	option.Output
	option.Registry
	option.Upload
	noReferrers bool
	overwrite   bool
	spoolDir    string
	concurrency int
}

func (a *app) copyCommand() *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:     "copy SRC DST",
		Aliases: []string{"cp"},
		Short:   "Copy a model with its signatures between registries and layouts",
		Long: `Copy the artifact that SRC names, with everything that refers to it, to DST, and
set the tag of DST last. Every byte is checked against its digest; signatures are
carried along, not verified.

From registry to registry, large layers go through a directory on disk
(--spool-dir), so that an interrupted copy goes on where it was, on either side. A
layer is removed from it when it has arrived.

A tag of DST that holds something else is not moved without --overwrite.`,
		Example: `  modseal copy dev.example.com/team/model:v1 prod.example.com/team/model:v1
  modseal copy registry.example.com/team/model:v1 oci:./layout:v1`,
		Args: exactArgs("SRC", "DST"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Upload.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&f.noReferrers, "no-referrers", false, "copy the artifact alone, without signatures and attestations")
	cmd.Flags().BoolVar(&f.overwrite, "overwrite", false, "move the destination tag if it holds something else")
	cmd.Flags().StringVar(&f.spoolDir, "spool-dir", "", "`DIR` for layers on their way from registry to registry (default: $XDG_CACHE_HOME/modseal/spool)")
	addConcurrency(cmd, &f.concurrency)
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runCopy(cmd.Context(), args[0], args[1], &f) }
	return cmd
}

func (a *app) runCopy(ctx context.Context, src, dst string, f *copyFlags) error {
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	if f.spoolDir == "" {
		f.spoolDir = a.env.spoolDir()
	}
	res, err := client.Copy(ctx, src, dst, modseal.CopyOptions{
		WithoutReferrers: f.noReferrers, Overwrite: f.overwrite, Concurrency: f.concurrency,
		Upload: transfer.Mode(f.Upload.Mode), SpoolDir: f.spoolDir,
	})
	p.Close(err)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	return a.print(&f.Output, res, func(w io.Writer) {
		fields := render.NewFields(w)
		fields.Add("copied", res.Source)
		fields.Add("to", res.Destination)
		fields.Add("digest", res.Digest)
		fields.Add("blobs", fmt.Sprintf("%d copied, %s; %d mounted, %d there before", res.Blobs, render.Bytes(res.Bytes), res.Mounted, res.Existed))
		fields.Add("moved", trafficText(res.CopyTraffic))
		fields.Add("referrers", fmt.Sprint(res.Referrers))
		fields.Flush()
	})
}

func trafficText(t transfer.CopyTraffic) string {
	text := "fetched " + render.Bytes(t.Fetched)
	if t.Sent > 0 {
		text += ", sent " + render.Bytes(t.Sent)
	}
	if t.Kept > 0 {
		text += ", " + render.Bytes(t.Kept) + " kept from an interrupted copy"
	}
	return text
}
