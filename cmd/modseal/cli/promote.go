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
	"github.com/modseal/modseal/pkg/promotion"
	"github.com/modseal/modseal/pkg/transfer"
)

type promoteFlags struct {
	option.Output
	option.Registry
	option.Report
	option.Trust
	option.Upload
	sign                option.Sign
	destinationPolicies []string
	verifierID          string
	levels              []string
	renew               string
	overwrite           bool
	expect              string
	dryRun              bool
	record              string
	plan                string
	apply               bool
	spoolDir            string
	concurrency         int
}

func (a *app) promoteCommand() *cobra.Command {
	var f promoteFlags
	cmd := &cobra.Command{
		Use:   "promote SRC DST",
		Short: "Verify a model, copy it with its signatures, say so in a signed summary, and tag it last",
		Long: `Promote the model that SRC names to DST: verify it by policy where it is, copy it with
everything that refers to it, attach a signed verification summary (SLSA VSA) there,
verify what is there then, by the same policy and by that of the destination, and only
then set the tag of DST. SRC is resolved once; what is decided on is a digest.

A step that fails leaves the tag of DST as it was. What was copied until then is
reused by the next try. Promoted again, a model that is there already moves nothing.

Who verifies the model is said as for verify; who signs the summary by the flags that
begin with --sign-. Those who use the model can ask for that summary alone.

With --plan, a file declares a set of promotions: without --apply only the difference
is shown.`,
		Example: `  # from staging to production, if both policies accept it
  modseal promote staging.example.com/ml/llama:v1 prod.example.com/ml/llama:v1 \
    --policy staging.yaml --destination-policy production.yaml --sign-key awskms:///alias/promoter

  # what would be done
  modseal promote staging.example.com/ml/llama:v1 prod.example.com/ml/llama:v1 \
    --policy staging.yaml --dry-run

  # a declared set, in CI: the difference first, then all of it
  modseal promote --plan production.yaml
  modseal promote --plan production.yaml --apply --sign-keyless --record promotions.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.plan != "" {
				return exactArgs()(cmd, args)
			}
			return exactArgs("SRC", "DST")(cmd, args)
		},
	}
	f.addFlags(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return f.check(cmd) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.plan != "" {
			return a.runPromotePlan(cmd.Context(), &f)
		}
		return a.runPromote(cmd.Context(), args[0], args[1], &f)
	}
	a.reports(cmd, &f.Report)
	return cmd
}

func (f *promoteFlags) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.Output.AddFlags(fs)
	f.Registry.AddFlags(fs)
	f.Report.AddFlags(fs)
	f.Trust.AddFlags(fs)
	f.Upload.AddFlags(fs)
	f.sign.AddPrefixedFlags(fs)
	fs.StringArrayVar(&f.destinationPolicies, "destination-policy", nil, "policy `FILE` that must accept the model besides, at the destination and under its name there (may be repeated)")
	fs.StringVar(&f.verifierID, "verifier-id", "", "`URI` that the summary calls the verifier by (default: who signs)")
	fs.StringArrayVar(&f.levels, "level", nil, "verified `LEVEL` of the summary, besides "+modseal.LevelPolicyPassed+" (may be repeated)")
	fs.StringVar(&f.renew, "renew", "", "sign a new summary when the one that is there is older than this `DURATION`, such as 30d or 12h")
	fs.BoolVar(&f.overwrite, "overwrite", false, "move the destination tag if it holds something else")
	fs.StringVar(&f.expect, "expect", "", "move the destination tag if it holds this `DIGEST`")
	fs.BoolVar(&f.dryRun, "dry-run", false, "verify and plan; write and sign nothing")
	fs.StringVar(&f.record, "record", "", "write the record of each step to `FILE` as JSON, of a promotion that fails too")
	fs.StringVar(&f.plan, "plan", "", "`FILE` that declares a set of promotions: shows the difference")
	fs.BoolVar(&f.apply, "apply", false, "with --plan: do what the difference shows")
	fs.StringVar(&f.spoolDir, "spool-dir", "", "`DIR` for layers on their way from registry to registry (default: $XDG_CACHE_HOME/modseal/spool)")
	addConcurrency(cmd, &f.concurrency)
}

// check refuses flags that make no sense together.
func (f *promoteFlags) check(cmd *cobra.Command) error {
	if err := checkTrust(cmd); err != nil {
		return err
	}
	if err := notBoth(cmd, "overwrite", "expect"); err != nil {
		return err
	}
	if f.apply && f.plan == "" {
		return usageError(cmd, errors.New("--apply is of a plan: add --plan FILE"))
	}
	if f.plan != "" {
		for _, name := range []string{"dry-run", "expect"} {
			if cmd.Flags().Changed(name) {
				return usageError(cmd, fmt.Errorf("--%s and --plan contradict each other: without --apply nothing is written, and a plan says what it expects", name))
			}
		}
	}
	if f.renew != "" {
		if _, ok := promotion.ParseDuration(f.renew); !ok {
			return usageError(cmd, fmt.Errorf("--renew %q: a duration of days, hours or minutes is needed, such as 90d, 12h or 30m", f.renew))
		}
	}
	return checkSign(cmd, &f.sign, !f.dryRun && f.plan == "")
}

// options are what the flags say.
func (a *app) promoteOptions(f *promoteFlags) modseal.PromoteOptions {
	if f.spoolDir == "" {
		f.spoolDir = a.env.spoolDir()
	}
	renew, _ := promotion.ParseDuration(f.renew) // check made sure
	o := modseal.PromoteOptions{
		Trust: a.trust(&f.Trust), DestinationPolicyFiles: f.destinationPolicies,
		VerifierID: f.verifierID, Levels: f.levels, Renew: renew,
		Overwrite: f.overwrite, Expect: f.expect, DryRun: f.dryRun,
		Concurrency: f.concurrency, Upload: transfer.Mode(f.Upload.Mode), SpoolDir: f.spoolDir,
	}
	if signs(&f.sign) {
		o.Sign = a.signer(&f.sign, &f.Output)
	}
	return o
}

func (a *app) runPromote(ctx context.Context, src, dst string, f *promoteFlags) error {
	record, err := newRecord(f.record)
	if err != nil {
		return err
	}
	defer record.discard()
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	res, err := client.Promote(ctx, src, dst, a.promoteOptions(f))
	p.Close(err)
	a.result = res // of a promotion that failed too
	if writeErr := record.write(res); writeErr != nil {
		err = errors.Join(err, writeErr)
	}
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	return a.print(&f.Output, res, func(w io.Writer) { writePromotion(w, res) })
}

// writePromotion tells a promotion that ended well.
func writePromotion(w io.Writer, r *modseal.PromoteResult) {
	fields := render.NewFields(w)
	switch r.Outcome {
	case modseal.PromotionPlanned:
		fields.Add("would promote", r.Source)
	case modseal.PromotionUnchanged:
		fields.Add("unchanged", r.Source)
	case modseal.Promoted, modseal.PromotionFailed:
		fields.Add("promoted", r.Source)
	}
	fields.Add("to", r.Destination)
	fields.Add("digest", r.Digest)
	fields.Add("change", changeText(r))
	for _, p := range r.Policies {
		fields.Add("policy", p.File+scopeText(p.Scope)+", of the "+p.At)
	}
	for _, c := range r.Verification.Checks {
		if c.Passed() {
			fields.Add(modseal.ClaimName(c.PredicateType), "by "+signedBy(c)+detail(c.Detail))
		}
	}
	if c := r.Copy; c != nil {
		fields.Add("blobs", fmt.Sprintf("%d copied, %s; %d mounted, %d there before", c.Blobs, render.Bytes(c.Bytes), c.Mounted, c.Existed))
		fields.Add("referrers", fmt.Sprint(c.Referrers))
	}
	if v := r.VSA; v != nil {
		fields.Add("summary", v.Digest+" by "+v.Signer+existedText(v.Existed))
		fields.Add("verifier", v.VerifierID)
	}
	fields.Flush()
}

func scopeText(scope string) string {
	if scope == "" {
		return ""
	}
	return " scope " + scope
}

func existedText(existed bool) string {
	if existed {
		return ", there before"
	}
	return ""
}

// changeText says what the destination lacked.
func changeText(r *modseal.PromoteResult) string {
	switch r.Change {
	case modseal.ChangeCreate:
		return "create: the destination has not got it"
	case modseal.ChangeUpdate:
		return "update: the tag is moved from " + r.Previous
	case modseal.ChangeReferrers:
		return "referrers: something that refers to the model is missing"
	case modseal.ChangeSummary:
		return "summary: the verification summary is missing"
	case modseal.ChangeNone:
	}
	return "none"
}
