package materialize

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// decompress returns the tar in a layer, cut off with an error where it gets
// out of proportion to the layer.
func decompress(l artifacttypes.Layer, blob io.Reader) (io.ReadCloser, error) {
	var stream io.ReadCloser
	var err error
	switch l.Encoding {
	case artifacttypes.EncodingTar:
		return io.NopCloser(blob), nil
	case artifacttypes.EncodingTarGzip:
		stream, err = gzip.NewReader(blob)
	case artifacttypes.EncodingTarZstd:
		stream, err = newZstdReader(blob)
	default:
		return nil, fmt.Errorf("encoding %q is no tar", l.Encoding)
	}
	if err != nil {
		return nil, damaged(err)
	}
	limit := int64(math.MaxInt64)
	if size := l.Descriptor.Size; size < (math.MaxInt64-limits.ExpandedSlack)/limits.ExpandedFactor {
		limit = size*limits.ExpandedFactor + limits.ExpandedSlack
	}
	return &boundedReader{ReadCloser: stream, left: limit, limit: limit}, nil
}

// boundedReader fails when more than limit bytes come.
type boundedReader struct {
	io.ReadCloser
	left, limit int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: it expands to more than %d bytes", ErrUnsafeArchive, b.limit)
	}
	return n, err
}

// hashingReader hashes what is read through it.
type hashingReader struct {
	r io.Reader
	h hash.Hash
	n int64
}

func (r *hashingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.h.Write(p[:n])
	r.n += int64(n)
	return n, err
}

// readDiffIDs reads from the config what the compressed layers expand to. Other
// tools leave that out or write a config without it; the digests of the layers
// are signed anyway.
func (j *job) readDiffIDs(ctx context.Context) (map[digest.Digest]digest.Digest, error) {
	compressed := false
	for _, l := range j.plan.unpack {
		compressed = compressed || l.Encoding != artifacttypes.EncodingTar
	}
	config := j.manifest.Config
	if !compressed || config.MediaType != artifacttypes.MediaTypeModelConfig {
		return nil, nil
	}
	rc, err := j.src.Fetch(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("model config: %w", err)
	}
	defer rc.Close()
	raw, err := integrity.ReadAll(ingest.ContextReader(ctx, rc), config, limits.ConfigBytes, "model config")
	if err != nil {
		return nil, err
	}
	var parsed struct {
		ModelFS struct {
			DiffIDs []digest.Digest `json:"diffIds"`
		} `json:"modelfs"`
	}
	ids := map[digest.Digest]digest.Digest{}
	if json.Unmarshal(raw, &parsed) != nil || len(parsed.ModelFS.DiffIDs) != len(j.manifest.Layers) {
		j.warn("the model config does not say what the compressed layers expand to")
		return ids, nil
	}
	for i, id := range parsed.ModelFS.DiffIDs {
		if artifacttypes.ValidateDigest(id) == nil && id.Algorithm() == digest.SHA256 {
			ids[j.manifest.Layers[i].Digest] = id
		}
	}
	return ids, nil
}
