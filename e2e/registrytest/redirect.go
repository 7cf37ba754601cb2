package registrytest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// urlLife is how long the addresses are good for that the registry redirects
// to: 20 minutes, as distribution signs them.
const urlLife = 20 * time.Minute

// Redirect sends GET requests of the content d to another server, with an
// address that expires. When expireAfter is not 0, the clock moves beyond the
// life of all addresses each time that many bytes were given out, times times,
// and the connection is cut: who comes again with the old address gets 403. The
// other server refuses requests that have credentials, and counts them as
// leaked-credentials.
func (f *Front) Redirect(d digest.Digest, expireAfter int64, times int) {
	other := f.other()
	match := content(d)
	match.Hop, match.Kind = 0, "blobs"
	f.Add(&Rule{Match: match, Fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		expires := strconv.FormatInt(f.Now().Add(urlLife).UnixNano(), 10)
		w.Header().Set("Location", other+"/signed"+r.URL.Path+"?"+url.Values{"expires": {expires}}.Encode())
		w.WriteHeader(http.StatusTemporaryRedirect)
	}})
	if expireAfter == 0 {
		return
	}
	budget := &expiry{front: f, every: expireAfter, left: expireAfter, times: times}
	match.Hop = 1
	f.Add(&Rule{Match: match, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&expiringWriter{ResponseWriter: w, budget: budget}, r)
	}})
}

// expiry lets addresses expire when a number of bytes were given out.
type expiry struct {
	front *Front
	every int64

	mu    sync.Mutex
	left  int64
	times int
}

// take returns how many of n bytes may be given out before the addresses expire.
func (e *expiry) take(n int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.times == 0 {
		return n
	}
	if n <= e.left {
		e.left -= n
		return n
	}
	k := e.left
	e.left = e.every
	e.times--
	e.front.Advance(urlLife + time.Second)
	return k
}

type expiringWriter struct {
	http.ResponseWriter
	budget *expiry
}

func (w *expiringWriter) Write(p []byte) (int, error) {
	k := w.budget.take(int64(len(p)))
	n, err := w.ResponseWriter.Write(p[:k])
	if k < int64(len(p)) {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// other starts the server that the registry redirects to, once, and returns its
// address.
func (f *Front) other() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.elsewhere == nil {
		f.elsewhere = httptest.NewUnstartedServer(http.HandlerFunc(f.serveElsewhere))
		f.elsewhere.Listener = slowListener{Listener: f.elsewhere.Listener, front: f}
		f.elsewhere.Start()
	}
	return f.elsewhere.URL
}

// serveElsewhere answers at the other server: signed addresses of blobs, and
// upload sessions whose Location is here.
func (f *Front) serveElsewhere(w http.ResponseWriter, r *http.Request) {
	own := r.Clone(r.Context())
	signed := strings.HasPrefix(r.URL.Path, "/signed/")
	own.URL.Path = strings.TrimPrefix(r.URL.Path, "/signed")
	own.URL.RawPath, own.RequestURI = "", own.URL.RequestURI()
	at := parseRoute(own)
	at.hop = 1
	if expires, _ := strconv.ParseInt(r.URL.Query().Get("expires"), 10, 64); signed && f.Now().UnixNano() > expires {
		f.serveWith(w, own, at, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>`)
		})
		return
	}
	f.serve(w, own, at)
}

// closeElsewhere stops the other server, when there is one.
func (f *Front) closeElsewhere() {
	f.mu.Lock()
	s := f.elsewhere
	f.elsewhere = nil
	f.mu.Unlock()
	if s != nil {
		s.CloseClientConnections()
		s.Close()
	}
}
