package cli

import (
	"context"
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

type verifyFlags struct {
	option.Output
	option.Registry
	option.Report
	option.Trust
	option.Directory
	signatures       []string
	ignoreUnsigned   bool
	noIgnoreUnsigned bool
	strict           bool
	legacyPredicate  bool
}

func (a *app) verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:        "verify TARGET",
		SuggestFor: []string{"verify-attestation"},
		Short:      "Verify a model in a registry, a layout or a directory",
		Long: `Verify the signatures of the model that TARGET names by key, identity or policy. Of a
registry or a layout only manifests and signatures are read, and tars of grouped
small files where a signature lists what is in them; no weights.

For a directory (or one file), --signature names the OMS bundle that was made for
it; every file is read and compared. Without it, that of ./model is ./model.sig
beside it, else model.sig inside it.`,
		Example: `  # by key
  modseal verify registry.example.com/team/model:v1 --key release.pub

  # keyless: who signed, and who vouched for it
  modseal verify registry.example.com/team/model:v1 \
    --certificate-identity https://github.com/team/model/.github/workflows/release.yaml@refs/heads/main \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com

  # a directory against a detached OMS signature
  modseal verify ./model --signature model.sig --key release.pub`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Report.AddFlags(cmd.Flags())
	f.Trust.AddFlags(cmd.Flags())
	f.Directory.AddFlags(cmd.Flags())
	cmd.Flags().StringArrayVar(&f.signatures, "signature", nil, "of a directory: OMS bundle `FILE` (may be repeated, for a policy that wants several signers)")
	cmd.Flags().BoolVar(&f.ignoreUnsigned, "ignore-unsigned-files", false, "of a directory: accept files that the signature does not name; a policy says it itself")
	cmd.Flags().BoolVar(&f.noIgnoreUnsigned, "no-ignore-unsigned-files", false, "of a directory: the opposite of --ignore-unsigned-files")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "of a directory: refuse bundles that differ from what the OMS specification has written today")
	cmd.Flags().BoolVar(&f.legacyPredicate, "legacy-predicate", false, "of a directory: accept signatures of model_signing 0.2, whose encoding is no DSSE; a policy says it itself")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkTrust(cmd) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runVerify(cmd.Context(), cmd, args[0], &f) }
	a.reports(cmd, &f.Report)
	return cmd
}

func (a *app) runVerify(ctx context.Context, cmd *cobra.Command, target string, f *verifyFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	t, err := modseal.ParseTarget(target)
	if err != nil {
		return err
	}
	var res *modseal.VerifyResult
	if t.Kind == modseal.KindDirectory {
		res, err = a.verifyDirectory(ctx, cmd, client, t.Path, f)
	} else {
		if err := onlyForDirectories(cmd, target); err != nil {
			return err
		}
		res, err = client.Verify(ctx, target, a.trust(&f.Trust))
	}
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Verification.Warnings...)
	return a.print(&f.Output, res, func(w io.Writer) {
		fields := render.NewFields(w)
		writeVerification(fields, res.Reference, res.Digest, &res.Verification)
		fields.Flush()
	})
}

func (a *app) verifyDirectory(ctx context.Context, cmd *cobra.Command, client *modseal.Client, dir string, f *verifyFlags) (*modseal.VerifyResult, error) {
	o, err := f.Options(dir)
	if err == nil {
		err = notBoth(cmd, "ignore-unsigned-files", "no-ignore-unsigned-files")
	}
	if err != nil {
		return nil, usageError(cmd, err)
	}
	o.Trust, o.IgnoreUnsigned, o.Strict, o.LegacyPredicate = a.trust(&f.Trust), f.ignoreUnsigned, f.strict, f.legacyPredicate
	return client.VerifyDirectory(ctx, dir, f.signatures, o)
}

// writeVerification writes the decision and what it rests on.
func writeVerification(f *render.Fields, reference, digest string, r *verify.Report) {
	switch r.Decision {
	case verify.Accepted:
		f.Add("verified", reference)
	case verify.Skipped:
		f.Add("NOT VERIFIED", reference)
	case verify.Warned:
		f.Add("ACCEPTED WITH WARNINGS (mode warn)", reference)
	}
	f.Add("digest", digest)
	writeChecks(f, r)
}

// writeDecision writes a decision on something that was named before.
func writeDecision(f *render.Fields, r *verify.Report) {
	switch r.Decision {
	case verify.Accepted:
		f.Add("verified", "as "+r.Subject)
	case verify.Skipped:
		f.Add("NOT VERIFIED", r.Subject)
	case verify.Warned:
		f.Add("ACCEPTED WITH WARNINGS (mode warn)", r.Subject)
	}
	writeChecks(f, r)
}

// writeChecks writes what a decision rests on.
func writeChecks(f *render.Fields, r *verify.Report) {
	f.Add("policy", r.Policy)
	for _, c := range r.Checks {
		if c.Passed() {
			f.Add(modseal.ClaimName(c.PredicateType), "by "+signedBy(c)+detail(c.Detail))
		}
	}
}

// signedBy says who signed in words: the name in the policy and what it stands
// for.
func signedBy(c verify.Check) string {
	switch {
	case c.Issuer != "":
		return who(c.Signer, c.Identity) + ", vouched for by " + c.Issuer
	case c.Identity != "":
		return who(c.Signer, c.Identity) + ", with a certificate"
	}
	return c.Signer + ", key " + render.Short(c.Fingerprint)
}

func who(name, identity string) string {
	if identity == "" || name == identity {
		return name
	}
	return name + " (" + identity + ")"
}

func detail(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

// summary writes counts in a stable order: "3 written, 1 reused".
func summary(counts map[string]int) string {
	var parts []string
	for name, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, name))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
