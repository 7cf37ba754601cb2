package option

import (
	"github.com/spf13/pflag"
)

// Forms of a lineage.
const (
	LineageTree    = "tree"
	LineageDOT     = "dot"
	LineageMermaid = "mermaid"
	LineageSVG     = "svg"
)

// Lineage says how far a lineage is followed, and how it is drawn.
type Lineage struct {
	Drawing         string
	Follow          []string
	Places          map[string]string
	Depth           int
	RequireVerified bool
}

// AddFlags adds the flags of the group.
func (l *Lineage) AddFlags(fs *pflag.FlagSet) {
	l.Drawing = LineageTree
	fs.Var(oneOf(&l.Drawing, LineageTree, LineageDOT, LineageMermaid, LineageSVG), "format", "how it is drawn: as a tree of text, or for Graphviz (dot), as a Mermaid flowchart, as SVG")
	fs.StringArrayVar(&l.Follow, "follow", nil, "ask the registry `HOST[:PORT]` also when nobody who is trusted says that a model is there (may be repeated)")
	fs.StringToStringVar(&l.Places, "place", nil, "where a base model is that has only a name: `NAME=TARGET`, such as org/base=registry.example.com/mirror/base:v1 (may be repeated)")
	fs.Var(Number(&l.Depth), "depth", "how many steps are followed, 32 at most (default 32)")
	fs.BoolVar(&l.RequireVerified, "require-verified", false, "exit with 3 unless every model is accepted and every step is attested by digest")
}

// Picture reports whether it is drawn as something else than text for people.
func (l *Lineage) Picture() bool { return l.Drawing != LineageTree }
