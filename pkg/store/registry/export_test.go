package registry

import (
	"context"
	"time"

	"github.com/modseal/modseal/pkg/store"
)

// CollectNow does what Run does now and then, and takes what is young, too.
func (r *Registry) CollectNow(ctx context.Context) {
	r.mu.Lock()
	r.closeIdle(time.Now().Add(time.Hour), 0)
	r.mu.Unlock()
	r.collect(ctx, store.CollectOptions{Grace: -1})
}

// Held counts the layouts that are open, and those that are to be collected.
func (r *Registry) Held() (open, written int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open), len(r.written)
}

// MaxOpen is how many layouts stay open.
const MaxOpen = maxOpen
