package referrer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// FallbackTag returns the tag under which clients keep the list of referrers of
// a subject where the registry keeps none (distribution specification v1.1.1,
// "Referrers Tag Schema").
func FallbackTag(subject digest.Digest) string {
	algorithm, hex, _ := strings.Cut(subject.String(), ":")
	// The specification cuts both parts so that the tag is a valid one.
	return algorithm[:min(len(algorithm), 32)] + "-" + hex[:min(len(hex), 64)]
}

// fallbackIndex is the list of referrers under a fallback tag. Its entries are
// kept as they were written: they are other people's.
type fallbackIndex struct {
	specs.Versioned
	MediaType    string              `json:"mediaType,omitempty"`
	ArtifactType string              `json:"artifactType,omitempty"`
	Manifests    []json.RawMessage   `json:"manifests"`
	Subject      *ocispec.Descriptor `json:"subject,omitempty"`
	Annotations  map[string]string   `json:"annotations,omitempty"`

	entries []ocispec.Descriptor // Manifests, decoded
	digest  digest.Digest        // of what was read
}

func newFallbackIndex() *fallbackIndex {
	return &fallbackIndex{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []json.RawMessage{},
	}
}

// parseFallback reads an index as found under a fallback tag.
func parseFallback(subject digest.Digest, raw []byte) (*fallbackIndex, error) {
	index := newFallbackIndex()
	if err := json.Unmarshal(raw, index); err != nil {
		return nil, fmt.Errorf("list of referrers of %s: %w", subject, err)
	}
	if index.MediaType != ocispec.MediaTypeImageIndex {
		return nil, fmt.Errorf("list of referrers of %s: its media type is %q", subject, index.MediaType)
	}
	if len(index.Manifests) > limits.Referrers {
		return nil, &TooManyError{Subject: subject, What: "referrers", Limit: limits.Referrers}
	}
	index.entries = make([]ocispec.Descriptor, len(index.Manifests))
	for i, m := range index.Manifests {
		if err := json.Unmarshal(m, &index.entries[i]); err != nil {
			return nil, fmt.Errorf("list of referrers of %s: entry %d: %w", subject, i, err)
		}
	}
	return index, nil
}

func (x *fallbackIndex) descriptors() []ocispec.Descriptor {
	if x == nil {
		return nil
	}
	return x.entries
}

func (x *fallbackIndex) add(entry ocispec.Descriptor) error {
	raw, err := artifacttypes.Marshal(entry)
	if err != nil {
		return err
	}
	x.Manifests = append(x.Manifests, raw)
	x.entries = append(x.entries, entry)
	return nil
}

// keep drops the entries for which keep is false and reports whether there were
// any.
func (x *fallbackIndex) keep(keep func(ocispec.Descriptor) (bool, error)) (dropped bool, err error) {
	manifests, entries := x.Manifests[:0:0], x.entries[:0:0]
	for i, e := range x.entries {
		ok, err := keep(e)
		if err != nil {
			return false, err
		}
		if !ok {
			dropped = true
			continue
		}
		manifests, entries = append(manifests, x.Manifests[i]), append(entries, e)
	}
	x.Manifests, x.entries = manifests, entries
	return dropped, nil
}

// readFallback returns the list under the fallback tag, nil when there is none.
// A tag that holds the subject itself or no index is no list.
func readFallback(ctx context.Context, t Source, subject ocispec.Descriptor) (*fallbackIndex, error) {
	index, err := openFallback(ctx, t, subject)
	var other *FallbackTagError
	if errors.As(err, &other) {
		return nil, nil // no list
	}
	return index, err
}

// openFallback is readFallback for who wants to write: a tag that holds
// something else is a *FallbackTagError.
func openFallback(ctx context.Context, t Source, subject ocispec.Descriptor) (*fallbackIndex, error) {
	tag := FallbackTag(subject.Digest)
	desc, err := t.Resolve(ctx, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil // no list
	}
	if err != nil {
		return nil, err
	}
	if desc.MediaType != ocispec.MediaTypeImageIndex || desc.Digest == subject.Digest {
		return nil, &FallbackTagError{Tag: tag, MediaType: desc.MediaType}
	}
	raw, err := fetchAll(ctx, t, desc, "list of referrers "+tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil // replaced or deleted since
	}
	if err != nil {
		return nil, err
	}
	index, err := parseFallback(subject.Digest, raw)
	if err == nil {
		index.digest = desc.Digest
	}
	return index, err
}
