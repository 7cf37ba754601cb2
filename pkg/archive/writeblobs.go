package archive

import (
	"cmp"
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/partial"
)

// fill brings all blobs, and hashes again those that an earlier call brought. The
// largest come first: what takes longest must not begin last.
func (w *writer) fill(ctx context.Context) error {
	blobs := slices.Clone(w.plan.tape.blobs)
	defer w.reuse(ctx, blobs)()
	slices.SortStableFunc(blobs, func(a, b placed) int { return cmp.Compare(b.Descriptor.Size, a.Descriptor.Size) })
	w.progress.Plan(w.plan.Blobs())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if w.o.PartSize > 0 {
		w.sums = newSums(ctx, w.parts, w.o.PartSize, w.area, w.area.Proven)
		w.sums.look(partial.Span{End: w.area.Size()}) // parts without any blob
	}
	var there, missing []placed
	for _, b := range blobs {
		if w.area.Written(b.span()) {
			there = append(there, b)
		} else {
			missing = append(missing, b)
		}
	}
	// What comes over the network waits for that, and what is there for the
	// processor.
	all, allCtx := errgroup.WithContext(ctx)
	all.Go(func() error { return each(allCtx, there, runtime.GOMAXPROCS(0), w.bring) })
	all.Go(func() error { return each(allCtx, missing, w.o.Concurrency, w.bring) })
	err := all.Wait()
	if err != nil {
		cancel() // nobody needs the sums
	}
	if w.sums != nil {
		// Nobody reads any more when the files are closed.
		list, sumErr := w.sums.wait()
		if err == nil {
			w.list, err = list, sumErr
		}
	}
	return err
}

// each calls fn with the blobs, several at once.
func each(ctx context.Context, blobs []placed, limit int, fn func(context.Context, placed) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for _, b := range blobs {
		if groupCtx.Err() != nil {
			break // not all were begun: one failed, or ctx ended
		}
		group.Go(func() error { return fn(groupCtx, b) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// span is where the blob is in the archive.
func (b placed) span() partial.Span {
	return partial.Span{Start: b.at, End: b.at + b.Descriptor.Size}
}

// bring brings one blob to its place.
func (w *writer) bring(ctx context.Context, b placed) error {
	f, err := w.area.Open(b.Descriptor, b.at, b.Name)
	if err != nil {
		return err
	}
	there := f.Taken() == f.Size()
	w.progress.Start(b.Name, f.Size())
	err = f.Complete(ctx, partial.Way{
		Name: b.Name, Progress: w.progress, Rejected: b.Rejected, Finish: f.Prove,
		Bring: func(ctx context.Context, moved func(int64)) error {
			if len(f.Missing()) == 0 {
				return nil
			}
			there = false
			return b.Bring(ctx, f, moved)
		},
	})
	if err != nil {
		return f.GiveUp(err)
	}
	w.progress.Finish(b.Name, there)
	if w.sums != nil {
		w.sums.look(b.span())
	}
	return nil
}
