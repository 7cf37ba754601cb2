package registrytest

import (
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
)

// Cut ends the connection after n bytes of an answer with the content d, the
// first times times (0: always).
func (f *Front) Cut(d digest.Digest, n int64, times int) {
	f.Add(&Rule{Match: content(d), Times: times, Fault: cutAfter(n, nil)})
}

// Stall holds an answer with the content d after n bytes, the first times
// times, until the client goes away.
func (f *Front) Stall(d digest.Digest, n int64, times int) {
	f.Add(&Rule{Match: content(d), Times: times, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cutAfter(n, func() { f.wait(r) })(w, r, next)
	}})
}

// wait returns when the client of a request goes away, or all held requests are
// to be cut.
func (f *Front) wait(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-f.released():
	}
}

// cutAfter ends the connection after n bytes of an answer; before it does, it
// calls hold.
func cutAfter(n int64, hold func()) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&cutWriter{ResponseWriter: w, left: n, hold: hold}, r)
	}
}

type cutWriter struct {
	http.ResponseWriter
	left int64
	hold func()
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= w.left {
		w.left -= int64(len(p))
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	if w.hold != nil {
		w.hold()
	}
	panic(http.ErrAbortHandler)
}

// After says what is left of an upload session whose connection was cut.
type After string

// What may be left of it.
const (
	// Kept: the registry keeps what came, as distribution v3 does.
	Kept After = "kept"
	// Gone: the session is gone, as with docker-registry 2.8 and zot.
	Gone After = "gone"
)

// CutUpload ends the connection after n bytes of the body of a blob upload, the
// first times times (0: always).
func (f *Front) CutUpload(n int64, times int, after After) {
	lost := newSessions()
	cut := &Rule{Times: times, Match: Match{
		Method: "PATCH|PUT", Kind: "uploads",
		When: func(r *http.Request) bool { return r.ContentLength > n || r.ContentLength < 0 },
	}, Fault: func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		short := r.Clone(r.Context())
		short.Body = &shortBody{ReadCloser: r.Body, left: n}
		discard(short, next)
		if after == Gone {
			lost.set(r.URL.Path, 1)
		}
		panic(http.ErrAbortHandler)
	}}
	f.Add(cut, &Rule{Match: Match{Kind: "uploads", When: func(r *http.Request) bool { return lost.get(r.URL.Path) == 1 }}, Fault: unknownSession})
}

// shortBody ends with an error, as a body does whose client is gone.
type shortBody struct {
	io.ReadCloser
	left int64
}

func (b *shortBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// watchedBody remembers that reading failed.
type watchedBody struct {
	io.ReadCloser
	failed bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.failed = true
	}
	return n, err
}
