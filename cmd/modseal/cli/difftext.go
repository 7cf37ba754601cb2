package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

// diffVerdict is all of it in one sentence.
func diffVerdict(r *modseal.DiffResult) string {
	switch {
	case r.Equal && !r.ClaimsCompared:
		return "equal: the same digest; claims are not compared"
	case r.Equal:
		return "equal: the same digest and the same claims"
	case r.A.Digest == r.B.Digest:
		return "the same digest, other claims about it"
	case r.Other:
		return "the manifests differ, in nothing that is compared here: such as the order of layers"
	}
	return "they differ"
}

func diffFetchedText(f modseal.DiffFetched) string {
	return fmt.Sprintf("%s (manifests and claims %s, JSON files %s, headers of weights %s); no tensor",
		render.Bytes(f.Total()), render.Bytes(f.Metadata), render.Bytes(f.Configs), render.Bytes(f.Headers))
}

func writeDiff(w io.Writer, r *modseal.DiffResult) {
	f := render.NewFields(w)
	f.Add("a", r.A.Reference)
	f.Add("", r.A.Digest)
	f.Add("b", r.B.Reference)
	f.Add("", r.B.Digest)
	f.Add("result", diffVerdict(r))
	f.Add("fetched", diffFetchedText(r.Fetched))
	f.Flush()
	for _, p := range diffParts(r) {
		fmt.Fprintf(w, "\n%s\n", p.title)
		if len(p.lines) == 0 {
			fmt.Fprintf(w, "    %s\n", p.none)
		}
		for i, l := range p.lines {
			if i == mostDiffLines {
				fmt.Fprintf(w, "    and %d more (--output json has them all)\n", len(p.lines)-i)
				break
			}
			f.Row("  "+diffSigns[l.change]+" "+l.name, strings.Join(l.detail, "  "))
		}
		f.Flush()
		for _, n := range p.notes {
			fmt.Fprintf(w, "    %s\n", render.Clean(n))
		}
	}
}

func writeDiffMarkdown(w io.Writer, r *modseal.DiffResult) {
	fmt.Fprintf(w, "### Model difference: %s\n\n", diffVerdict(r))
	render.Table(w, []string{"", "reference", "digest", "size"}, [][]string{
		{"a", render.Code(r.A.Reference), render.Code(r.A.Digest), render.Bytes(r.A.Size)},
		{"b", render.Code(r.B.Reference), render.Code(r.B.Digest), render.Bytes(r.B.Size)},
	})
	for _, p := range diffParts(r) {
		fmt.Fprintf(w, "\n#### %s\n\n", strings.ToUpper(p.title[:1])+p.title[1:])
		if len(p.lines) == 0 {
			fmt.Fprintf(w, "%s.\n", p.none)
		} else {
			render.Table(w, []string{"", p.title[:len(p.title)-1], "difference"}, diffRows(p.lines))
		}
		if more := len(p.lines) - mostDiffLines; more > 0 {
			fmt.Fprintf(w, "\nAnd %d more.\n", more)
		}
		for i, n := range p.notes {
			if i == 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "- %s\n", render.Code(n))
		}
	}
	fmt.Fprintf(w, "\nFetched %s.\n", diffFetchedText(r.Fetched))
}

func diffRows(lines []diffLine) [][]string {
	rows := make([][]string, 0, len(lines))
	for _, l := range lines[:min(len(lines), mostDiffLines)] {
		details := make([]string, len(l.detail))
		for i, d := range l.detail {
			details[i] = render.Code(d)
		}
		rows = append(rows, []string{string(l.change), render.Code(l.name), strings.Join(details, " ")})
	}
	return rows
}
