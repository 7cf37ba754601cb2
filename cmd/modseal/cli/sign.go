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
	option.Directory
	option.Hashing
	signature   string
	shardSuffix bool
}

func (a *app) signCommand() *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign TARGET",
		Short: "Sign a model in a registry, a layout or a directory",
		Long: `Sign the model that TARGET names. Two bundles are attached to it: a signature on
the manifest digest, which cosign and admission controllers understand, and an
OMS signature on the files, which model_signing understands on the pulled
directory. No layer is read but tars of grouped small files. What the same signer
has signed before is not signed again.

What signs is a key (a file, or a reference to a KMS, a token, a Kubernetes secret),
a key with a certificate, or with --keyless the identity of the CI job or of the
person who logs in: then a certificate of ten minutes says who it was, and a public
transparency log keeps it.

For a directory (or one file), the OMS bundle is written to the --signature file.
Without it, that of ./model is ./model.sig, beside it.`,
		Example: `  # an artifact
  modseal sign registry.example.com/team/model:v1 --key release.key

  # in CI, without a key: the identity of the job signs
  modseal sign registry.example.com/team/model:v1 --keyless

  # the same with a Sigstore instance of one's own, kept by modseal trust add
  modseal sign registry.example.com/team/model:v1 --keyless \
    --signing-config trust:corp --trusted-root trust:corp

  # with a key that never leaves a KMS
  modseal sign registry.example.com/team/model:v1 --key awskms:///alias/release

  # a directory
  modseal sign ./model --signature model.sig --key release.key

  # a directory of large files, by shards that are hashed at the same time
  modseal sign ./model --method shards --hash blake3 --key release.key`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Sign.AddFlags(cmd.Flags())
	f.Directory.AddFlags(cmd.Flags())
	f.Hashing.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&f.signature, "signature", "", "of a directory: `FILE` for the OMS bundle (default: beside it, with .sig added to its name)")
	cmd.Flags().BoolVar(&f.shardSuffix, "shard-suffix", false, "of a directory: write the algorithm of shards with their size, as model_signing demands it (to 1.1.1)")
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
	if err := onlyForDirectories(cmd, target); err != nil {
		return err
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
	o, err := f.Options(dir)
	if err == nil {
		err = f.Set(cmd.Flags(), &o)
	}
	if err != nil {
		return usageError(cmd, err)
	}
	o.ShardSuffix = f.shardSuffix
	res, err := client.SignDirectory(ctx, dir, f.signature, signer, o)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
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

// onlyForDirectories refuses flags that mean nothing for an artifact.
func onlyForDirectories(cmd *cobra.Command, target string) error {
	for _, name := range option.DirectoryFlags() {
		if cmd.Flags().Changed(name) {
			return usageError(cmd, fmt.Errorf("--%s is for directories; %s carries its signatures", name, target))
		}
	}
	return nil
}
