// Package progress is how workers tell what they move. They know nothing of
// terminals; who draws knows nothing of transfers.
package progress

import "time"

// Reporter learns what is being moved. It is called from many goroutines at
// once and must return quickly.
//
// For one name, Start comes first and Finish last; what Advance and Reuse were
// told in between adds up to its size, unless Finish says that it was reused.
type Reporter interface {
	// Plan says that that many more things, of so many bytes together, are going
	// to be started: what there will be in all, for a total. It comes before the
	// first of them, as far as it is known.
	Plan(files int, bytes int64)
	// Start says that the size bytes of name begin to move.
	Start(name string, size int64)
	// Advance says that n more bytes of name have moved; a negative n takes
	// back bytes that must be moved again.
	Advance(name string, n int64)
	// Reuse says that n bytes of name need not be moved, since an earlier attempt
	// moved them.
	Reuse(name string, n int64)
	// Finish says that name is whole at its destination. reused means that it
	// was there already and nothing was moved.
	Finish(name string, reused bool)
}

// OrNone returns r, or a Reporter that ignores everything when r is nil.
func OrNone(r Reporter) Reporter {
	if r == nil {
		return none{}
	}
	return r
}

type none struct{}

func (none) Plan(int, int64)       {}
func (none) Start(string, int64)   {}
func (none) Advance(string, int64) {}
func (none) Reuse(string, int64)   {}
func (none) Finish(string, bool)   {}

// A Waiter is a Reporter that also wants to know when nothing moves, and why.
// Workers call [Wait].
type Waiter interface {
	// Wait says that what was asked for name failed with reason and is asked
	// again after d. What follows for the name ends the wait.
	Wait(name string, d time.Duration, reason error)
}

// Wait tells r, when it is a [Waiter], that what was asked for name failed with
// reason and is asked again after d. r may be nil.
func Wait(r Reporter, name string, d time.Duration, reason error) {
	if w, ok := r.(Waiter); ok {
		w.Wait(name, d, reason)
	}
}
