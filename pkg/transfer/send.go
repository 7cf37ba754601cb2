package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"
)

// Send copies what a survey found to dst. Every byte is checked while it moves.
// What dst holds already is not moved again, but everything below it is looked
// at: that a manifest is there does not mean that its blobs are.
//
// Blobs come before the manifest that names them, a subject before its
// referrers. At the end the lists of referrers are read back. No tag is
// written: the caller does so last, so that who finds the tag finds everything
// (registries.md §5).
func Send(ctx context.Context, dst Target, g *Graph, o CopyOptions) (_ *CopyResult, err error) {
	s := newSender(dst, g, o)
	if s.mover, err = newMover(g.src, dst, o, s.warn); err != nil {
		return nil, err
	}
	defer func() { s.mover.close(err) }()
	s.to = writing{s}
	if err := s.preflight(); err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	if err := s.readBack(ctx); err != nil {
		return nil, err
	}
	exists, err := dst.Exists(ctx, g.root)
	if err != nil {
		return nil, err
	}
	s.result.CopyTraffic = s.mover.traffic()
	if !exists {
		return nil, fmt.Errorf("%s was copied, but is not at its destination: %w", g.root.Digest, errdef.ErrNotFound)
	}
	return s.result, nil
}

// preflight looks for what dst will not take.
func (s *sender) preflight() error {
	if err := mayBeTooLarge(s.dst, s.g); err != nil {
		s.warn(err)
	}
	return Preflight(s.dst, s.g)
}

// sender goes through a graph in the order in which it can be written.
type sender struct {
	g        *Graph
	dst      Target
	to       hand
	mover    *mover
	limit    int
	blobs    map[digest.Digest]bool // that were begun
	leaveOut func(digest.Digest) bool

	mu     sync.Mutex // of result, while blobs are moved
	result *CopyResult
}

// hand does, or only looks at, what a copy comes to.
type hand interface {
	blob(ctx context.Context, desc ocispec.Descriptor, alone bool) (Outcome, error)
	manifest(ctx context.Context, n Node) (Outcome, error)
	// attach makes dst list the referrers of a subject.
	attach(ctx context.Context, subject ocispec.Descriptor, referrers []Node) error
}

func newSender(dst Target, g *Graph, o CopyOptions) *sender {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	return &sender{
		g: g, dst: dst, limit: min(o.Concurrency, maxConcurrency), leaveOut: o.LeaveOut,
		result: &CopyResult{Root: g.root.Digest}, blobs: map[digest.Digest]bool{},
	}
}

func (s *sender) run(ctx context.Context) error {
	nodes := s.g.nodes
	// Each manifest of the artifact is written as soon as its blobs are there.
	// What is attached is small, so that all of its blobs can come at once.
	first := slices.IndexFunc(nodes, func(n Node) bool { return n.Kind == KindReferrer })
	if first < 0 {
		first = len(nodes)
	}
	for _, n := range nodes[:first] {
		if err := s.write(ctx, n); err != nil {
			return err
		}
	}
	if err := s.write(ctx, nodes[first:]...); err != nil {
		return err
	}
	for _, a := range attached(nodes[first:]) {
		if err := s.to.attach(ctx, a[0].Subject, a); err != nil {
			return err
		}
	}
	return nil
}

// attached groups referrers by their subject.
func attached(nodes []Node) [][]Node {
	var groups [][]Node
	at := map[digest.Digest]int{}
	for _, n := range nodes {
		if n.Kind != KindReferrer {
			continue
		}
		i, ok := at[n.Subject.Digest]
		if !ok {
			i, groups = len(groups), append(groups, nil)
			at[n.Subject.Digest] = i
		}
		groups[i] = append(groups[i], n)
	}
	return groups
}

// write writes the blobs of some manifests, and then these.
func (s *sender) write(ctx context.Context, nodes ...Node) error {
	var blobs []ocispec.Descriptor
	for _, n := range nodes {
		blobs = append(blobs, n.Blobs...)
	}
	if err := s.writeBlobs(ctx, blobs); err != nil {
		return err
	}
	for _, n := range nodes {
		outcome, err := s.to.manifest(ctx, n)
		if err != nil {
			return err
		}
		s.add(n.Kind, n.Descriptor, outcome, n.Subject.Digest)
	}
	return nil
}

// writeBlobs copies the blobs that were not copied yet, the largest first: what
// takes longest must not begin last.
func (s *sender) writeBlobs(ctx context.Context, blobs []ocispec.Descriptor) error {
	var todo []ocispec.Descriptor
	var total int64
	for _, b := range blobs {
		switch {
		case s.blobs[b.Digest]:
		case s.leaveOut != nil && s.leaveOut(b.Digest):
			s.blobs[b.Digest] = true
			s.add(KindBlob, b, LeftOut, "")
		default:
			s.blobs[b.Digest] = true
			todo = append(todo, b)
			total += b.Size
		}
	}
	if len(todo) == 0 {
		return nil
	}
	slices.SortStableFunc(todo, func(a, b ocispec.Descriptor) int { return cmp.Compare(b.Size, a.Size) })
	s.mover.progress.Plan(len(todo), total)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.limit)
	for _, b := range todo {
		group.Go(func() error {
			outcome, err := s.to.blob(groupCtx, b, b.Size > total/2)
			if err == nil {
				s.add(KindBlob, b, outcome, "")
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// readBack checks that dst lists everything that was attached, now that nothing
// changes any more.
func (s *sender) readBack(ctx context.Context) error {
	for _, a := range attached(s.g.nodes) {
		if err := s.to.attach(ctx, a[0].Subject, a); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) add(kind Kind, desc ocispec.Descriptor, outcome Outcome, subject digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Items = append(s.result.Items, CopyItem{
		Kind: kind, Digest: desc.Digest, MediaType: desc.MediaType, Size: desc.Size, Outcome: outcome, Subject: subject,
	})
}

// warn takes note of the first of the things that did not go as they should: the
// others are the same.
func (s *sender) warn(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.result.Warnings) == 0 {
		s.result.Warnings = []string{err.Error()}
	}
}
