package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// DefaultGrace is how long a blob that nothing refers to is left alone after it
// was written, for writers that know nothing of the locks of modseal.
const DefaultGrace = time.Hour

// CollectOptions say what [Layout.Collect] takes.
type CollectOptions struct {
	// DryRun changes nothing and takes no lock: the Result says what would be
	// removed, if nobody were writing.
	DryRun bool
	// Untagged also removes manifests that have no tag, are no part of one that has
	// and refer to none that is kept.
	Untagged bool
	// Grace spares what was written less than so long ago; 0 means [DefaultGrace],
	// and a negative one spares nothing.
	Grace time.Duration
	// Wait waits for writers to end instead of failing with [ErrBusy].
	Wait bool
}

// Collected is a blob or manifest that was, or would be, removed.
type Collected struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// CollectResult says what [Layout.Collect] did, or with DryRun would do.
type CollectResult struct {
	// Removed are the blobs and manifests, ordered by digest.
	Removed []Collected `json:"removed"`
	// Untagged are the manifests that were taken out of index.json.
	Untagged []digest.Digest `json:"untagged,omitempty"`
	// Temporaries is how many unfinished files of dead processes were removed.
	Temporaries int `json:"temporaries"`
	// Bytes is the size of all that was removed.
	Bytes int64 `json:"bytes"`
	// Kept and KeptBytes count the blobs and manifests that are in use.
	Kept      int   `json:"kept"`
	KeptBytes int64 `json:"keptBytes"`
	// Young counts those that nothing refers to and that are still in their grace.
	Young int `json:"young"`
}

// Collect removes the blobs that nothing refers to. In use is what index.json
// lists, with a tag or without; the config, the layers and the children of a
// manifest in use; its subject; and the manifests whose subject it is.
//
// It takes nothing from a writer: as long as any Layout of any process has
// written, or asked whether something exists, and is not closed, it fails with
// [ErrBusy], or waits; and while it runs, writers wait. Writers of other tools do
// not know that lock; what they need in the next moments they have written within
// Grace, or it is in index.json.
//
// It never removes anything but regular files of the layout that have the name of
// a digest, or lie in its directories for unfinished files, of which it takes what
// dead processes left and, of a [Partial], what is older than [KeepPartials]. A manifest that is
// damaged, or more than the limits allow, makes it fail before anything is
// removed: what such a manifest refers to is not known. One that is missing refers
// to nothing.
//
// Blobs are removed one by one, after index.json no longer lists them. When ctx
// ends, or the machine stops, that can be continued by collecting again; the
// result says how far it came.
func (l *Layout) Collect(ctx context.Context, o CollectOptions) (CollectResult, error) {
	res := CollectResult{Removed: []Collected{}}
	err := l.collect(ctx, o, &res)
	slices.SortFunc(res.Removed, func(a, b Collected) int { return cmp.Compare(a.Digest, b.Digest) })
	if err != nil {
		err = fmt.Errorf("collect %s: %w", l.path, err)
	}
	return res, err
}

func (l *Layout) collect(ctx context.Context, o CollectOptions, res *CollectResult) error {
	if o.DryRun {
		garbage, _, err := l.plan(ctx, o, res)
		for _, b := range garbage {
			res.add(b)
		}
		l.tidy(true, res)
		return err
	}
	lease, err := l.leaseAlone(ctx, o.Wait)
	if err != nil {
		return err
	}
	defer lease.Close()
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	garbage, raw, err := l.plan(ctx, o, res)
	if err != nil {
		return err
	}
	if err := l.unlist(res.Untagged, raw); err != nil {
		return err
	}
	if err := l.sweep(ctx, garbage, res); err != nil {
		return err
	}
	l.tidy(false, res)
	return nil
}

// tidy removes files of modseal's own that nobody needs any more.
func (l *Layout) tidy(dryRun bool, res *CollectResult) {
	files, n := l.removeDeadTemps(dryRun)
	res.Temporaries, res.Bytes = files, res.Bytes+n
	files, n = l.removeOldPartials(dryRun)
	res.Temporaries, res.Bytes = res.Temporaries+files, res.Bytes+n
}

func (r *CollectResult) add(b *blobFile) {
	r.Removed = append(r.Removed, Collected{Digest: b.digest, Size: b.info.Size()})
	r.Bytes += b.info.Size()
}

// plan finds out what nothing refers to, and returns it with the bytes of the
// index.json that this is true of. It changes nothing.
func (l *Layout) plan(ctx context.Context, o CollectOptions, res *CollectResult) ([]*blobFile, []byte, error) {
	// What is listed first cannot include what is written later.
	blobs, err := l.listBlobs(ctx)
	if err != nil {
		return nil, nil, err
	}
	raw, err := l.readSmall(ocispec.ImageIndexFile, limits.LayoutIndexBytes)
	if errors.Is(err, fs.ErrNotExist) {
		// Nothing says what is needed.
		err = fmt.Errorf("%w: %s is missing, so nothing is removed", ErrCorrupt, ocispec.ImageIndexFile)
	}
	if err != nil {
		return nil, nil, err
	}
	ix, err := parseIndex(raw)
	if err != nil {
		return nil, nil, err
	}
	grace := o.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	m := &marker{l: l, blobs: blobs, young: func(b *blobFile) bool { return time.Since(b.info.ModTime()) < grace }}
	if err := m.mark(ctx, ix, o.Untagged); err != nil {
		return nil, nil, err
	}
	var garbage []*blobFile
	for _, b := range blobs {
		switch {
		case b.marked:
			res.Kept++
			res.KeptBytes += b.info.Size()
		case m.young(b):
			res.Young++
		default:
			garbage = append(garbage, b)
		}
	}
	res.Untagged = m.untagged(ix)
	return garbage, raw, nil
}

// unlist takes manifests out of index.json. raw is what it must still be: who
// changes it without the lock has perhaps just referred to what was to go.
func (l *Layout) unlist(gone []digest.Digest, raw []byte) error {
	now, err := l.readSmall(ocispec.ImageIndexFile, limits.LayoutIndexBytes)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, raw) {
		return fmt.Errorf("%s was changed by a tool that does not know its lock: %w", ocispec.ImageIndexFile, ErrBusy)
	}
	if len(gone) == 0 {
		return nil
	}
	ix, err := parseIndex(raw)
	if err != nil {
		return err
	}
	without := make(map[digest.Digest]bool, len(gone))
	for _, d := range gone {
		without[d] = true
	}
	ix.Manifests = slices.DeleteFunc(ix.Manifests, func(e ocispec.Descriptor) bool { return without[e.Digest] })
	encoded, err := ix.encode()
	if err != nil {
		return err
	}
	return l.writeFile(ocispec.ImageIndexFile, encoded)
}

// sweep removes blobs, each only if it is still the file that was listed.
func (l *Layout) sweep(ctx context.Context, garbage []*blobFile, res *CollectResult) (err error) {
	roots := map[string]*os.Root{}
	defer func() {
		for _, root := range roots {
			_ = root.Close()
		}
	}()
	for _, b := range garbage {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		root, ok := roots[b.dir]
		if !ok {
			if root, err = l.openDir(b.dir); err != nil {
				return err
			}
			roots[b.dir] = root
		}
		name := b.digest.Encoded()
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		// A writer of another tool has just put it there anew.
		if !os.SameFile(info, b.info) || !info.ModTime().Equal(b.info.ModTime()) {
			res.Young++
			continue
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		res.add(b)
	}
	return nil
}

// blobFile is a file with the name of a digest.
type blobFile struct {
	digest digest.Digest
	dir    string
	info   fs.FileInfo
	marked bool
}

// listBlobs returns all blobs that are there. Whatever else lies in the
// directories of blobs is left out, and so never touched.
func (l *Layout) listBlobs(ctx context.Context) (map[digest.Digest]*blobFile, error) {
	blobs := map[digest.Digest]*blobFile{}
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		dir := path.Join(ocispec.ImageBlobsDir, algorithm.String())
		root, err := l.openDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = l.listDir(ctx, root, dir, algorithm, blobs)
		_ = root.Close()
		if err != nil {
			return nil, err
		}
	}
	return blobs, nil
}

func (l *Layout) listDir(ctx context.Context, root *os.Root, dir string, algorithm digest.Algorithm, blobs map[digest.Digest]*blobFile) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		entries, err := f.ReadDir(listPage)
		for _, e := range entries {
			d := digest.NewDigestFromEncoded(algorithm, e.Name())
			if d.Validate() != nil || !e.Type().IsRegular() {
				continue
			}
			info, err := root.Lstat(e.Name())
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			if len(blobs) == limits.LayoutBlobs {
				return fmt.Errorf("%s: more than %d blobs", dir, limits.LayoutBlobs)
			}
			blobs[d] = &blobFile{digest: d, dir: dir, info: info}
		}
		if len(entries) == 0 || err != nil {
			return ignoreEOF(err)
		}
	}
}

// openDir opens a directory of the layout that no link leads to: what is removed
// lies where its path says.
func (l *Layout) openDir(name string) (*os.Root, error) {
	for _, dir := range []string{path.Dir(name), name} {
		info, err := l.root.Lstat(dir)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%w: %s is no directory", ErrCorrupt, dir)
		}
	}
	return l.root.OpenRoot(name)
}
