package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/transfer"
)

type loadFlags struct {
	option.Output
	option.Registry
	option.Trust
	option.Upload
	artifacts   []string
	bases       []string
	noVerify    bool
	dryRun      bool
	overwrite   bool
	sparse      bool
	concurrency int
}

func (a *app) loadCommand() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use:        "load FILE… DST",
		SuggestFor: []string{"import"},
		Short:      "Verify what archives bring by policy, then load it into a registry or a layout",
		Long: `Load the models of archives that modseal save wrote, or any OCI layout in a tar, with
all signatures and attestations. DST says where to:

  host/repository[:TAG]   a repository, for archives of one repository
  host/ or host/prefix/   each repository goes below it, under the path it had
  oci:PATH[:TAG]          a layout; oci:PATH/ makes one for each repository

Before anything is written, for all models: the archives and the sums of their parts are
checked; what a difference leaves out must be at DST, in another FILE, or in a --base;
signatures and policies must accept each model under its name at DST, by the trust of
this site; tags of DST that hold something else are refused without --overwrite; and a
layout must have room. Then layers are sent, each compared with its digest, then manifests,
then signatures, and the tags of all models last. Interrupted, the same command goes on.

An archive may bring trusted roots, keys and a policy. They are never used: load names
them, and modseal trust import takes them over when their digest is confirmed.

What is no model is refused: modseal copy carries it over, and vouches for nothing.`,
		Example: `  # what would be loaded, and is everything there and good?
  modseal load model.tar registry.site.example/ml/ --dry-run

  # by the policy of this site
  modseal load model.tar registry.site.example/ml/

  # a set of parts on several media, one artifact of it, by one key
  modseal load /media/a/models.tar.000 /media/b/models.tar.001 registry.site.example/ml/llama:v2 \
    --artifact 'llama:v2' --key release.pub`,
		Args: loadArgs,
	}
	flags := cmd.Flags()
	f.Output.AddFlags(flags)
	f.Registry.AddFlags(flags)
	f.Trust.AddFlags(flags)
	f.Upload.AddFlags(flags)
	flags.StringArrayVar(&f.artifacts, "artifact", nil, "only artifacts whose name, tag or digest matches the `GLOB`, such as 'team/llama:*' (may be repeated)")
	flags.StringArrayVar(&f.bases, "base", nil, "`TARGET` of a registry, layout or archive that may have what a difference leaves out (may be repeated)")
	flags.BoolVar(&f.noVerify, "no-verify", false, "UNSAFE: load what nobody vouches for; only digests are checked")
	flags.BoolVar(&f.dryRun, "dry-run", false, "check everything, every byte of the archives included, and write nothing")
	flags.BoolVar(&f.overwrite, "overwrite", false, "move tags of DST that hold something else")
	flags.BoolVar(&f.sparse, "sparse", false, "load into a layout also what lacks layers that the archive leaves out; it cannot be pulled whole")
	addConcurrency(cmd, &f.concurrency)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		for _, name := range append(option.SignerFlags(), "policy") {
			if err := notBoth(cmd, "no-verify", name); err != nil {
				return err
			}
		}
		return checkTrust(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.runLoad(cmd.Context(), args[:len(args)-1], args[len(args)-1], &f)
	}
	return cmd
}

func loadArgs(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usageError(cmd, errors.New("FILE is missing"))
	case 1:
		return usageError(cmd, errors.New("DST is missing: where to load it"))
	}
	return nil
}

func (a *app) runLoad(ctx context.Context, files []string, dst string, f *loadFlags) error {
	always := &option.Output{Format: f.Format} // said even when quiet: who reads the log later must see it
	if f.noVerify {
		a.warn(always, "--no-verify: nobody vouches for what is loaded; it may be anything")
	}
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	res, err := client.Load(ctx, files, dst, modseal.LoadOptions{
		Trust: a.trust(&f.Trust), SkipVerificationUnsafe: f.noVerify, Artifacts: f.artifacts, Bases: f.bases,
		DryRun: f.dryRun, Overwrite: f.overwrite, Sparse: f.sparse, Concurrency: f.concurrency, Upload: transfer.Mode(f.Upload.Mode),
	})
	p.Close(err)
	if err != nil {
		return err
	}
	for _, artifact := range res.Artifacts {
		for _, m := range artifact.LeftOut {
			a.warn(always, "--sparse: not there: "+m.String())
		}
		for _, v := range artifact.Verification {
			a.warn(&f.Output, v.Warnings...)
		}
	}
	a.warn(&f.Output, res.Warnings...)
	for _, b := range res.Brought {
		a.warn(&f.Output, fmt.Sprintf("%s brings %s (%s), which was not used: %s", b.File, b.What(), b.Digest, b.Next()))
	}
	return a.print(&f.Output, res, func(w io.Writer) { writeLoad(w, res) })
}

func writeLoad(w io.Writer, r *modseal.LoadResult) {
	fields := render.NewFields(w)
	for i, l := range r.Artifacts {
		if i > 0 {
			fields.Flush()
			fmt.Fprintln(w)
		}
		writeLoaded(fields, r.DryRun, &l)
	}
	if !r.DryRun {
		fields.Add("moved", trafficText(r.CopyTraffic))
	}
	fields.Flush()
}

// loadWords are what is said of a load, and of one that is only tried.
var loadWords = map[bool]struct{ loaded, blobs string }{
	false: {"loaded", "written"},
	true:  {"would load", "to be written"},
}

func writeLoaded(fields *render.Fields, dry bool, l *modseal.LoadedArtifact) {
	words := loadWords[dry]
	fields.Add(words.loaded, l.Destination)
	fields.Add("from", l.Name+" in "+l.File)
	fields.Add("digest", l.Digest)
	for _, v := range l.Verification {
		if len(l.Verification) > 1 {
			fields.Add("model", v.Digest.String())
		}
		writeDecision(fields, &v)
	}
	fields.Add("tag", tagChangeText(l.Tag))
	fields.Add("blobs", fmt.Sprintf("%d %s, %s; %d mounted, %d there before", l.Blobs, words.blobs, render.Bytes(l.Bytes), l.Mounted, l.Existed))
	if n := len(l.LeftOut); n > 0 {
		fields.Add("NOT THERE", render.Count(n, "blob"))
	}
	fields.Add("referrers", fmt.Sprint(l.Referrers))
}

func tagChangeText(t modseal.TagChange) string {
	switch t.State {
	case modseal.TagCreate:
		return "created"
	case modseal.TagMove:
		return "moved from " + t.Previous
	case modseal.TagSame:
		return "as it was"
	case modseal.TagDrift:
	}
	return ""
}
