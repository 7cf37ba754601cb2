package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/modseal"
)

type saveFlags struct {
	option.Output
	option.Registry
	option.Trust
	carry       option.Carry
	split       option.Size
	include     option.Roles
	exclude     option.Roles
	file        string
	since       []string
	noVerify    bool
	dryRun      bool
	overwrite   bool
	concurrency int
}

const saveLong = `Resolve every REF once, verify each model as "modseal verify" does, and only then write
all of them into the archive FILE, with everything that is attached to them: signatures,
attestations, SBOMs, and what is attached to these. FILE is an uncompressed tar of an OCI
layout, which other tools read too, and "modseal load" takes to the other side.

A REF is a tag or a digest in a registry, a layout (oci:PATH:TAG) or an archive
(archive:FILE:NAME); 'host/repository:v1.*' takes all tags that match (quote it, or the
shell takes the star); @LIST takes one REF from each line of the file LIST. What several
models share is in FILE once.

With --since, layers that the other side has are left out: --since names the archive that
it loaded last, the inventory that it sent, or a reference or layout that it mirrors. FILE
says what it relies on, and "modseal load" refuses it where that is missing.

FILE appears under its name when all of it is written and proven. Interrupted, the same
command goes on. Run again, it writes nothing: the same models give the same bytes.`

const saveExample = `  # several models, with the keys and the policy by which they were verified
  modseal save registry.example.com/team/llama:v2 'registry.example.com/team/embed:v1.*' \
    -o models.tar --policy policy.yaml --with-trust --with-policy

  # only what is new since last month, on media of 25 GB
  modseal save registry.example.com/team/llama:v3 -o june.tar --since may.tar --split 25GB --policy policy.yaml

  # what would be in it, from a list, for a site that has sent its inventory
  modseal save @models.txt -o july.tar --since have.txt --key release.pub --dry-run`

func (a *app) saveCommand() *cobra.Command {
	var f saveFlags
	cmd := &cobra.Command{
		Use:        "save REF… -o FILE",
		SuggestFor: []string{"export"},
		Short:      "Verify models by policy, then write them into one file for a site without network",
		Long:       saveLong,
		Example:    saveExample,
		Args:       saveArgs,
	}
	f.addFlags(cmd.Flags())
	addConcurrency(cmd, &f.concurrency)
	_ = cmd.RegisterFlagCompletionFunc("include", completeRoles)
	_ = cmd.RegisterFlagCompletionFunc("exclude", completeRoles)
	cmd.ValidArgsFunction = a.completeTarget
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkSave(cmd, &f) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runSave(cmd.Context(), args, &f) }
	return cmd
}

func (f *saveFlags) addFlags(flags *pflag.FlagSet) {
	f.Output.AddFlags(flags)
	f.Registry.AddFlags(flags)
	f.Trust.AddFlags(flags)
	f.carry.AddFlags(flags)
	flags.StringVarP(&f.file, "file", "o", "", "archive `FILE` to write")
	flags.StringArrayVar(&f.since, "since", nil, "leave out layers that the other side has: an archive, an inventory, a `REF` or a layout (may be repeated)")
	flags.Var(&f.split, "split", "write parts of this size, such as 25GB or 4GiB, to FILE.000, FILE.001, …, and their list to FILE.parts.json")
	flags.Var(&f.include, "include", "only files of this role: weight, weight.config, doc, code or dataset (may be repeated)")
	flags.Var(&f.exclude, "exclude", "no files of this role (may be repeated)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "verify, say what would be written, and write nothing")
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace FILE when it is another archive")
	flags.BoolVar(&f.noVerify, "no-verify", false, "UNSAFE: save what nobody vouches for; only digests are checked")
}

func saveArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(cmd, errors.New("REF is missing: what to save"))
	}
	return nil
}

func checkSave(cmd *cobra.Command, f *saveFlags) error {
	if f.file == "" {
		return usageError(cmd, errors.New("say where to write the archive with -o FILE"))
	}
	for _, name := range append(option.SignerFlags(), "policy") {
		if err := notBoth(cmd, "no-verify", name); err != nil {
			return err
		}
	}
	return checkTrust(cmd)
}

func (a *app) runSave(ctx context.Context, refs []string, f *saveFlags) error {
	if f.noVerify {
		// Said even when quiet: who reads the log later must see it.
		a.warn(&option.Output{Format: f.Format}, "--no-verify: nobody vouches for what is saved; it may be anything")
	}
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	res, err := client.Save(ctx, refs, f.file, modseal.SaveOptions{
		Trust: a.trust(&f.Trust), SkipVerificationUnsafe: f.noVerify,
		Since: f.since, Include: f.include, Exclude: f.exclude,
		WithTrust: f.carry.Trust.Given, TrustNames: f.carry.Trust.Names, WithPolicy: f.carry.Policy,
		PartSize: int64(f.split), DryRun: f.dryRun, Overwrite: f.overwrite, Concurrency: f.concurrency,
		Tool: archive.Tool{Name: "modseal", Version: buildVersion().Version},
	})
	p.Close(err)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	return a.print(&f.Output, res, func(w io.Writer) { writeSave(w, res) })
}

func writeSave(w io.Writer, r *modseal.SaveResult) {
	for i := range r.Artifacts {
		f := render.NewFields(w)
		writeSaved(f, &r.Artifacts[i])
		f.Flush()
		fmt.Fprintln(w)
	}
	f := render.NewFields(w)
	f.Add(fileWord(r), r.File)
	f.Add("size", fmt.Sprintf("%s, %s", render.Bytes(r.Size), render.Count(r.Blobs, "blob")))
	if n := len(r.Parts); n > 0 {
		f.Add("parts", fmt.Sprintf("%d, of %s", n, render.Bytes(r.Parts[0].Size)))
	}
	f.Add("digest", r.Digest.String())
	if !r.DryRun && !r.Existed {
		f.Add("fetched", render.Bytes(r.Fetched)+spared(r.Kept, "kept from an interrupted save")+spared(r.Reused, "taken from the archive that was there"))
	}
	writeLeftOut(f, r)
	carried(f, "trust material", string(r.Trust))
	carried(f, "policy text", string(r.Policy))
	f.Flush()
}

// fileWord says what became of the file.
func fileWord(r *modseal.SaveResult) string {
	switch {
	case r.DryRun:
		return "would write"
	case r.Existed:
		return "was there, and is whole"
	}
	return "wrote"
}

// spared says what was not fetched.
func spared(n int64, why string) string {
	if n == 0 {
		return ""
	}
	return ", " + render.Bytes(n) + " " + why
}

func carried(f *render.Fields, what, digest string) {
	if digest != "" {
		f.Add(what, digest)
	}
}

func writeSaved(f *render.Fields, s *modseal.SavedArtifact) {
	for i := range s.Verification {
		v := &s.Verification[i]
		writeVerification(f, s.Name, v.Digest.String(), v)
	}
	if len(s.Verification) > 1 {
		f.Add("index", s.Digest.String())
	}
	f.Add("holds", fmt.Sprintf("%s, %s", render.Bytes(s.Size), render.Count(s.Referrers, "referrer")))
}

// writeLeftOut names what is not in the archive, as far as anybody wants to read it.
func writeLeftOut(f *render.Fields, r *modseal.SaveResult) {
	if len(r.Omitted) == 0 {
		return
	}
	f.Add("left out", fmt.Sprintf("%s, %s: it can be loaded only where they are", render.Count(len(r.Omitted), "file"), render.Bytes(r.OmittedBytes)))
	const most = 20
	byPath := slices.SortedStableFunc(slices.Values(r.Omitted), func(a, b archive.Omitted) int { return cmp.Compare(a.Path, b.Path) })
	for i, o := range byPath {
		if i == most {
			f.Add("", fmt.Sprintf("and %d more", len(r.Omitted)-most))
			break
		}
		f.Row("", fmt.Sprintf("%s, %s%s", name(o), render.Bytes(o.Size), why(o)))
	}
}

func name(o archive.Omitted) string {
	if o.Path == "" {
		return o.Digest.String()
	}
	return o.Path
}

func why(o archive.Omitted) string {
	switch {
	case o.Reason == archive.OmittedRole:
		return ", role " + roleName(o.Role) + ": not wanted"
	case o.From != "":
		return ": in " + o.From
	}
	return ": in the inventory"
}

func roleName(r artifacttypes.Role) string {
	if r == "" {
		return "unknown"
	}
	return string(r)
}
