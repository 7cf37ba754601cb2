package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modseal"
)

type scanFlags struct {
	option.Output
	option.Registry
	option.Sign
	option.Allow
	option.FailOn
}

func (a *app) scanCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan TARGET",
		Short: "Find what can harm whoever loads a model: code in pickles, layers, templates; credentials",
		Long: `Look into the files of the model that TARGET names, a directory or an artifact, for
what can harm whoever loads it: pickles that call functions, in whatever archive they
lie; Keras layers and TensorFlow graphs that run code or touch files; ONNX files that
name files outside; chat templates that reach into the process; code that a
configuration has loaded; programs and formats under a wrong name; credentials.

Nothing is executed. Formats are told by content and not by name, and a file that
could not be read to its end is incomplete, never clean. Of files in a registry the
parts that are needed are read. What a registry gives in parts cannot be compared with
a digest: with --key or --keyless every layer is fetched, what was scanned is compared
with it, and the result is attached to the artifact as a signed claim, which a policy
can ask for.

Exits with 3 when there are findings of the severity of --fail-on or worse.`,
		Example: `  # before loading what somebody sent
  modseal scan ./model

  # for a code scanning page
  modseal scan ./model --output sarif --fail-on none > scan.sarif

  # scan what is in a registry, and say so
  modseal scan registry.example.com/team/model:v1 --key scanner.key

  # a checkpoint of a trainer, whose arguments are a class of one's own
  modseal scan ./checkpoint --allow-global transformers.training_args.TrainingArguments`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlagsWithSARIF(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Sign.AddFlags(cmd.Flags())
	f.Allow.AddFlags(cmd.Flags())
	f.FailOn.AddFlags(cmd.Flags())
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkSign(cmd, &f.Sign, false) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runScan(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runScan(ctx context.Context, target string, f *scanFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	o := modseal.ScanOptions{Allow: f.Globals, Version: buildVersion().Version}
	if signs(&f.Sign) {
		signer := a.signer(&f.Sign, &f.Output)
		o.Sign = &signer
	}
	res, err := client.Scan(ctx, target, o)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	if f.SARIF() {
		a.result = res
		err = a.printSARIF(res)
	} else {
		err = a.print(&f.Output, res, func(w io.Writer) { writeScan(w, res) })
	}
	if err != nil {
		return err
	}
	if severity, any := f.Reached(); any && res.Counts.AtLeast(severity) > 0 {
		return errToldAlready
	}
	return nil
}

func (a *app) printSARIF(res *modseal.ScanResult) error {
	var buf bytes.Buffer
	if err := res.SARIF(&buf); err != nil {
		return err
	}
	_, err := a.out.Write(render.Visible(buf.Bytes()))
	return err
}

func writeScan(w io.Writer, r *modseal.ScanResult) {
	for _, f := range r.Findings {
		writeFinding(w, &f)
	}
	if r.Omitted > 0 {
		fmt.Fprintf(w, "and %s, none of them worse\n", render.Count(r.Omitted, "finding"))
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
		writeRules(w, r.Findings)
	}
	fields := render.NewFields(w)
	fields.Add("scanned", r.Reference)
	fields.Add("digest", r.Digest)
	fields.Add("verdict", verdictText(r.Verdict))
	fields.Add("findings", r.Counts.String())
	var size int64
	for _, f := range r.Files {
		size += f.Size
	}
	files := render.Count(len(r.Files), "file") + ", " + render.Bytes(size)
	if r.Fetched > 0 {
		files += "; fetched " + render.Bytes(r.Fetched)
	}
	fields.Add("files", files)
	for _, g := range r.Allowed {
		fields.Add("allowed", g)
	}
	if r.Digest != "" && !r.Proven {
		fields.Add("proven", "no: parts of files were read, and a digest is that of a whole one (--key or --keyless proves and signs)")
	}
	if r.Attestation != nil {
		fields.Add("proven", "yes: what was read is what the digest names")
		addSignatures(fields, []modseal.Signature{*r.Attestation})
	}
	fields.Flush()
}

func writeFinding(w io.Writer, f *hazard.Finding) {
	place := modseal.Place(*f)
	if f.Offset >= 0 {
		place += fmt.Sprintf(", byte %d", f.Offset)
	}
	fmt.Fprintf(w, "%-8s  %s: %s\n          %s\n", f.Severity, render.Clean(place), f.Rule, render.Clean(f.Says()))
}

// writeRules says once of each rule what the danger is and what to do about it.
func writeRules(w io.Writer, findings []hazard.Finding) {
	told := map[string]bool{}
	for _, f := range findings {
		if help := hazard.RuleOf(f.Rule).Help; help != "" && !told[f.Rule] {
			told[f.Rule] = true
			fmt.Fprintf(w, "%s\n%s\n\n", f.Rule, render.Wrap(help, "  ", textWidth))
		}
	}
}

// textWidth is that of the lines of explanations, as of those of --help.
const textWidth = 86

// verdictText explains a verdict in a word or two.
func verdictText(v hazard.Verdict) string {
	switch v {
	case hazard.Clean:
		return "clean"
	case hazard.Suspicious:
		return "suspicious: somebody has to look at it"
	case hazard.Incomplete:
		return "incomplete: not all of it could be read; treat it as dangerous"
	case hazard.Dangerous:
		return "dangerous: do not load it"
	}
	return string(v)
}
