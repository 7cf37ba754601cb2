package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/verify"
)

type sbomShowFlags struct {
	option.Output
	option.Registry
	option.Trust
	option.SBOMFormat
	referrer string
}

func (a *app) sbomShowCommand() *cobra.Command {
	var f sbomShowFlags
	cmd := &cobra.Command{
		Use:        "show TARGET",
		SuggestFor: []string{"get", "list"},
		Short:      "Show the bill of materials that is attached to a model",
		Long: `Write the bill of materials that is attached to the model that TARGET names to
standard output as it is, whoever made it: CycloneDX and SPDX in JSON, signed in a
bundle or attached as it is.

When somebody is named to be trusted, only one that he has signed counts; otherwise
nothing is verified, and a warning says so. Of several one has to be chosen, by its form or
its digest.`,
		Example: `  modseal sbom show registry.example.com/team/model:v1 --key release.pub
  modseal sbom show registry.example.com/team/model:v1 --format spdx --policy policy.yaml`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Trust.AddFlags(cmd.Flags())
	f.SBOMFormat.AddFlags(cmd.Flags(), "only one of this form")
	cmd.Flags().StringVar(&f.referrer, "referrer", "", "only the one of this `DIGEST`, as tree shows it")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkTrust(cmd) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.runSBOMShow(cmd.Context(), cmd, args[0], &f)
	}
	return cmd
}

func (a *app) runSBOMShow(ctx context.Context, cmd *cobra.Command, target string, f *sbomShowFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	q := modseal.SBOMQuery{Format: bom.Format(f.SBOMFormat.Format), Digest: f.referrer}
	// A policy that merely exists hides no document: it must be asked for.
	if slices.ContainsFunc(append(option.SignerFlags(), "policy"), cmd.Flags().Changed) {
		trust := a.trust(&f.Trust)
		q.Trust = &trust
	}
	list, err := client.AttachedSBOMs(ctx, target, q)
	if err != nil {
		return err
	}
	if q.Trust == nil {
		a.warn(&f.Output, "not verified: whoever can push to the repository could have attached it (name who is trusted with --key or --policy)")
	}
	if !f.JSON() {
		if err := oneSBOM(cmd, list); err != nil {
			return err
		}
	}
	return a.print(&f.Output, list, func(w io.Writer) {
		writeDocument(w, list.SBOMs[0].Document)
		_, _ = io.WriteString(w, "\n")
	})
}

// oneSBOM refuses several that say different things.
func oneSBOM(cmd *cobra.Command, list *modseal.SBOMList) error {
	different := slices.ContainsFunc(list.SBOMs, func(s modseal.AttachedSBOM) bool {
		return !bytes.Equal(s.Document, list.SBOMs[0].Document)
	})
	if !different {
		return nil
	}
	var b strings.Builder
	for _, s := range list.SBOMs {
		by := "not signed"
		switch v := s.Verification; {
		case v != nil:
			by = "by " + signedBy(verify.Check{Signer: v.Signer, Identity: v.Identity, Issuer: v.Issuer, Fingerprint: v.Fingerprint})
		case s.Signed:
			by = "signed, not verified"
		}
		fmt.Fprintf(&b, "\n  %s  %s, %s", s.Digest, render.Clean(s.Kind), render.Clean(by))
	}
	return usageError(cmd, fmt.Errorf("%s has several; choose one with --format or --referrer:%s", list.Reference, b.String()))
}
