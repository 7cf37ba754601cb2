package materialize

import (
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// newZstdReader decompresses in the calling goroutine and with bounded memory.
func newZstdReader(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(limits.ZstdWindow),
		zstd.WithDecoderLowmem(true),
	)
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
