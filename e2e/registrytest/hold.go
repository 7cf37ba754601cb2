package registrytest

import (
	"net/http"
	"regexp"
	"sync"
)

// HoldAt holds the nth request of a method whose path matches, and all that follow
// it, until [Front.Continue] cuts them: none of them is done. The channel is closed
// when it has come.
func (f *Front) HoldAt(method string, path *regexp.Regexp, n int) <-chan struct{} {
	reached := make(chan struct{})
	var once sync.Once
	f.Add(&Rule{Match: Match{Method: method, Path: path}, Skip: n - 1, Fault: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		once.Do(func() { close(reached) })
		f.wait(r)
		panic(http.ErrAbortHandler)
	}})
	return reached
}
