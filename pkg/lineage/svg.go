package lineage

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// SVG draws the graph: a picture that needs no other program, with nothing in it
// that runs or is fetched. The same graph gives the same bytes.
func (g *Graph) SVG(w io.Writer) error {
	l := g.layout()
	out := &writer{w: w}
	out.line(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="monospace" font-size="11.6">`, l.w, l.h, l.w, l.h)
	out.line(`<title>%s</title>`, xmlText("Lineage of "+g.byID[g.Root].Title()))
	out.line(`<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>`)
	out.line(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	for _, r := range l.routes {
		r.draw(out)
	}
	for _, n := range g.Nodes {
		l.boxes[n.ID].draw(out)
	}
	for _, r := range l.routes {
		r.drawLabel(out)
	}
	out.line(`</svg>`)
	return out.err
}

func (b *box) draw(out *writer) {
	out.line(`<g><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6" fill="%s" stroke="#555"/>`,
		xmlText(b.node.ID+because(b.node.Why)), b.x, b.y, b.w, b.h, b.node.fill())
	for i, line := range b.lines {
		weight := ""
		if i == 0 {
			weight = ` font-weight="bold"`
		}
		out.line(`<text x="%.1f" y="%.1f" text-anchor="middle"%s>%s</text>`, b.middle(), b.y+padding+lineHeight*float64(i)+12, weight, xmlText(line))
	}
	out.line(`</g>`)
}

func (r *route) draw(out *writer) {
	dash := ""
	if !r.edge.Verified() {
		dash = ` stroke-dasharray="5 4"`
	}
	out.line(`<path d="%s" fill="none" stroke="#555"%s marker-end="url(#end)"/>`, r.path(), dash)
}

// path leads from the lower edge of the first box to the upper one of the last, or
// the other way round, in curves that leave and come vertically. Of two boxes in one
// row, which only a cycle joins, it goes below both.
func (r *route) path() string {
	var d strings.Builder
	from, to := r.via[0], r.via[len(r.via)-1]
	if from.row == to.row {
		low := max(from.y+from.h, to.y+to.h) + gapY/2
		fmt.Fprintf(&d, "M%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f", from.middle()-8, from.y+from.h, from.middle()-8, low, to.middle()+8, low, to.middle()+8, to.y+to.h)
		return d.String()
	}
	down := to.row > from.row
	leave := func(b *box) float64 {
		if down {
			return b.y + b.h
		}
		return b.y
	}
	arrive := func(b *box) float64 {
		if down {
			return b.y
		}
		return b.y + b.h
	}
	x, y := from.middle(), leave(from)
	fmt.Fprintf(&d, "M%.1f,%.1f", x, y)
	for _, b := range r.via[1:] {
		bx, by := b.middle(), arrive(b)
		half := (y + by) / 2
		fmt.Fprintf(&d, " C%.1f,%.1f %.1f,%.1f %.1f,%.1f", x, half, bx, half, bx, by)
		if x, y = bx, by; b.node == nil {
			y = leave(b)
			fmt.Fprintf(&d, " L%.1f,%.1f", x, y)
		}
	}
	return d.String()
}

// drawLabel writes what the edge says, in the middle of its last part: edges that
// begin at one box end at several, and the other way round.
func (r *route) drawLabel(out *writer) {
	to, before := r.via[len(r.via)-1], r.via[len(r.via)-2]
	x, y := (to.middle()+before.middle())/2, (before.y+before.h+to.y)/2
	switch {
	case to.row < before.row:
		y = (to.y + to.h + before.y) / 2
	case to.row == before.row:
		y = max(to.y+to.h, before.y+before.h) + gapY/2
	}
	// White behind the letters: lines may cross there.
	out.line(`<text x="%.1f" y="%.1f" text-anchor="middle" font-size="10" stroke="#ffffff" stroke-width="3" paint-order="stroke" fill="#333">%s</text>`, x, y, xmlText(r.edge.label()))
}

func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
