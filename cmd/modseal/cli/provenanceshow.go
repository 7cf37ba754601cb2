package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/verify"
)

type provenanceShowFlags struct {
	option.Output
	option.Registry
	option.Trust
}

func (a *app) provenanceShowCommand() *cobra.Command {
	var f provenanceShowFlags
	cmd := &cobra.Command{
		Use:        "show TARGET",
		SuggestFor: []string{"get", "list"},
		Short:      "Show the provenance that is attached to a model, and by whom",
		Long: `Show the SLSA provenance, v1 and v0.2, that is attached to the model that TARGET
names. Whether its signature is right is checked only when somebody is named to be
trusted; it ends with 3 when none is by them. Whether a model may be used, verify
decides. --output json has the predicates.`,
		Example: `  modseal provenance show registry.example.com/team/model:v1 --key release.pub

  # the predicate alone
  modseal provenance show registry.example.com/team/model:v1 --output json | jq .claims[0].predicate`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Trust.AddFlags(cmd.Flags())
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkTrust(cmd) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.runProvenanceShow(cmd.Context(), cmd, args[0], &f)
	}
	return cmd
}

func (a *app) runProvenanceShow(ctx context.Context, cmd *cobra.Command, target string, f *provenanceShowFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	res, err := client.AttachedProvenance(ctx, target, a.namedTrust(cmd, &f.Trust))
	if err != nil {
		return err
	}
	if err := a.print(&f.Output, res, func(w io.Writer) { writeAttached(w, res) }); err != nil {
		return err
	}
	if slices.ContainsFunc(res.Claims, countsFor) {
		return nil
	}
	return errToldAlready
}

// countsFor reports whether a claim is by somebody who is trusted, or nobody was named.
func countsFor(c modseal.AttachedClaim) bool { return c.Verification == nil || c.Verification.Verified }

// namedTrust is whom the flags name; nil when they name nobody. A policy that merely
// exists makes nothing slower that only shows: it must be asked for.
func (a *app) namedTrust(cmd *cobra.Command, t *option.Trust) *modseal.TrustOptions {
	if !slices.ContainsFunc(append(option.SignerFlags(), "policy"), cmd.Flags().Changed) {
		return nil
	}
	trust := a.trust(t)
	return &trust
}

func writeAttached(w io.Writer, res *modseal.AttachedClaims) {
	for i, c := range res.Claims {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fields := render.NewFields(w)
		fields.Add("attached as", c.Digest)
		fields.Add("claim", c.Claim+" ("+c.PredicateType+")")
		fields.Add("signed by", whoSigned(c.Verification, c.ClaimedBy))
		fields.Add("says", c.Says)
		fields.Flush()
		writeForeignJSON(w, c.Predicate)
	}
}

// writeForeignJSON writes JSON of a stranger, whose texts may hold characters that a
// terminal obeys.
func writeForeignJSON(w io.Writer, raw json.RawMessage) {
	var b strings.Builder
	_ = render.JSON(&b, raw) // it was parsed before
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, render.Clean(strings.TrimSuffix(line, "\n")))
	}
}

// whoSigned says by whom a claim is, or that nobody knows.
func whoSigned(v *modseal.TreeVerification, claimed string) string {
	if claimed == "" {
		claimed = "somebody whom it does not name"
	}
	switch {
	case v == nil:
		return claimed + ", it says; NOT CHECKED: name whom to trust, with --key FILE or --policy FILE"
	case v.Verified:
		return signedBy(verify.Check{Signer: v.Signer, Identity: v.Identity, Issuer: v.Issuer, Fingerprint: v.Fingerprint}) + "; verified"
	}
	return claimed + ", it says; NOT VERIFIED: it " + v.Why
}
