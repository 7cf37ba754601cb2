package archive

import (
	"context"

	"github.com/modseal/modseal/pkg/partial"
)

// reuse has blobs come from an archive of this name that is there: split otherwise,
// or with other contents, and about to be replaced. What is damaged there comes from
// where it would have come anyway. Nothing is read after close.
func (w *writer) reuse(ctx context.Context, blobs []placed) (end func()) {
	var open []*Archive
	for _, name := range []string{w.base, PartsName(w.base)} {
		if !w.has(name) {
			continue
		}
		a, err := Open(ctx, w.path(name), OpenOptions{})
		if err != nil {
			continue // nothing that could be of use
		}
		open = append(open, a)
		for i, b := range blobs {
			if src, err := a.Blob(b.Descriptor.Digest); err == nil && src.Size() == b.Descriptor.Size {
				blobs[i].InputBlob = w.nearer(src, b.InputBlob)
			}
		}
	}
	return func() {
		for _, a := range open {
			_ = a.Close()
		}
	}
}

// nearer returns b, but with its bytes from src as long as these are right.
func (w *writer) nearer(src *Blob, b InputBlob) InputBlob {
	far, near := b, true
	b.Bring = func(ctx context.Context, to *partial.File, moved func(int64)) error {
		if near {
			err := to.TakeAt(ctx, src, func(n int64) {
				w.reused.Add(n)
				moved(n)
			})
			if err == nil || ctx.Err() != nil {
				return err
			}
			near = false // the rest may still come
		}
		return far.Bring(ctx, to, moved)
	}
	b.Rejected = func() bool {
		if near {
			near = false
			return true
		}
		return far.Rejected != nil && far.Rejected()
	}
	return b
}
