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
)

// sessions remembers a number for each upload session, by its path.
type sessions struct {
	mu sync.Mutex
	of map[string]int64
}

func newSessions() *sessions { return &sessions{of: map[string]int64{}} }

func (s *sessions) get(path string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[path]
}

func (s *sessions) set(path string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[path] = n
}

// add adds to the number and returns what it is then.
func (s *sessions) add(path string, n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[path] += n
	return s.of[path]
}

// sessionOf is the path of the upload session that a request is about.
func sessionOf(e Entry, location string) string {
	if e.at.kind != "uploads" {
		return ""
	}
	if e.at.rest != "" {
		return e.Path
	}
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return u.Path
}

// unknownSession answers as if there were no such session.
func unknownSession(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
}

// atSession matches requests to an upload session that exists.
func atSession(method string, when func(r *http.Request) bool) Match {
	return Match{Method: method, Kind: "uploads", Hop: -1, When: func(r *http.Request) bool {
		return parseRoute(r).rest != "" && (when == nil || when(r))
	}}
}

// NoStatus lets nobody ask how far an upload is: 404.
func (f *Front) NoStatus() {
	f.Add(&Rule{Match: atSession("GET", nil), Fault: unknownSession})
}

// EmptyStatus says of an upload without a byte that it has "0-0", as
// distribution does.
func (f *Front) EmptyStatus() {
	f.Add(&Rule{Match: atSession("GET", nil), Fault: changeHead(func(head http.Header, status int) int {
		if _, err := lastByte(head.Get("Range")); err != nil {
			head.Set("Range", "0-0")
		}
		return status
	})})
}

// lastByte reads the end of "0-1023".
func lastByte(text string) (int64, error) {
	_, end, ok := strings.Cut(text, "-")
	if !ok {
		return 0, fmt.Errorf("%q is no range", text)
	}
	n, err := strconv.ParseInt(end, 10, 64)
	if n < 0 {
		err = fmt.Errorf("%q is no range", text)
	}
	return n, err
}

// MovingOffset says of each upload, the first times times that it is asked, that
// it has less than it has: bytes that were on their way land one after the
// other.
func (f *Front) MovingOffset(by int64, times int) {
	asked := newSessions()
	f.Add(&Rule{Match: atSession("GET", nil), Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		late := by * max(0, int64(times)+1-asked.add(r.URL.Path, 1))
		changeHead(func(head http.Header, status int) int {
			if end, err := lastByte(head.Get("Range")); err == nil {
				head.Set("Range", fmt.Sprintf("0-%d", max(0, end-late)))
			}
			return status
		})(w, r, next)
	}})
}

// FreshLocations refuses requests that do not use the newest Location of their
// upload.
func (f *Front) FreshLocations() {
	const parameter = "turn"
	turns := newSessions()
	f.Add(&Rule{Match: Match{Kind: "uploads", Hop: -1}, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		query := r.URL.Query()
		if turn := turns.get(r.URL.Path); turn > 0 && query.Get(parameter) != strconv.FormatInt(turn, 10) {
			refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "this Location is stale")
			return
		}
		query.Del(parameter)
		plain := r.Clone(r.Context())
		plain.URL.RawQuery = query.Encode()
		changeHead(func(head http.Header, status int) int {
			changeLocation(head, status, func(u *url.URL) {
				q := u.Query()
				q.Set(parameter, strconv.FormatInt(turns.add(u.Path, 1), 10))
				u.RawQuery = q.Encode()
			})
			return status
		})(w, plain, next)
	}})
}

// changeLocation changes where an upload goes on.
func changeLocation(head http.Header, status int, change func(u *url.URL)) {
	u, err := url.Parse(head.Get("Location"))
	if err != nil || head.Get("Location") == "" || status != http.StatusAccepted && status != http.StatusNoContent {
		return
	}
	change(u)
	head.Set("Location", u.String())
}

// Locations writes where uploads go on "relative" to the registry, "absolute",
// or on an "other-host", which refuses credentials as that of Redirect does.
func (f *Front) Locations(style string) error {
	var change func(u *url.URL, host string)
	switch style {
	case "relative":
		change = func(u *url.URL, _ string) { u.Scheme, u.Host = "", "" }
	case "absolute":
		change = func(u *url.URL, host string) { u.Scheme, u.Host = "http", host }
	case "other-host":
		other := strings.TrimPrefix(f.other(), "http://")
		change = func(u *url.URL, _ string) { u.Scheme, u.Host = "http", other }
	default:
		return fmt.Errorf("%q is none of relative, absolute, other-host", style)
	}
	f.Add(&Rule{Match: Match{Kind: "uploads", Hop: -1}, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		changeHead(func(head http.Header, status int) int {
			changeLocation(head, status, func(u *url.URL) { change(u, r.Host) })
			return status
		})(w, r, next)
	}})
	return nil
}

// IgnoreContentRange appends chunks in the order in which they come, whatever
// they say, as docker-registry 2.8 does.
func (f *Front) IgnoreContentRange() {
	f.Add(&Rule{Match: atSession("PATCH", nil), Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		plain := r.Clone(r.Context())
		plain.Header.Del("Content-Range")
		next.ServeHTTP(w, plain)
	}})
}

// ChunkMin asks for chunks of at least n bytes (OCI-Chunk-Min-Length), and
// refuses whatever comes after a shorter one.
func (f *Front) ChunkMin(n int64) {
	short := newSessions()
	f.Add(
		&Rule{Match: Match{Method: "POST", Kind: "uploads"}, Fault: changeHead(func(head http.Header, status int) int {
			if status == http.StatusAccepted {
				head.Set("OCI-Chunk-Min-Length", strconv.FormatInt(n, 10))
			}
			return status
		})},
		&Rule{
			Match: atSession("PATCH|PUT", func(r *http.Request) bool { return r.ContentLength != 0 }),
			Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if short.get(r.URL.Path) > 0 {
					refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "the chunk before was shorter than OCI-Chunk-Min-Length")
					return
				}
				if r.ContentLength >= 0 && r.ContentLength < n {
					short.set(r.URL.Path, 1)
				}
				next.ServeHTTP(w, r)
			},
		},
	)
}

// Mount answers requests to mount a blob with a status: 202 begins an upload
// instead.
func (f *Front) Mount(status int) {
	match := Match{Method: "POST", Kind: "uploads", When: func(r *http.Request) bool { return r.URL.Query().Has("mount") }}
	f.Add(&Rule{Match: match, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if status != http.StatusAccepted {
			refuse(w, status, "DENIED", "nothing is mounted here")
			return
		}
		plain := r.Clone(r.Context())
		plain.URL.RawQuery = ""
		next.ServeHTTP(w, plain)
	}})
}

// SlowClose lets the request that ends an upload take that much longer.
func (f *Front) SlowClose(delay time.Duration) {
	f.Add(&Rule{Match: atSession("PUT", nil), Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		answer(w, rec.Header(), rec.Code, rec.Body.Bytes())
	}})
}

// LoseClose ends uploads as asked and says that it failed, the first times
// times (0: always).
func (f *Front) LoseClose(status, times int) {
	f.Add(&Rule{Match: atSession("PUT", nil), Times: times, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		discard(r, next)
		refuse(w, status, "UNKNOWN", "nobody knows what became of it")
	}})
}
