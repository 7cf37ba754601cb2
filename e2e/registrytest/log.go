package registrytest

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// route is what a request is about.
type route struct {
	repo, kind, rest string // kind: blobs, uploads, manifests, referrers, tags, or ""
	hop              int    // 1 at the server that the registry redirects to
}

var routes = regexp.MustCompile(`^/v2/(.+)/(blobs/uploads|blobs|manifests|referrers|tags)/(.*)$`)

func parseRoute(r *http.Request) route {
	m := routes.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return route{}
	}
	return route{repo: m[1], kind: strings.TrimPrefix(m[2], "blobs/"), rest: m[3]}
}

// Entry is what the log knows of one request.
type Entry struct {
	Method, Path string
	Query        url.Values
	Range        string // its Range, or the Content-Range of what it brought
	Status       int
	Cut          bool  // its connection was ended
	In, Out      int64 // bytes of the bodies
	Length       int64 // of the body of the request, as it says; -1 when it does not
	Credentials  bool  // it had an Authorization header
	Hop          int   // 1 at the server that the registry redirects to

	Session string // the upload it is about: its path

	at route
}

func (e Entry) String() string {
	s := e.Method + " " + e.Path + " " + e.outcome()
	if e.Range != "" {
		s += " range=" + e.Range
	}
	if e.In > 0 {
		s += " up=" + strconv.FormatInt(e.In, 10)
	}
	if e.Out > 0 && e.at.kind == "blobs" {
		s += " down=" + strconv.FormatInt(e.Out, 10)
	}
	if e.Hop > 0 {
		s += fmt.Sprintf(" hop=%d", e.Hop)
	}
	return s
}

func (e Entry) outcome() string {
	if e.Cut {
		return "cut"
	}
	return strconv.Itoa(e.Status)
}

// Entries returns the requests since the last reset in the order in which they
// were answered.
func (f *Front) Entries() []Entry {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Entry(nil), f.log...)
}

// Log returns the requests since the last reset, one line each.
func (f *Front) Log() []string {
	var lines []string
	for _, e := range f.Entries() {
		lines = append(lines, e.String())
	}
	return lines
}

// large is the size from which the body of an upload is the large file of a
// script and not a config or a signature.
const large = 64 << 10

// Sequence tells in one line what happened to the blob d, such as "HEAD 404,
// POST 202, PATCH cut, GET 204, PATCH 202, PUT 201": requests that name it, and
// those of the upload sessions that ended with it or, never ending, were to get 64 KiB
// or more.
func (f *Front) Sequence(d digest.Digest) string {
	entries := f.Entries()
	ends, big := map[string]string{}, map[string]bool{}
	for _, e := range entries {
		if named := e.Query.Get("digest"); named != "" && e.Session != "" {
			ends[e.Session] = named
		}
		if max(e.In, e.Length) >= large {
			big[e.Session] = true
		}
	}
	var steps []string
	for _, e := range entries {
		about := e.at.rest == d.String() || e.Query.Get("mount") == d.String() || e.Query.Get("digest") == d.String()
		if end, ended := ends[e.Session]; e.Session != "" && (end == d.String() || !ended && big[e.Session]) {
			about = true
		}
		if about {
			steps = append(steps, e.Method+" "+e.outcome())
		}
	}
	return strings.Join(steps, ", ")
}

// Count returns a number by its name:
//
//	requests              all requests
//	writes                requests with another method than GET and HEAD
//	sessions              blob upload sessions begun
//	session-gets          questions how far one is
//	mounts                blobs that were mounted
//	blob-uploads          requests that brought bytes of a blob
//	blob-upload-bytes     those bytes
//	blob-heads            HEAD requests of blobs
//	blob-downloads        GET requests of blobs that were answered with bytes
//	blob-ranges           those of them that were answered with a range
//	blob-download-bytes   the bytes of all
//	redirects             requests that were sent elsewhere
//	credentials           requests with an Authorization header
//	leaked-credentials    requests elsewhere that had an Authorization header
//	manifest-gets, manifest-puts, tag-gets (GET or HEAD by tag), referrer-gets
func (f *Front) Count(name string) int64 {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[name]
}

// Reset forgets counts and log.
func (f *Front) Reset() {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.counts)
	f.log = nil
}

// Active is how many requests are being answered.
func (f *Front) Active() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.active
}

// settle waits for requests that are being answered: a client may have its
// answer before the front has counted it. One that a gate holds is not waited
// for.
func (f *Front) settle() {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		active, gated := f.active, len(f.gates) > 0
		f.mu.Unlock()
		if active == 0 || gated {
			return
		}
	}
}

// record adds a request that was answered to the log and to the counts.
func (f *Front) record(e Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active--
	f.log = append(f.log, e)
	f.counts["requests"]++
	if e.Credentials {
		f.counts["credentials"]++
	}
	if e.Hop > 0 && e.Credentials {
		f.counts["leaked-credentials"]++
	}
	if e.Status >= 300 && e.Status < 400 {
		f.counts["redirects"]++
	}
	reading := e.Method == http.MethodGet || e.Method == http.MethodHead
	if !reading {
		f.counts["writes"]++
	}
	switch e.at.kind {
	case "uploads":
		f.recordUpload(e)
	case "blobs":
		f.recordBlob(e)
	case "manifests":
		switch e.Method {
		case http.MethodPut:
			f.counts["manifest-puts"]++
		case http.MethodGet:
			f.counts["manifest-gets"]++
		}
		if reading && !strings.Contains(e.at.rest, ":") {
			f.counts["tag-gets"]++
		}
	case "referrers":
		f.counts["referrer-gets"]++
	}
}

func (f *Front) recordUpload(e Entry) {
	switch {
	case e.Method == http.MethodPost && e.Status == http.StatusCreated && e.Query.Has("mount"):
		f.counts["mounts"]++
	case e.Method == http.MethodPost:
		f.counts["sessions"]++
	case e.Method == http.MethodGet:
		f.counts["session-gets"]++
	}
	if e.In > 0 {
		f.counts["blob-uploads"]++
		f.counts["blob-upload-bytes"] += e.In
	}
}

func (f *Front) recordBlob(e Entry) {
	if e.Method == http.MethodHead {
		f.counts["blob-heads"]++
	}
	if e.Method != http.MethodGet || e.Status >= 300 {
		return
	}
	f.counts["blob-downloads"]++
	f.counts["blob-download-bytes"] += e.Out
	if e.Status == http.StatusPartialContent {
		f.counts["blob-ranges"]++
	}
}
