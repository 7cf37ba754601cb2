package modseal

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/inventory"
	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/transfer"
)

// plan lays out the archive.
func (s *saving) plan(ctx context.Context) (*archive.Plan, error) {
	far, err := s.farSide(ctx, s.o.Since)
	if err != nil {
		return nil, err
	}
	p := &packing{saving: s, far: far, taken: map[digest.Digest]bool{}}
	for _, c := range s.consignments {
		if err := p.add(ctx, c, c.permit); err != nil {
			return nil, err
		}
	}
	if p.in.Trust, err = s.trustToCarry(); err != nil {
		return nil, err
	}
	if p.in.Policy, err = s.policyToCarry(); err != nil {
		return nil, err
	}
	p.in.Contents = archive.Contents{Tool: s.o.Tool, Omitted: p.omitted(), Bases: far.bases}
	s.report(&p.in)
	plan, err := archive.NewPlan(p.in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.result.File, err)
	}
	return plan, nil
}

// report notes what the archive has and lacks.
func (s *saving) report(in *archive.Input) {
	seen := map[digest.Digest]bool{}
	for _, o := range in.Contents.Omitted {
		if !seen[o.Digest] {
			seen[o.Digest] = true
			s.result.OmittedBytes += o.Size
		}
	}
	s.result.Omitted, s.result.Bases = in.Contents.Omitted, in.Contents.Bases
	if in.Trust != nil {
		s.result.Trust = digest.FromBytes(in.Trust)
	}
	if in.Policy != nil {
		s.result.Policy = digest.FromBytes(in.Policy)
	}
}

// packing collects what goes into an archive.
type packing struct {
	*saving

	far   *farSide
	in    archive.Input
	taken map[digest.Digest]bool // blobs that are in it
	named map[string]bool        // what progress calls them
	left  []archive.Omitted      // layers that some model could do without
}

// add takes an artifact. p must cover it: no way leads into an archive but through
// a decision.
func (k *packing) add(ctx context.Context, c *consignment, p permit) error {
	if !p.covers(c.graph) {
		return fmt.Errorf("%s: nobody decided on all of it", c.Target)
	}
	repository, tag := c.name()
	k.in.Artifacts = append(k.in.Artifacts, archive.InputArtifact{Descriptor: c.descriptor, Repository: repository, Tag: tag})
	layers := map[digest.Digest][]artifacttypes.Layer{}
	for _, v := range p.models {
		layers[v.Descriptor().Digest] = v.Model().Layers
	}
	if err := k.addGraph(ctx, c, c.graph, layers); err != nil {
		return err
	}
	for _, l := range c.legacy {
		k.in.Artifacts = append(k.in.Artifacts, archive.InputArtifact{Descriptor: l.graph.Root(), Repository: repository, Tag: l.tag})
		if err := k.addGraph(ctx, c, l.graph, nil); err != nil {
			return err
		}
	}
	return nil
}

// addGraph takes manifests and what they name. Only layers of models may be left
// out: by everything else is decided whether to load them.
func (k *packing) addGraph(ctx context.Context, c *consignment, g *transfer.Graph, models map[digest.Digest][]artifacttypes.Layer) error {
	for _, n := range g.Nodes() {
		raw, err := g.Raw(ctx, n)
		if err != nil {
			return err
		}
		k.in.Manifests = append(k.in.Manifests, archive.InputManifest{Descriptor: n.Descriptor, Raw: raw})
		layers := models[n.Descriptor.Digest]
		optional := map[digest.Digest]bool{}
		for _, l := range layers {
			if left := k.leftOut(c, n, l); left != nil {
				k.left = append(k.left, *left)
				optional[l.Descriptor.Digest] = true
			} else if err := k.take(ctx, c, l.Descriptor, l.Path); err != nil {
				return err
			}
		}
		for _, b := range n.Blobs {
			if optional[b.Digest] {
				continue
			}
			if err := k.take(ctx, c, b, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// leftOut returns the record of a layer that is to be left out, or nil.
func (k *packing) leftOut(c *consignment, n transfer.Node, l artifacttypes.Layer) *archive.Omitted {
	o := &archive.Omitted{
		Digest: l.Descriptor.Digest, Size: l.Descriptor.Size, MediaType: l.Descriptor.MediaType,
		Path: l.Path, Artifact: n.Descriptor.Digest, Role: l.Role,
	}
	if from, ok := k.far.has(l.Descriptor); ok && l.Descriptor.Size >= inventory.SmallBlob {
		o.Reason, o.From = archive.OmittedBase, from
		return o
	}
	if !k.wanted(l.Role) {
		o.Reason, o.From = archive.OmittedRole, c.fullName()
		return o
	}
	return nil
}

// wanted reports whether files of a role go in. A file of no role is in no list.
func (s *saving) wanted(r artifacttypes.Role) bool {
	return (len(s.o.Include) == 0 || slices.Contains(s.o.Include, r)) && !slices.Contains(s.o.Exclude, r)
}

// take takes a blob once. A layout or an archive may itself lack some, which is
// known before anything is written.
func (k *packing) take(ctx context.Context, c *consignment, b ocispec.Descriptor, name string) error {
	if k.taken[b.Digest] {
		return nil
	}
	name = k.name(c, b, name)
	if c.Kind != KindRegistry {
		if there, err := c.Exists(ctx, b); err != nil || !there {
			return fmt.Errorf("%s: %s, %s: %w", c.Target, name, b.Digest, cmp.Or(err, errdef.ErrNotFound))
		}
	}
	k.taken[b.Digest] = true
	blob := c.bring(ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}, name)
	bring := blob.Bring
	blob.Bring = func(ctx context.Context, to *partial.File, moved func(int64)) error {
		return bring(ctx, to, func(n int64) {
			k.fetched.Add(n)
			moved(n)
		})
	}
	k.in.Blobs = append(k.in.Blobs, blob)
	return nil
}

// name is what a blob is called while it comes. Models have files of the same name,
// and progress tells what comes at the same time apart by its name.
func (k *packing) name(c *consignment, b ocispec.Descriptor, path string) string {
	switch {
	case path == "":
		return b.Digest.String()
	case k.named[path]:
		return path + " of " + c.fullName()
	case k.named == nil:
		k.named = map[string]bool{}
	}
	k.named[path] = true
	return path
}

// omitted returns the records of what is not there in the end: a layer that one
// model can do without and another cannot is there.
func (k *packing) omitted() []archive.Omitted {
	out := slices.DeleteFunc(k.left, func(o archive.Omitted) bool { return k.taken[o.Digest] })
	slices.SortFunc(out, func(a, b archive.Omitted) int {
		return cmp.Or(cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Artifact, b.Artifact), cmp.Compare(a.Path, b.Path))
	})
	return slices.CompactFunc(out, func(a, b archive.Omitted) bool {
		return a.Digest == b.Digest && a.Artifact == b.Artifact && a.Path == b.Path
	})
}

// bring returns a blob and the way to its bytes: over several connections from a
// registry, in the kernel from a file, at any offset from an archive.
func (l *location) bring(desc ocispec.Descriptor, name string) archive.InputBlob {
	blob := archive.InputBlob{Descriptor: desc, Name: name}
	if f, ok := l.blobs.(*transfer.Fetcher); ok {
		blob.Bring = func(ctx context.Context, to *partial.File, moved func(int64)) error {
			return f.Download(ctx, desc, to, moved)
		}
		blob.Rejected = func() bool { return f.Reject(desc) }
		return blob
	}
	blob.Bring = func(ctx context.Context, to *partial.File, moved func(int64)) error {
		src, err := l.Fetch(ctx, desc)
		if err != nil {
			return fmt.Errorf("%s: %w", l.Target, err)
		}
		defer src.Close()
		switch src := src.(type) {
		case *os.File:
			return to.CopyFrom(ctx, src, moved)
		case io.ReaderAt:
			return to.TakeAt(ctx, src, moved)
		}
		return to.TakeFrom(ctx, src, moved)
	}
	return blob
}
