package cli

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

type inspectFlags struct {
	option.Output
	option.Registry
}

func (a *app) inspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect TARGET",
		Short: "Show what a model says of itself: config, annotations, files",
		Long: `Show the config, the annotations and the files of the model that TARGET names.
No layer is read and nothing is verified: it is what the artifact says of itself.`,
		Example: `  modseal inspect registry.example.com/team/model:v1
  modseal inspect oci:./layout:v1 --output json`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runInspect(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runInspect(ctx context.Context, target string, f *inspectFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	res, err := client.Inspect(ctx, target)
	if err != nil {
		return err
	}
	a.warn(&f.Output, res.Warnings...)
	return a.print(&f.Output, res, func(w io.Writer) { writeInspect(w, res) })
}

func writeInspect(w io.Writer, r *modseal.InspectResult) {
	f := render.NewFields(w)
	f.Add("reference", r.Reference)
	f.Add("digest", r.Digest)
	f.Add("artifact type", r.ArtifactType)
	f.Add("size", render.Bytes(r.Size)+" in "+render.Count(len(r.Layers), "layer"))
	if m := r.Model; m != nil {
		d, c := m.Descriptor, m.Config
		f.Add("name", d.Name)
		f.Add("title", d.Title)
		f.Add("vendor", d.Vendor)
		f.Add("family", d.Family)
		f.Add("version", d.Version)
		f.Add("description", d.Description)
		f.Add("licences", strings.Join(d.Licenses, ", "))
		f.Add("authors", strings.Join(d.Authors, ", "))
		f.Add("source", d.SourceURL)
		f.Add("revision", d.Revision)
		f.Add("documentation", d.DocURL)
		f.Add("architecture", c.Architecture)
		f.Add("format", c.Format)
		f.Add("parameters", c.ParamSize)
		f.Add("precision", c.Precision)
		f.Add("quantization", c.Quantization)
	}
	f.Flush()
	if len(r.Annotations) > 0 {
		_, _ = io.WriteString(w, "\nannotations\n")
		keys := make([]string, 0, len(r.Annotations))
		for k := range r.Annotations {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			f.Row("  "+k, r.Annotations[k])
		}
		f.Flush()
	}
	_, _ = io.WriteString(w, "\nfiles\n")
	for _, l := range r.Layers {
		kind := l.Role
		if l.Encoding != "raw" {
			kind += " (" + l.Encoding + " of several files)"
		}
		if l.Executable {
			kind += ", executable"
		}
		f.Row("  "+l.Path, render.Bytes(l.Size), kind, render.Short(l.Digest))
	}
	f.Flush()
}
