package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/pkg/modseal"
)

type inspectFlags struct {
	option.Output
	option.Registry
	tensors  bool
	match    []string
	manifest bool
}

func (a *app) inspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:        "inspect TARGET",
		SuggestFor: []string{"info", "describe"},
		Short:      "Show what a model is: architecture, parameters, tensors, licences, files",
		Long: `Show what the model is that TARGET names, by what its files say: the headers of its
weights, its configuration, its model card. Parameters are counted from the tensors.

From a registry only these bytes are fetched, by ranges, and how many is told; no
tensor is. Files up to 64 KiB are compared with their digests. Nothing vouches for
parts of larger ones, and no signature is verified: it is what the registry says.

Files that contradict each other are told as problems: an index that names shards or
tensors that are not there, a header that is not that of its file, shards that are
missing.

--tensors lists the tensors of safetensors, GGUF, ONNX, PyTorch, NumPy, joblib and
Keras files instead, with where in their file they lie.`,
		Example: `  modseal inspect registry.example.com/team/model:v1
  modseal inspect ./model --output json

  # the tensors of the first layer
  modseal inspect registry.example.com/team/model:v1 --tensors --match 'model.layers.0.*'

  # what manifest and config say alone
  modseal inspect registry.example.com/team/model:v1 --manifest`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&f.tensors, "tensors", false, "list tensors: name, type, shape, size, offset, file")
	cmd.Flags().StringArrayVar(&f.match, "match", nil, "with --tensors: only names that match this `GLOB`; * passes over no slash, ** over all (repeatable)")
	cmd.Flags().BoolVar(&f.manifest, "manifest", false, "read no file: show what the manifest and its config say")
	cmd.MarkFlagsMutuallyExclusive("manifest", "tensors")
	cmd.ValidArgsFunction = a.completeTarget
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("match") && !f.tensors {
			return usageError(cmd, errors.New("--match chooses tensors: add --tensors"))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runInspect(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runInspect(ctx context.Context, target string, f *inspectFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	res, err := client.Inspect(ctx, target, modseal.InspectOptions{ManifestOnly: f.manifest, Tensors: f.tensors, Match: f.match})
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	if res.Facts != nil {
		a.warn(&f.Output, res.Facts.Warnings...)
	}
	return a.print(&f.Output, res, func(w io.Writer) {
		if f.tensors {
			writeTensors(w, res)
			return
		}
		writeInspect(w, res)
	})
}
