package sign

import "time"

// WithoutWaiting returns o with no time between attempts.
func (o ServiceOptions) WithoutWaiting() ServiceOptions {
	o.backoff = func(int) time.Duration { return 0 }
	return o
}
