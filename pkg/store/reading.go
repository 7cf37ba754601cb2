package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// referrersPage is how many referrers are given at a time.
const referrersPage = 100

// Blobs are the blobs of a layout, wherever they lie: in a directory, in an
// archive. What they give is not verified.
type Blobs interface {
	// Size returns the bytes of a blob. The error wraps errdef.ErrNotFound when it
	// is not there.
	Size(d digest.Digest) (int64, error)
	// Open opens a blob, with the same errors.
	Open(d digest.Digest) (io.ReadCloser, error)
}

// reading answers what a layout is asked from an index.json and the blobs. It is
// safe for concurrent use.
type reading struct {
	where string // for errors
	blobs Blobs

	mu       sync.Mutex
	subjects map[digest.Digest]digest.Digest // what manifests refer to; their bytes cannot change
}

func newReading(where string, blobs Blobs) *reading {
	return &reading{where: where, blobs: blobs, subjects: map[digest.Digest]digest.Digest{}}
}

// has says false for a blob of another size: it is not the one of this digest.
func (r *reading) has(desc ocispec.Descriptor) (bool, error) {
	size, err := r.blobs.Size(desc.Digest)
	if errors.Is(err, errdef.ErrNotFound) {
		return false, nil
	}
	return size == desc.Size, err
}

// manifest returns the verified bytes of a manifest.
func (r *reading) manifest(d ocispec.Descriptor) ([]byte, error) {
	return r.verified(d, artifacttypes.MaxManifestBytes)
}

func (r *reading) verified(d ocispec.Descriptor, limit int64) ([]byte, error) {
	b, err := r.blobs.Open(d.Digest)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return integrity.ReadAll(b, d, limit, filepath.Join(r.where, "manifest"))
}

// resolve finds a manifest by its tag or digest.
func (r *reading) resolve(ix *layoutIndex, reference string) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	var err error
	if strings.Contains(reference, ":") && artifacttypes.ValidateDigest(digest.Digest(reference)) == nil {
		desc, err = r.resolveDigest(ix, digest.Digest(reference))
	} else {
		desc, err = ix.resolveTag(reference)
	}
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %q: %w", r.where, reference, err)
	}
	return plain(desc), nil
}

// resolveDigest also finds manifests that have no entry of their own: the
// children of an index, and referrers in layouts that olareg wrote. Those are
// described by their own, verified, bytes.
func (r *reading) resolveDigest(ix *layoutIndex, d digest.Digest) (ocispec.Descriptor, error) {
	if e, ok := ix.entry(d); ok {
		there, err := r.has(e)
		if err == nil && !there {
			err = fmt.Errorf("%s names it, but it is not there whole: %w", ocispec.ImageIndexFile, errdef.ErrNotFound)
		}
		return e, err
	}
	size, err := r.blobs.Size(d)
	switch {
	case err != nil:
		return ocispec.Descriptor{}, err
	case size > artifacttypes.MaxManifestBytes:
		return ocispec.Descriptor{}, fmt.Errorf("it is a blob and no manifest: %w", errdef.ErrNotFound)
	}
	desc := ocispec.Descriptor{Digest: d, Size: size}
	raw, err := r.manifest(desc)
	if err != nil {
		return desc, err
	}
	if h, err := parseHeader(raw); err == nil {
		desc.MediaType = h.kind()
	}
	if desc.MediaType == "" {
		return desc, fmt.Errorf("it is a blob and no manifest: %w", errdef.ErrNotFound)
	}
	return desc, nil
}

// referrers calls fn with the manifests whose subject is the given one.
func (r *reading) referrers(ctx context.Context, ix *layoutIndex, subject digest.Digest, artifactType string, fn func([]ocispec.Descriptor) error) error {
	listed := map[digest.Digest]ocispec.Descriptor{}
	for _, e := range ix.Manifests {
		if listsReferrersOf(e, subject) {
			// A list that cannot be read is none; the scan finds what is there.
			entries, _ := r.list(e)
			for _, d := range entries {
				listed[d.Digest] = d
			}
		}
	}
	found, err := r.scan(ctx, ix, subject, listed)
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
func (r *reading) scan(ctx context.Context, ix *layoutIndex, subject digest.Digest, listed map[digest.Digest]ocispec.Descriptor) ([]ocispec.Descriptor, error) {
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
		if other, known := r.subjectOf(d.Digest); known && other != subject {
			continue
		}
		h, err := r.header(d)
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

func (r *reading) subjectOf(d digest.Digest) (subject digest.Digest, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	subject, known = r.subjects[d]
	return subject, known
}

// header reads a manifest and remembers its subject.
func (r *reading) header(d ocispec.Descriptor) (*header, error) {
	raw, err := r.manifest(d)
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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subjects[d.Digest] = subject
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

// list reads an index as a list of referrers.
func (r *reading) list(e ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	raw, err := r.verified(plain(e), limits.ReferrerListBytes)
	if err != nil {
		return nil, err
	}
	var list ocispec.Index
	if err := decodeIndex(raw, &list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Manifests, func(d ocispec.Descriptor) bool {
		return artifacttypes.ValidateDescriptor(d) != nil || !isManifest(d.MediaType)
	}), nil
}

// resolveTag finds the entry with the tag.
func (ix *layoutIndex) resolveTag(tag string) (ocispec.Descriptor, error) {
	return ix.named(ocispec.AnnotationRefName, tag)
}

// named finds the entry whose annotation key has the value.
func (ix *layoutIndex) named(key, value string) (ocispec.Descriptor, error) {
	if value == "" {
		return ocispec.Descriptor{}, errdef.ErrMissingReference
	}
	var found ocispec.Descriptor
	for _, e := range ix.Manifests {
		if e.Annotations[key] != value {
			continue
		}
		if found.Digest != "" && found.Digest != e.Digest {
			return found, fmt.Errorf("%w: %s gives this tag to %s and to %s; name one by its digest",
				ErrCorrupt, ocispec.ImageIndexFile, found.Digest, e.Digest)
		}
		found = e
	}
	if found.Digest == "" {
		return found, errdef.ErrNotFound
	}
	return found, nil
}

// tags calls fn with the tags after last, in order.
func (ix *layoutIndex) tags(last string, fn func(tags []string) error) error {
	var tags []string
	for _, e := range ix.Manifests {
		tag := e.Annotations[ocispec.AnnotationRefName]
		if tag > last && !isReferrersList(e) {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	if tags = slices.Compact(tags); len(tags) == 0 {
		return nil
	}
	return fn(tags)
}

// isReferrersList reports whether the entry e is a list of referrers under the
// fallback tag.
func isReferrersList(e ocispec.Descriptor) bool {
	return fallbackTag.MatchString(e.Annotations[ocispec.AnnotationRefName]) && e.MediaType == ocispec.MediaTypeImageIndex
}
