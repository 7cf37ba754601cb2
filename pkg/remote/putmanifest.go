package remote

import (
	"bytes"
	"context"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// manifestTries is how often a manifest is sent to a registry that misses one of its
// blobs, within two seconds.
const manifestTries = 4

// putManifest stores a manifest by its digest or under a tag.
//
// A registry refuses a manifest that has unknown blobs. One that keeps a file for each
// blob of a repository, and does not write it at once (distribution 2.8 with its
// filesystem driver), takes a blob for unknown while another client pushes the same: it
// is there a moment later.
func (r *Repository) putManifest(ctx context.Context, desc ocispec.Descriptor, raw []byte, reference string) error {
	attempts := r.Attempts()
	for n := 1; ; n++ {
		err := r.oras.Manifests().PushReference(ctx, desc, bytes.NewReader(raw), reference)
		if n == manifestTries || !missesBlob(err) || !attempts.sleep(ctx, attempts.backoff()/4) {
			return err
		}
	}
}

// missesBlob reports whether a registry says that a blob of a manifest is not there
// (distribution-spec v1.1.1, error codes: MANIFEST_BLOB_UNKNOWN).
func missesBlob(err error) bool {
	var response *errcode.ErrorResponse
	if !errors.As(err, &response) {
		return false
	}
	for _, e := range response.Errors {
		if e.Code == errcode.ErrorCodeManifestBlobUnknown {
			return true
		}
	}
	return false
}
