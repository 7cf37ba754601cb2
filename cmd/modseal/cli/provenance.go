package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

type provenanceFlags struct {
	option.Output
	option.Registry
	option.Sign
	option.Provenance
	attach        bool
	to            string
	predicateType string
}

func (a *app) provenanceCommand() *cobra.Command {
	var f provenanceFlags
	cmd := &cobra.Command{
		Use:   "provenance TARGET",
		Short: "Make SLSA provenance of a model, and attach it signed",
		Long: `Say how the model that TARGET names came about: SLSA provenance v1, from what GitHub
Actions, GitLab CI, Tekton, Argo Workflows or Jenkins tells its jobs, from the git
checkout where none of them is there, and from records of training in the model.
What it was made from is resolved to digests. It is printed, or with --attach signed
and attached. Only variables that are documented are read, and none with secrets.

It is worth what whoever signs it is worth: a job that signs with its own identity
(--keyless) says more than a key that anybody might use, and a plain machine says
least. Times are written only with --build-times.`,
		Example: `  # in CI: attach it, signed by the identity of the job
  modseal provenance registry.example.com/team/model:v1 --attach --keyless

  # what would be said of a directory, made from a model that is resolved now
  modseal provenance ./model --base-model registry.example.com/base/llama:v3

  # one's own
  modseal provenance registry.example.com/team/model:v1 --predicate build.json --attach --key release.key

  # what is attached, and by whom
  modseal provenance show registry.example.com/team/model:v1 --key release.pub`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Sign.AddFlags(cmd.Flags())
	f.Provenance.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&f.attach, "attach", false, "sign the provenance and attach it to TARGET")
	cmd.Flags().StringVar(&f.to, "to", "", "write the predicate to `FILE` instead of standard output")
	cmd.Flags().StringVar(&f.predicateType, "type", "slsaprovenance1", "`TYPE` of the --predicate: slsaprovenance1, slsaprovenance02")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkProvenance(cmd, &f) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runProvenance(cmd.Context(), args[0], &f) }
	cmd.AddCommand(a.provenanceShowCommand())
	return cmd
}

func checkProvenance(cmd *cobra.Command, f *provenanceFlags) error {
	if !f.attach && signs(&f.Sign) {
		return usageError(cmd, fmt.Errorf("--%s signs what is attached: add --attach", f.Sign.Flag("key")))
	}
	if !slices.Contains([]string{"slsaprovenance1", "slsaprovenance02", "slsaprovenance"}, f.predicateType) {
		return usageError(cmd, fmt.Errorf("--type %q is no type of provenance: slsaprovenance1 or slsaprovenance02; attest takes any type", f.predicateType))
	}
	if f.Predicate == "" && cmd.Flags().Changed("type") {
		return usageError(cmd, fmt.Errorf("--type is that of a --predicate: what is made here is SLSA provenance v1"))
	}
	for _, name := range f.Provenance.Flags() {
		if err := notBoth(cmd, "predicate", name); err != nil {
			return err
		}
	}
	if err := notBoth(cmd, "attach", "to"); err != nil {
		return err
	}
	return checkSign(cmd, &f.Sign, f.attach)
}

func (a *app) runProvenance(ctx context.Context, target string, f *provenanceFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	o, closePredicate, err := a.provenanceOptions(&f.Provenance)
	if err != nil {
		return err
	}
	defer closePredicate()
	o.PredicateType = f.predicateType
	if f.attach {
		signer := a.signer(&f.Sign, &f.Output)
		o.Attach = &signer
	}
	res, err := client.Provenance(ctx, target, o)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	if err := replaceFile(f.to, append(slices.Clip(res.Predicate), '\n')); err != nil {
		return err
	}
	return a.print(&f.Output, res, func(w io.Writer) { writeProvenance(w, res, f.to) })
}

func writeProvenance(w io.Writer, res *modseal.ProvenanceResult, to string) {
	if res.Attestation == nil && to == "" {
		_ = render.JSON(w, res.Predicate)
		return
	}
	fields := render.NewFields(w)
	fields.Add("reference", res.Reference)
	fields.Add("digest", res.Digest)
	fields.Add("written to", to)
	if res.Attestation != nil {
		addSignatures(fields, []modseal.Signature{*res.Attestation})
	}
	fields.Flush()
}

// provenanceOptions returns what the flags say. closePredicate closes the file that
// they name.
func (a *app) provenanceOptions(p *option.Provenance) (o modseal.ProvenanceOptions, closePredicate func(), err error) {
	o = modseal.ProvenanceOptions{
		Getenv: a.env.get, Source: p.Source, BaseModels: p.BaseModels, Datasets: p.Datasets,
		Parameters: p.Parameters, BuilderID: p.BuilderID, Times: p.Times,
	}
	if p.Times {
		o.Finished = time.Now()
		at, err := a.env.sourceDate()
		if err != nil {
			return o, nil, err
		}
		if at != nil {
			o.Finished = *at
		}
	}
	switch p.Predicate {
	case "":
		return o, func() {}, nil
	case "-":
		o.Predicate = a.in
		return o, func() {}, nil
	}
	file, err := os.Open(p.Predicate)
	if err != nil {
		return o, nil, fmt.Errorf("predicate: %w", err)
	}
	o.Predicate = file
	return o, func() { _ = file.Close() }, nil
}

// sayProvenance returns the provenance that a push says; nil when the flags ask for
// none.
func (a *app) sayProvenance(cmd *cobra.Command, p *option.Provenance) (say modseal.Saying, closePredicate func(), err error) {
	if !p.Wanted && p.Predicate == "" {
		for _, name := range p.Flags() {
			if cmd.Flags().Changed(name) {
				return nil, nil, usageError(cmd, fmt.Errorf("--%s says something about provenance, which is not asked for: add --provenance", name))
			}
		}
		return nil, func() {}, nil
	}
	if p.Predicate != "" {
		for _, name := range append(p.Flags(), "provenance") {
			if err := notBoth(cmd, "provenance-predicate", name); err != nil {
				return nil, nil, err
			}
		}
	}
	o, closePredicate, err := a.provenanceOptions(p)
	if err != nil {
		return nil, nil, err
	}
	return modseal.SayProvenance(o), closePredicate, nil
}
