package archive

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/store"
)

// Archive is an archive that was opened: what a repository of a registry can be
// asked, it answers, and nothing of it is ever written. It is safe for concurrent
// use. What it gives is not verified; the reader of a digest verifies it.
type Archive struct {
	path  string
	parts *Parts // nil for one file
	files *pieces
	blobs blobMap
	view  *store.View
	// entries are the indexes of the entries of index.json for each digest.
	entries map[digest.Digest][]int
	own     *own // nil in archives of other tools
}

// Path returns the absolute path of the archive: of the file, or of the list of
// parts.
func (a *Archive) Path() string { return a.path }

// Size returns the bytes of the archive, all parts together.
func (a *Archive) Size() int64 { return a.files.size }

// Parts returns the list of parts, or nil for an archive in one file.
func (a *Archive) Parts() *Parts { return a.parts }

// Close closes the files. What was fetched stays open.
func (a *Archive) Close() error { return a.files.Close() }

// ReadAt reads the bytes of the archive itself, as if it were one file.
func (a *Archive) ReadAt(p []byte, off int64) (int, error) { return a.files.ReadAt(p, off) }

// Resolve finds a manifest by its tag, its full name or its digest, and compares
// its bytes with its digest and its media type. The error wraps errdef.ErrNotFound
// when there is none.
func (a *Archive) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	return a.view.Resolve(ctx, reference)
}

// Tags calls fn with the tags after last, in order: what index.json calls its
// entries, which may be full names.
func (a *Archive) Tags(ctx context.Context, last string, fn func(tags []string) error) error {
	return a.view.Tags(ctx, last, fn)
}

// Referrers calls fn with the manifests whose subject is desc, as
// store.Layout.Referrers does.
func (a *Archive) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error {
	return a.view.Referrers(ctx, desc, artifactType, fn)
}

// Exists reports whether target is there with the size it should have.
func (a *Archive) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := artifacttypes.ValidateDigest(target.Digest); err != nil {
		return false, err
	}
	at, ok := a.blobs.get(target.Digest)
	return ok && at.size == target.Size, nil
}

// Push implements what a repository has, and fails with [ErrReadOnly].
func (a *Archive) Push(context.Context, ocispec.Descriptor, io.Reader) error {
	return fmt.Errorf("%s: %w", a.path, ErrReadOnly)
}

// Tag implements what a repository has, and fails with [ErrReadOnly].
func (a *Archive) Tag(context.Context, ocispec.Descriptor, string) error {
	return fmt.Errorf("%s: %w", a.path, ErrReadOnly)
}

// Fetch opens a blob or a manifest. Its bytes are not verified. The reader is also
// an io.Seeker and an io.ReaderAt, and where the blob lies in one file it is an
// *ingest.Section of it.
func (a *Archive) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := a.Blob(target.Digest)
	if err != nil {
		return nil, err
	}
	spans := b.Spans()
	if len(spans) != 1 {
		return b, nil
	}
	return section(spans[0])
}

// section opens the file of a span once more: the position of the new descriptor
// is that of the section.
func section(s Span) (*ingest.Section, error) {
	f, err := os.Open(s.File.Name())
	if err != nil {
		return nil, err
	}
	was, err := s.File.Stat()
	if err == nil {
		var is os.FileInfo
		if is, err = f.Stat(); err == nil && !os.SameFile(was, is) {
			err = fmt.Errorf("%s: another file took its place", s.File.Name())
		}
	}
	var section *ingest.Section
	if err == nil {
		section, err = ingest.NewSection(f, s.Offset, s.Size)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return section, nil
}

// Blob is the bytes of a blob in an archive, wherever its parts lie. Its position
// is its own; ReadAt may be called from many goroutines.
type Blob struct {
	*io.SectionReader
	archive *Archive
	at      place
}

// Blob finds a blob. The error wraps errdef.ErrNotFound when it is not there.
func (a *Archive) Blob(d digest.Digest) (*Blob, error) {
	if err := artifacttypes.ValidateDigest(d); err != nil {
		return nil, err
	}
	at, ok := a.blobs.get(d)
	if !ok {
		return nil, fmt.Errorf("%s: %s: %w", a.path, d, errdef.ErrNotFound)
	}
	return &Blob{SectionReader: io.NewSectionReader(a.files, at.offset, at.size), archive: a, at: at}, nil
}

// Close implements io.Closer. The files belong to the archive and stay open.
func (b *Blob) Close() error { return nil }

// Spans returns where the bytes lie, in order: in one file, or across parts. The
// files belong to the archive: read them with ReadAt only. An empty blob has none.
func (b *Blob) Spans() []Span { return b.archive.files.spans(b.at.offset, b.at.size) }

// Files returns the names of the files that the bytes lie in.
func (b *Blob) Files() []string { return b.archive.files.names(b.at.offset, b.at.size) }

// Blobs returns all blobs and manifests that are there, in the order in which they
// lie: digests and sizes, of no media type.
func (a *Archive) Blobs() iter.Seq[ocispec.Descriptor] {
	type entry struct {
		digest digest.Digest
		place
	}
	list := make([]entry, 0, a.blobs.len())
	for raw, at := range a.blobs.sha256 {
		list = append(list, entry{digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(raw[:])), at})
	}
	for raw, at := range a.blobs.sha512 {
		list = append(list, entry{digest.NewDigestFromEncoded(digest.SHA512, hex.EncodeToString(raw[:])), at})
	}
	slices.SortFunc(list, func(x, y entry) int { return int(min(max(x.offset-y.offset, -1), 1)) })
	return func(yield func(ocispec.Descriptor) bool) {
		for _, e := range list {
			if !yield(ocispec.Descriptor{Digest: e.digest, Size: e.size}) {
				return
			}
		}
	}
}

// fetchSmall reads a blob that is held in memory, and compares it with its digest.
func (a *Archive) fetchSmall(desc ocispec.Descriptor, limit int64, what string) ([]byte, error) {
	b, err := a.Blob(desc.Digest)
	if err != nil {
		return nil, err
	}
	return integrity.ReadAll(b, desc, limit, a.path+": "+what)
}

// viewBlobs gives the blobs to who reads the layout.
type viewBlobs struct{ a *Archive }

func (v viewBlobs) Size(d digest.Digest) (int64, error) {
	b, err := v.a.Blob(d)
	if err != nil {
		return 0, err
	}
	return b.Size(), nil
}

func (v viewBlobs) Open(d digest.Digest) (io.ReadCloser, error) { return v.a.Blob(d) }

func rawDigest(d digest.Digest) []byte {
	raw, _ := hex.DecodeString(d.Encoded()) // it was validated
	return raw
}
