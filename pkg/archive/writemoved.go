package archive

import (
	"context"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/filerow"
	"github.com/modseal/modseal/pkg/partial"
)

// rearrange makes use of what an earlier call left for another archive of this
// name: a tag that moved meanwhile, or one more signature, moves all that lies
// behind it, and changes nothing else. What cannot be used is left to open, which
// starts over.
func (w *writer) rearrange(ctx context.Context, now []partial.Part) error {
	name, key := w.base+unfinished, w.plan.tape.key(w.o.PartSize)
	if !w.has(w.base+journalName) || partial.CanTakeUp(w.root, name, now, key) {
		return nil
	}
	row := &filerow.Row{}
	defer row.Close()
	was := w.formerParts(row)
	if len(was) == 0 {
		return nil
	}
	// Its headers are all there, or its layout is not what the journal is about.
	old, err := planCopy(ctx, row)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return nil
	}
	w.changed, err = partial.Rearrange(ctx, w.root, name, was, now, old.tape.key(w.o.PartSize), key, moves(old, w.plan))
	return err
}

// formerParts opens what an earlier call left, when its parts were of the same
// size.
func (w *writer) formerParts(row *filerow.Row) []partial.Part {
	var parts []partial.Part
	for i := 0; ; i++ {
		name := w.base
		if w.o.PartSize > 0 {
			name = PartName(w.base, i)
		}
		info, err := w.root.Lstat(name + unfinished)
		if err != nil || !info.Mode().IsRegular() {
			return parts
		}
		f, err := w.root.OpenFile(name+unfinished, os.O_RDONLY, 0)
		if err != nil {
			return nil
		}
		row.Add(f, info.Size())
		parts = append(parts, partial.Part{Name: name + unfinished, Size: info.Size()})
		if w.o.PartSize == 0 || info.Size() < w.o.PartSize {
			return parts
		}
		if info.Size() > w.o.PartSize {
			return nil
		}
	}
}

// moves returns the blobs that two plans have, in their order.
func moves(was, now *Plan) []partial.Move {
	at := map[digest.Digest]placed{}
	for _, b := range was.tape.blobs {
		at[b.Descriptor.Digest] = b
	}
	var list []partial.Move
	for _, b := range now.tape.blobs {
		if old, ok := at[b.Descriptor.Digest]; ok && old.Descriptor.Size == b.Descriptor.Size {
			list = append(list, partial.Move{From: old.at, To: b.at, Size: b.Descriptor.Size})
		}
	}
	return list
}
