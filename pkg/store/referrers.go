package store

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Referrers calls fn with the manifests whose subject is desc, ordered by
// digest, of one artifact type unless it is empty. It finds them in index.json
// by reading the manifests there, and in lists that other tools keep. An entry
// of such a list whose manifest is missing or damaged is given as the list has
// it, for the caller to trip over: a signature that cannot be read must not look
// like none.
func (l *Layout) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error {
	if err := artifacttypes.ValidateDigest(desc.Digest); err != nil {
		return err
	}
	ix, err := l.readIndex()
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	return l.reading.referrers(ctx, ix, desc.Digest, artifactType, fn)
}

// listReferrer brings the list of the subject's referrers up to date in ix, in
// the form that other readers of this layout look for: the fallback tag, or the
// entry of olareg in a layout that olareg has converted. What a list names stays
// in it, also what is not in this layout.
func (l *Layout) listReferrer(ctx context.Context, ix *layoutIndex, subject digest.Digest) error {
	key, value := ocispec.AnnotationRefName, fallbackTagOf(subject)
	if ix.converted() {
		key, value = annotationReferrersOf, subject.String()
	}
	listed := map[digest.Digest]ocispec.Descriptor{}
	for _, e := range ix.Manifests {
		if e.Annotations[key] != value {
			continue
		}
		if !listsReferrersOf(e, subject) {
			// Somebody gave this tag to something else; our own readers find
			// the referrer without a list.
			return nil
		}
		entries, _ := l.reading.list(e)
		for _, d := range entries {
			listed[d.Digest] = d
		}
	}
	found, err := l.reading.scan(ctx, ix, subject, listed)
	if err != nil {
		return err
	}
	entry, err := l.storeReferrers(subject, found)
	if err != nil {
		return err
	}
	ix.setLabel(entry, key, value, true)
	return nil
}

// storeReferrers stores a list of the subject's referrers.
func (l *Layout) storeReferrers(subject digest.Digest, found []ocispec.Descriptor) (ocispec.Descriptor, error) {
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: found}
	raw, err := artifacttypes.Marshal(list)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if len(raw) > limits.ReferrerListBytes {
		return ocispec.Descriptor{}, &integrity.TooLargeError{What: "list of referrers of " + subject.String(), Size: int64(len(raw)), Limit: limits.ReferrerListBytes}
	}
	entry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return entry, l.storeSmall(entry, raw)
}
