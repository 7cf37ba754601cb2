package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// references is everything of any kind of manifest that names other blobs. Docker's
// first schema and the artifact manifest of the release candidates of OCI 1.1 are
// gone from registries, not from every layout.
type references struct {
	Config    *reference  `json:"config"`
	Layers    []reference `json:"layers"`
	Manifests []reference `json:"manifests"`
	Blobs     []reference `json:"blobs"`
	FSLayers  []struct {
		BlobSum digest.Digest `json:"blobSum"`
	} `json:"fsLayers"`
	Subject *reference `json:"subject"`
}

type reference struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
}

// marker finds what is in use. It holds no more than one state for each blob that
// is there: however much manifests refer to, what is not there costs nothing.
type marker struct {
	l     *Layout
	blobs map[digest.Digest]*blobFile
	young func(*blobFile) bool

	queue     []reference // manifests to read
	queued    map[digest.Digest]bool
	referrers map[digest.Digest][]reference // by subject; of index.json
	listed    map[digest.Digest]bool        // entries of index.json, and whether they are in use
}

// mark marks everything in use. Without untagged that is all that index.json
// lists.
func (m *marker) mark(ctx context.Context, ix *layoutIndex, untagged bool) error {
	m.queued, m.listed = map[digest.Digest]bool{}, map[digest.Digest]bool{}
	m.referrers = map[digest.Digest][]reference{}
	for _, e := range ix.Manifests {
		m.listed[e.Digest] = false
	}
	for _, e := range ix.Manifests {
		if untagged {
			if err := m.noteSubjects(ctx, e); err != nil {
				return err
			}
		}
		if !untagged || m.isRoot(e) {
			if err := m.manifest(referenceTo(e)); err != nil {
				return err
			}
		}
	}
	for len(m.queue) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		next := m.queue[len(m.queue)-1]
		m.queue = m.queue[:len(m.queue)-1]
		if err := m.follow(next); err != nil {
			return err
		}
	}
	return nil
}

// isRoot reports whether an entry is in use by itself: it has a tag that somebody
// gave, or was written just now and may be about to get one. A list of referrers
// is in use with its subject.
func (m *marker) isRoot(e ocispec.Descriptor) bool {
	tag := e.Annotations[ocispec.AnnotationRefName]
	if tag != "" && (!fallbackTag.MatchString(tag) || e.MediaType != ocispec.MediaTypeImageIndex) {
		return true
	}
	b, ok := m.blobs[e.Digest]
	return ok && m.young(b)
}

// noteSubjects remembers which subject an entry is in use with.
func (m *marker) noteSubjects(ctx context.Context, e ocispec.Descriptor) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	refers, err := m.read(referenceTo(e))
	if err != nil {
		return err
	}
	if refers != nil && refers.Subject != nil {
		m.referrers[refers.Subject.Digest] = append(m.referrers[refers.Subject.Digest], referenceTo(e))
	}
	if e.MediaType != ocispec.MediaTypeImageIndex {
		return nil
	}
	// A fallback tag holds what a sha512 digest begins with.
	for _, of := range []string{e.Annotations[annotationReferrersOf], e.Annotations[ocispec.AnnotationRefName]} {
		if of != "" {
			m.referrers[digest.Digest(of)] = append(m.referrers[digest.Digest(of)], referenceTo(e))
		}
	}
	return nil
}

func referenceTo(e ocispec.Descriptor) reference {
	return reference{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size}
}

// blob marks a blob that refers to nothing.
func (m *marker) blob(d digest.Digest) {
	if b, ok := m.blobs[d]; ok {
		b.marked = true
	}
}

// manifest marks a manifest and sees to everything that goes with it.
func (m *marker) manifest(r reference) error {
	if _, listed := m.listed[r.Digest]; listed {
		m.listed[r.Digest] = true
	}
	if m.queued[r.Digest] {
		return nil
	}
	there, err := m.isThere(r.Digest)
	if err != nil || !there && m.referrers[r.Digest] == nil {
		return err
	}
	m.blob(r.Digest)
	m.queued[r.Digest] = true
	m.queue = append(m.queue, r)
	return nil
}

// isThere reports whether a manifest is there, also one that came after the blobs
// were listed: what it refers to may have been there before. What has its name
// and is no file is in the way of knowing what it refers to.
func (m *marker) isThere(d digest.Digest) (bool, error) {
	if _, ok := m.blobs[d]; ok {
		return true, nil
	}
	name, err := blobPath(d)
	if err != nil {
		return false, nil //nolint:nilerr // what is no digest is not there
	}
	_, err = m.l.statRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// follow marks what a manifest refers to and what refers to it.
func (m *marker) follow(r reference) error {
	var with []reference
	with = append(with, m.referrers[r.Digest]...)
	if artifacttypes.ValidateDigest(r.Digest) == nil {
		with = append(with, m.referrers[digest.Digest(fallbackTagOf(r.Digest))]...)
	}
	for _, referrer := range with {
		if err := m.manifest(referrer); err != nil {
			return err
		}
	}
	refers, err := m.read(r)
	if err != nil || refers == nil {
		return err
	}
	if refers.Config != nil {
		m.blob(refers.Config.Digest)
	}
	for _, b := range slices.Concat(refers.Layers, refers.Blobs) {
		m.blob(b.Digest)
	}
	for _, b := range refers.FSLayers {
		m.blob(b.BlobSum)
	}
	for _, child := range refers.Manifests {
		if err := m.manifest(child); err != nil {
			return err
		}
	}
	if refers.Subject != nil {
		return m.manifest(*refers.Subject)
	}
	return nil
}

// read returns what a manifest refers to, and nil for one that is missing and for
// a blob that is none, whatever refers to it.
func (m *marker) read(r reference) (*references, error) {
	name, err := blobPath(r.Digest)
	if err != nil {
		return nil, nil //nolint:nilerr // what is no digest refers to nothing
	}
	info, err := m.l.statRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a manifest that is missing is no error and refers to nothing
	}
	if err != nil {
		return nil, err
	}
	known, size := isManifest(r.MediaType), info.Size()
	if !known && size > artifacttypes.MaxManifestBytes {
		return nil, nil // a large blob that an index lists
	}
	limit := int64(artifacttypes.MaxManifestBytes)
	if r.MediaType == ocispec.MediaTypeImageIndex {
		limit = limits.ReferrerListBytes
	}
	// What an index says of the size of its children does not matter here; that
	// the bytes are those of the digest does.
	raw, err := m.l.reading.verified(ocispec.Descriptor{Digest: r.Digest, Size: size}, limit)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil // it went just now
	}
	if err != nil {
		return nil, fmt.Errorf("%w; what it refers to is not known, so nothing is removed", err)
	}
	var refers references
	if err := json.Unmarshal(raw, &refers); err != nil {
		if known {
			return nil, fmt.Errorf("manifest %s: %w; what it refers to is not known, so nothing is removed", r.Digest, err)
		}
		return nil, nil // a small blob that an index lists
	}
	return &refers, nil
}

// untagged returns the manifests that index.json lists and that are not in use,
// ordered, each once.
func (m *marker) untagged(ix *layoutIndex) []digest.Digest {
	var gone []digest.Digest
	for _, e := range ix.Manifests {
		if !m.listed[e.Digest] {
			gone = append(gone, e.Digest)
		}
	}
	slices.Sort(gone)
	return slices.Compact(gone)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
