package modseal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/transfer"
)

// PackOptions say how a directory becomes an artifact.
type PackOptions struct {
	FollowSymlinks bool
	Exclude        []string          // doublestar patterns, besides the defaults
	Set            map[string]string // config fields, see pack.SettableKeys
	Annotations    map[string]string // of the manifest
	Created        *time.Time        // nil writes no time, for the same digest every day
	Concurrency    int               // layers at once; 0 means pack.DefaultConcurrency
	// Upload is how layers are sent; empty means transfer.ModeAuto.
	Upload transfer.Mode
	// NoCache reads every file, also those that were not touched since they were
	// hashed.
	NoCache bool
	// Signer, when not nil, signs the artifact before its tag is set.
	Signer *SignOptions
	// Profile is whose annotations are written, such as profile.Name; empty for none.
	Profile string
	// Say is what is said about the model beside its signature, in this order.
	Say []Saying

	walk source.Options // of tests: how files are opened
}

// PushResult says what [Client.Push] did.
type PushResult struct {
	Reference  string      `json:"reference"`
	Digest     string      `json:"digest"`
	Previous   string      `json:"previous,omitempty"` // what the tag held before, when it was something else
	Size       int64       `json:"size"`               // of all files, in bytes
	Files      int         `json:"files"`
	Layers     int         `json:"layers"`
	Moved      Moved       `json:"moved"`
	Signatures []Signature `json:"signatures,omitempty"`
	Scan       *PushedScan `json:"scan,omitempty"`     // what is in the files that can harm
	Attached   []Attached  `json:"attached,omitempty"` // as they are: nobody signed
	Excluded   []string    `json:"excluded,omitempty"`
	Warnings   []string    `json:"warnings,omitempty"`
}

// Moved says how the layers got to where they are, in bytes.
type Moved struct {
	Sent    int64 `json:"sent"`    // to a registry, also what had to be sent twice
	Resumed int64 `json:"resumed"` // sent by an earlier push that was not finished
	Existed int64 `json:"existed"` // were in the registry's repository
	Mounted int64 `json:"mounted"` // were in another repository of the registry
	Unread  int64 `json:"unread"`  // not read, since the files were not touched
}

// Push packs the directory (or the one file) dir, stores it at target, a
// registry reference or an OCI layout with a tag, signs it when a signer is
// given, and sets the tag last: who sees the tag sees the signatures.
func (c *Client) Push(ctx context.Context, dir, target string, o PackOptions) (*PushResult, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	if err := needTag(t); err != nil {
		return nil, err
	}
	// Whatever can be found wrong is found before the first byte moves, and before
	// anybody is asked for a password or a token.
	tree, overrides, err := o.read(ctx, dir)
	if err != nil {
		return nil, err
	}
	overrides, unmet, err := o.profiled(tree, overrides)
	if err != nil {
		return nil, err
	}
	for _, s := range o.Say {
		if err := s.prepare(ctx, c, tree, o.Signer != nil); err != nil {
			return nil, err
		}
	}
	var with *signer
	if o.Signer != nil {
		if with, err = c.signer(ctx, o.Signer); err != nil {
			return nil, err
		}
	}
	l, err := c.open(ctx, t, true)
	if err != nil {
		return nil, err
	}
	packed, moved, err := c.pack(ctx, tree, l, overrides, o)
	if err != nil {
		return nil, err
	}
	said, err := (&PackedModel{tree: tree, packed: packed}).say(ctx, o.Say)
	if err != nil {
		return nil, err
	}
	if err := packed.Store(ctx, l); err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	a, err := newArtifact(l, packed.Descriptor, packed.Manifest)
	if err != nil {
		return nil, err
	}
	res := &PushResult{
		Reference: t.String(), Digest: packed.Descriptor.Digest.String(),
		Size: tree.Size(), Files: len(tree.Files), Moved: moved, Excluded: tree.Excluded, Warnings: append(packed.Warnings, unmet...),
	}
	for _, d := range tree.EmptyDirs {
		res.Warnings = append(res.Warnings, fmt.Sprintf("empty directory %q is not stored", d))
	}
	if with != nil {
		if res.Signatures, res.Warnings, err = signPacked(ctx, l, packed, filepath.Base(tree.Dir), with, res.Warnings); err != nil {
			return nil, err
		}
	}
	if err := a.attachSaid(ctx, said, with, res); err != nil {
		return nil, err
	}
	if res.Previous, err = l.previous(ctx, res.Digest); err != nil {
		return nil, err
	}
	if err := l.Tag(ctx, packed.Descriptor, t.Reference); err != nil {
		return nil, fmt.Errorf("%s: tag: %w", t, err)
	}
	res.Layers = len(a.model.Layers)
	return res, nil
}

// pack stores the layers of tree at l. What is learned about files and the
// registry is kept also when it fails: the next call goes on from there.
func (c *Client) pack(ctx context.Context, tree *source.Tree, l *location, overrides pack.Overrides, o PackOptions) (*pack.Artifact, Moved, error) {
	cache := c.digests
	if o.NoCache {
		cache = nil
	}
	again, err := likelyThere(ctx, l, tree, cache)
	if err != nil {
		return nil, Moved{}, fmt.Errorf("%s: %w", l.Target, err)
	}
	into := l.ingester(transfer.UploadOptions{Mode: o.Upload, HashFirst: again, Digests: cache})
	po := pack.Options{
		Created: o.Created, Overrides: overrides, Concurrency: o.Concurrency, Digests: cache,
		Planned: progress.OrNone(c.o.Progress).Plan,
	}
	packed, err := pack.Pack(ctx, tree, into, po)
	// Also when ctx is over: what was hashed is true.
	flushErr := cache.Flush(context.WithoutCancel(ctx))
	if err != nil {
		return nil, Moved{}, err
	}
	if flushErr != nil {
		packed.Warnings = append(packed.Warnings, fmt.Sprintf("what was read is not remembered, so the next push reads every file again, and goes on with nothing when it is interrupted: %v", flushErr))
	}
	moved := Moved{Unread: packed.Unread}
	if uploader, ok := into.(*transfer.Uploader); ok {
		s := uploader.Stats()
		moved.Sent, moved.Resumed, moved.Existed, moved.Mounted = s.Sent, s.Resumed, s.Existed, s.Mounted
	}
	return packed, moved, nil
}

// likelyThere reports whether layers of unknown digest are likely to be at l: the
// repository holds artifacts already, and nobody here remembers any of the
// files. Then hashing first costs a read and saves the upload. In an empty
// repository every layer is new, and a file that is the only one not remembered
// was changed.
func likelyThere(ctx context.Context, l *location, tree *source.Tree, cache *digestcache.Cache) (bool, error) {
	for i := range tree.Files {
		if id, trusted := tree.Files[i].Identity(); trusted && cache.Digest(id.String()) != "" {
			return false, nil
		}
	}
	return seen(ctx, l)
}

// previous returns the digest that the tag holds, when it is another one.
func (l *location) previous(ctx context.Context, now string) (string, error) {
	desc, err := l.Resolve(ctx, l.Reference)
	switch {
	case errors.Is(err, errdef.ErrNotFound), remote.IsUnauthorized(err):
		return "", nil // not there, or not ours to see
	case err != nil:
		return "", fmt.Errorf("%s: %w", l.Target, err)
	case desc.Digest.String() == now:
		return "", nil
	}
	return desc.Digest.String(), nil
}

// needTag refuses targets that a new artifact cannot be stored at.
func needTag(t Target) error {
	switch {
	case t.Kind == KindDirectory:
		return fmt.Errorf("%w: %s is a directory; store into a registry (host/repository:tag) or an OCI layout (oci:PATH:TAG)", ErrUsage, t)
	case t.Reference == "":
		return fmt.Errorf("%w: %s has no tag; add one, such as %s:v1", ErrUsage, t, t)
	case t.suffix()[0] == '@':
		return fmt.Errorf("%w: %s names a digest; a digest is what storing gives, a tag is needed, such as :v1", ErrUsage, t)
	}
	return nil
}

// read lists the files of dir and what the user says of them.
func (o PackOptions) read(ctx context.Context, dir string) (*source.Tree, pack.Overrides, error) {
	overrides, err := readOverrides(dir)
	if err != nil {
		return nil, pack.Overrides{}, err
	}
	overrides = overrides.Merge(pack.Overrides{Set: o.Set, Annotations: o.Annotations, Exclude: o.Exclude})
	if err := overrides.Validate(); err != nil {
		return nil, pack.Overrides{}, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	for _, pattern := range o.Exclude {
		if err := source.ValidatePattern(pattern); err != nil {
			return nil, pack.Overrides{}, fmt.Errorf("%w: exclude: %w", ErrUsage, err)
		}
	}
	walk := o.walk
	walk.FollowSymlinks, walk.Exclude, walk.Roles = o.FollowSymlinks, overrides.Exclude, overrides.Roles
	tree, err := source.Walk(ctx, dir, walk)
	return tree, overrides, err
}

func readOverrides(dir string) (pack.Overrides, error) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return pack.Overrides{}, err
	}
	name := filepath.Join(dir, pack.OverridesFile)
	text, err := readSmall(name, limits.OverridesBytes)
	if errors.Is(err, os.ErrNotExist) {
		return pack.Overrides{}, nil
	}
	if err != nil {
		return pack.Overrides{}, err
	}
	o, err := pack.ParseOverrides(text)
	if err != nil {
		return pack.Overrides{}, fmt.Errorf("%w: %s: %w", ErrUsage, name, err)
	}
	return o, nil
}

// seen reports whether the repository holds artifacts already.
func seen(ctx context.Context, l *location) (bool, error) {
	if l.Kind != KindRegistry {
		return false, nil
	}
	found := false
	err := l.Tags(ctx, "", func(tags []string) error {
		found = found || len(tags) > 0
		if found {
			return errStop
		}
		return nil
	})
	// Who may push and not list gets the answer of an empty repository.
	if errors.Is(err, errStop) || errors.Is(err, errdef.ErrNotFound) || remote.IsUnauthorized(err) {
		err = nil
	}
	return found, err
}

var errStop = errors.New("stop")

// readSmall reads a file of at most limit bytes.
func readSmall(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return b, err
}
