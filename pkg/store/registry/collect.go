package registry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/store"
)

// collectEvery is how often what nothing refers to is removed.
const collectEvery = 15 * time.Minute

// Run removes, until ctx is done, what nothing refers to in the repositories that were
// written to, as [store.Layout.Collect] does, with its graces: uploads that nobody
// goes on with, what a deleted manifest leaves. A repository that somebody uses is
// left for later.
func (r *Registry) Run(ctx context.Context) {
	if r.readOnly {
		return
	}
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.mu.Lock()
			r.closeIdle(now.Add(-keepOpen), maxOpen)
			r.mu.Unlock()
			r.collect(ctx, store.CollectOptions{})
		}
	}
}

// collect collects the repositories that were written to and that nobody has open.
func (r *Registry) collect(ctx context.Context, o store.CollectOptions) {
	r.mu.Lock()
	names := slices.Sorted(maps.Keys(r.written))
	r.mu.Unlock()
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		if !r.collectOne(ctx, name, o) {
			continue
		}
		r.mu.Lock()
		delete(r.written, name)
		r.mu.Unlock()
	}
}

// collectOne reports whether there is nothing left to collect, so far as it can be
// known. What is in the way, a damaged manifest for instance, is for who asks modseal gc.
func (r *Registry) collectOne(ctx context.Context, name string, o store.CollectOptions) bool {
	r.mu.Lock()
	_, used := r.open[name]
	r.mu.Unlock()
	if used {
		return false
	}
	layout, err := store.OpenWithin(r.root, name)
	if err != nil {
		return errors.Is(err, errdef.ErrNotFound)
	}
	defer layout.Close()
	res, err := layout.Collect(ctx, o)
	return err == nil && res.Young == 0 && !layout.HasUploads()
}
