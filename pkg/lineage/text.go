package lineage

import (
	"fmt"
	"io"
	"strings"
)

// DOT writes the graph for Graphviz (https://graphviz.org/doc/info/lang.html).
func (g *Graph) DOT(w io.Writer) error {
	out := &writer{w: w}
	out.line("digraph lineage {")
	out.line("  rankdir=TB;")
	out.line("  node [shape=box, style=filled, fontname=monospace, fontsize=10];")
	out.line("  edge [fontname=monospace, fontsize=9];")
	for i, n := range g.Nodes {
		out.line("  n%d [label=%s, fillcolor=%q, tooltip=%s];", i, dotText(strings.Join(n.label(), "\n")), n.fill(), dotText(n.ID))
	}
	numbers := g.numbers()
	for _, e := range g.Edges {
		style := ""
		if !e.Verified() {
			style = ", style=dashed"
		}
		out.line("  n%d -> n%d [label=%s%s];", numbers[e.From], numbers[e.To], dotText(e.label()), style)
	}
	out.line("}")
	return out.err
}

// dotText quotes text of others: in a quoted string of DOT a quote ends it and a
// backslash begins an escape.
func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// Mermaid writes the graph as a Mermaid flowchart
// (https://mermaid.js.org/syntax/flowchart.html).
func (g *Graph) Mermaid(w io.Writer) error {
	out := &writer{w: w}
	out.line("flowchart TB")
	for i, n := range g.Nodes {
		var lines []string
		for _, l := range n.label() {
			lines = append(lines, mermaidText(l))
		}
		out.line(`  n%d["%s"]`, i, strings.Join(lines, "<br/>"))
		out.line("  style n%d fill:%s,stroke:#555,color:#000", i, n.fill())
	}
	numbers := g.numbers()
	for _, e := range g.Edges {
		arrow := "-->"
		if !e.Verified() {
			arrow = "-.->"
		}
		out.line(`  n%d %s|"%s"| n%d`, numbers[e.From], arrow, mermaidText(e.label()), numbers[e.To])
	}
	return out.err
}

// mermaidText writes every character that means something to Mermaid, to Markdown
// or to HTML as an entity, in Mermaid's form of them: with # and without &.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80 && !plainASCII(byte(r)):
			fmt.Fprintf(&b, "#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func plainASCII(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(" .,:/-@+", c) >= 0
}

func (g *Graph) numbers() map[string]int {
	out := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		out[n.ID] = i
	}
	return out
}

// fill is the colour of a node, which the words in it say again: for those who see
// no colours, and for print.
func (n *Node) fill() string {
	if n.Kind != KindModel {
		return "#eeeeee"
	}
	switch n.State {
	case Accepted:
		return "#cdebc5"
	case Warned, Unverified, Undecided:
		return "#fff3c4"
	case Refused, Missing, Broken:
		return "#f6c6c6"
	case NotFollowed, Unreachable, Named, Beyond:
	}
	return "#e3e6ea"
}

// writer keeps the first error.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format+"\n", args...)
	}
}
