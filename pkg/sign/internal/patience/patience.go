// Package patience ends the wait for clients that take no context.
package patience

import "context"

// Within returns when do does or when ctx is done: not all clients take a context.
// What they began ends with their own timeouts.
func Within[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}
