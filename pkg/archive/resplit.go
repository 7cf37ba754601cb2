package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Source is an archive that can be read anywhere.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Resplit writes the bytes of the archive src once more: to parts, or with
// WriteOptions.PartSize 0 to one file. It is what [Write] is, for an archive that is
// there: all blobs are proven, and a call that was killed is gone on with.
func Resplit(ctx context.Context, src Source, file string, o WriteOptions) (*Written, error) {
	p, err := planCopy(ctx, src)
	if err != nil {
		return nil, err
	}
	return Write(ctx, p, file, o)
}

// planCopy lays out an archive as src is: what is no blob is known.
func planCopy(ctx context.Context, src Source) (*Plan, error) {
	p := &Plan{}
	section := io.NewSectionReader(src, 0, src.Size())
	entries := tar.NewReader(section)
	for n := 0; n <= limits.ArchiveEntries; n++ {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return p, p.tape.copyTo(src, src.Size())
		}
		if err != nil {
			return nil, err
		}
		// The reader has read the headers, and nothing of the entry.
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := p.tape.copyEntry(src, h, at); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the archive has more than %d entries", limits.ArchiveEntries)
}

// copyEntry adds the entry whose bytes begin at at in src.
func (t *tape) copyEntry(src io.ReaderAt, h *tar.Header, at int64) error {
	if err := t.copyTo(src, at); err != nil {
		return err
	}
	t.note(h.Name, h.Size)
	if d, isBlob := blobOf(h); isBlob {
		t.window(ReaderBlob(d, d.Digest.String(), io.NewSectionReader(src, at, d.Size)))
	}
	return nil
}

// blobOf returns the blob that a tar entry is, if its name says so.
func blobOf(h *tar.Header) (ocispec.Descriptor, bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(h.Name, "./"), ocispec.ImageBlobsDir+"/")
	algorithm, hex, _ := strings.Cut(rest, "/")
	d := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.Digest(algorithm + ":" + hex), Size: h.Size}
	return d, ok && h.Typeflag == tar.TypeReg && artifacttypes.ValidateDescriptor(d) == nil
}

// copyTo adds the bytes of src up to an offset as known ones: headers, what fills
// the last block of an entry, and small entries that are no blobs.
func (t *tape) copyTo(src io.ReaderAt, to int64) error {
	n := to - t.size
	t.copied += n
	if most := limits.LayoutIndexBytes + int64(len(t.blobs)+1)*4*tarBlock + limits.ArchiveEndBytes; n < 0 || t.copied > most {
		return &integrity.TooLargeError{What: "what is no blob in the archive", Size: t.copied, Limit: most}
	}
	raw := make([]byte, n)
	if _, err := src.ReadAt(raw, t.size); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	t.write(raw)
	return nil
}
