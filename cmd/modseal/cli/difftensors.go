package cli

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/diff"
	"github.com/modseal/modseal/pkg/modseal"
)

func tensorPart(r *modseal.DiffResult) diffPart {
	p := diffPart{title: "tensors", none: "no header of a weight file differs"}
	p.lines = tensorLines(r.Tensors.Changes)
	if n := r.Tensors.Alike; n > 0 {
		p.none = "no tensor has another name, type or shape"
		note := render.Count(n, "tensor") + " with the same name, type and shape in files that differ"
		if r.Tensors.Moved > 0 {
			note += fmt.Sprintf(", %d of them in another file", r.Tensors.Moved)
		}
		p.notes = append(p.notes, note+": whether their bytes differ is not known")
	}
	for i, u := range r.Tensors.Unread {
		if i == mostDiffLines {
			p.notes = append(p.notes, fmt.Sprintf("and %d more that are not known", len(r.Tensors.Unread)-i))
			break
		}
		p.notes = append(p.notes, fmt.Sprintf("not known: those of %s of %s: %s", u.Path, u.Side, u.Why))
	}
	return p
}

// tensorLines are single tensors where there are few. Where there are many, as when
// a model was quantised again, those that changed alike are one line.
func tensorLines(changes []diff.TensorChange) []diffLine {
	if len(changes) <= mostDiffLines {
		out := make([]diffLine, 0, len(changes))
		for _, c := range changes {
			out = append(out, diffLine{c.Change, c.Name(), []string{tensorDetail(c)}})
		}
		return out
	}
	type kind struct {
		change      diff.Change
		from, to    string
		reshapeOnly bool
	}
	first, count := map[kind]string{}, map[kind]int{}
	for _, c := range changes {
		k := kind{change: c.Change}
		if c.Before != nil {
			k.from = c.Before.Type
		}
		if c.After != nil {
			k.to = c.After.Type
		}
		k.reshapeOnly = k.from == k.to
		if count[k]++; count[k] == 1 {
			first[k] = c.Name()
		}
	}
	out := make([]diffLine, 0, len(count))
	for k, n := range count {
		detail := cmp.Or(k.from, k.to)
		switch {
		case k.change == diff.Changed && k.reshapeOnly:
			detail += ", other shapes"
		case k.change == diff.Changed:
			detail = k.from + " → " + k.to
		}
		out = append(out, diffLine{k.change, render.Count(n, "tensor"), []string{detail, "such as " + first[k]}})
	}
	slices.SortFunc(out, func(a, b diffLine) int {
		return cmp.Or(cmp.Compare(a.change, b.change), slices.Compare(a.detail, b.detail))
	})
	return out
}

func tensorDetail(c diff.TensorChange) string {
	switch {
	case c.Before == nil:
		return shapeText(c.After) + " in " + c.After.File
	case c.After == nil:
		return shapeText(c.Before) + " in " + c.Before.File
	}
	return shapeText(c.Before) + " → " + shapeText(c.After)
}
