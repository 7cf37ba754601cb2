package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/modseal"
)

type checkFlags struct {
	option.Output
	partsOnly   bool
	concurrency int
}

func (a *app) checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check every byte of an archive, and say which parts to bring again",
		Long: `Check every byte of an archive: the parts of a split one against the sums in
FILE.parts.json, and every blob against its digest. A FILE is an archive, its
FILE.parts.json, or any of its parts, which stands for all of them.

All that is wrong is named in one run: a part that is damaged, missing, cut off, too
long, under the name of another one, or of another archive; a blob that is damaged,
and in which parts it lies. The other parts need not be brought again.

It looks at bytes, and at nobody's signature: whoever can change an archive can
change its sums too. verify and load decide whether to trust what is in it.`,
		Example: `  # Did everything arrive?
  modseal check llama.tar

  # Only the parts, which takes half the time: is it what was written?
  modseal check --parts-only /media/usb/llama.tar.parts.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, fmt.Errorf("FILE is missing"))
			}
			return nil
		},
	}
	f.Output.AddFlags(cmd.Flags())
	fs := cmd.Flags()
	fs.BoolVar(&f.partsOnly, "parts-only", false, "read the parts, and not the blobs in them once more")
	fs.Var(option.Number(&f.concurrency), "concurrency", "parts or blobs that are read at once (as many as there are processors)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.concurrency < 0 {
			return usageError(cmd, fmt.Errorf("--concurrency %d: it cannot be negative", f.concurrency))
		}
		return a.runCheck(cmd.Context(), args, &f)
	}
	return cmd
}

func (a *app) runCheck(ctx context.Context, files []string, f *checkFlags) error {
	progress := a.progress(&f.Output)
	client, err := a.client(&option.Registry{}, progress)
	if err != nil {
		return err
	}
	res, err := client.Check(ctx, files, modseal.CheckOptions{PartsOnly: f.partsOnly, Concurrency: f.concurrency})
	progress.Close(err)
	if err != nil {
		return err
	}
	err = a.print(&f.Output, res, func(w io.Writer) {
		for i, r := range res.Archives {
			if i > 0 {
				fmt.Fprintln(w)
			}
			writeCheck(w, r)
		}
	})
	if err == nil && !res.Good {
		return &toldError{code: exitOfClass(res.Class())}
	}
	return err
}

func writeCheck(w io.Writer, r *archive.Report) {
	f := render.NewFields(w)
	f.Row("archive", render.Clean(r.File))
	if r.Set != "" {
		f.Row("set", r.Set.String())
		f.Row("parts", goodOf(len(r.Parts), badParts(r), "part"))
	}
	if r.Unread == "" {
		f.Row("blobs", goodOf(r.Blobs, len(r.Damaged), "blob")+", "+render.Bytes(r.BlobBytes))
	} else {
		f.Row("blobs", "not read: "+r.Unread)
	}
	if r.Omitted > 0 {
		f.Row("left out", render.Count(r.Omitted, "blob")+", which the other side must have")
	}
	f.Row("signatures", "not looked at: that is for verify and load")
	f.Flush()
	writeParts(w, r)
	writeBlobs(w, r)
	if r.Problem != "" {
		fmt.Fprintln(w, indented(r.Problem))
	}
	for _, next := range checkNext(r) {
		fmt.Fprintln(w, "next: "+render.Clean(next))
	}
}

func goodOf(all, bad int, noun string) string {
	if bad == 0 {
		return render.Count(all, noun) + ", all good"
	}
	return fmt.Sprintf("%s, %d NOT GOOD", render.Count(all, noun), bad)
}

func badParts(r *archive.Report) int {
	n := 0
	for _, p := range r.Parts {
		if p.Kind != archive.PartGood {
			n++
		}
	}
	return n
}

// writeParts writes the table of the parts.
func writeParts(w io.Writer, r *archive.Report) {
	f := render.NewFields(w)
	for _, p := range r.Parts {
		verdict := "good"
		if p.Kind != archive.PartGood {
			verdict = "NOT GOOD: " + strings.TrimPrefix(p.String(), p.Name+" ")
		}
		f.Row("  "+render.Clean(p.Name), render.Bytes(p.Want), render.Clean(verdict))
	}
	f.Flush()
}

// writeBlobs writes the blobs that are not good.
func writeBlobs(w io.Writer, r *archive.Report) {
	f := render.NewFields(w)
	row := func(b archive.BlobProblem, verdict string) {
		name := b.Digest.String()
		if b.Path != "" {
			name += " (" + b.Path + ")"
		}
		f.Row("  "+render.Clean(name), render.Bytes(b.Size), render.Clean(verdict))
	}
	for _, b := range r.Damaged {
		verdict := "NOT GOOD: its bytes are not those of its digest"
		if b.Err != "" {
			verdict = "NOT GOOD: it cannot be read: " + b.Err
		}
		row(b, fmt.Sprintf("%s; at byte %d of the archive, in %s", verdict, b.Offset, someOf(b.Files)))
	}
	for _, b := range r.Missing {
		row(b, "MISSING, and the archive does not say that it leaves it out")
	}
	f.Flush()
}

// someOf joins names, the first and the last of many.
func someOf(names []string) string {
	if len(names) > 3 {
		return names[0] + " to " + names[len(names)-1]
	}
	return strings.Join(names, ", ")
}

// checkNext says what to do about an archive.
func checkNext(r *archive.Report) []string {
	var out []string
	for _, n := range r.Rename {
		out = append(out, "rename "+n.From+" to "+n.To)
	}
	switch {
	case len(r.Again) > 0 && len(r.Parts) > len(r.Again):
		out = append(out, bringAgain(r.Again)+"; the other parts need not be")
	case len(r.Again) > 0:
		out = append(out, bringAgain(r.Again))
	case r.Err != nil:
		out = append(out, hints(r.Err)...)
	case len(r.Damaged)+len(r.Missing) > 0:
		out = append(out, filepath.Base(r.File)+" is what was written, and was not whole then: have it made again")
	}
	return out
}
