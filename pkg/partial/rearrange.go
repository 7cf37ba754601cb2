package partial

import (
	"context"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/filerow"
	"github.com/modseal/modseal/pkg/internal/holes"
)

// Move says that a blob lies elsewhere in an area than it did.
type Move struct{ From, To, Size int64 }

// CanTakeUp reports whether an OpenArea would take up what is there.
func CanTakeUp(root *os.Root, name string, parts []Part, key digest.Digest) bool {
	a := newArea(root, name, parts, key, "")
	if a.takeUp() == nil {
		return false
	}
	_ = a.data.Close()
	return true
}

// Rearrange makes what an earlier process left in an area of the parts was, under
// the key wasKey, into what OpenArea takes up with now and nowKey: moves are the
// blobs that both have, in their order, which is the same in both. Of all others
// nothing is kept. The parts are of one size in both, but for the last one.
//
// It reports false, and has done nothing, when there is nothing to take up. Killed
// meanwhile, it has kept what is in its new place, unless the area becomes smaller.
// The caller holds the lock.
func Rearrange(ctx context.Context, root *os.Root, name string, was, now []Part, wasKey, nowKey digest.Digest, moves []Move) (bool, error) {
	old := newArea(root, name, was, wasKey, name)
	j := old.takeUp()
	if j == nil {
		return false, nil
	}
	_ = old.data.Close()
	a := newArea(root, name, now, nowKey, name)
	a.removeJournal()
	larger := now
	if old.Size() > a.Size() {
		larger = was
	}
	if err := a.stretch(larger); err != nil {
		return true, err
	}
	err := a.moveAll(ctx, j.believed, moves)
	if closeErr := a.data.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = a.shrink(larger)
	}
	return true, err
}

// stretch opens all parts that there were or will be, with the larger of their
// sizes.
func (a *Area) stretch(parts []Part) error {
	a.data = &filerow.Row{}
	for _, p := range parts {
		f, err := a.root.OpenFile(p.Name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		a.data.Add(f, p.Size)
		if err := f.Truncate(p.Size); err != nil {
			return err
		}
	}
	return nil
}

// shrink gives the parts their new sizes, and removes those that are too many.
func (a *Area) shrink(parts []Part) error {
	for i, p := range parts {
		if i >= len(a.parts) {
			if err := a.root.Remove(p.Name); err != nil {
				return err
			}
			continue
		}
		f, err := a.root.OpenFile(p.Name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		err = f.Truncate(a.parts[i].Size)
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moveAll moves what is believed of the blobs. Both orders are the same, so those
// that move to the front cannot meet those that move back: each kind needs only
// not to run over its own.
func (a *Area) moveAll(ctx context.Context, believed spans, moves []Move) error {
	defer a.keeper.end()
	forward := func(m Move) bool { return m.To <= m.From }
	for _, m := range moves {
		if forward(m) {
			if err := a.moveOne(ctx, believed, m, false); err != nil {
				return err
			}
		}
	}
	for _, m := range slices.Backward(moves) {
		if !forward(m) {
			if err := a.moveOne(ctx, believed, m, true); err != nil {
				return err
			}
		}
	}
	return a.keeper.write(a, &journal{Written: a.written})
}

// moveStep is how much is moved at once.
const moveStep = 1 << 20

// moveOne moves what is there of one blob, from behind when backward.
func (a *Area) moveOne(ctx context.Context, believed spans, m Move, backward bool) error {
	var steps []Span
	for _, s := range believed.within(Span{m.From, m.From + m.Size}) {
		for at := s.Start; at < s.End; at += moveStep {
			steps = append(steps, Span{at, min(at+moveStep, s.End)})
		}
	}
	if backward {
		slices.Reverse(steps)
	}
	buf := make([]byte, moveStep)
	for _, s := range steps {
		if m.From != m.To {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if _, err := a.data.ReadAt(buf[:s.Len()], m.From+s.Start); err != nil {
				return err
			}
			if err := holes.WriteAt(a.data, buf[:s.Len()], m.To+s.Start, false); err != nil {
				return err
			}
		}
		if a.note(s.shift(m.To)); a.keeper.dirty >= syncEvery {
			a.keeper.dirty = 0
			if err := a.keeper.write(a, &journal{Written: a.written}); err != nil {
				return err
			}
		}
	}
	return nil
}
