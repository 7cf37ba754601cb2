package modseal

import (
	"context"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/lineage"
	"github.com/modseal/modseal/pkg/policy"
)

// LineageOptions say whom to trust, and how far to go.
type LineageOptions struct {
	// Trust decides on every model, under the name of its own repository. Where
	// nothing of it applies, nothing is verified.
	Trust TrustOptions
	// Registries are hosts that may be asked for a model although nobody who is
	// trusted says that it is there. That of the target always may.
	Registries []string
	// Places say where models are that have only a name, by that name: references of
	// a registry. They may be asked.
	Places map[string]string
	// Depth is how far to go; 0 means limits.LineageDepth.
	Depth int
}

// Lineage follows what the model that target names was made from, and what that was
// made from: by the provenance that is attached to each, and by the annotations of
// its manifest. It reads manifests and claims, and no layer.
//
// Who wrote the claim can name any host. A registry is asked only when it is that
// of the target, or when the claim verifies, or when the options name it. What is
// not found, not accepted or not followed is no error: the graph says so, and it says
// so of an ancestor whose referrers cannot be read. Errors are about the target itself.
func (c *Client) Lineage(ctx context.Context, target string, o LineageOptions) (*lineage.Graph, error) {
	places, err := o.places()
	if err != nil {
		return nil, err
	}
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, err
	}
	t, refused, err := c.trustedFor(ctx, o.Trust, l)
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	w := &ancestry{client: c, o: o, places: places, home: l.Target}
	if w.o.Depth <= 0 || w.o.Depth > limits.LineageDepth {
		w.o.Depth = limits.LineageDepth
	}
	root := nodeOf(a)
	root.Reference = l.String() // as it was asked for
	if root.State = lineage.Unverified; refused != nil {
		root.State, root.Why = lineage.Refused, refused.Error()
	}
	w.graph = lineage.New(root)
	w.seen = map[string]bool{w.graph.Root: true}
	w.open = []ancestor{{node: w.graph.Nodes[0], artifact: a, trusted: t}}
	for len(w.open) > 0 {
		next := w.open[0]
		w.open = w.open[1:]
		if err := w.examine(ctx, next); err != nil {
			return nil, err
		}
	}
	w.graph.Judge()
	return w.graph, nil
}

// trustedFor is who is trusted for a location; nil where nothing applies, or where a
// policy has no place for it, which is what refused says.
func (c *Client) trustedFor(ctx context.Context, o TrustOptions, l *location) (t *trusted, refused, err error) {
	sources, err := o.applying(l.Scope())
	if as[*policy.NoScopeError](err) {
		return nil, err, nil
	}
	if err != nil || len(sources) == 0 {
		return nil, nil, err
	}
	t, err = c.loadTrust(ctx, sources, o.Offline)
	return t, nil, err
}

// ancestry is a walk from a model to what it was made from.
type ancestry struct {
	client *Client
	o      LineageOptions
	places map[string]Target // by name of a model
	home   Target
	graph  *lineage.Graph
	open   []ancestor      // found, and not examined yet
	seen   map[string]bool // by ID: found so far
}

// ancestor is a model that was found.
type ancestor struct {
	node     *lineage.Node
	artifact *artifact
	trusted  *trusted // nil: nothing is verified
	depth    int
}

// nodeOf describes a model by its manifest.
func nodeOf(a *artifact) lineage.Node {
	m := a.model.Manifest.Annotations
	return lineage.Node{
		Kind: lineage.KindModel, ID: a.descriptor.Digest.String(), Digest: a.descriptor.Digest.String(), Reference: a.at(a.descriptor),
		Name: m[ocispec.AnnotationTitle], Version: m[ocispec.AnnotationVersion], Licenses: m[ocispec.AnnotationLicenses],
	}
}

// examine decides on a model and follows what is said of it.
func (w *ancestry) examine(ctx context.Context, from ancestor) error {
	evidence, vouched, err := w.decide(ctx, from)
	if err != nil {
		return err
	}
	var said []saidDependency
	for _, e := range evidence {
		more, err := w.provenance(ctx, from, e)
		if err != nil {
			return err
		}
		said = append(said, more...)
	}
	m := &from.artifact.model.Manifest
	for _, d := range lineage.BaseModels(m.Annotations) {
		vouched.Origin = lineage.FromAnnotation
		said = append(said, saidDependency{d, vouched})
	}
	if m.Subject != nil {
		vouched.Origin = lineage.FromSubject
		said = append(said, saidDependency{lineage.Dependency{Kind: lineage.KindModel, Relation: lineage.RelationBase, Digest: m.Subject.Digest}, vouched})
	}
	w.compare(from.node, said)
	said = withoutNames(from.node, said)
	for _, s := range said {
		if err := w.follow(ctx, from, s); err != nil {
			return err
		}
	}
	return nil
}

// withoutNames leaves out base models to which the annotations give only a name on a
// model hub, where there are as many of which somebody names the digest, and who does
// so is trusted no less: a model card goes on to call its base what the hub calls it,
// wherever the build took it from. The names are noted with the model.
func withoutNames(n *lineage.Node, said []saidDependency) []saidDependency {
	var fromCard, fromBuild []string
	pinned := map[string]bool{} // whether somebody who is trusted says so
	for _, s := range said {
		switch {
		case s.Kind != lineage.KindModel:
		case s.Digest != "":
			pinned[s.Digest.String()] = pinned[s.Digest.String()] || s.saying.Verified
		case s.saying.Origin == lineage.FromProvenance:
			fromBuild = append(fromBuild, s.Name)
		case s.Reference == "":
			fromCard = append(fromCard, s.Name)
		}
	}
	out := said[:0:0]
	for _, s := range said {
		only := s.Kind == lineage.KindModel && s.saying.Origin == lineage.FromAnnotation && s.Digest == "" && s.Reference == ""
		if !only || slices.Contains(fromBuild, s.Name) || count(pinned, s.saying.Verified) < len(fromCard) {
			out = append(out, s)
			continue
		}
		n.BaseNames = append(n.BaseNames, s.Name)
	}
	return out
}

// count counts the digests, or of those the ones that somebody who is trusted names.
func count(pinned map[string]bool, verified bool) (n int) {
	for _, v := range pinned {
		if v || !verified {
			n++
		}
	}
	return n
}

// saidDependency is one dependency, and who says so.
type saidDependency struct {
	lineage.Dependency
	saying lineage.Saying
}

// isProvenance reports whether claims of the type say what something was built from.
func isProvenance(predicateType string) bool {
	return predicateType == artifacttypes.PredicateSLSAProvenanceV1 || predicateType == artifacttypes.PredicateSLSAProvenanceV02
}

// compare warns where the annotations of a model and a provenance that verifies name
// different base models.
func (w *ancestry) compare(n *lineage.Node, said []saidDependency) {
	bases := func(o lineage.Origin) (out []string) {
		for _, s := range said {
			if s.saying.Origin == o && s.Kind == lineage.KindModel && s.Digest != "" && (o != lineage.FromProvenance || s.saying.Verified) {
				out = append(out, s.Digest.String())
			}
		}
		return out
	}
	proven := bases(lineage.FromProvenance)
	for _, d := range bases(lineage.FromAnnotation) {
		if len(proven) > 0 && !slices.Contains(proven, d) {
			w.graph.Warn(fmt.Sprintf("%s: its annotations name the base model %s, and its provenance others", n.Title(), d))
		}
	}
}
