package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
)

type listFlags struct {
	option.Output
	option.Registry
}

func (a *app) listCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:        "list REPOSITORY",
		SuggestFor: []string{"tags"},
		Aliases:    []string{"ls"},
		Short:      "List the tags of a repository or a layout, or what is in an archive",
		Long: `List the tags of a repository or a layout and the digests that they name now, or the
artifacts in an archive by the names that can be given behind its path. Tags in which
registries without the referrers API keep signatures are left out.`,
		Example: `  modseal list registry.example.com/team/model
  modseal list oci:./layout
  modseal list archive:models.tar`,
		Args: exactArgs("REPOSITORY"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runList(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runList(ctx context.Context, target string, f *listFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	res, err := client.List(ctx, target)
	if err != nil {
		return err
	}
	if len(res.Tags) == 0 {
		a.warn(&f.Output, res.Repository+" has no tags, or is not there")
	}
	return a.print(&f.Output, res, func(w io.Writer) {
		fields := render.NewFields(w)
		for _, t := range res.Tags {
			fields.Row(t.Tag, t.Digest)
		}
		fields.Flush()
	})
}
