package modseal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile"
)

// scanProof remembers what was read of the files of an artifact in parts, so that it
// can be compared with whole layers afterwards. Parts have no digest of their own: a
// registry could show a scanner other bytes than it gives to whoever pulls.
//
// It remembers the digests of blocks, and no byte: a layer of any size is proven by
// one pass over it, in little memory.
type scanProof struct {
	view *modelView

	mu     sync.Mutex
	layers map[string]*provenLayer // by digest
}

type provenLayer struct {
	descriptor ocispec.Descriptor
	path       string
	whole      bool            // it is read whole, and compared with its digest, at once
	blocks     map[int64]block // by offset in the layer
}

type block struct {
	size int
	sum  [sha256.Size]byte
}

// proofBlock is what is read and remembered at once.
const proofBlock = 64 << 10

func newScanProof(v *modelView) *scanProof {
	p := &scanProof{view: v, layers: map[string]*provenLayer{}}
	for _, e := range v.entries() {
		if d := e.Layer.Descriptor; p.layers[d.Digest.String()] == nil {
			p.layers[d.Digest.String()] = &provenLayer{
				descriptor: d, path: e.Layer.Path, blocks: map[int64]block{},
				whole: e.Layer.Encoding == artifacttypes.EncodingRaw && e.Size <= limits.ViewWholeBytes,
			}
		}
	}
	return p
}

// files returns files like those, which remember what is read of them.
func (p *scanProof) files(files []modelfile.File) []modelfile.File {
	out := slices.Clone(files)
	for i := range out {
		e, ok := p.view.entry(out[i].Path)
		if !ok {
			continue
		}
		open, size := out[i].Open, out[i].Size
		out[i].Open = func() (modelfile.ReaderAtCloser, error) {
			r, err := open()
			if err != nil {
				return nil, err
			}
			return &provenReader{ReaderAtCloser: r, proof: p, layer: p.layers[e.Layer.Descriptor.Digest.String()], base: e.offset, size: size}, nil
		}
	}
	return out
}

// provenReader reads whole blocks, and remembers them.
type provenReader struct {
	modelfile.ReaderAtCloser
	proof *scanProof
	layer *provenLayer
	base  int64 // where the file begins in the layer
	size  int64

	mu    sync.Mutex
	at    int64
	bytes []byte // the block at at
}

// ReadAt implements io.ReaderAt.
func (r *provenReader) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if off < 0 {
		return 0, fmt.Errorf("read at %d", off)
	}
	n := 0
	for n < len(p) {
		if off >= r.size {
			return n, io.EOF
		}
		if err := r.block(off - off%proofBlock); err != nil {
			return n, err
		}
		k := copy(p[n:], r.bytes[off-r.at:])
		n += k
		off += int64(k)
	}
	return n, nil
}

// block reads the block at off. A registry that answers twice with different bytes
// is found out here, or when the layer is read.
func (r *provenReader) block(off int64) error {
	if r.bytes != nil && r.at == off {
		return nil
	}
	b := r.bytes
	if b == nil {
		b = make([]byte, proofBlock)
	}
	b = b[:min(proofBlock, r.size-off)]
	r.bytes = nil
	if n, err := r.ReaderAtCloser.ReadAt(b, off); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	r.at, r.bytes = off, b
	return r.proof.remember(r.layer, r.base+off, b)
}

func (p *scanProof) remember(l *provenLayer, off int64, b []byte) error {
	now := block{len(b), sha256.Sum256(b)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, ok := l.blocks[off]; ok && before != now {
		return differs(l.path, l.descriptor)
	}
	l.blocks[off] = now
	return nil
}

// check fetches every layer of which something was read, compares it with its digest,
// and what was read with it.
func (p *scanProof) check(ctx context.Context) error {
	for _, l := range p.read() {
		if err := p.checkLayer(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// checkSmall is check for what was read of configurations and records of training:
// it fetches limits.ViewProofBytes of layers at most, the smallest first, and
// returns a warning that names the others.
func (p *scanProof) checkSmall(ctx context.Context) (warnings []string, err error) {
	layers := p.read()
	slices.SortStableFunc(layers, func(a, b *provenLayer) int { return cmp.Compare(a.descriptor.Size, b.descriptor.Size) })
	budget := int64(limits.ViewProofBytes)
	for i, l := range layers {
		if l.whole {
			continue
		}
		if budget -= l.descriptor.Size; budget < 0 {
			text := fmt.Sprintf("%q", l.path)
			if n := len(layers) - i - 1; n > 0 {
				text += fmt.Sprintf(" and of %d larger layers", n)
			}
			return []string{"what the headers of " + text + " say is signed as it was read, in parts, which are compared with no digest: " +
				"push with it instead where the files lie, or make sure of the registry"}, nil
		}
		if err := p.checkLayer(ctx, l); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// read returns the layers of which something was read, by their paths.
func (p *scanProof) read() []*provenLayer {
	layers := make([]*provenLayer, 0, len(p.layers))
	for _, l := range p.layers {
		if len(l.blocks) > 0 {
			layers = append(layers, l)
		}
	}
	slices.SortFunc(layers, func(a, b *provenLayer) int { return cmp.Compare(a.path, b.path) })
	return layers
}

func (p *scanProof) checkLayer(ctx context.Context, l *provenLayer) error {
	rc, err := p.view.location.blobs.Fetch(ctx, l.descriptor)
	if err != nil {
		return fmt.Errorf("%q: %w", l.path, err)
	}
	defer rc.Close()
	whole := integrity.NewReader(rc, l.descriptor, fmt.Sprintf("%q", l.path))
	offsets := make([]int64, 0, len(l.blocks))
	for off := range l.blocks {
		offsets = append(offsets, off)
	}
	slices.Sort(offsets)
	buffer := make([]byte, proofBlock)
	var pos int64
	for _, off := range offsets {
		want := l.blocks[off]
		if _, err := io.CopyBuffer(io.Discard, io.LimitReader(onlyReader{whole}, off-pos), buffer); err != nil {
			return err
		}
		if _, err := io.ReadFull(whole, buffer[:want.size]); err != nil {
			return fmt.Errorf("%q: %w", l.path, err)
		}
		if sha256.Sum256(buffer[:want.size]) != want.sum {
			return differs(l.path, l.descriptor)
		}
		pos = off + int64(want.size)
	}
	if _, err := io.CopyBuffer(io.Discard, onlyReader{whole}, buffer); err != nil {
		return err
	}
	p.view.meter.n.Add(l.descriptor.Size)
	return nil
}

// onlyReader hides other methods, so that the buffer given is used.
type onlyReader struct{ io.Reader }
