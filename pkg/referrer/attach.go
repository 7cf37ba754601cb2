package referrer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Target is where referrers are found and written: a registry or a layout.
type Target interface {
	Source
	Exists(ctx context.Context, target ocispec.Descriptor) (bool, error)
	Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error
	Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error
}

// Attachment is what becomes a referrer with one layer.
type Attachment struct {
	ArtifactType string
	MediaType    string // of the layer; ArtifactType when empty
	Blob         []byte
	Annotations  map[string]string // of the manifest
}

// Attach stores a as a referrer of subject and returns its descriptor, once the
// target lists it. When the same blob is attached already, that referrer is
// returned and nothing is written.
//
// A list that clients keep, and the list of some registries, loses an entry
// when two change it at once. Within the process such changes are made one
// after another; against other processes the list is read again, and changed
// again when the entry got lost. What others wrote is never dropped.
func Attach(ctx context.Context, t Target, subject ocispec.Descriptor, a Attachment) (ocispec.Descriptor, error) {
	if a.MediaType == "" {
		a.MediaType = a.ArtifactType
	}
	manifest, err := build(subject, a)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	unlock, err := lockSubject(ctx, t, subject)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer func() { unlock() }()
	existing, err := List(ctx, t, subject)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, n := range existing {
		if n.holds(manifest.layer) && n.Descriptor.ArtifactType == a.ArtifactType {
			return n.Descriptor, nil
		}
	}
	// The subject may be pushed later, the blobs may not (image specification
	// v1.1.1, "subject").
	for _, b := range []struct {
		desc ocispec.Descriptor
		raw  []byte
	}{
		{manifest.config, emptyJSON}, {manifest.layer, a.Blob}, {manifest.desc, manifest.raw},
	} {
		if err := t.Push(ctx, b.desc, bytes.NewReader(b.raw)); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	release := unlock
	unlock = func() {}
	return manifest.desc, update(ctx, t, subject, manifest.desc, manifest.raw, release)
}

func (n *Node) holds(layer ocispec.Descriptor) bool {
	return n.Manifest != nil && len(n.Manifest.Layers) == 1 &&
		n.Manifest.Layers[0].Digest == layer.Digest && n.Manifest.Layers[0].MediaType == layer.MediaType
}

// emptyJSON is the config of a manifest that needs none (image specification
// v1.1.1, "Guidance for an Empty Descriptor").
var emptyJSON = []byte("{}")

type built struct {
	config, layer, desc ocispec.Descriptor
	raw                 []byte
}

// build makes the manifest in the shape of signing.md §3.1.
func build(subject ocispec.Descriptor, a Attachment) (*built, error) {
	if len(a.Blob) > limits.PushBytes {
		return nil, &integrity.TooLargeError{What: "attachment", Size: int64(len(a.Blob)), Limit: limits.PushBytes}
	}
	b := &built{
		config: describe(ocispec.MediaTypeEmptyJSON, emptyJSON),
		layer:  describe(a.MediaType, a.Blob),
	}
	var err error
	b.raw, err = artifacttypes.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: a.ArtifactType,
		Config:       b.config,
		Layers:       []ocispec.Descriptor{b.layer},
		Subject:      &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations:  a.Annotations,
	})
	if err != nil {
		return nil, err
	}
	b.desc = describe(ocispec.MediaTypeImageManifest, b.raw)
	b.desc.ArtifactType, b.desc.Annotations = a.ArtifactType, a.Annotations
	return b, nil
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// Update makes the target list a referrer of subject whose manifest it holds
// already.
func Update(ctx context.Context, t Target, subject, referrer ocispec.Descriptor) error {
	raw, err := fetchAll(ctx, t, referrer, "referrer")
	if err != nil {
		return err
	}
	node, of, err := decode(referrer, raw)
	if err != nil {
		return &ListingError{Referrer: referrer.Digest, Announced: referrer.MediaType, Err: err}
	}
	if of == nil || of.Digest != subject.Digest {
		return &NotListedError{Subject: subject.Digest, Referrer: referrer.Digest}
	}
	unlock, err := lockSubject(ctx, t, subject)
	if err != nil {
		return err
	}
	return update(ctx, t, subject, node.Descriptor, raw, unlock)
}

const (
	listedWithin = 30 * time.Second // zot was seen 14 s behind (zot#3839)
	updateTries  = 8
)

// update makes the target list entry, whose manifest is raw. It is called with
// the subject locked and calls unlock.
func update(ctx context.Context, t Target, subject, entry ocispec.Descriptor, raw []byte, unlock func()) error {
	for range updateTries {
		listed, err := nativelyLists(ctx, t, subject, entry, raw)
		if err == nil && !listed {
			err = mergeFallback(ctx, t, subject, entry)
		}
		unlock()
		if err != nil || !isRegistry(t) {
			return err
		}
		// Whoever read the list before the entry got into it and writes it now,
		// client or registry, drops the entry. The wait is longer than most of
		// them take, and differs so that those who collided do not do so again.
		if err := sleep(ctx, 50*time.Millisecond, 200*time.Millisecond); err != nil {
			return err
		}
		entries, err := Listed(ctx, t, subject)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(entries, func(e ocispec.Descriptor) bool { return e.Digest == entry.Digest }) {
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond, 500*time.Millisecond); err != nil {
			return err
		}
		if unlock, err = lockSubject(ctx, t, subject); err != nil {
			return err
		}
	}
	unlock()
	return &NotListedError{Subject: subject.Digest, Referrer: entry.Digest}
}

// nativelyLists waits until the target itself lists entry. It returns false
// when the target keeps no lists, or says it does and lists nothing at all.
func nativelyLists(ctx context.Context, t Target, subject, entry ocispec.Descriptor, raw []byte) (bool, error) {
	deadline := time.Now().Add(listedWithin)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		entries, err := native(ctx, t, subject)
		if errors.Is(err, errdef.ErrUnsupported) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for _, e := range entries {
			if e.Digest == entry.Digest {
				return true, nil
			}
		}
		if time.Now().Add(wait).After(deadline) {
			if len(entries) == 0 {
				return false, nil
			}
			return false, &NotListedError{Subject: subject.Digest, Referrer: entry.Digest}
		}
		if err := sleep(ctx, wait, 2*wait); err != nil {
			return false, err
		}
		// A registry that lost the entry to a concurrent push takes it up when the
		// manifest is pushed again; one that is only late does not mind.
		if err := t.Push(ctx, plain(entry), bytes.NewReader(raw)); err != nil {
			return false, err
		}
	}
}

// mergeFallback adds entry to the list under the fallback tag.
func mergeFallback(ctx context.Context, t Target, subject, entry ocispec.Descriptor) error {
	index, err := openFallback(ctx, t, subject)
	if err != nil {
		return err
	}
	if index.has(entry.Digest) {
		return nil
	}
	if index == nil {
		index = newFallbackIndex()
	}
	if len(index.entries) >= limits.Referrers {
		return &TooManyError{Subject: subject.Digest, What: "referrers", Limit: limits.Referrers}
	}
	if err := index.add(entry); err != nil {
		return err
	}
	err = writeFallback(ctx, t, subject, index)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// Some registries refuse an index with entries that are gone. Those are no
	// loss.
	dropped, lookErr := index.keep(func(d ocispec.Descriptor) (bool, error) { return t.Exists(ctx, plain(d)) })
	if lookErr != nil || !dropped {
		return err
	}
	return writeFallback(ctx, t, subject, index)
}

func writeFallback(ctx context.Context, t Target, subject ocispec.Descriptor, index *fallbackIndex) error {
	raw, err := artifacttypes.Marshal(index)
	if err != nil {
		return err
	}
	if len(raw) > artifacttypes.MaxManifestBytes {
		return &TooManyError{Subject: subject.Digest, What: "bytes in the list of referrers", Limit: artifacttypes.MaxManifestBytes}
	}
	desc := describe(ocispec.MediaTypeImageIndex, raw)
	if err := t.Push(ctx, desc, bytes.NewReader(raw)); err != nil {
		return err
	}
	return t.Tag(ctx, desc, FallbackTag(subject.Digest))
}

// plain is what identifies the content, without what is said about it.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// sleep waits for a random time between the two.
func sleep(ctx context.Context, least, most time.Duration) error {
	timer := time.NewTimer(least + rand.N(most-least)) //nolint:gosec // jitter needs no secrecy
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
