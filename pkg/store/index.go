package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Annotations by which olareg v0.2.1 keeps lists of referrers (types.AnnotReferrer…).
// A layout that it has taken over says converted on the index; from then on it
// looks at no fallback tag any more, only at entries that name their subject.
const (
	annotationConverted   = "org.olareg.referrer.convert"
	annotationReferrersOf = "org.olareg.referrer.subject"
)

// fallbackTag is what a list of referrers is tagged where there is no API
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema).
var fallbackTag = lazyregexp.New(`^sha(256|512)-[0-9a-f]{64}$`)

// layoutIndex is index.json.
type layoutIndex struct{ ocispec.Index }

// parseIndex reads index.json strictly enough to follow its entries.
func parseIndex(raw []byte) (*layoutIndex, error) {
	corrupt := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, ocispec.ImageIndexFile, fmt.Errorf(format, args...))
	}
	ix := &layoutIndex{}
	if err := decodeIndex(raw, &ix.Index); err != nil {
		return nil, corrupt("%w", err)
	}
	if ix.SchemaVersion != 2 {
		return nil, corrupt("schemaVersion is %d, not 2", ix.SchemaVersion)
	}
	if ix.MediaType != "" && ix.MediaType != ocispec.MediaTypeImageIndex {
		return nil, corrupt("media type %q is not %q", ix.MediaType, ocispec.MediaTypeImageIndex)
	}
	for i, d := range ix.Manifests {
		if err := artifacttypes.ValidateDescriptor(d); err != nil {
			return nil, corrupt("entry %d: %w", i, err)
		}
	}
	return ix, nil
}

// encode returns the bytes of index.json: the same entries give the same bytes,
// whoever wrote them first.
func (ix *layoutIndex) encode() ([]byte, error) {
	ix.Versioned = specs.Versioned{SchemaVersion: 2}
	ix.MediaType = ocispec.MediaTypeImageIndex
	if ix.Manifests == nil {
		ix.Manifests = []ocispec.Descriptor{}
	}
	slices.SortStableFunc(ix.Manifests, func(a, b ocispec.Descriptor) int {
		return cmp.Or(
			cmp.Compare(a.Annotations[ocispec.AnnotationRefName], b.Annotations[ocispec.AnnotationRefName]),
			cmp.Compare(a.Annotations[annotationReferrersOf], b.Annotations[annotationReferrersOf]),
			cmp.Compare(a.Digest, b.Digest),
		)
	})
	raw, err := artifacttypes.Marshal(ix.Index)
	if err != nil {
		return nil, err
	}
	if len(raw) > limits.LayoutIndexBytes {
		return nil, &integrity.TooLargeError{What: ocispec.ImageIndexFile, Size: int64(len(raw)), Limit: limits.LayoutIndexBytes}
	}
	return append(raw, '\n'), nil
}

// clone returns a copy whose list of entries may be changed.
func (ix *layoutIndex) clone() *layoutIndex {
	c := *ix
	c.Manifests = slices.Clone(ix.Manifests)
	return &c
}

// converted reports whether olareg keeps the lists of referrers of this layout.
func (ix *layoutIndex) converted() bool { return ix.Annotations[annotationConverted] == "true" }

// entry returns an entry of the manifest d, one without a name if there is one.
func (ix *layoutIndex) entry(d digest.Digest) (ocispec.Descriptor, bool) {
	var found ocispec.Descriptor
	for _, e := range ix.Manifests {
		if e.Digest != d {
			continue
		}
		found = e
		if e.Annotations[ocispec.AnnotationRefName] == "" {
			break
		}
	}
	return found, found.Digest != ""
}

// add makes d an entry; one without a name is enough, and a named one will do.
func (ix *layoutIndex) add(d ocispec.Descriptor) {
	if _, ok := ix.entry(d.Digest); !ok {
		ix.Manifests = append(ix.Manifests, d)
	}
}

// setLabel makes d the only entry whose annotation key has the given value. What
// had it before stays as an entry without it, as a manifest stays in a registry
// when its tag moves on, unless drop is set.
func (ix *layoutIndex) setLabel(d ocispec.Descriptor, key, value string, drop bool) {
	var entries, unlabelled []ocispec.Descriptor
	for _, e := range ix.Manifests {
		switch {
		case e.Annotations[key] == value:
			if !drop {
				unlabelled = append(unlabelled, withAnnotation(e, key, ""))
			}
		case e.Digest == d.Digest && isPlain(e):
			// The entry that gets the label takes its place.
		default:
			entries = append(entries, e)
		}
	}
	ix.Manifests = append(entries, withAnnotation(d, key, value))
	for _, e := range unlabelled {
		ix.add(e)
	}
}

// isPlain reports whether e says no more than that the manifest is there.
func isPlain(e ocispec.Descriptor) bool {
	return e.Annotations[ocispec.AnnotationRefName] == "" && e.Annotations[annotationReferrersOf] == ""
}

func withAnnotation(d ocispec.Descriptor, key, value string) ocispec.Descriptor {
	d.Annotations = maps.Clone(d.Annotations)
	switch {
	case value == "":
		delete(d.Annotations, key)
	case d.Annotations == nil:
		d.Annotations = map[string]string{key: value}
	default:
		d.Annotations[key] = value
	}
	if len(d.Annotations) == 0 {
		d.Annotations = nil
	}
	return d
}

// readIndex returns what index.json says now. The result is shared: it must not
// be changed. The file is read each time, since its times and size may stay the
// same over two quick changes; it is parsed only when its bytes are others.
func (l *Layout) readIndex() (*layoutIndex, error) {
	raw, err := l.readSmall(ocispec.ImageIndexFile, limits.LayoutIndexBytes)
	if errors.Is(err, fs.ErrNotExist) {
		// Whoever made the layout was stopped before its first manifest.
		raw, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if raw == nil {
		l.indexRaw, l.index = nil, &layoutIndex{}
		return l.index, nil
	}
	if l.index != nil && bytes.Equal(raw, l.indexRaw) {
		return l.index, nil
	}
	ix, err := parseIndex(raw)
	if err != nil {
		return nil, err
	}
	l.indexRaw, l.index = raw, ix
	return ix, nil
}

// updateIndex changes index.json: change gets what it says now, under the lock
// of all processes, and what it leaves there becomes the file.
func (l *Layout) updateIndex(ctx context.Context, change func(*layoutIndex) error) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := l.readIndex()
	if err != nil {
		return err
	}
	ix := old.clone()
	if err := change(ix); err != nil {
		return err
	}
	raw, err := ix.encode()
	if err != nil {
		return err
	}
	// The names of the blobs must be on disk before something refers to them, and
	// before the caller is told that what did so already is whole again.
	if err := l.syncBlobDirs(); err != nil {
		return err
	}
	l.mu.Lock()
	same := bytes.Equal(raw, l.indexRaw)
	l.mu.Unlock()
	if same {
		return nil
	}
	if err := l.writeFile(ocispec.ImageIndexFile, raw); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.indexRaw, l.index = raw, ix
	return nil
}

// lockRetry is how often a busy lock is tried again.
const lockRetry = 5 * time.Millisecond

// lock takes the lock of index.json within the process and between processes.
// The lock file stays: removing it would let two processes lock two files.
func (l *Layout) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case l.writing <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() {
		if err != nil {
			<-l.writing
		}
	}()
	file, err := l.openLock(lockName)
	if err != nil {
		return nil, err
	}
	if _, err := file.TryLockContext(ctx, lockRetry); err != nil {
		return nil, l.lockError(ctx, lockName, err)
	}
	return func() {
		_ = file.Unlock()
		<-l.writing
	}, nil
}
