package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/store"
)

type gcFlags struct {
	option.Output
	dryRun   bool
	untagged bool
	wait     bool
	grace    time.Duration
}

func (a *app) gcCommand() *cobra.Command {
	var f gcFlags
	cmd := &cobra.Command{
		Use:        "gc LAYOUT",
		SuggestFor: []string{"prune"},
		Short:      "Remove from a layout what nothing refers to",
		Long: `Remove from an OCI layout (oci:PATH) the blobs that nothing refers to: what interrupted
commands left, and what belonged to manifests that are gone. In use is all that index.json lists,
with a tag or without, what belongs to it, and its signatures and other referrers.

Nothing is taken from a command that is writing to the layout: gc fails then, or waits with --wait.
Other tools do not say that they are writing; for them, what is younger than --grace stays.

gc can be stopped at any moment and run again. A directory of modseal serve holds one layout for
each repository: name one, as in oci:DIR/team/model.`,
		Example: `  # What would be freed?
  modseal gc oci:./layout --dry-run

  # Free it, and the manifests that lost their tag.
  modseal gc oci:./layout --untagged`,
		Args: exactArgs("LAYOUT"),
	}
	f.Output.AddFlags(cmd.Flags())
	fs := cmd.Flags()
	fs.BoolVar(&f.dryRun, "dry-run", false, "say what would be removed and remove nothing")
	fs.BoolVar(&f.untagged, "untagged", false, "also remove manifests without a tag, unless something with a tag needs them")
	fs.DurationVar(&f.grace, "grace", store.DefaultGrace, "leave alone what was written less than this ago; 0s for nothing")
	fs.BoolVar(&f.wait, "wait", false, "wait for commands that are writing to the layout")
	cmd.ValidArgsFunction = completeLayout
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.grace < 0 {
			return usageError(cmd, fmt.Errorf("--grace %s: it cannot be negative", f.grace))
		}
		return a.runGC(cmd.Context(), args[0], &f)
	}
	return cmd
}

func (a *app) runGC(ctx context.Context, target string, f *gcFlags) error {
	client, err := a.client(&option.Registry{}, nil)
	if err != nil {
		return err
	}
	o := store.CollectOptions{DryRun: f.dryRun, Untagged: f.untagged, Wait: f.wait, Grace: f.grace}
	if f.grace == 0 {
		o.Grace = -1
	}
	res, err := client.GC(ctx, target, o)
	if err != nil {
		if res != nil && res.Bytes > 0 {
			a.warn(&f.Output, "removed before it stopped: "+render.Bytes(res.Bytes)+"; run it again to go on")
		}
		return err
	}
	return a.print(&f.Output, res, func(w io.Writer) { writeGC(w, res) })
}

func writeGC(w io.Writer, r *modseal.GCResult) {
	verb := "removed"
	if r.DryRun {
		verb = "would remove"
	}
	f := render.NewFields(w)
	for _, b := range r.Removed {
		f.Row("  "+b.Digest.String(), render.Bytes(b.Size))
	}
	f.Flush()
	fmt.Fprintf(w, "%s %s and %s, %s; kept %s, %s\n", verb, render.Count(len(r.Removed), "blob"),
		render.Count(r.Temporaries, "temporary file"), render.Bytes(r.Bytes), render.Count(r.Kept, "blob"), render.Bytes(r.KeptBytes))
	if len(r.Untagged) > 0 {
		fmt.Fprintf(w, "of index.json: %s without a tag\n", render.Count(len(r.Untagged), "manifest"))
	}
	if r.Young > 0 {
		fmt.Fprintf(w, "%s that nothing refers to: too young, see --grace\n", render.Count(r.Young, "blob"))
	}
}
