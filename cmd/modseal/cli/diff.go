package cli

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/pkg/modseal"
)

type diffFlags struct {
	option.Output
	option.Registry
	option.Trust
	noTensors bool
	exitCode  bool
}

func (a *app) diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show in what two models differ: files, tensors, configs, claims, signers",
		Long: `Show in what the models that the targets A and B name differ: which files were
added, removed, changed or renamed; which tensors, by the headers of safetensors and
GGUF files that differ; which fields of configs and annotations; and which claims,
by whom.

Everything is compared by digest and by what manifests, configs and headers say. No
byte of a tensor is fetched, and how many bytes were is told. Whether the bytes of a
tensor differ that has the same name, type and shape on both sides is therefore not
known.

A directory is compared as what pushing it would store. Who signed is what bundles
say of themselves, unless somebody is named to be trusted.`,
		Example: `  # what a new version changes
  modseal diff registry.example.com/team/model:v1 registry.example.com/team/model:v2

  # for a merge request
  modseal diff oci:./old:v1 ./model --output markdown

  # is production what was tested? exit code 9 when it is not
  modseal diff test.example.com/ml/m:v1 prod.example.com/ml/m:v1 --exit-code --key release.pub`,
		Args: exactArgs("A", "B"),
	}
	f.Output.AddFlagsWithMarkdown(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Trust.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&f.noTensors, "no-tensors", false, "do not read the headers of weight files")
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "exit with 9 when there is any difference, instead of 0")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkTrust(cmd) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runDiff(cmd.Context(), cmd, args, &f) }
	return cmd
}

// errDiffers ends a command whose result on standard output says in what two
// models differ.
var errDiffers = errors.New("they differ")

func (a *app) runDiff(ctx context.Context, cmd *cobra.Command, args []string, f *diffFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	o := modseal.DiffOptions{WithoutTensors: f.noTensors}
	// As for tree: a policy that merely exists makes nothing slower.
	if slices.ContainsFunc(append(option.SignerFlags(), "policy"), cmd.Flags().Changed) {
		trust := a.trust(&f.Trust)
		o.Trust = &trust
	}
	res, err := client.Diff(ctx, args[0], args[1], o)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	text := func(w io.Writer) { writeDiff(w, res) }
	if f.Markdown() {
		text = func(w io.Writer) { writeDiffMarkdown(w, res) }
	}
	if err := a.print(&f.Output, res, text); err != nil {
		return err
	}
	if f.exitCode && !res.Equal {
		return errDiffers
	}
	return nil
}
