package transfer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/referrer"
)

// Source is what is copied from: a registry or a layout. A *remote.Repository
// is read through a [Fetcher].
type Source = referrer.Source

// Target is what is copied to: a registry or a layout. A *remote.Repository is
// written through an [Uploader].
type Target = referrer.Target

// CopyOptions change what and how [Copy] copies. The zero value copies the
// artifact alone.
type CopyOptions struct {
	// Referrers copies also what is attached to the artifact, to its children
	// when it is an index, and to what is attached.
	Referrers bool
	// Concurrency is how many blobs are moved at once: 4 when zero, 8 at most.
	Concurrency int
	// Upload says how blobs get into a registry; its Progress is not used.
	Upload UploadOptions
	// SpoolDir is a directory for large blobs on their way from one registry to
	// another, so that either side can go on where it was cut. Without one they
	// are sent as they come.
	SpoolDir string
	// Progress is told what moves; nil means nobody.
	Progress progress.Reporter
}

const (
	defaultConcurrency = 4
	maxConcurrency     = 8
)

// Outcome says how a blob or a manifest came to its destination.
type Outcome string

// The outcomes.
const (
	Existed Outcome = "existed" // it was there
	Mounted Outcome = "mounted" // the registry had it in another repository
	Copied  Outcome = "copied"
)

// Kind says what was copied.
type Kind string

// The kinds.
const (
	KindBlob     Kind = "blob"
	KindManifest Kind = "manifest"
	KindReferrer Kind = "referrer"
)

// CopyItem is one blob or manifest of a copy.
type CopyItem struct {
	Kind      Kind          `json:"kind"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	Outcome   Outcome       `json:"outcome"`
	// Subject is what a referrer is attached to.
	Subject digest.Digest `json:"subject,omitempty"`
}

// CopyTraffic says what a copy moved, in bytes of blobs.
type CopyTraffic struct {
	Fetched int64 `json:"fetched"` // came from the source
	Sent    int64 `json:"sent"`    // went to a registry
	// Kept is what need not be fetched, or sent, since an earlier copy that was
	// interrupted did.
	Kept int64 `json:"kept"`
}

// CopyResult says what a copy did, in the order in which it was begun.
type CopyResult struct {
	Root  digest.Digest `json:"root"`
	Items []CopyItem    `json:"items"`
	CopyTraffic
	// Warnings say what was not done as it should be, and did no harm.
	Warnings []string `json:"warnings,omitempty"`
}

// Copy copies the artifact root and all it names from src to dst, and with
// CopyOptions.Referrers all that is attached to it. Every byte is checked while
// it moves. What dst holds already is not moved again, but everything below it
// is looked at: that a manifest is there does not mean that its blobs are.
//
// Blobs come before the manifest that names them, a subject before its
// referrers. At the end the lists of referrers are read back. No tag is
// written: the caller does so last, so that who finds the tag finds everything
// (registries.md §5).
func Copy(ctx context.Context, src Source, dst Target, root ocispec.Descriptor, o CopyOptions) (*CopyResult, error) {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	c := &copier{
		src: src, dst: dst,
		limit:  min(o.Concurrency, maxConcurrency),
		result: &CopyResult{Root: root.Digest},
		blobs:  map[digest.Digest]bool{},
		seen:   map[digest.Digest]bool{},
	}
	var err error
	if c.mover, err = newMover(src, dst, o, c.warn); err != nil {
		return nil, err
	}
	defer func() { _ = c.mover.close() }() // nothing is lost when it fails
	if err := c.content(ctx, root, KindManifest, "", 0); err != nil {
		return nil, err
	}
	if o.Referrers {
		// Grows while referrers are found that are indexes themselves.
		for i := 0; i < len(c.manifests); i++ {
			if err := c.referrers(ctx, c.manifests[i]); err != nil {
				return nil, err
			}
		}
		if err := c.readBack(ctx); err != nil {
			return nil, err
		}
	}
	exists, err := dst.Exists(ctx, plain(root))
	if err != nil {
		return nil, err
	}
	c.result.CopyTraffic = c.mover.traffic()
	if !exists {
		return nil, fmt.Errorf("%s was copied, but is not at its destination: %w", root.Digest, errdef.ErrNotFound)
	}
	return c.result, nil
}

type copier struct {
	src   Source
	dst   Target
	mover *mover
	limit int

	mu     sync.Mutex // of result, while blobs are moved
	result *CopyResult

	blobs     map[digest.Digest]bool
	seen      map[digest.Digest]bool // manifests
	manifests []ocispec.Descriptor   // whose referrers are still to be copied, or have been
	attached  []attachment
}

// attachment is a referrer that dst must list.
type attachment struct{ subject, referrer ocispec.Descriptor }

// content copies a manifest and all that it names.
func (c *copier) content(ctx context.Context, desc ocispec.Descriptor, kind Kind, subject digest.Digest, depth int) error {
	desc = plain(desc)
	if c.seen[desc.Digest] {
		return nil
	}
	if len(c.seen) >= limits.GraphNodes {
		return &referrer.TooManyError{Subject: c.result.Root, What: "manifests", Limit: limits.GraphNodes}
	}
	if depth > limits.ReferrerDepth {
		return &referrer.TooManyError{Subject: c.result.Root, What: "levels of indexes", Limit: limits.ReferrerDepth}
	}
	c.seen[desc.Digest] = true
	raw, err := c.fetch(ctx, desc)
	if err != nil {
		return err
	}
	m, err := decode(desc, raw)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if err := c.copyBlobs(ctx, m.blobs); err != nil {
		return err
	}
	for _, child := range m.children {
		if err := c.content(ctx, child, KindManifest, "", depth+1); err != nil {
			return err
		}
	}
	outcome, err := c.pushManifest(ctx, desc, raw)
	if err != nil {
		return err
	}
	c.add(kind, desc, outcome, subject)
	if kind != KindReferrer {
		// What is attached to a referrer is found by the walk that found it.
		c.manifests = append(c.manifests, desc)
	}
	return nil
}

func (c *copier) fetch(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := c.src.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return integrity.ReadAll(rc, desc, artifacttypes.MaxManifestBytes, "manifest")
}

func (c *copier) pushManifest(ctx context.Context, desc ocispec.Descriptor, raw []byte) (Outcome, error) {
	exists, err := c.dst.Exists(ctx, desc)
	if err != nil {
		return "", err
	}
	if exists {
		return Existed, nil
	}
	return Copied, c.dst.Push(ctx, desc, bytes.NewReader(raw))
}

// copyBlobs copies the blobs that were not copied yet, the largest first: what
// takes longest must not begin last.
func (c *copier) copyBlobs(ctx context.Context, blobs []ocispec.Descriptor) error {
	var todo []ocispec.Descriptor
	var total int64
	for _, b := range blobs {
		if !c.blobs[b.Digest] {
			c.blobs[b.Digest] = true
			todo = append(todo, b)
			total += b.Size
		}
	}
	if len(todo) == 0 {
		return nil
	}
	slices.SortStableFunc(todo, func(a, b ocispec.Descriptor) int { return cmp.Compare(b.Size, a.Size) })
	c.mover.progress.Plan(len(todo), total)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.limit)
	for _, b := range todo {
		group.Go(func() error {
			outcome, err := c.mover.move(groupCtx, b, b.Size > total/2)
			if err == nil {
				c.add(KindBlob, b, outcome, "")
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// referrers copies what is attached to subject.
func (c *copier) referrers(ctx context.Context, subject ocispec.Descriptor) error {
	path := []ocispec.Descriptor{subject}
	return referrer.Walk(ctx, c.src, subject, func(depth int, n referrer.Node) error {
		of := path[depth-1]
		path = append(path[:depth], n.Descriptor)
		if err := c.content(ctx, n.Descriptor, KindReferrer, of.Digest, 0); err != nil {
			return err
		}
		c.attached = append(c.attached, attachment{subject: of, referrer: n.Descriptor})
		return c.list(ctx, of, n.Descriptor)
	})
}

// list makes dst list a referrer, unless it does.
func (c *copier) list(ctx context.Context, subject, r ocispec.Descriptor) error {
	listed, err := referrer.Listed(ctx, c.dst, subject)
	if err != nil {
		return err
	}
	if hasDigest(listed, r.Digest) {
		return nil
	}
	return referrer.Update(ctx, c.dst, subject, r)
}

// readBack checks that dst lists everything that was attached, now that nothing
// changes any more.
func (c *copier) readBack(ctx context.Context) error {
	lists := map[digest.Digest][]ocispec.Descriptor{}
	for _, a := range c.attached {
		list, ok := lists[a.subject.Digest]
		if !ok {
			var err error
			if list, err = referrer.Listed(ctx, c.dst, a.subject); err != nil {
				return err
			}
			lists[a.subject.Digest] = list
		}
		if hasDigest(list, a.referrer.Digest) {
			continue
		}
		if err := referrer.Update(ctx, c.dst, a.subject, a.referrer); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) add(kind Kind, desc ocispec.Descriptor, outcome Outcome, subject digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Items = append(c.result.Items, CopyItem{
		Kind: kind, Digest: desc.Digest, MediaType: desc.MediaType, Size: desc.Size, Outcome: outcome, Subject: subject,
	})
}

// warn takes note of the first of the things that did not go as they should: the
// others are the same.
func (c *copier) warn(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.result.Warnings) == 0 {
		c.result.Warnings = []string{err.Error()}
	}
}

func hasDigest(list []ocispec.Descriptor, d digest.Digest) bool {
	return slices.ContainsFunc(list, func(e ocispec.Descriptor) bool { return e.Digest == d })
}

// plain is what identifies the content, without what is said about it.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}
