package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/modseal"
)

type sbomFlags struct {
	option.Output
	option.Registry
	option.Sign
	option.SBOMFormat
	to       string
	complete string
	created  string
	attach   bool
}

func (a *app) sbomCommand() *cobra.Command {
	var f sbomFlags
	cmd := &cobra.Command{
		Use:   "sbom TARGET",
		Short: "Make the bill of materials of a model, attach it, complete another one",
		Long: `Make the bill of materials of the model that TARGET names, and write it to standard
output: its files with their digests, licences, what it was made from, and what its
files say of it. Weights are not fetched: their digests are in the manifest, and what
they say is in their headers. A directory gives the same bytes as what was pushed from it.

With --attach it is attached to the model instead: as it is, or signed when what signs
is said as for sign. With --complete what is missing is added to a document of
somebody else, and nothing in it is replaced. "sbom show" shows what is attached.`,
		Example: `  # read it
  modseal sbom ./model
  modseal sbom registry.example.com/team/model:v1 --format spdx --to model.spdx.json

  # attach it, signed
  modseal sbom registry.example.com/team/model:v1 --attach --key release.key

  # add the model to the SBOM of the application that uses it
  modseal sbom registry.example.com/team/model:v1 --complete app.cdx.json --to app.cdx.json`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Sign.AddFlags(cmd.Flags())
	f.SBOMFormat.AddFlags(cmd.Flags(), "form of the document: CycloneDX 1.7, SPDX 2.3 (spdx) or SPDX 3.0.1 (spdx3) (default cyclonedx)")
	cmd.Flags().StringVar(&f.to, "to", "", "write the document to `FILE`, which is replaced")
	cmd.Flags().BoolVar(&f.attach, "attach", false, "attach the document to the model, signed with --key or --keyless")
	cmd.Flags().StringVar(&f.complete, "complete", "", "add what is missing to the document in `FILE`; \"-\" is standard input")
	cmd.Flags().StringVar(&f.created, "created", "", "`TIME` of the document (RFC 3339); SOURCE_DATE_EPOCH does the same (default: that of the model, or none, for the same bytes every day)")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkSBOM(cmd, &f) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runSBOM(cmd.Context(), cmd, args[0], &f) }
	cmd.AddCommand(a.sbomShowCommand())
	return cmd
}

func checkSBOM(cmd *cobra.Command, f *sbomFlags) error {
	if signs(&f.Sign) && !f.attach {
		return usageError(cmd, fmt.Errorf("what is signed is what is attached: add --attach"))
	}
	if err := notBoth(cmd, "complete", "format"); err != nil {
		return err
	}
	return checkSign(cmd, &f.Sign, false)
}

func (a *app) runSBOM(ctx context.Context, cmd *cobra.Command, target string, f *sbomFlags) error {
	o, err := a.sbomOptions(cmd, f)
	if err != nil {
		return err
	}
	switch f.complete {
	case "":
	case "-":
		o.Complete = a.in
	default:
		file, err := os.Open(f.complete)
		if err != nil {
			return err
		}
		defer file.Close()
		o.Complete = file
	}
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	res, err := client.SBOM(ctx, target, o)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	if err := replaceFile(f.to, res.Document); err != nil {
		return err
	}
	if res.Attached != nil {
		a.warn(&f.Output, "not signed: whoever can push to the repository could have attached it (sign with --key, or --keyless)")
	}
	return a.print(&f.Output, res, func(w io.Writer) { writeSBOM(w, f, res) })
}

func (a *app) sbomOptions(cmd *cobra.Command, f *sbomFlags) (modseal.SBOMOptions, error) {
	created, err := (&option.Pack{Created: f.created}).Time()
	if err == nil && created == nil {
		created, err = a.env.sourceDate()
	}
	if err != nil {
		return modseal.SBOMOptions{}, usageError(cmd, err)
	}
	o := modseal.SBOMOptions{Format: bom.Format(f.SBOMFormat.Format), Version: buildVersion().Version, Created: created, Attach: f.attach}
	if signs(&f.Sign) {
		signer := a.signer(&f.Sign, &f.Output)
		o.Sign = &signer
	}
	return o, nil
}

// replaceFile puts content under the name, whole or not at all: the file may be the
// one that was completed. An empty name is none.
func replaceFile(name string, content []byte) error {
	r, err := newRecord(name)
	if err != nil || name == "" {
		return err
	}
	defer r.discard()
	if _, err := r.temp.Write(content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return r.place()
}

// writeSBOM writes the document, unless it went somewhere else: then it says where.
func writeSBOM(w io.Writer, f *sbomFlags, res *modseal.SBOMResult) {
	if f.to == "" && !f.attach {
		writeDocument(w, res.Document)
		return
	}
	fields := render.NewFields(w)
	fields.Add("reference", res.Reference)
	fields.Add("digest", res.Digest)
	fields.Add("written to", f.to)
	if res.Attached != nil {
		fields.Add("attached", res.Attached.MediaType+", not signed, "+res.Attached.Digest)
	}
	if res.Attestation != nil {
		addSignatures(fields, []modseal.Signature{*res.Attestation})
	}
	fields.Flush()
}

// writeDocument writes a JSON document of somebody else as it is, byte by byte, but
// to a terminal, which would obey what stands in its texts.
func writeDocument(w io.Writer, raw []byte) {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		raw = render.Visible(raw)
	}
	_, _ = w.Write(raw) // an error shows at the next write to the same place
}
