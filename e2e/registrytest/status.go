package registrytest

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// MoveTag answers the first request for a tag truthfully and all later ones
// with the manifest other.
func (f *Front) MoveTag(repo, tag string, other digest.Digest) {
	match := Match{Method: "GET|HEAD", Kind: "manifests", Repo: repo, Rest: tag}
	f.Add(&Rule{Match: match, Skip: 1, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		moved := r.Clone(r.Context())
		moved.URL.Path = "/v2/" + repo + "/manifests/" + other.String()
		next.ServeHTTP(w, moved)
	}})
}

// Status answers requests of a method whose path matches with a status, the
// first times times (0: always), and with a Retry-After header when it is not
// empty. "date+2s" stands for the date in two seconds.
func (f *Front) Status(method string, path *regexp.Regexp, status, times int, retryAfter string) {
	f.Add(&Rule{Match: Match{Method: method, Path: path, Hop: -1}, Times: times, Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if after := retryAfterHeader(retryAfter); after != "" {
			w.Header().Set("Retry-After", after)
		}
		refuse(w, status, "UNKNOWN", "fault "+strconv.Itoa(status))
	}})
}

func retryAfterHeader(text string) string {
	in, isDate := strings.CutPrefix(text, "date+")
	if !isDate {
		return text
	}
	wait, err := time.ParseDuration(in)
	if err != nil {
		return text
	}
	return time.Now().Add(wait).UTC().Format(http.TimeFormat)
}
