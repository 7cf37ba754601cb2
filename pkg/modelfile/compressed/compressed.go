// Package compressed reads files that are one stream of compressed bytes: gzip, zlib,
// bzip2, xz, lzma, lz4 and zstd, which joblib writes and loads as they are, whatever
// their names, and which models are packed in.
//
// The formats are read by libraries; this package bounds what they may take and what
// may come out: windows of [MaxWindow], and hazard.ExpandedFactor times the bytes that
// went in besides hazard.ExpandedSlack.
package compressed

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

// MaxWindow bounds the window or dictionary that a stream may ask for. xz needs more
// from level 8 on, zstd above level 19.
const MaxWindow = 16 << 20

// Errors of streams. All wrap [hazard.ErrBroken].
var (
	// ErrCorrupt: the bytes are not what the format allows.
	ErrCorrupt = hazard.Broken("the compressed data are damaged")
	// ErrWindow: more than MaxWindow is asked for.
	ErrWindow = hazard.Broken(fmt.Sprintf("it takes a window of more than %d bytes to decompress", MaxWindow))
	// ErrExpansion: more comes out than is read.
	ErrExpansion = hazard.Broken(fmt.Sprintf("it expands to more than %d times its size", hazard.ExpandedFactor))
)

// NewReader returns what the stream r of the given kind holds. Errors of r come out as
// they are; all others wrap one of this package's.
func NewReader(kind sniff.Kind, r io.Reader) (io.ReadCloser, error) {
	in := &input{r: bufio.NewReaderSize(r, 32<<10)}
	decoder, err := newDecoder(kind, in)
	if err != nil {
		return nil, in.explain(err)
	}
	return &reader{in: in, decoder: decoder}, nil
}

// newDecoder gives a stream to the library that reads it.
func newDecoder(kind sniff.Kind, in *input) (io.ReadCloser, error) {
	switch kind {
	case sniff.Gzip:
		return gzip.NewReader(in)
	case sniff.Zlib:
		return zlib.NewReader(in)
	case sniff.JoblibZ:
		return joblibZ(in)
	case sniff.Bzip2:
		return io.NopCloser(bzip2.NewReader(in)), nil
	case sniff.XZ:
		d, err := xz.NewReader(in, MaxWindow)
		return io.NopCloser(d), err
	case sniff.LZMA:
		d, err := lzma.ReaderConfig{DictCap: MaxWindow}.NewReader(in)
		return io.NopCloser(d), err
	case sniff.LZ4:
		return io.NopCloser(lz4.NewReader(in)), nil
	case sniff.Zstd:
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(MaxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("%s is no compressed stream", kind)
}

// joblibZ steps over the length that joblib wrote before a zlib stream. Python 2 wrote
// one byte more.
func joblibZ(in *input) (io.ReadCloser, error) {
	if _, err := in.r.Discard(sniff.JoblibZHeader); err != nil {
		return nil, err
	}
	if b, err := in.r.Peek(1); err == nil && b[0] == ' ' {
		_, _ = in.r.Discard(1) // it was seen
	}
	return zlib.NewReader(in)
}

// input counts the bytes that a decoder takes and remembers why there are no more.
type input struct {
	r   *bufio.Reader
	n   int64
	err error // of reading, other than EOF
}

func (in *input) Read(b []byte) (int, error) {
	n, err := in.r.Read(b)
	return n, in.took(n, err)
}

// ReadByte keeps decoders from reading beyond what they need.
func (in *input) ReadByte() (byte, error) {
	b, err := in.r.ReadByte()
	if err != nil {
		return 0, in.took(0, err)
	}
	return b, in.took(1, nil)
}

func (in *input) took(n int, err error) error {
	in.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && in.err == nil {
		in.err = err
	}
	return err
}

// explain tells failures to read from what is wrong with the stream.
func (in *input) explain(err error) error {
	var dictionary *lzma.ErrDictSize
	switch {
	case in.err != nil:
		return in.err
	case errors.Is(err, xz.ErrMemlimit), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.As(err, &dictionary):
		return ErrWindow
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// reader bounds what a decoder gives.
type reader struct {
	in      *input
	decoder io.ReadCloser
	out     int64
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.decoder.Read(b)
	r.out += int64(n)
	if r.out > hazard.ExpandedFactor*r.in.n+hazard.ExpandedSlack {
		return 0, ErrExpansion
	}
	if err == nil || errors.Is(err, io.EOF) && r.in.err == nil {
		return n, err
	}
	return n, r.in.explain(err)
}

func (r *reader) Close() error { return r.decoder.Close() }
