package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/transfer"
)

type pushFlags struct {
	option.Output
	option.Registry
	option.Report
	option.Pack
	option.Sign
	option.ScanPush
	option.SBOM
	option.Provenance
	option.Upload
	option.Profile
	noCache     bool
	concurrency int
}

func (a *app) pushCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "push DIR REF",
		SuggestFor: []string{"upload", "publish"},
		Short:      "Pack a model directory, store it in a registry and sign it",
		Long: `Pack the model in DIR (a directory or one file), store it at REF and, with --key
or --keyless, sign it. The files are read once: they are hashed while they are sent. The tag is
set last, so that whoever sees it sees the signatures too.

Before anything is stored the files are scanned for what can harm whoever loads the
model, and findings are warned of; --scan=enforce refuses them.

Pushed again, what is there is not sent, and files that were not touched since they
were hashed are not read. A push that was killed goes on where the registry has it.

The same files give the same digest on every machine and every day.`,
		Example: `  # push and sign
  modseal push ./model registry.example.com/team/model:v1 --key release.key

  # in CI, without a key: the identity of the job signs
  modseal push ./model registry.example.com/team/model:v1 --keyless

  # with all that can be known about it: what is in it, where it is from, and whether
  # loading it can harm, in which case nothing is stored
  modseal push ./model registry.example.com/team/model:v1 --key release.key --sbom --provenance --scan=enforce

  # say what the files do not say
  modseal push ./model registry.example.com/team/model:v1 --set name=tiny,version=1.2`,
		Args: exactArgs("DIR", "REF"),
	}
	return a.storeCommand(cmd)
}

func (a *app) packCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "pack DIR TARGET",
		SuggestFor: []string{"build"},
		Short:      "Pack a model directory into an OCI layout or a registry",
		Long: `Pack the model in DIR (a directory or one file) and store it at TARGET, an OCI
layout on disk or a registry reference. It does what push does; only people say
"pack" when they think of a directory.`,
		Example: `  # into an OCI layout, signed
  modseal pack ./model oci:./layout:v1 --key release.key`,
		Args: exactArgs("DIR", "TARGET"),
	}
	return a.storeCommand(cmd)
}

func (a *app) storeCommand(cmd *cobra.Command) *cobra.Command {
	var f pushFlags
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Report.AddFlags(cmd.Flags())
	f.Pack.AddFlags(cmd.Flags())
	f.Sign.AddFlags(cmd.Flags())
	f.ScanPush.AddFlags(cmd.Flags())
	f.SBOM.AddFlags(cmd.Flags())
	f.Provenance.AddFlagsBeside(cmd.Flags())
	f.Upload.AddFlags(cmd.Flags())
	f.Profile.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&f.noCache, "no-cache", false, "read every file, also those that were not touched since they were hashed (see $XDG_STATE_HOME/modseal/digests)")
	addConcurrency(cmd, &f.concurrency)
	cmd.ValidArgsFunction = a.completeDirThenTarget
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if f.ScanPush.Mode == option.ScanOff && len(f.Globals) > 0 {
			return usageError(cmd, errors.New("--scan=off and --allow-global contradict each other: nothing is scanned that could pass"))
		}
		return checkSign(cmd, &f.Sign, false)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.runPush(cmd.Context(), cmd, args[0], args[1], &f)
	}
	a.reports(cmd, &f.Report)
	return cmd
}

func (a *app) runPush(ctx context.Context, cmd *cobra.Command, dir, target string, f *pushFlags) error {
	created, err := f.Pack.Time()
	if err != nil {
		return usageError(cmd, err)
	}
	if created == nil {
		if created, err = a.env.sourceDate(); err != nil {
			return usageError(cmd, err)
		}
	}
	o := modseal.PackOptions{
		FollowSymlinks: f.FollowSymlinks, Exclude: f.Exclude, Set: f.Set, Annotations: f.Annotations,
		Created: created, Concurrency: f.concurrency, Upload: transfer.Mode(f.Upload.Mode), NoCache: f.noCache, Profile: f.Profile.Profile,
	}
	if signs(&f.Sign) {
		signer := a.signer(&f.Sign, &f.Output)
		o.Signer = &signer
	}
	closePredicate, err := a.sayings(cmd, f, &o)
	if err != nil {
		return err
	}
	defer closePredicate()
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	res, err := client.Push(ctx, dir, target, o)
	p.Close(err)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	if res.Scan != nil {
		a.warn(&f.Output, scanWarnings(res.Scan, dir)...)
	}
	if o.Signer == nil {
		a.warn(&f.Output, "not signed; nobody can verify it (sign with --key, or later with: modseal sign "+res.Reference+" --key KEY)")
	}
	return a.print(&f.Output, res, func(w io.Writer) { writePush(w, res) })
}

// sayings adds what is said of the model beside its signature. What the caller gets
// is to be closed when it was said.
func (a *app) sayings(cmd *cobra.Command, f *pushFlags, o *modseal.PackOptions) (func(), error) {
	version := buildVersion().Version
	if f.ScanPush.Mode != option.ScanOff {
		scan := modseal.ScanPush{Attest: cmd.Flags().Changed("scan"), Allow: f.Globals, Version: version}
		if f.ScanPush.Mode == option.ScanEnforce {
			scan.Refuse = hazard.High
		}
		o.Say = append(o.Say, modseal.SayScan(scan))
	}
	if f.SBOM.Wanted() {
		o.Say = append(o.Say, modseal.SaySBOM(bom.Format(f.SBOM.Format), version))
	}
	provenance, closePredicate, err := a.sayProvenance(cmd, &f.Provenance)
	if err != nil {
		return nil, err
	}
	if provenance != nil {
		o.Say = append(o.Say, provenance)
	}
	return closePredicate, nil
}

func writePush(w io.Writer, r *modseal.PushResult) {
	f := render.NewFields(w)
	f.Add("stored", r.Reference)
	f.Add("digest", r.Digest)
	f.Add("tag moved from", r.Previous)
	f.Add("files", render.Count(r.Files, "file")+", "+render.Bytes(r.Size)+", in "+render.Count(r.Layers, "layer"))
	f.Add("moved", movedText(&r.Moved))
	for _, e := range r.Excluded {
		f.Add("left out", e)
	}
	if r.Scan != nil {
		f.Add("scanned", scanText(r.Scan))
	}
	for _, x := range r.Attached {
		f.Add("attached", x.MediaType+", not signed, "+x.Digest)
	}
	addSignatures(f, r.Signatures)
	f.Flush()
}

// scanText says what a scan came to.
func scanText(s *modseal.PushedScan) string {
	text := string(s.Verdict)
	if n := s.Counts.Total(); n > 0 {
		text += " (" + s.Counts.String() + ")"
	}
	if len(s.Allowed) > 0 {
		text += ", with " + render.Count(len(s.Allowed), "global") + " let pass"
	}
	return text
}

// scanWarnings says what was found before a push, and where all of it is told.
func scanWarnings(s *modseal.PushedScan, dir string) []string {
	if s.Verdict == hazard.Clean {
		return nil
	}
	out := []string{fmt.Sprintf("its scan finds it %s: %s; see modseal scan %s", s.Verdict, s.Counts, dir)}
	for _, f := range s.Findings {
		if f.Severity >= hazard.Medium && len(out) < 4 {
			out = append(out, fmt.Sprintf("%s: %s: %s", f.Severity, modseal.Place(f), f.Says()))
		}
	}
	return out
}

// movedText says in words what was moved and what was not. It is empty for a
// layout, of which nobody counts what was there.
func movedText(m *modseal.Moved) string {
	var parts []string
	if m.Sent+m.Resumed+m.Existed+m.Mounted > 0 {
		parts = append(parts, "sent "+render.Bytes(m.Sent))
	}
	for _, p := range []struct {
		n    int64
		what string
	}{{m.Resumed, "were sent before"}, {m.Existed, "were there"}, {m.Mounted, "were in another repository"}, {m.Unread, "not read again"}} {
		if p.n > 0 {
			parts = append(parts, render.Bytes(p.n)+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}

func addSignatures(f *render.Fields, signatures []modseal.Signature) {
	for _, s := range signatures {
		what := "signed"
		if s.Existed {
			what = "signed before"
		}
		f.Add(what, modseal.ClaimName(s.PredicateType)+" by "+s.Signer+", "+s.Digest)
	}
}

func addConcurrency(cmd *cobra.Command, n *int) {
	cmd.Flags().Var(option.Number(n), "concurrency", "how many layers move at once, 8 at most (default 4)")
}
