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

type signFlags struct {
	option.Output
	option.Registry
	option.Sign
	signature      string
	ignorePaths    []string
	followSymlinks bool
}

func (a *app) signCommand() *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign TARGET",
		Short: "Sign a model in a registry, a layout or a directory",
		Long: `Sign the model that TARGET names. Two bundles are attached to it: a signature on
the manifest digest, which cosign and admission controllers understand, and an
OMS signature on the files, which model_signing understands on the pulled
directory. No layer is read but tars of grouped small files. What the same signer has signed
before is not signed again.

What signs is a key (a file, or a reference to a KMS, a token, a Kubernetes secret),
a key with a certificate, or with --keyless the identity of the CI job or of the
person who logs in: then a certificate of ten minutes says who it was, and a public
transparency log keeps it.

For a directory (or one file), the OMS bundle is written to the --signature file.`,
		Example: `  # an artifact
  modseal sign registry.example.com/team/model:v1 --key release.key

  # in CI, without a key: the identity of the job signs
  modseal sign registry.example.com/team/model:v1 --keyless

  # with a key that never leaves a KMS
  modseal sign registry.example.com/team/model:v1 --key awskms:///alias/release

  # a directory
  modseal sign ./model --signature model.sig --key release.key`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Sign.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&f.signature, "signature", "", "`FILE` for the OMS bundle of a directory")
	cmd.Flags().StringArrayVar(&f.ignorePaths, "ignore-path", nil, "leave this `PATH` of the directory, and what is below it, out of the signature (may be repeated)")
	cmd.Flags().BoolVar(&f.followSymlinks, "follow-symlinks", false, "sign what symbolic links that stay inside the directory point to")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkSign(cmd, &f.Sign, true) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runSign(cmd.Context(), cmd, args[0], &f) }
	return cmd
}

func (a *app) runSign(ctx context.Context, cmd *cobra.Command, target string, f *signFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	t, err := modseal.ParseTarget(target)
	if err != nil {
		return err
	}
	signer := a.signer(&f.Sign, &f.Output)
	if t.Kind == modseal.KindDirectory {
		return a.signDirectory(ctx, cmd, client, t.Path, signer, f)
	}
	if f.signature != "" || len(f.ignorePaths) > 0 {
		return usageError(cmd, fmt.Errorf("--signature and --ignore-path are for directories; the signatures of %s are attached to it", target))
	}
	res, err := client.Sign(ctx, target, signer)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	return a.print(&f.Output, res, func(w io.Writer) {
		fields := render.NewFields(w)
		fields.Add("reference", res.Reference)
		fields.Add("digest", res.Digest)
		addSignatures(fields, res.Signatures)
		fields.Flush()
	})
}

func (a *app) signDirectory(ctx context.Context, cmd *cobra.Command, client *modseal.Client, dir string, signer modseal.SignOptions, f *signFlags) error {
	if f.signature == "" {
		return usageError(cmd, fmt.Errorf("%s is a directory: say where its OMS bundle is to be written with --signature FILE", dir))
	}
	res, err := client.SignDirectory(ctx, dir, f.signature, signer, modseal.DirectoryOptions{
		IgnorePaths: f.ignorePaths, FollowSymlinks: f.followSymlinks,
	})
	if err != nil {
		return err
	}
	return a.print(&f.Output, res, func(w io.Writer) {
		fields := render.NewFields(w)
		fields.Add("signed", res.Directory)
		fields.Add("signature", res.Signature)
		fields.Add("files", render.Count(res.Files, "file")+", "+render.Bytes(res.Size))
		fields.Add("OMS root", "sha256:"+res.Root)
		for _, p := range res.Ignored {
			fields.Add("left out", p)
		}
		fields.Flush()
	})
}
