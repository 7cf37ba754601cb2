package transfer

import (
	"context"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// hashesFirst says whether the digest must be known before anything is sent.
func (j *upload) hashesFirst() bool {
	mode := j.u.o.Mode
	return j.blob.Size == 0 || j.noStream || j.u.o.HashFirst || mode == ModePut ||
		mode != ModeStream && mode != ModeChunks && j.u.traits().Stream == no
}

// hashNow finds the digest without sending anything, or by what was hashed
// while something was sent.
func (j *upload) hashNow(ctx context.Context) error {
	d, err := j.sum(ctx)
	if err != nil {
		return err
	}
	if j.unproven && d.Digest != j.desc.Digest && (d.Digest == "" || j.hasher != nil && j.hasher.told) {
		d.Digest = "" // a hash that began with what a journal says may be wrong in itself
	}
	if d.Digest == "" {
		if err := j.u.hashing.Acquire(ctx, 1); err != nil {
			return context.Cause(ctx)
		}
		d, err = j.hashAll(ctx)
		j.u.hashing.Release(1)
		if err != nil {
			return &readError{err}
		}
	}
	if j.unproven {
		return j.proven(d)
	}
	j.know(ctx, d)
	return nil
}

// hashAll reads the blob to hash it.
func (j *upload) hashAll(ctx context.Context) (ocispec.Descriptor, error) {
	if !j.unproven {
		return ingest.Digests{}.Ingest(ctx, j.blob)
	}
	rc, err := j.blob.Open()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer rc.Close()
	_, err = io.Copy(io.Discard, integrity.NewReader(ingest.ContextReader(ctx, rc), j.desc, "blob"))
	return j.desc, err
}

// proven compares what was hashed with what was told.
func (j *upload) proven(got ocispec.Descriptor) error {
	if got.Digest != j.desc.Digest {
		return &readError{&integrity.Error{What: "blob", Want: j.desc.Digest, Got: got.Digest, WantSize: j.desc.Size, GotSize: got.Size}}
	}
	j.unproven = false
	return nil
}

// sum returns the descriptor when something hashes the blob, or has.
func (j *upload) sum(ctx context.Context) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: j.blob.MediaType, Size: j.blob.Size}
	var err error
	if j.hasher != nil {
		if d.Digest, err = j.hasher.finish(ctx); err != nil {
			return d, &readError{err}
		}
	} else if src := j.src.Load(); src != nil {
		if sum, ok := src.sum(); ok {
			d.Digest = sum
		}
	}
	return d, nil
}

// know takes a digest that was read, and remembers it: before the blob is there
// for good, so that a process that is killed now has not read it in vain.
func (j *upload) know(ctx context.Context, d ocispec.Descriptor) {
	j.desc, j.guessed = d, false
	j.u.o.Digests.Remember(j.blob.Identity, d.Digest)
	if j.blob.Size >= flushFrom {
		_ = j.u.o.Digests.Flush(ctx) // a cache that cannot be written remembers nothing
	}
}
