package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/statement"
)

type attestFlags struct {
	option.Output
	option.Registry
	option.Sign
	predicate     string
	predicateType string
}

func (a *app) attestCommand() *cobra.Command {
	var f attestFlags
	cmd := &cobra.Command{
		Use:   "attest TARGET",
		Short: "Attach a signed claim to a model: provenance, an SBOM, test results",
		Long: `Sign a claim about the model that TARGET names, and attach it: an in-toto
statement about the manifest digest, in the shape of cosign. The claim is the JSON
object in the --predicate file, which gets into the statement as it is; --type says
what kind of claim it is. What signs is said as for sign. No layer is read. The same
claim by the same signer is not attached again.

An attestation is no signature of the model: verify counts it only where a policy
asks for its type.`,
		Example: `  # provenance that the build wrote
  modseal attest registry.example.com/team/model:v1 --type slsaprovenance1 \
    --predicate provenance.json --key release.key

  # results in a format of one's own, from a pipe
  evaluate --json | modseal attest registry.example.com/team/model:v1 \
    --type https://example.com/evaluation/v1 --predicate - --key release.key`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Sign.AddFlags(cmd.Flags())
	names := strings.Join(statement.PredicateTypeNames(), ", ")
	cmd.Flags().StringVar(&f.predicate, "predicate", "", "`FILE` with the claim, a JSON object; \"-\" is standard input")
	cmd.Flags().StringVar(&f.predicateType, "type", "", "`TYPE` of the claim: an absolute URI, or one of "+names)
	for _, name := range []string{"predicate", "type"} {
		_ = cmd.MarkFlagRequired(name)
	}
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(statement.PredicateTypeNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkSign(cmd, &f.Sign, true) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runAttest(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runAttest(ctx context.Context, target string, f *attestFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	predicate := a.in
	if f.predicate != "-" {
		file, err := os.Open(f.predicate)
		if err != nil {
			return fmt.Errorf("predicate: %w", err)
		}
		defer file.Close()
		predicate = file
	}
	res, err := client.Attest(ctx, target, modseal.AttestOptions{
		Sign:          a.signer(&f.Sign, &f.Output),
		PredicateType: f.predicateType,
		Predicate:     predicate,
	})
	if errors.Is(err, statement.ErrInvalid) && f.predicate != "-" {
		return fmt.Errorf("%s: %w", f.predicate, err)
	}
	if err != nil {
		return err
	}
	return a.print(&f.Output, res, func(w io.Writer) {
		fields := render.NewFields(w)
		fields.Add("reference", res.Reference)
		fields.Add("digest", res.Digest)
		addSignatures(fields, []modseal.Signature{res.Attestation})
		fields.Flush()
	})
}
