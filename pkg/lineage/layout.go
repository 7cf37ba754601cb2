package lineage

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// Sizes of the drawing, in pixels. The font is one of fixed width, so that the width
// of a text is known without a font.
const (
	charWidth  = 7.0
	lineHeight = 16.0
	padding    = 10.0
	gapX       = 28.0
	gapY       = 64.0
	margin     = 16.0
)

// box is a node in the drawing, or a point that an edge passes on its way over
// several rows.
type box struct {
	node       *Node // nil for a point
	lines      []string
	row        int
	x, y, w, h float64 // of the left upper corner
}

func (b *box) middle() float64 { return b.x + b.w/2 }

// route is an edge in the drawing: the boxes that it passes, from end to end.
type route struct {
	edge *Edge
	via  []*box
}

// layout places the nodes in rows: the model that was asked for in the first, and
// each below all that were made from it. It is the method of Sugiyama, Tagawa and
// Toda (1981) with the simplest choice at every step: longest paths for the rows,
// the mean of the neighbours for the order in each.
type layout struct {
	boxes  map[string]*box // by ID
	rows   [][]*box
	routes []*route
	near   map[*box][]*box // neighbours in the rows above and below
	w, h   float64
}

// sweeps is how often the order of the rows is improved: more has not changed any
// drawing that was tried.
const sweeps = 6

func (g *Graph) layout() *layout {
	l := &layout{boxes: map[string]*box{}, near: map[*box][]*box{}}
	for _, n := range g.Nodes {
		l.boxes[n.ID] = newBox(n)
	}
	l.rank(g)
	for _, n := range g.Nodes {
		l.put(l.boxes[n.ID])
	}
	for _, e := range g.Edges {
		l.route(e)
	}
	for i := range sweeps {
		l.order(i%2 == 0)
	}
	l.place()
	return l
}

func newBox(n *Node) *box {
	b := &box{node: n, lines: n.label()}
	widest := 0
	for _, line := range b.lines {
		widest = max(widest, utf8.RuneCountInString(line))
	}
	b.w = 2*padding + charWidth*float64(widest)
	b.h = 2*padding + lineHeight*float64(len(b.lines))
	return b
}

// rank gives each box its row. Edges that close a cycle lead back up.
func (l *layout) rank(g *Graph) {
	// A path has no more edges than there are nodes.
	for range g.Nodes {
		moved := false
		for _, e := range g.Edges {
			from, to := l.boxes[e.From], l.boxes[e.To]
			if !e.Cycle && to.row <= from.row {
				to.row, moved = from.row+1, true
			}
		}
		if !moved {
			return
		}
	}
}

func (l *layout) put(b *box) {
	for len(l.rows) <= b.row {
		l.rows = append(l.rows, nil)
	}
	l.rows[b.row] = append(l.rows[b.row], b)
}

// route gives an edge a point in every row between its ends.
func (l *layout) route(e *Edge) {
	from, to := l.boxes[e.From], l.boxes[e.To]
	r := &route{edge: e, via: []*box{from}}
	step := 1
	if to.row < from.row {
		step = -1
	}
	for row := from.row + step; from.row != to.row && row != to.row; row += step {
		p := &box{row: row, w: 1, h: 1}
		l.put(p)
		r.via = append(r.via, p)
	}
	r.via = append(r.via, to)
	for i := 1; i < len(r.via); i++ {
		a, b := r.via[i-1], r.via[i]
		l.near[a], l.near[b] = append(l.near[a], b), append(l.near[b], a)
	}
	l.routes = append(l.routes, r)
}

// order sorts each row by the mean place of the neighbours in the row before it.
func (l *layout) order(down bool) {
	at := map[*box]float64{}
	for _, row := range l.rows {
		for i, b := range row {
			at[b] = float64(i)
		}
	}
	for i := range l.rows {
		row, before := i, i-1
		if !down {
			row, before = len(l.rows)-1-i, len(l.rows)-i
		}
		weight := map[*box]float64{}
		for _, b := range l.rows[row] {
			sum, n := 0.0, 0
			for _, o := range l.near[b] {
				if o.row == before {
					sum, n = sum+at[o], n+1
				}
			}
			if weight[b] = at[b]; n > 0 {
				weight[b] = sum / float64(n)
			}
		}
		slices.SortStableFunc(l.rows[row], func(a, b *box) int { return cmp.Compare(weight[a], weight[b]) })
		for j, b := range l.rows[row] {
			at[b] = float64(j)
		}
	}
}

// place gives every box its coordinates: rows below each other, each in the middle.
func (l *layout) place() {
	y := margin
	widths := make([]float64, len(l.rows))
	for i, row := range l.rows {
		tallest := 0.0
		for _, b := range row {
			widths[i] += b.w + gapX
			tallest = max(tallest, b.h)
		}
		for _, b := range row {
			if b.node == nil {
				b.h = tallest // an edge passes the whole row
			}
			b.y = y + (tallest-b.h)/2
		}
		y += tallest + gapY
		widths[i] -= gapX
		l.w = max(l.w, widths[i])
	}
	for i, row := range l.rows {
		x := margin + (l.w-widths[i])/2
		for _, b := range row {
			b.x = x
			x += b.w + gapX
		}
	}
	l.w += 2 * margin
	l.h = y - gapY + margin
}
