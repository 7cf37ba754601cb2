package transfer

import (
	"context"
	"fmt"
	"time"
)

// Time limits of a transfer (registries.md §1.5). There is none for a whole
// blob: only for standing still, and for what a registry does at the end.
const (
	defaultStall = 60 * time.Second
	// A registry may read the whole blob again before it answers (zot), or copy
	// it within its storage (distribution on S3).
	answerBase      = 60 * time.Second
	answerBytesPerS = 20_000_000
)

// answerBudget is how long a registry may take to answer once it has all of a
// blob of size bytes, or to begin sending one that it may have to get first.
func answerBudget(size int64) time.Duration {
	return answerBase + time.Duration(float64(size)/answerBytesPerS*float64(time.Second))
}

// temporaryError is a failure that is tried again like a timeout.
type temporaryError struct{ text string }

func (e *temporaryError) Error() string   { return e.text }
func (e *temporaryError) Timeout() bool   { return true }
func (e *temporaryError) Temporary() bool { return true }

// guardUpload cancels an upload when moved stands still for stall, and when
// there is no answer within the budget after all size bytes have moved. tick is
// called with what moved returned, now and then. stop ends the watch and
// returns when it has ended.
func guardUpload(ctx context.Context, size int64, stall time.Duration, moved func() int64, tick func(int64)) (guarded context.Context, stop func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		every := time.NewTicker(min(stall/4, 250*time.Millisecond))
		defer every.Stop()
		last, since := int64(-1), time.Now()
		for {
			select {
			case <-done:
				return
			case <-every.C:
			}
			n := moved()
			tick(n)
			limit, what := stall, "nothing was sent"
			if n >= size {
				limit, what = answerBudget(size), "the registry did not answer"
			}
			if n != last {
				last, since = n, time.Now()
			} else if time.Since(since) > limit {
				cancel(&temporaryError{fmt.Sprintf("%s for %v", what, limit)})
				return
			}
		}
	}()
	return guarded, func() {
		close(done)
		<-ended
		cancel(nil)
	}
}
