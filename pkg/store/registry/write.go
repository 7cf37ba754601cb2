package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/registry"
	"github.com/modseal/modseal/pkg/store"
)

// PushBlob implements ociregistry.Writer. A size of -1 is that of what comes.
func (r *Registry) PushBlob(ctx context.Context, name string, desc ociregistry.Descriptor, content io.Reader) (ociregistry.Descriptor, error) {
	if err := artifacttypes.ValidateDigest(desc.Digest); err != nil {
		return desc, fmt.Errorf("%w: %w", ociregistry.ErrDigestInvalid, err)
	}
	w, err := r.begin(ctx, name, desc.Digest.Algorithm())
	if err != nil {
		return desc, err
	}
	defer w.discard()
	if _, err := w.ReadFrom(content); err != nil {
		return desc, err
	}
	if desc.Size >= 0 && desc.Size != w.Size() {
		return desc, ociregistry.ErrSizeInvalid
	}
	return w.Commit(desc.Digest)
}

// PushBlobChunked implements ociregistry.Writer.
func (r *Registry) PushBlobChunked(ctx context.Context, name string, _ int) (ociregistry.BlobWriter, error) {
	return r.begin(ctx, name, digest.SHA256)
}

func (r *Registry) begin(ctx context.Context, name string, algorithm digest.Algorithm) (*blobWriter, error) {
	repo, err := r.toWrite(ctx, name, true)
	if err != nil {
		return nil, err
	}
	upload, err := repo.BeginUpload(ctx, algorithm)
	if err != nil {
		r.release(repo)
		return nil, err
	}
	return &blobWriter{ctx: ctx, Upload: upload, done: func() { r.release(repo) }}, nil
}

// uploadWait is how long a part of an upload waits for the one before, whose
// connection may be gone without anybody having noticed yet.
const uploadWait = 15 * time.Second

// PushBlobChunkedResume implements ociregistry.Writer; it goes on where the upload
// ended, whatever the offset.
func (r *Registry) PushBlobChunkedResume(ctx context.Context, name, id string, _ int64, _ int) (ociregistry.BlobWriter, error) {
	repo, err := r.toWrite(ctx, name, false)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeoutCause(ctx, uploadWait, errTaken)
	defer cancel()
	upload, err := repo.ResumeUpload(waiting, id)
	if err != nil {
		r.release(repo)
		return nil, unknown(err, ociregistry.ErrBlobUploadUnknown)
	}
	return &blobWriter{ctx: ctx, Upload: upload, done: func() { r.release(repo) }}, nil
}

var errTaken = fmt.Errorf("another request writes to this upload: %w", ociregistry.ErrTooManyRequests)

// blobWriter is an upload that is open. The library closes it once it has done with
// it, whatever came before.
type blobWriter struct {
	*store.Upload
	ctx   context.Context //nolint:containedctx // by ociregistry.Interface it is that of the writer
	done  func()
	ended bool
}

// end ends the upload, if nothing has yet.
func (w *blobWriter) end(how func() error) error {
	if w.ended {
		return nil
	}
	w.ended = true
	defer w.done()
	return how()
}

// ChunkSize implements ociregistry.BlobWriter: parts may be as short as they like.
func (w *blobWriter) ChunkSize() int { return 0 }

// Close implements ociregistry.BlobWriter.
func (w *blobWriter) Close() error { return w.end(w.Suspend) }

// Cancel implements ociregistry.BlobWriter.
func (w *blobWriter) Cancel() error {
	return w.end(func() error { w.Discard(); return nil })
}

func (w *blobWriter) discard() { _ = w.Cancel() }

// Commit implements ociregistry.BlobWriter.
func (w *blobWriter) Commit(d ociregistry.Digest) (desc ociregistry.Descriptor, err error) {
	if err := artifacttypes.ValidateDigest(d); err != nil {
		return desc, fmt.Errorf("%w: %w", ociregistry.ErrDigestInvalid, err)
	}
	err = w.end(func() error {
		desc, err = w.Upload.Commit(w.ctx, d)
		if wrong := new(*integrity.Error); errors.As(err, wrong) {
			err = fmt.Errorf("%w: %w", ociregistry.ErrDigestInvalid, err)
		}
		return err
	})
	return desc, err
}

// MountBlob implements ociregistry.Writer: where the file system can share blocks, it
// does.
func (r *Registry) MountBlob(ctx context.Context, from, to string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: octets, Digest: d}
	err := r.read(ctx, from, func(source *repository) error {
		var err error
		if desc.Size, err = sizeOf(ctx, source, desc); err != nil {
			return err
		}
		target, err := r.toWrite(ctx, to, true)
		if err != nil {
			return err
		}
		defer r.release(target)
		return mount(ctx, source, target, desc)
	})
	return desc, err
}

func mount(ctx context.Context, source, target *repository, desc ocispec.Descriptor) error {
	open := func() (io.ReadCloser, error) {
		rc, err := source.Fetch(ctx, desc)
		return rc, unknown(err, ociregistry.ErrBlobUnknown)
	}
	if desc.Digest.Algorithm() != digest.SHA256 { // the only one that Ingest gives
		rc, err := open()
		if err != nil {
			return err
		}
		defer rc.Close()
		return target.Push(ctx, desc, rc)
	}
	got, err := target.Ingest(ctx, ingest.Blob{Name: desc.Digest.String(), MediaType: octets, Size: desc.Size, Known: desc.Digest, Open: open})
	if err == nil && got.Digest != desc.Digest {
		err = &integrity.Error{What: "blob", Want: desc.Digest, Got: got.Digest, WantSize: desc.Size, GotSize: got.Size}
	}
	return err
}

// PushManifest implements ociregistry.Writer.
func (r *Registry) PushManifest(ctx context.Context, name, tag string, raw []byte, mediaType string) (ociregistry.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: registry.AlgorithmOf(ctx).FromBytes(raw), Size: int64(len(raw))}
	if !store.IsManifest(mediaType) {
		return desc, fmt.Errorf("%w: media type %q is that of no manifest", ociregistry.ErrManifestInvalid, mediaType)
	}
	links, err := store.ReadLinks(desc, raw)
	if err != nil {
		return desc, fmt.Errorf("%w: %w", ociregistry.ErrManifestInvalid, err)
	}
	repo, err := r.toWrite(ctx, name, true)
	if err != nil {
		return desc, err
	}
	defer r.release(repo)
	if err := complete(ctx, repo, links); err != nil {
		return desc, err
	}
	if err := repo.Push(ctx, desc, bytes.NewReader(raw)); err != nil {
		return desc, err
	}
	if tag == "" {
		return desc, nil
	}
	return desc, repo.Tag(ctx, desc, tag)
}

// complete reports what a manifest names and is not there. Layers that are to be had
// elsewhere need not be.
func complete(ctx context.Context, repo *repository, links *store.Links) error {
	for _, d := range slices.Concat(links.Blobs, links.Children) {
		if len(d.URLs) > 0 || isForeign(d.MediaType) {
			continue
		}
		there, err := repo.Exists(ctx, d)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("%w: %s with %d bytes", ociregistry.ErrManifestBlobUnknown, d.Digest, d.Size)
		}
	}
	return nil
}

// isForeign reports whether a layer is not to be pushed to registries (image
// specification v1.1.1, "Non-distributable layers", and Docker's before it).
func isForeign(mediaType string) bool {
	plain, _, _ := mime.ParseMediaType(mediaType)
	return strings.Contains(plain, ".nondistributable.") || strings.Contains(plain, ".foreign.")
}

// DeleteBlob implements ociregistry.Deleter.
func (r *Registry) DeleteBlob(ctx context.Context, name string, d ociregistry.Digest) error {
	return r.remove(ctx, name, ociregistry.ErrBlobUnknown, func(repo *repository) error { return repo.DeleteBlob(ctx, d) })
}

// DeleteManifest implements ociregistry.Deleter.
func (r *Registry) DeleteManifest(ctx context.Context, name string, d ociregistry.Digest) error {
	return r.remove(ctx, name, ociregistry.ErrManifestUnknown, func(repo *repository) error { return repo.Delete(ctx, d) })
}

// DeleteTag implements ociregistry.Deleter. The manifest stays.
func (r *Registry) DeleteTag(ctx context.Context, name, tag string) error {
	return r.remove(ctx, name, ociregistry.ErrManifestUnknown, func(repo *repository) error { return repo.Untag(ctx, tag) })
}

func (r *Registry) remove(ctx context.Context, name string, code ociregistry.Error, fn func(*repository) error) error {
	repo, err := r.toWrite(ctx, name, false)
	if err != nil {
		return err
	}
	defer r.release(repo)
	return unknown(fn(repo), code)
}
