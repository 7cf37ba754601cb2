package registrytest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// rewrite answers with what change makes of the registry's answer.
func rewrite(change func(head http.Header, status int, body []byte) []byte) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		body := change(rec.Header(), rec.Code, rec.Body.Bytes())
		answer(w, rec.Header(), rec.Code, body)
	}
}

// answer sends an answer whose length is that of its body.
func answer(w http.ResponseWriter, head http.Header, status int, body []byte) {
	for k, v := range head {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// headWriter changes the head of an answer.
type headWriter struct {
	http.ResponseWriter
	change func(head http.Header, status int) int
	sent   bool
}

func (w *headWriter) WriteHeader(status int) {
	if !w.sent && status >= 200 {
		w.sent = true
		status = w.change(w.Header(), status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *headWriter) Write(p []byte) (int, error) {
	if !w.sent {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *headWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// changeHead changes the status and the head of the registry's answer.
func changeHead(change func(head http.Header, status int) int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&headWriter{ResponseWriter: w, change: change}, r)
	}
}

// FlipByte changes one byte of the content d when it is fetched: the first
// times times that an answer has it (0: always), or, when inRanges is set, only
// in answers that are a range.
func (f *Front) FlipByte(d digest.Digest, offset int64, times int, inRanges bool) {
	match := content(d)
	match.When = func(r *http.Request) bool { return covers(r, offset) && (!inRanges || r.Header.Get("Range") != "") }
	f.Add(&Rule{Match: match, Times: times, Fault: flipAt(offset)})
}

// flipAt changes the byte at an offset of the content.
func flipAt(offset int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		flip := &flipWriter{headWriter: headWriter{ResponseWriter: w}, left: -1}
		flip.change = func(head http.Header, status int) int {
			if status < 300 {
				flip.left = offset - rangeStart(head)
			}
			return status
		}
		next.ServeHTTP(flip, r)
	}
}

type flipWriter struct {
	headWriter
	left int64 // bytes before the one to change; negative: it has passed
}

func (w *flipWriter) Write(p []byte) (int, error) {
	if !w.sent {
		w.WriteHeader(http.StatusOK)
	}
	if w.left >= 0 && w.left < int64(len(p)) {
		p = bytes.Clone(p)
		p[w.left] ^= 1
	}
	n, err := w.ResponseWriter.Write(p)
	w.left -= int64(n)
	return n, err
}

var contentRange = regexp.MustCompile(`^bytes (\d+)-(\d+)/(\d+)$`)

// rangeStart is where the content of an answer begins.
func rangeStart(head http.Header) int64 {
	if m := contentRange.FindStringSubmatch(head.Get("Content-Range")); m != nil {
		n, _ := strconv.ParseInt(m[1], 10, 64)
		return n
	}
	return 0
}

var askedRange = regexp.MustCompile(`^bytes=(\d+)-(\d*)$`)

// asked returns the range that a request wants; all of it, when it names none.
func asked(r *http.Request) (first, last int64) {
	m := askedRange.FindStringSubmatch(r.Header.Get("Range"))
	if m == nil {
		return 0, 1<<63 - 1
	}
	first, _ = strconv.ParseInt(m[1], 10, 64)
	if last, _ = strconv.ParseInt(m[2], 10, 64); m[2] == "" {
		last = 1<<63 - 1
	}
	return first, last
}

// covers reports whether a request wants the byte at an offset.
func covers(r *http.Request, offset int64) bool {
	first, last := asked(r)
	return first <= offset && offset <= last
}

// Resize makes the content d n bytes long whenever it is fetched: what is
// missing is left off, what is too much is zero. The registry seems to store
// it so: ranges beyond the end get 416.
func (f *Front) Resize(d digest.Digest, n int64) {
	f.Add(&Rule{Match: content(d), Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		whole := r.Clone(r.Context())
		whole.Header.Del("Range")
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, whole)
		body := append(rec.Body.Bytes(), make([]byte, n)...)[:n]
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Docker-Content-Digest", d.String())
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}})
}

// Gzip compresses the content d: when the client says that it takes that, or
// always, as no server may.
func (f *Front) Gzip(d digest.Digest, always bool) {
	compress := rewrite(func(head http.Header, status int, body []byte) []byte {
		if status >= 300 {
			return body
		}
		var small bytes.Buffer
		zip := gzip.NewWriter(&small)
		_, _ = zip.Write(body) // to memory
		_ = zip.Close()
		head.Set("Content-Encoding", "gzip")
		return small.Bytes()
	})
	match := content(d)
	match.When = func(r *http.Request) bool {
		return always || strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	}
	f.Add(&Rule{Match: match, Fault: compress})
}

// LieAboutDigest names another digest in the head of answers with the content d.
func (f *Front) LieAboutDigest(d digest.Digest) {
	match := content(d)
	match.Method = "GET|HEAD"
	f.Add(&Rule{Match: match, Fault: changeHead(func(head http.Header, status int) int {
		head.Set("Docker-Content-Digest", digest.FromString("something else").String())
		return status
	})})
}

// discarding takes an answer and forgets it.
type discarding struct{ head http.Header }

func (d *discarding) Header() http.Header       { return d.head }
func (*discarding) Write(p []byte) (int, error) { return len(p), nil }
func (*discarding) WriteHeader(int)             {}

// discard lets the registry do what a request asks for and forgets its answer.
func discard(r *http.Request, next http.Handler) {
	next.ServeHTTP(&discarding{head: http.Header{}}, r)
}

// drain reads what is left of a body.
func drain(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
