package registrytest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
)

// RangeFault is a way to answer a request for a range wrongly.
type RangeFault string

// The wrong answers to a range that there are.
const (
	// RangeIgnored: 200 and the whole content, as caches answer when cold.
	RangeIgnored RangeFault = "ignored"
	// RangeShifted: the content begins one byte later than its head says.
	RangeShifted RangeFault = "shifted"
	// RangeShort: the second half is missing, and the head says so, which the
	// specification of HTTP allows.
	RangeShort RangeFault = "short"
	// RangeTruncated: the second half is missing, and the head does not say so.
	RangeTruncated RangeFault = "truncated"
	// RangeLong: the body has 1000 bytes more than were asked for.
	RangeLong RangeFault = "long"
	// RangeBare: 206 without Content-Range.
	RangeBare RangeFault = "bare"
	// RangeElsewhere: Content-Range names a start that was not asked for.
	RangeElsewhere RangeFault = "elsewhere"
	// RangeOther: Content-Range names another size of the whole.
	RangeOther RangeFault = "other-size"
	// RangeRefused: 416 for all ranges.
	RangeRefused RangeFault = "refused"
	// RangeUnannounced: all is well, but Accept-Ranges is missing, or says none.
	RangeUnannounced RangeFault = "unannounced"
)

var rangeFaults = map[RangeFault]Fault{
	RangeIgnored: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		whole := r.Clone(r.Context())
		whole.Header.Del("Range")
		next.ServeHTTP(w, whole)
	},
	RangeShifted:   changeRange(func(_ http.Header, body []byte) []byte { return append(body[1:], 0) }),
	RangeTruncated: changeRange(func(_ http.Header, body []byte) []byte { return body[:len(body)/2] }),
	RangeLong:      changeRange(func(_ http.Header, body []byte) []byte { return append(body, make([]byte, 1000)...) }),
	RangeShort: changeRange(func(head http.Header, body []byte) []byte {
		body = body[:(len(body)+1)/2]
		first, _, size := parts(head)
		head.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+int64(len(body))-1, size))
		return body
	}),
	RangeBare: changeRange(func(head http.Header, body []byte) []byte {
		head.Del("Content-Range")
		return body
	}),
	RangeElsewhere: changeRange(func(head http.Header, body []byte) []byte {
		first, last, size := parts(head)
		head.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first+1, last+1, size))
		return body
	}),
	RangeOther: changeRange(func(head http.Header, body []byte) []byte {
		first, last, size := parts(head)
		head.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size+1))
		return body
	}),
	RangeRefused: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "UNKNOWN", "no range is good enough")
	},
	RangeUnannounced: changeHead(func(head http.Header, status int) int {
		head.Del("Accept-Ranges")
		return status
	}),
}

// RangeFaults lists them.
func RangeFaults() []string {
	var names []string
	for name := range rangeFaults {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

// changeRange changes an answer that is a range.
func changeRange(change func(head http.Header, body []byte) []byte) Fault {
	return rewrite(func(head http.Header, status int, body []byte) []byte {
		if status != http.StatusPartialContent || len(body) == 0 {
			return body
		}
		return change(head, body)
	})
}

// parts are the numbers in a Content-Range.
func parts(head http.Header) (first, last, size int64) {
	if m := contentRange.FindStringSubmatch(head.Get("Content-Range")); m != nil {
		first, _ = strconv.ParseInt(m[1], 10, 64)
		last, _ = strconv.ParseInt(m[2], 10, 64)
		size, _ = strconv.ParseInt(m[3], 10, 64)
	}
	return first, last, size
}

// BreakRanges answers requests for ranges of the content d wrongly, the first
// times times (0: always).
func (f *Front) BreakRanges(how RangeFault, d digest.Digest, times int) error {
	fault, known := rangeFaults[how]
	if !known {
		return fmt.Errorf("there is no wrong answer to a range named %q, but %v", how, RangeFaults())
	}
	match := content(d)
	match.Header = "Range"
	if how == RangeUnannounced {
		match.Header = ""
	}
	f.Add(&Rule{Match: match, Times: times, Fault: fault})
	return nil
}
