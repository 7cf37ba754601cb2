package referrer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Source is where referrers are found: a registry or a layout.
type Source interface {
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error)
	// Referrers lists what the source itself knows to be attached; an error that
	// wraps errdef.ErrUnsupported means that it does not keep such lists.
	Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error
}

// pager is a Source whose lists come in pages that cost a request each.
type pager interface {
	// ReferrersWithin is Referrers of at most so many pages; an error that wraps
	// errdef.ErrTooManyPages means that there are more.
	ReferrersWithin(ctx context.Context, desc ocispec.Descriptor, artifactType string, pages int, fn func([]ocispec.Descriptor) error) error
}

// Bounds are what whoever decides wants to see at most. A bound that is 0, or
// beyond that of package limits, is that of package limits.
type Bounds struct {
	Referrers int // of one subject, of any type: each is fetched
	Pages     int // of one list of them
}

func (b Bounds) within() Bounds {
	bound := func(n, most int) int {
		if n <= 0 {
			return most
		}
		return min(n, most)
	}
	return Bounds{Referrers: bound(b.Referrers, limits.Referrers), Pages: bound(b.Pages, limits.ReferrerPages)}
}

// Node is a referrer whose bytes were checked.
type Node struct {
	// Descriptor has the artifact type and the annotations of the manifest, not
	// those of the listing.
	Descriptor ocispec.Descriptor
	// Manifest is nil when the referrer is an index.
	Manifest *ocispec.Manifest
	Raw      []byte
}

// fetchers is how many manifests are fetched at once: latency is all they cost.
const fetchers = 8

// List returns what is attached to subject, sorted by digest. It asks the
// referrers API, and the fallback tag when there is no API or it lists nothing,
// which is how a registry looks that got the API later.
//
// Entries that are gone, and those whose manifest names another subject, are
// left out. An entry that is not what the listing says is an integrity error.
func List(ctx context.Context, t Source, subject ocispec.Descriptor) ([]Node, error) {
	return list(ctx, t, subject, Bounds{}, nil)
}

// ListWithin is [List] with bounds: more than they allow is a [*TooManyError],
// before any of it is fetched.
func ListWithin(ctx context.Context, t Source, subject ocispec.Descriptor, b Bounds) ([]Node, error) {
	return list(ctx, t, subject, b, nil)
}

// list is List below ancestors, which must not come up again.
func list(ctx context.Context, t Source, subject ocispec.Descriptor, b Bounds, ancestors []digest.Digest) ([]Node, error) {
	entries, err := listed(ctx, t, subject, b.within())
	if err != nil {
		return nil, err
	}
	var total int64
	for _, e := range entries {
		if slices.Contains(ancestors, e.Digest) {
			return nil, &CycleError{Subject: subject.Digest, Referrer: e.Digest}
		}
		if e.Size > artifacttypes.MaxManifestBytes {
			return nil, &integrity.TooLargeError{What: "referrer " + e.Digest.String(), Size: e.Size, Limit: artifacttypes.MaxManifestBytes}
		}
		if total += e.Size; total > limits.ReferrerBytes {
			return nil, &TooManyError{Subject: subject.Digest, What: "bytes of referrers", Limit: limits.ReferrerBytes}
		}
	}
	nodes := make([]*Node, len(entries))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(fetchers)
	for i, e := range entries {
		group.Go(func() (err error) {
			nodes[i], err = read(groupCtx, t, subject, e)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var found []Node
	for _, n := range nodes {
		if n != nil {
			found = append(found, *n)
		}
	}
	return found, nil
}

// Listed returns what the listings name as attached to subject, without
// fetching it: sorted by digest, each digest once, and nothing in it believed
// but that the descriptors are well formed.
func Listed(ctx context.Context, t Source, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	return listed(ctx, t, subject, Bounds{}.within())
}

func listed(ctx context.Context, t Source, subject ocispec.Descriptor, b Bounds) ([]ocispec.Descriptor, error) {
	entries, err := nativeWithin(ctx, t, subject, b)
	if err != nil && !errors.Is(err, errdef.ErrUnsupported) {
		return nil, err
	}
	if len(entries) == 0 {
		index, err := readFallback(ctx, t, subject)
		if err != nil {
			return nil, err
		}
		entries = index.descriptors()
		if len(entries) > b.Referrers {
			return nil, &TooManyError{Subject: subject.Digest, What: "referrers", Limit: b.Referrers}
		}
	}
	return entriesOf(subject, entries)
}

// native collects what the target itself lists.
func native(ctx context.Context, t Source, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	return nativeWithin(ctx, t, subject, Bounds{}.within())
}

func nativeWithin(ctx context.Context, t Source, subject ocispec.Descriptor, b Bounds) ([]ocispec.Descriptor, error) {
	tooMany := &TooManyError{Subject: subject.Digest, What: "referrers", Limit: b.Referrers}
	var entries []ocispec.Descriptor
	collect := func(page []ocispec.Descriptor) error {
		if len(entries)+len(page) > b.Referrers {
			return tooMany
		}
		entries = append(entries, page...)
		return nil
	}
	var err error
	if p, ok := t.(pager); ok {
		err = p.ReferrersWithin(ctx, subject, "", b.Pages, collect)
	} else {
		err = t.Referrers(ctx, subject, "", collect)
	}
	if errors.Is(err, errdef.ErrTooManyPages) {
		return nil, &TooManyError{Subject: subject.Digest, What: "pages of referrers", Limit: b.Pages}
	}
	return entries, err
}

// entriesOf checks, sorts and deduplicates the entries of a listing.
func entriesOf(subject ocispec.Descriptor, entries []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	for _, e := range entries {
		if err := artifacttypes.ValidateDescriptor(e); err != nil {
			return nil, fmt.Errorf("referrers of %s: %w", subject.Digest, err)
		}
		if e.Digest == subject.Digest {
			return nil, &CycleError{Subject: subject.Digest, Referrer: e.Digest}
		}
	}
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return slices.CompactFunc(entries, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest }), nil
}

// read fetches the manifest of an entry. It returns nil when the entry does not
// count.
func read(ctx context.Context, t Source, subject, entry ocispec.Descriptor) (*Node, error) {
	if entry.MediaType != ocispec.MediaTypeImageManifest && entry.MediaType != ocispec.MediaTypeImageIndex {
		return nil, nil // no other type has a subject
	}
	raw, err := fetchAll(ctx, t, entry, "referrer")
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil // listed, and deleted since
	}
	if err != nil {
		return nil, err
	}
	node, of, err := decode(entry, raw)
	if err != nil {
		return nil, &ListingError{Referrer: entry.Digest, Announced: entry.MediaType, Err: err}
	}
	if of == nil || of.Digest != subject.Digest {
		return nil, nil // attached to something else
	}
	return node, nil
}

// decode reads a manifest that may have a subject.
func decode(desc ocispec.Descriptor, raw []byte) (*Node, *ocispec.Descriptor, error) {
	node := &Node{
		Descriptor: ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size},
		Raw:        raw,
	}
	if desc.MediaType == ocispec.MediaTypeImageIndex {
		var index ocispec.Index
		if err := json.Unmarshal(raw, &index); err != nil {
			return nil, nil, err
		}
		if index.MediaType != "" && index.MediaType != desc.MediaType {
			return nil, nil, fmt.Errorf("its media type is %q", index.MediaType)
		}
		node.Descriptor.ArtifactType, node.Descriptor.Annotations = index.ArtifactType, index.Annotations
		return node, index.Subject, nil
	}
	m, err := artifacttypes.DecodeManifest(raw)
	if err != nil {
		return nil, nil, err
	}
	node.Manifest = m
	node.Descriptor.ArtifactType, node.Descriptor.Annotations = m.ArtifactType, m.Annotations
	if node.Descriptor.ArtifactType == "" {
		// Image specification v1.1.1, "Guidelines for Artifact Usage".
		node.Descriptor.ArtifactType = m.Config.MediaType
	}
	return node, m.Subject, nil
}

func fetchAll(ctx context.Context, t Source, desc ocispec.Descriptor, what string) ([]byte, error) {
	if desc.Size > artifacttypes.MaxManifestBytes {
		return nil, &integrity.TooLargeError{What: what + " " + desc.Digest.String(), Size: desc.Size, Limit: artifacttypes.MaxManifestBytes}
	}
	rc, err := t.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return integrity.ReadAll(rc, desc, artifacttypes.MaxManifestBytes, what)
}

// Walk calls fn for everything that is attached to root, and to what is
// attached to it, depth first; depth is 1 for what is attached to root. It ends
// with the first error.
func Walk(ctx context.Context, t Source, root ocispec.Descriptor, fn func(depth int, n Node) error) error {
	w := &walker{t: t, fn: fn, seen: map[digest.Digest]bool{root.Digest: true}}
	return w.walk(ctx, root, []digest.Digest{root.Digest})
}

type walker struct {
	t    Source
	fn   func(depth int, n Node) error
	seen map[digest.Digest]bool
}

func (w *walker) walk(ctx context.Context, subject ocispec.Descriptor, path []digest.Digest) error {
	nodes, err := list(ctx, w.t, subject, Bounds{}, path)
	if err != nil {
		return err
	}
	if len(nodes) > 0 && len(path) > limits.ReferrerDepth {
		return &TooManyError{Subject: path[0], What: "levels of referrers", Limit: limits.ReferrerDepth}
	}
	for _, n := range nodes {
		// A manifest has one subject, so only a repetition within a listing could
		// bring it up again; that one is gone already. The set is the proof.
		if w.seen[n.Descriptor.Digest] {
			continue
		}
		if len(w.seen) >= limits.GraphNodes {
			return &TooManyError{Subject: path[0], What: "manifests attached", Limit: limits.GraphNodes}
		}
		w.seen[n.Descriptor.Digest] = true
		if err := w.fn(len(path), n); err != nil {
			return err
		}
		if err := w.walk(ctx, n.Descriptor, append(slices.Clip(path), n.Descriptor.Digest)); err != nil {
			return err
		}
	}
	return nil
}
