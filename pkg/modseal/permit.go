package modseal

import (
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// permit is what allows an artifact to be written: a decision on every model in
// it. The zero value permits nothing.
type permit struct{ models []verify.Verified }

// covers reports whether the permit is for all of an artifact: for the model, or
// for each manifest of an index. What is attached to them needs no permit, since
// nobody uses it without looking at who signed it.
func (p permit) covers(g *transfer.Graph) bool {
	decided := map[digest.Digest]bool{}
	for _, v := range p.models {
		if v.Valid() {
			decided[v.Descriptor().Digest] = true
		}
	}
	models := modelsOf(g)
	for _, n := range models {
		if !decided[n.Descriptor.Digest] {
			return false
		}
	}
	return len(models) > 0
}

// modelsOf returns what an artifact is made of: itself, or all that an index and
// the indexes in it name. What is attached is no part of it.
func modelsOf(g *transfer.Graph) []transfer.Node {
	nodes := map[digest.Digest]transfer.Node{}
	for _, n := range g.Nodes() {
		nodes[n.Descriptor.Digest] = n
	}
	var out []transfer.Node
	var walk func(d digest.Digest)
	walk = func(d digest.Digest) {
		n, ok := nodes[d]
		delete(nodes, d) // once, also where an index names it twice
		if ok && !isIndex(n.Descriptor.MediaType) {
			out = append(out, n)
		}
		for _, child := range n.Children {
			walk(child.Digest)
		}
	}
	walk(g.Root().Digest)
	return out
}
