package lineage

import (
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// MaxTextBytes bounds every text of a graph: names and reasons that others wrote.
const MaxTextBytes = 512

// Kind is what a node stands for.
type Kind string

// The kinds of nodes.
const (
	KindModel   Kind = "model"
	KindDataset Kind = "dataset"
	KindSource  Kind = "source" // of code: a repository and its revision
	// KindOther is anything else that a build says it used, such as an image.
	KindOther Kind = "other"
)

// State is what became of a model when it was looked for.
type State string

// The states of models. What is no model is never looked for: its state is
// [Named].
const (
	Accepted   State = "accepted"   // found, and the rules accept it
	Warned     State = "warned"     // found, and the rules only warn of what it lacks
	Refused    State = "refused"    // found, and the rules do not accept it
	Unverified State = "unverified" // found, and nobody was named to be trusted
	// Undecided: found, and what was named to be trusted cannot be used for it.
	Undecided State = "undecided"
	// Unreadable: found, and what is attached to it cannot be read, so that nothing
	// of it is verified. Anybody may attach, and so bring this about.
	Unreadable State = "unreadable"
	// NotFollowed: nobody who is trusted says where it is, so that nobody was asked.
	NotFollowed State = "not-followed"
	Missing     State = "missing"     // not where it is said to be
	Unreachable State = "unreachable" // its registry does not answer, or not to us
	Broken      State = "broken"      // what is there is no model, or not the one that its digest says
	Named       State = "named"       // there is only a name for it: no place where it could be
	Beyond      State = "beyond"      // a bound of the walk was reached before it
)

// Found reports whether a manifest of the model was read.
func (s State) Found() bool {
	switch s {
	case Accepted, Warned, Refused, Unverified, Undecided, Unreadable:
		return true
	case NotFollowed, Missing, Unreachable, Broken, Named, Beyond:
	}
	return false
}

// Node is a model, or something that a model was made from.
type Node struct {
	// ID is the digest where one is known, else the name; no two nodes have the same.
	ID        string `json:"id"`
	Kind      Kind   `json:"kind"`
	Reference string `json:"reference,omitempty"` // where it is, or is said to be
	Digest    string `json:"digest,omitempty"`
	Name      string `json:"name,omitempty"` // what it is called: its title, a hub's name, a URI
	Version   string `json:"version,omitempty"`
	Licenses  string `json:"licenses,omitempty"` // an SPDX expression, as the artifact says
	State     State  `json:"state"`
	Why       string `json:"why,omitempty"`    // of a state that is not good
	Signer    string `json:"signer,omitempty"` // who signed it, where that was verified
	// BaseNames are names on a model hub of what it was made from, where others say
	// that by digest.
	BaseNames []string `json:"baseNames,omitempty"`
}

// Origin is where it is said that one node was made from another.
type Origin string

// The origins of edges.
const (
	FromProvenance Origin = "provenance" // a SLSA provenance that is attached
	FromAnnotation Origin = "annotation" // of the manifest
	FromSubject    Origin = "subject"    // the manifest refers to the base model itself
)

// Saying is one place that says of an edge that it is there.
type Saying struct {
	Origin   Origin `json:"origin"`
	Claim    string `json:"claim,omitempty"` // digest of the referrer that holds it
	Verified bool   `json:"verified"`
	// Pinned means that it names the digest.
	Pinned bool   `json:"pinned"`
	Signer string `json:"signer,omitempty"`
	Why    string `json:"why,omitempty"` // it is not verified; continues "it …"
}

// Edge says that From was made from To.
type Edge struct {
	From string `json:"from"` // IDs of nodes
	To   string `json:"to"`
	// Relation is how: finetune, adapter, quantized, merge as model cards have it,
	// "base model" where nothing more is said, or what the node is.
	Relation string   `json:"relation"`
	Sayings  []Saying `json:"sayings"`
	// Pinned means that one of them has the digest. Otherwise it is what a tag holds
	// today.
	Pinned bool `json:"pinned"`
	// Cycle means that To was made from From, too, as is said: one of the two is a
	// lie, or a tag was moved.
	Cycle bool `json:"cycle,omitempty"`
}

// Verified reports whether anybody who is trusted says so.
func (e *Edge) Verified() bool {
	return slices.ContainsFunc(e.Sayings, func(s Saying) bool { return s.Verified })
}

// proven reports whether anybody who is trusted says so by digest: what one says of a
// name, and another, who is not, of a digest, is no word of the first about that.
func (e *Edge) proven() bool {
	return slices.ContainsFunc(e.Sayings, func(s Saying) bool { return s.Verified && s.Pinned })
}

// Graph is what one model was made from. Its text is clean: valid UTF-8 without
// control characters, each at most [MaxTextBytes] bytes long.
type Graph struct {
	Root  string  `json:"root"` // ID of the model that was asked for
	Nodes []*Node `json:"nodes"`
	Edges []*Edge `json:"edges"`
	// Unproven says in words what keeps the lineage from being verified as a whole;
	// [Graph.Judge] fills it. None of it means: every model is accepted, and somebody
	// who is trusted says by digest what each was made from.
	Unproven []string `json:"unproven"`
	Warnings []string `json:"warnings,omitempty"`

	byID map[string]*Node
	gaps []string
}

// New returns a graph of nothing but the model that was asked for.
func New(root Node) *Graph {
	g := &Graph{Nodes: []*Node{}, Edges: []*Edge{}, byID: map[string]*Node{}}
	g.Root = g.Add(root).ID
	return g
}

// Add adds a node and returns it. Where one with its ID is there already, that one
// is returned: as the new one, if it was not found so far and the new one was, or is
// a model, which whoever calls it something else does not hide.
func (g *Graph) Add(n Node) *Node {
	n.clean()
	if there := g.byID[n.ID]; there != nil {
		if !there.State.Found() && (n.State.Found() || n.Kind == KindModel && there.Kind != KindModel) {
			*there = n
		}
		return there
	}
	g.byID[n.ID] = &n
	g.Nodes = append(g.Nodes, &n)
	return &n
}

// Has reports whether a node with the ID of n is there.
func (g *Graph) Has(n Node) bool {
	n.clean()
	return g.byID[n.ID] != nil
}

// clean makes the text of a node fit to be shown, and gives it an ID.
func (n *Node) clean() {
	for _, text := range []*string{&n.Reference, &n.Name, &n.Version, &n.Licenses, &n.Why, &n.Signer, &n.Digest} {
		*text = hf.CleanText(*text, MaxTextBytes)
	}
	if n.ID = hf.CleanText(n.ID, MaxTextBytes); n.ID == "" {
		n.ID = firstOf(n.Digest, n.Reference, n.Name, string(n.Kind))
	}
}

// Node returns the node with the ID; nil when there is none.
func (g *Graph) Node(id string) *Node { return g.byID[id] }

// Link adds an edge. One that is there already learns who else says so.
func (g *Graph) Link(e Edge) *Edge {
	e.Relation = hf.CleanText(e.Relation, MaxTextBytes)
	for i := range e.Sayings {
		e.Sayings[i].Why = hf.CleanText(e.Sayings[i].Why, MaxTextBytes)
		e.Sayings[i].Signer = hf.CleanText(e.Sayings[i].Signer, MaxTextBytes)
	}
	for _, there := range g.Edges {
		if there.From != e.From || there.To != e.To {
			continue
		}
		trusted := e.Verified() && !there.Verified()
		there.Sayings = append(there.Sayings, e.Sayings...)
		there.Pinned = there.Pinned || e.Pinned
		if there.Relation == RelationBase || trusted {
			there.Relation = e.Relation
		}
		return there
	}
	e.Cycle = g.leads(e.To, e.From)
	g.Edges = append(g.Edges, &e)
	return &e
}

// leads reports whether one can go from a to b along edges.
func (g *Graph) leads(a, b string) bool {
	seen := map[string]bool{}
	open := []string{a}
	for len(open) > 0 {
		at := open[len(open)-1]
		open = open[:len(open)-1]
		if at == b {
			return true
		}
		if seen[at] {
			continue
		}
		seen[at] = true
		for _, e := range g.Edges {
			if e.From == at {
				open = append(open, e.To)
			}
		}
	}
	return false
}

// From returns the edges that begin at the node, in the order in which they came.
func (g *Graph) From(id string) []*Edge {
	var out []*Edge
	for _, e := range g.Edges {
		if e.From == id {
			out = append(out, e)
		}
	}
	return out
}

// Judge fills Unproven: models that were not found or not accepted, and edges to
// models that nobody who is trusted stands for, or not by digest.
func (g *Graph) Judge() {
	out := []string{}
	for _, n := range g.Nodes {
		n.clean() // what became of it was noted after it was added
		if n.Kind == KindModel && n.State != Accepted {
			out = append(out, n.short()+" is "+n.State.Words()+because(n.Why))
		}
	}
	for _, e := range g.Edges {
		to := g.byID[e.To]
		switch {
		case to.Kind != KindModel:
		case e.Cycle:
			out = append(out, g.byID[e.From].short()+" and "+to.short()+" are each said to be made from the other")
		case !e.Verified():
			out = append(out, "that "+g.byID[e.From].short()+" is made from "+to.short()+" is said by nobody who is trusted")
		case !e.proven():
			out = append(out, "that "+g.byID[e.From].short()+" is made from "+to.short()+" is said of a name, which can be moved, and of no digest")
		}
	}
	g.Unproven = append(out, g.gaps...)
}

// Warn notes something that people should know of.
func (g *Graph) Warn(text string) {
	g.Warnings = append(g.Warnings, hf.CleanText(text, MaxTextBytes))
}

// Gap notes that something is missing in the graph, which is a warning, and keeps the
// lineage from being verified as a whole.
func (g *Graph) Gap(text string) {
	text = hf.CleanText(text, MaxTextBytes)
	if !slices.Contains(g.gaps, text) {
		g.gaps = append(g.gaps, text)
		g.Warn(text)
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// Title is what people call the node: its place, else its name.
func (n *Node) Title() string { return firstOf(n.Reference, n.Name, n.ID) }

// short is the title with its digest shortened.
func (n *Node) short() string {
	const keep = len("@sha256:") + 12
	t := n.Title()
	if at := strings.LastIndex(t, "@sha"); at >= 0 && len(t)-at > keep {
		return t[:at+keep] + "…"
	}
	return t
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
