package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

type digestFlags struct {
	option.Output
	option.Directory
	option.Hashing
	files bool
}

func (a *app) digestCommand() *cobra.Command {
	var f digestFlags
	cmd := &cobra.Command{
		Use:        "digest PATH",
		SuggestFor: []string{"hash", "checksum"},
		Short:      "Compute the OMS root digest of a directory or a file",
		Long: `Compute the root digest that an OMS signature of the directory PATH (or of the
one file) has: the SHA-256 over the digests of its files. It says nothing about
their names; the digest of an artifact in a registry does.`,
		Example: `  # what modseal sign would sign
  modseal digest ./model

  # every file with its BLAKE3
  modseal digest ./model --hash blake3 --files`,
		Args: exactArgs("PATH"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Directory.AddFlags(cmd.Flags())
	f.Hashing.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&f.files, "files", false, "list the digest of every file, or shard, too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runDigest(cmd.Context(), cmd, args[0], &f) }
	return cmd
}

func (a *app) runDigest(ctx context.Context, cmd *cobra.Command, path string, f *digestFlags) error {
	o, err := f.Options(path)
	if err == nil {
		err = f.Set(cmd.Flags(), &o)
	}
	if err != nil {
		return usageError(cmd, err)
	}
	// No registry is asked, so that none of its files are read.
	client, err := modseal.New(modseal.Options{StateDir: a.env.stateDir()})
	if err != nil {
		return err
	}
	res, err := client.DigestDirectory(ctx, path, o)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	if !f.files {
		res.Resources = nil
	}
	return a.print(&f.Output, res, func(w io.Writer) {
		fmt.Fprintf(w, "sha256:%s\n", res.Root)
		for _, r := range res.Resources {
			fmt.Fprintf(w, "%s:%s  %s\n", r.Algorithm, r.Digest, render.Clean(r.Name))
		}
	})
}
