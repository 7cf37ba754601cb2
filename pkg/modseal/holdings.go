package modseal

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/inventory"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/transfer"
)

// holdings are what places have: artifacts, and blobs that are no manifests.
type holdings struct {
	artifacts []inventory.Artifact
	blobs     map[digest.Digest]held
}

// held is a blob that is somewhere.
type held struct {
	size int64
	from string // a reference where it may be had
}

func (h *holdings) add(d digest.Digest, size int64, from string) {
	if _, known := h.blobs[d]; !known && size >= inventory.SmallBlob {
		h.blobs[d] = held{size, from}
	}
}

// inventory returns what is to be told of the holdings.
func (h *holdings) inventory() *inventory.Inventory {
	blobs := make([]inventory.Blob, 0, len(h.blobs))
	for d, b := range h.blobs {
		blobs = append(blobs, inventory.Blob{Digest: d, Size: b.size})
	}
	return inventory.New(h.artifacts, blobs)
}

// holdings asks each target what it has: an artifact, those that a glob matches, or
// without a tag everything. Of layouts and archives all blobs count, also those
// that no tag leads to; of archives besides what they were made to rely on, since
// they could not be loaded without it. Registries are asked for each large blob.
func (c *Client) holdings(ctx context.Context, targets []string) (*holdings, error) {
	h := &holdings{blobs: map[digest.Digest]held{}}
	s := &selection{client: c, whole: true}
	artifacts, err := s.all(ctx, targets)
	if err != nil {
		return nil, err
	}
	for _, l := range s.opened {
		if err := h.addAll(ctx, l); err != nil {
			return nil, err
		}
	}
	for _, a := range artifacts {
		h.artifacts = append(h.artifacts, inventory.Artifact{
			Name: (&consignment{selectedArtifact: a}).fullName(), Digest: a.descriptor.Digest, MediaType: a.descriptor.MediaType, Size: a.descriptor.Size,
		})
		if err := h.addArtifact(ctx, a); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// addAll adds all blobs of a place that can be listed.
func (h *holdings) addAll(ctx context.Context, l *location) error {
	if layout, ok := l.repository.(*store.Layout); ok {
		blobs, err := layout.Blobs(ctx)
		for _, b := range blobs {
			h.add(b.Digest, b.Size, placeName(l.String()))
		}
		return err
	}
	if l.archive == nil {
		return nil
	}
	for b := range l.archive.Blobs() {
		h.add(b.Digest, b.Size, placeName(l.String()))
	}
	if contents, ok := l.archive.Contents(); ok {
		for _, o := range contents.Omitted {
			if o.Reason == archive.OmittedBase {
				h.add(o.Digest, o.Size, o.From)
			}
		}
	}
	return nil
}

// asked is how many blobs a registry is asked for at once.
const asked = 8

// addArtifact adds the blobs of an artifact that are there.
func (h *holdings) addArtifact(ctx context.Context, a selectedArtifact) error {
	g, err := transfer.Survey(ctx, a.repository, a.descriptor, transfer.SurveyOptions{Referrers: true})
	if err != nil {
		return fmt.Errorf("%s: %w", a.Target, err)
	}
	var ask []ocispec.Descriptor
	for _, b := range g.Blobs() {
		if _, known := h.blobs[b.Digest]; !known && b.Size >= inventory.SmallBlob {
			ask = append(ask, b)
		}
	}
	there := make([]bool, len(ask))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(asked)
	for i, b := range ask {
		group.Go(func() (err error) {
			if there[i], err = a.Exists(groupCtx, b); err != nil {
				return fmt.Errorf("%s: %s: %w", a.Target, b.Digest, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, b := range ask {
		if there[i] {
			h.add(b.Digest, b.Size, placeName(a.String()))
		}
	}
	return nil
}
