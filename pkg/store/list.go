package store

import (
	"cmp"
	"context"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Blobs returns digest and size of every file in the layout that is named like a
// blob, ordered by digest: manifests, and what nothing leads to, among them. No
// byte of them is read.
func (l *Layout) Blobs(ctx context.Context) ([]ocispec.Descriptor, error) {
	blobs, err := l.listBlobs(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]ocispec.Descriptor, 0, len(blobs))
	for d, b := range blobs {
		out = append(out, ocispec.Descriptor{Digest: d, Size: b.info.Size()})
	}
	slices.SortFunc(out, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return out, nil
}
