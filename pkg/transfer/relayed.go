package transfer

import (
	"sync"
	"time"

	"github.com/modseal/modseal/pkg/progress"
)

// relayed is a Reporter for blobs that move twice, to the spool and from there
// on: each move counts for half of the blob.
type relayed struct {
	progress.Reporter

	mu    sync.Mutex
	carry map[string]int64 // of the blobs that move twice, what is not told yet
}

func newRelayed(p progress.Reporter) *relayed {
	return &relayed{Reporter: p, carry: map[string]int64{}}
}

// twice says that name moves twice from now on.
func (r *relayed) twice(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.carry[name] = 0
}

// Advance implements progress.Reporter.
func (r *relayed) Advance(name string, n int64) { r.Reporter.Advance(name, r.half(name, n)) }

// Reuse implements progress.Reporter.
func (r *relayed) Reuse(name string, n int64) { r.Reporter.Reuse(name, r.half(name, n)) }

func (r *relayed) half(name string, n int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	carry, ok := r.carry[name]
	if !ok {
		return n
	}
	r.carry[name] = (carry + n) % 2
	return (carry + n) / 2
}

// Wait implements progress.Waiter.
func (r *relayed) Wait(name string, d time.Duration, reason error) {
	progress.Wait(r.Reporter, name, d, reason)
}

// Finish implements progress.Reporter.
func (r *relayed) Finish(name string, reused bool) {
	r.mu.Lock()
	delete(r.carry, name)
	r.mu.Unlock()
	r.Reporter.Finish(name, reused)
}
