package modseal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/lineage"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// places parses where the caller says that models are.
func (o LineageOptions) places() (map[string]Target, error) {
	out := map[string]Target{}
	for name, place := range o.Places {
		t, err := parseThere(place)
		if err == nil && t.Reference == "" {
			err = fmt.Errorf("%w: %s has no tag or digest", ErrUsage, place)
		}
		if err != nil {
			return nil, fmt.Errorf("the place of %s: %w", name, err)
		}
		out[name] = t
	}
	return out, nil
}

// provenance reads one claim: nothing, unless it is a provenance of this model. One
// that cannot be read is a warning, since anybody may attach it.
func (w *ancestry) provenance(ctx context.Context, from ancestor, e verify.Evidence) ([]saidDependency, error) {
	s := provenanceIn(e, from.artifact.descriptor.Digest)
	if s == nil {
		return nil, nil
	}
	saying := lineage.Saying{Origin: lineage.FromProvenance, Claim: e.Digest.String()}
	if from.trusted != nil {
		g := &grower{location: from.artifact.location, trusted: from.trusted, subject: from.artifact.subject()}
		v, err := g.verify(ctx, e, s.PredicateType)
		if err != nil {
			return nil, err
		}
		if saying.Verified, saying.Signer = v.Verified, signerName(v.Signer, v.Identity); !v.Verified {
			saying.Signer, saying.Why = "", v.Why
		}
	}
	dependencies, err := lineage.Dependencies(s.PredicateType, s.Predicate)
	if err != nil {
		text := fmt.Sprintf("%s: the provenance %s: %v", from.node.Title(), e.Digest, err)
		if saying.Verified { // anybody may attach what cannot be read
			w.graph.Gap(text)
		} else {
			w.graph.Warn(text)
		}
		return nil, nil
	}
	out := make([]saidDependency, len(dependencies))
	for i, d := range dependencies {
		out[i] = saidDependency{d, saying}
	}
	return out, nil
}

// provenanceIn returns what e says of the artifact, where that is provenance; nil of
// whatever else is attached.
func provenanceIn(e verify.Evidence, artifact digest.Digest) *statement.Statement {
	payload := claimedPayload(e.Bundle)
	if e.Err != nil || payload == nil {
		return nil
	}
	s, err := statement.Parse(payload)
	if err != nil || !isProvenance(s.PredicateType) || !s.Names(artifact) {
		return nil
	}
	return s
}

// follow looks for one dependency and adds what became of it.
func (w *ancestry) follow(ctx context.Context, from ancestor, s saidDependency) error {
	node, found, err := w.find(ctx, from, s)
	if err != nil {
		return err
	}
	if len(w.graph.Nodes) >= limits.LineageNodes && !w.graph.Has(node) {
		w.full(from)
		return nil
	}
	at := w.graph.Add(node)
	s.saying.Pinned = s.Digest != ""
	if t, ok := w.places[s.Name]; ok && s.Reference == "" {
		s.saying.Pinned = s.saying.Pinned || t.suffix()[0] == '@'
	}
	w.graph.Link(lineage.Edge{From: from.node.ID, To: at.ID, Relation: s.Relation, Sayings: []lineage.Saying{s.saying}, Pinned: s.saying.Pinned})
	if found != nil && !w.seen[at.ID] {
		w.seen[at.ID] = true
		found.node, found.depth = at, from.depth+1
		w.open = append(w.open, *found)
	}
	return nil
}

// full says once that the graph is.
func (w *ancestry) full(from ancestor) {
	w.graph.Gap(fmt.Sprintf("not all of it is here: a lineage has at most %d nodes", limits.LineageNodes))
	from.node.Why = "not everything that it was made from is here"
}

// find looks for a dependency where it is said to be, and where the model lies that
// was made from it. found is nil for what is no model or was not found.
func (w *ancestry) find(ctx context.Context, from ancestor, s saidDependency) (node lineage.Node, found *ancestor, err error) {
	node = lineage.Node{Kind: s.Kind, Name: s.Name, Version: s.Version, Digest: s.Digest.String(), Reference: s.Reference, State: lineage.Named}
	if s.Kind == lineage.KindDataset || s.Kind == lineage.KindSource || s.Kind == lineage.KindOther && s.Reference == "" {
		return node, nil, nil
	}
	if there := w.graph.Node(s.Digest.String()); there != nil && there.State.Found() {
		return *there, nil, nil
	}
	tries, why := w.candidates(ctx, from, s)
	if len(tries) == 0 {
		if node.Why = why; s.Reference != "" {
			node.State = lineage.NotFollowed
		}
		return node, nil, nil
	}
	if from.depth >= w.o.Depth {
		node.State, node.Why = lineage.Beyond, fmt.Sprintf("it is more than %d steps away", w.o.Depth)
		return node, nil, nil
	}
	return w.try(ctx, tries, why, node)
}

// try looks for a dependency at each of the places. why, if not empty, is why the one
// that was named is not among them.
func (w *ancestry) try(ctx context.Context, tries []*location, why string, node lineage.Node) (lineage.Node, *ancestor, error) {
	var absent []string
	var worst error
	for _, l := range tries {
		a, err := l.resolve(ctx)
		switch {
		case ctx.Err() != nil:
			return node, nil, context.Cause(ctx)
		case err == nil:
			return w.found(ctx, a)
		case ClassOf(err) == ClassNotFound:
			absent = append(absent, l.Scope())
		case worst == nil:
			worst = err
		}
	}
	switch {
	case node.Kind == lineage.KindOther: // an image, most likely, and none of this
	case worst != nil:
		node.State, node.Why = lineage.Broken, worst.Error()
		if c := ClassOf(worst); c == ClassUnauthorized || c == ClassTransport {
			node.State = lineage.Unreachable
		}
	case why != "" && node.Reference != "":
		node.State, node.Why = lineage.NotFollowed, why
	default:
		node.State, node.Why = lineage.Missing, "it is not in "+strings.Join(absent, " or ")
	}
	return node, nil, nil
}

func (w *ancestry) found(ctx context.Context, a *artifact) (lineage.Node, *ancestor, error) {
	node := nodeOf(a)
	node.State = lineage.Unverified
	t, refused, err := w.client.trustedFor(ctx, w.o.Trust, a.location)
	switch {
	case ctx.Err() != nil:
		return node, nil, context.Cause(ctx)
	case err != nil:
		node.State, node.Why = lineage.Undecided, err.Error()
	case refused != nil:
		node.State, node.Why = lineage.Refused, refused.Error()
	}
	return node, &ancestor{artifact: a, trusted: t}, nil
}

// candidates are the places to look at, the likeliest first. why says why there are
// none.
func (w *ancestry) candidates(ctx context.Context, from ancestor, s saidDependency) (tries []*location, why string) {
	named, why := w.named(ctx, s)
	if s.Digest == "" {
		return named, why
	}
	beside := *from.artifact.location
	beside.Reference = s.Digest.String()
	if from.artifact.Kind != KindRegistry {
		// What was carried here lies beside it.
		return append([]*location{&beside}, named...), why
	}
	if len(named) > 0 && named[0].Scope() == beside.Scope() {
		return named, why
	}
	return append(named, &beside), why
}

// named is the place that a dependency names, if it may be asked.
func (w *ancestry) named(ctx context.Context, s saidDependency) ([]*location, string) {
	t, given := w.places[s.Name]
	switch {
	case given && s.Reference == "":
	case s.Reference == "":
		return nil, "no place is known for it"
	default:
		ref, err := remote.ParseReference(s.Reference)
		if err != nil {
			return nil, err.Error()
		}
		t = Target{Kind: KindRegistry, Registry: ref, Reference: ref.Reference}
		if !w.mayAsk(ref.Registry) && !s.saying.Verified {
			return nil, "nobody who is trusted says that it is there, and " + ref.Registry + " is another registry"
		}
	}
	if s.Digest != "" {
		t.Reference = s.Digest.String()
		t.Registry.Reference = t.Reference
	}
	if t.Reference == "" {
		return nil, "neither a tag nor a digest is named"
	}
	l, err := w.client.open(ctx, t, false)
	if err != nil {
		return nil, err.Error()
	}
	return []*location{l}, ""
}

// mayAsk reports whether a registry may be asked whoever says so.
func (w *ancestry) mayAsk(host string) bool {
	return w.home.Kind == KindRegistry && w.home.Registry.Registry == host || slices.Contains(w.o.Registries, host)
}
