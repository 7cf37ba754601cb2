package modseal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/transfer"
)

// shipment is an artifact on its way to its destination.
type shipment struct {
	parcel
	to    Target
	at    *location // nil while the destination is a layout that is not there
	cargo *cargo
	graph *transfer.Graph
	// companions are images with signatures that belong to this one by their tag.
	companions []*shipment
	permit     permit
	loaded     LoadedArtifact
}

// all is the shipment and what goes with it.
func (s *shipment) all() []*shipment { return append([]*shipment{s}, s.companions...) }

// tagged reports whether the destination gets a tag.
func (s *shipment) tagged() bool { return s.tag != "" || !isDigest(s.to.Reference) }

func isDigest(reference string) bool { return digest.Digest(reference).Validate() == nil }

// errTagOfLists says that a tag is one under which registries without a referrers
// API keep what is attached to an artifact: a model there would hide all of it.
var errTagOfLists = errors.New("its tag is one that lists of signatures have")

// choose finds out what is loaded, and where it goes.
func (l *loading) choose(ctx context.Context) error {
	all, err := l.held.parcels(ctx)
	if err != nil {
		return err
	}
	var models, legacy []parcel
	for _, p := range all {
		if _, is := p.legacy(); is {
			legacy = append(legacy, p)
		} else {
			models = append(models, p)
		}
	}
	if models, err = selected(models, l.o.Artifacts); err != nil {
		return err
	}
	switch {
	case len(models) == 0:
		return fmt.Errorf("the archives hold no artifact: %w", errdef.ErrNotFound)
	case len(models) > limits.Selected:
		return usagef("the archives hold %d artifacts, and %d can be loaded at once: choose among them with --artifact", len(models), limits.Selected)
	}
	if err := l.to.fits(models); err != nil {
		return err
	}
	for _, p := range models {
		s, err := l.ship(ctx, p)
		if err != nil {
			return err
		}
		if isFallbackTag(s.to.Reference) {
			return &NotLoadableError{Name: p.name, File: p.from.Path(), Digest: p.desc.Digest, Err: errTagOfLists}
		}
		l.shipments = append(l.shipments, s)
	}
	return l.accompany(ctx, legacy)
}

// ship makes the shipment of a parcel. The destination is opened if it is there,
// and nothing is made.
func (l *loading) ship(ctx context.Context, p parcel) (*shipment, error) {
	to, err := l.to.of(p)
	if err != nil {
		return nil, err
	}
	for _, o := range l.shipments {
		if o.to == to && o.desc.Digest != p.desc.Digest {
			return nil, usagef("%s would be both %s (%s) and %s (%s); load them one after the other", to, o.desc.Digest, o.from.Path(), p.desc.Digest, p.from.Path())
		}
	}
	if to.Kind == KindLayout && l.to.layouts != "" {
		if err := l.mayBeLayout(to); err != nil {
			return nil, err
		}
	}
	s := &shipment{parcel: p, to: to, cargo: &cargo{archives: l.held.all, tags: map[string]ocispec.Descriptor{}}}
	s.loaded = LoadedArtifact{Name: p.name, File: p.from.Path(), Destination: to.String(), Digest: p.desc.Digest.String(), MediaType: p.desc.MediaType}
	s.at, err = l.Client.openAs(ctx, to, false, true)
	if errors.Is(err, errdef.ErrNotFound) && to.Kind == KindLayout {
		s.at, err = nil, nil
	}
	return s, err
}

// accompany gives images in which cosign kept signatures to the artifacts that
// they are about, of the same repository.
func (l *loading) accompany(ctx context.Context, legacy []parcel) error {
	for _, p := range legacy {
		subject, _ := p.legacy()
		for _, s := range l.shipments {
			if s.desc.Digest != subject || s.repository != p.repository {
				continue
			}
			c, err := l.ship(ctx, p)
			if err != nil {
				return err
			}
			c.to = s.to
			c.to.Reference, c.to.Registry.Reference = p.tag, p.tag
			s.cargo.tags[p.tag] = p.desc
			s.companions = append(s.companions, c)
			break // once, however many tags the artifact has
		}
	}
	return nil
}

// openBases opens where blobs may be that the archives leave out: what the caller
// names, and the destinations.
func (l *loading) openBases(ctx context.Context) error {
	for _, target := range l.o.Bases {
		t, err := parseThere(target)
		if err != nil {
			return fmt.Errorf("base %s: %w", target, err)
		}
		base, err := l.open(ctx, t, false) // all that is there, whatever it is called
		if err != nil {
			return fmt.Errorf("base %s: %w", target, err)
		}
		l.bases = append(l.bases, base)
	}
	for _, s := range l.shipments {
		if s.at != nil && !slices.ContainsFunc(l.bases, func(b *location) bool { return b.Scope() == s.at.Scope() }) {
			l.bases = append(l.bases, s.at)
		}
	}
	return ctx.Err()
}

// survey reads the manifests of what is loaded, within bounds, and what they name.
func (l *loading) survey(ctx context.Context) error {
	for _, s := range l.shipments {
		for _, one := range s.all() {
			one.cargo.bases = l.bases
			var err error
			one.graph, err = transfer.Survey(ctx, one.cargo, one.desc, transfer.SurveyOptions{Referrers: true})
			if err != nil {
				return fmt.Errorf("%s: %s: %w", one.from.Path(), one.name, err)
			}
		}
	}
	return nil
}

// findBase looks for the blobs that the archives leave out. All that are nowhere
// are one error.
func (l *loading) findBase(ctx context.Context) error {
	missing := &MissingError{}
	for _, s := range l.shipments {
		for _, one := range s.all() {
			for _, blob := range one.graph.Blobs() {
				there, err := l.available(ctx, one, blob)
				if err != nil {
					return err
				}
				if !there {
					s.loaded.LeftOut = append(s.loaded.LeftOut, l.held.describe(one, blob))
				}
			}
		}
		if !l.o.Sparse {
			missing.Blobs = append(missing.Blobs, s.loaded.LeftOut...)
		}
	}
	if len(missing.Blobs) > 0 {
		return missing
	}
	return nil
}

// available reports whether a blob is in an archive, at the destination or in a
// base.
func (l *loading) available(ctx context.Context, s *shipment, blob ocispec.Descriptor) (bool, error) {
	if there, err := s.cargo.Exists(ctx, blob); there || err != nil {
		return there, err
	}
	if s.at != nil {
		if there, err := s.at.Exists(ctx, blob); there || err != nil {
			return there, err
		}
	}
	for _, base := range l.bases {
		there, err := base.Exists(ctx, blob)
		if err != nil {
			return false, err
		}
		if there {
			l.mayBeMounted(s, base, blob)
			return true, nil
		}
	}
	return false, nil
}

// mayBeMounted lets the registry be asked to take a blob from another of its
// repositories, where it was just seen.
func (l *loading) mayBeMounted(s *shipment, base *location, blob ocispec.Descriptor) {
	if base.Kind == KindRegistry && s.to.Kind == KindRegistry && base.Registry.Host() == s.to.Registry.Host() {
		l.digests.Saw(base.Registry.Host(), base.Registry.Repository, blob.Digest)
	}
}

// describe says of a blob that is nowhere what the archives say about it.
func (h *archives) describe(s *shipment, blob ocispec.Descriptor) MissingBlob {
	m := MissingBlob{Digest: blob.Digest, Size: blob.Size, Artifact: s.name, Destination: s.loaded.Destination, Path: pathOf(blob)}
	c, ok := h.claimed()[blob.Digest]
	if !ok {
		return m
	}
	m.Reason, m.Role, m.From = string(c.Reason), string(c.Role), c.From
	if m.From == "" && c.Reason == archive.OmittedBase {
		m.From = c.bases
	}
	return m
}

// claimed returns what the archives say of blobs that they leave out, the first of
// them that says something.
func (h *archives) claimed() map[digest.Digest]omission {
	if h.claims != nil {
		return h.claims
	}
	h.claims = map[digest.Digest]omission{}
	for _, a := range h.all {
		contents, ok := a.Contents()
		if !ok {
			continue
		}
		bases := basesOf(contents)
		for _, o := range contents.Omitted {
			if _, there := h.claims[o.Digest]; !there {
				h.claims[o.Digest] = omission{o, bases}
			}
		}
	}
	return h.claims
}

// basesOf names what an archive relies on.
func basesOf(c *archive.Contents) string {
	var names []string
	for _, b := range c.Bases {
		names = append(names, b.Kind+" "+b.Name)
	}
	return strings.Join(names, ", ")
}
