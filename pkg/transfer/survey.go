package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/referrer"
)

// SurveyOptions change what [Survey] looks at. The zero value is the artifact
// alone.
type SurveyOptions struct {
	// Referrers takes also what is attached to the artifact, to its children when
	// it is an index, and to what is attached.
	Referrers bool
}

// Graph is an artifact with all that it names, and with SurveyOptions.Referrers
// all that is attached to it, as its source had it at one time: whoever plans,
// checks or copies it to several places does the same everywhere.
type Graph struct {
	src   Source
	root  ocispec.Descriptor
	nodes []Node
	raws  map[digest.Digest][]byte // of the manifests that are held
	held  int64                    // bytes of them
}

// Node is one manifest of a [Graph].
type Node struct {
	// Descriptor identifies the manifest; of a referrer it has the artifact type
	// and the annotations of the manifest as well.
	Descriptor ocispec.Descriptor
	Kind       Kind                 // KindManifest or KindReferrer
	Subject    ocispec.Descriptor   // what a referrer is attached to
	Blobs      []ocispec.Descriptor // that the manifest names
	Children   []ocispec.Descriptor // manifests that an index names
}

// Root returns the artifact.
func (g *Graph) Root() ocispec.Descriptor { return g.root }

// Nodes returns the manifests in the order in which they can be written: what an
// index names before the index, a subject before what is attached to it.
func (g *Graph) Nodes() []Node { return g.nodes }

// Blobs returns the blobs that the manifests name, each once.
func (g *Graph) Blobs() []ocispec.Descriptor {
	var blobs []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, n := range g.nodes {
		for _, b := range n.Blobs {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				blobs = append(blobs, b)
			}
		}
	}
	return blobs
}

// Raw returns the bytes of a manifest of the graph. They are checked.
func (g *Graph) Raw(ctx context.Context, n Node) ([]byte, error) {
	if raw, ok := g.raws[n.Descriptor.Digest]; ok {
		return raw, nil
	}
	return fetchManifest(ctx, g.src, n.Descriptor)
}

// Survey reads the manifests of an artifact and the lists of what is attached. It
// reads no blob. What is not as it should be, or too much, is an error.
func Survey(ctx context.Context, src Source, root ocispec.Descriptor, o SurveyOptions) (*Graph, error) {
	s := &surveyor{
		g:    &Graph{src: src, root: plain(root), raws: map[digest.Digest][]byte{}},
		seen: map[digest.Digest]bool{},
	}
	if err := s.content(ctx, Node{Descriptor: root, Kind: KindManifest}, nil, 0); err != nil {
		return nil, err
	}
	if !o.Referrers {
		return s.g, nil
	}
	// Grows while referrers are found that are indexes themselves.
	for i := 0; i < len(s.subjects); i++ {
		if err := s.referrers(ctx, s.subjects[i]); err != nil {
			return nil, err
		}
	}
	return s.g, nil
}

type surveyor struct {
	g        *Graph
	seen     map[digest.Digest]bool
	subjects []ocispec.Descriptor // whose referrers are still to be looked for, or have been
}

// content takes a manifest and all that it names. raw is nil when it is to be
// fetched.
func (s *surveyor) content(ctx context.Context, n Node, raw []byte, depth int) error {
	if s.seen[n.Descriptor.Digest] {
		return nil
	}
	if len(s.seen) >= limits.GraphNodes {
		return &referrer.TooManyError{Subject: s.g.root.Digest, What: "manifests", Limit: limits.GraphNodes}
	}
	if depth > limits.ReferrerDepth {
		return &referrer.TooManyError{Subject: s.g.root.Digest, What: "levels of indexes", Limit: limits.ReferrerDepth}
	}
	s.seen[n.Descriptor.Digest] = true
	if n.Kind == KindManifest {
		n.Descriptor = plain(n.Descriptor)
	}
	if raw == nil {
		var err error
		if raw, err = fetchManifest(ctx, s.g.src, n.Descriptor); err != nil {
			return err
		}
	}
	l, err := decode(n.Descriptor, raw)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", n.Descriptor.Digest, err)
	}
	n.Blobs, n.Children = l.blobs, l.children
	s.hold(n, raw)
	for _, child := range n.Children {
		if err := s.content(ctx, Node{Descriptor: child, Kind: KindManifest}, nil, depth+1); err != nil {
			return err
		}
	}
	s.g.nodes = append(s.g.nodes, n)
	if n.Kind == KindManifest {
		// What is attached to a referrer is found by the walk that found it.
		s.subjects = append(s.subjects, n.Descriptor)
	}
	return nil
}

// hold keeps the bytes of a manifest, as long as all of them are not too many.
func (s *surveyor) hold(n Node, raw []byte) {
	if s.g.held+int64(len(raw)) <= limits.GraphBytes {
		s.g.raws[n.Descriptor.Digest] = raw
		s.g.held += int64(len(raw))
	}
}

// referrers takes what is attached to subject.
func (s *surveyor) referrers(ctx context.Context, subject ocispec.Descriptor) error {
	path := []ocispec.Descriptor{subject}
	return referrer.Walk(ctx, s.g.src, subject, func(depth int, n referrer.Node) error {
		of := path[depth-1]
		path = append(path[:depth], n.Descriptor)
		return s.content(ctx, Node{Descriptor: n.Descriptor, Kind: KindReferrer, Subject: plain(of)}, n.Raw, 0)
	})
}

func fetchManifest(ctx context.Context, src Source, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := src.Fetch(ctx, plain(desc))
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return integrity.ReadAll(rc, desc, artifacttypes.MaxManifestBytes, "manifest")
}

// ErrSourceChanged is wrapped when the source lacks, while it is copied from,
// what it had before.
var ErrSourceChanged = errors.New("the source has changed meanwhile")
