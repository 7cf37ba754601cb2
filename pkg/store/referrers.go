package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// referrersPage is how many referrers are given at a time.
const referrersPage = 100

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
	listed := map[digest.Digest]ocispec.Descriptor{}
	for _, e := range ix.Manifests {
		if listsReferrersOf(e, desc.Digest) {
			// A list that cannot be read is none; the scan finds what is there.
			entries, _ := l.readList(e)
			for _, d := range entries {
				listed[d.Digest] = d
			}
		}
	}
	found, err := l.scan(ctx, ix, desc.Digest, listed)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(d ocispec.Descriptor) bool {
		return artifactType != "" && d.ArtifactType != artifactType
	})
	for page := range slices.Chunk(found, referrersPage) {
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
}

// scan returns the manifests whose subject is the given one, ordered by digest:
// those of index.json and those of listed that prove to be.
func (l *Layout) scan(ctx context.Context, ix *layoutIndex, subject digest.Digest, listed map[digest.Digest]ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	candidates := maps.Clone(listed)
	for _, e := range ix.Manifests {
		if _, known := candidates[e.Digest]; !known && isManifest(e.MediaType) {
			candidates[e.Digest] = e
		}
	}
	var found []ocispec.Descriptor
	for _, d := range candidates {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if other, known := l.subjectOf(d.Digest); known && other != subject {
			continue
		}
		h, err := l.readHeader(d)
		if err != nil {
			if e, ok := listed[d.Digest]; ok {
				found = append(found, e)
			}
			continue
		}
		if h.Subject != nil && h.Subject.Digest == subject {
			found = append(found, h.asReferrer(d))
		}
	}
	slices.SortFunc(found, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return found, nil
}

func (l *Layout) subjectOf(d digest.Digest) (subject digest.Digest, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	subject, known = l.subjects[d]
	return subject, known
}

// readHeader reads a manifest and remembers its subject.
func (l *Layout) readHeader(d ocispec.Descriptor) (*header, error) {
	raw, err := l.readManifest(d)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(raw)
	if err != nil {
		return nil, err
	}
	var subject digest.Digest
	if h.Subject != nil {
		subject = h.Subject.Digest
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subjects[d.Digest] = subject
	return h, nil
}

// listsReferrersOf reports whether the entry e of index.json is a list of the
// referrers of d: by the fallback tag, or as olareg marks it.
func listsReferrersOf(e ocispec.Descriptor, d digest.Digest) bool {
	return e.MediaType == ocispec.MediaTypeImageIndex && e.Digest != d &&
		(e.Annotations[ocispec.AnnotationRefName] == fallbackTagOf(d) || e.Annotations[annotationReferrersOf] == d.String())
}

// fallbackTagOf cuts the hex as the distribution specification does, so that the
// tag of a sha512 digest is a valid tag.
func fallbackTagOf(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded()[:64]
}

// readList reads an index as a list of referrers.
func (l *Layout) readList(e ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	raw, err := l.readVerified(plain(e), limits.ReferrerListBytes)
	if err != nil {
		return nil, err
	}
	var list ocispec.Index
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Manifests, func(d ocispec.Descriptor) bool {
		return artifacttypes.ValidateDescriptor(d) != nil || !isManifest(d.MediaType)
	}), nil
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
		entries, _ := l.readList(e)
		for _, d := range entries {
			listed[d.Digest] = d
		}
	}
	found, err := l.scan(ctx, ix, subject, listed)
	if err != nil {
		return err
	}
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: found}
	raw, err := artifacttypes.Marshal(list)
	if err != nil {
		return err
	}
	if len(raw) > limits.ReferrerListBytes {
		return &integrity.TooLargeError{What: "list of referrers of " + subject.String(), Size: int64(len(raw)), Limit: limits.ReferrerListBytes}
	}
	entry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := l.storeSmall(entry, raw); err != nil {
		return err
	}
	ix.setLabel(entry, key, value, true)
	return nil
}
