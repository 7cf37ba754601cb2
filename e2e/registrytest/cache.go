package registrytest

import (
	"net/http"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// ColdCache makes the registry look like a cache that has not the content d yet:
// HEAD is 404, and GET fetches all of it, slowly (the delay comes before the
// first byte), whatever range was asked for. Once all of it was given out the
// cache is warm.
func (f *Front) ColdCache(d digest.Digest, delay time.Duration) {
	var mu sync.Mutex
	warm := map[string]bool{}
	cold := func(r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		return !warm[r.URL.Path]
	}
	head, get := content(d), content(d)
	head.Method, head.When, get.When = "HEAD", cold, cold
	f.Add(
		&Rule{Match: head, Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "not cached")
		}},
		&Rule{Match: get, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
			rangeFaults[RangeIgnored](w, r, next)
			mu.Lock()
			defer mu.Unlock()
			warm[r.URL.Path] = r.Context().Err() == nil
		}},
	)
}
