package e2e_test

import (
	"regexp"
	"time"

	"github.com/modseal/modseal/e2e/registrytest"
)

// soakFault is a fault with random numbers in it. set says how many bytes it may
// cost beyond the quarter that everything together may.
type soakFault struct {
	name string
	set  func(s *soakRun) (allowed int64)
}

// free is a fault after which nothing needs to be moved twice.
func free(name string, set func(s *soakRun)) soakFault {
	return soakFault{name, func(s *soakRun) int64 { set(s); return 0 }}
}

// somewhere is a byte of a file that is not among the first.
func (s *soakRun) somewhere() int64 { return 1<<16 + s.random.Int64N(s.size/8) }

var (
	atUploads   = regexp.MustCompile(`/blobs/uploads/`)
	atBlobs     = regexp.MustCompile(`/blobs/sha256:`)
	atManifests = regexp.MustCompile(`/manifests/`)
)

// uploadMenu is what may happen to a push.
var uploadMenu = []soakFault{
	free("connections are cut", func(s *soakRun) { s.r.CutUpload(s.somewhere(), 1+s.random.IntN(2), registrytest.Kept) }),
	free("a closing PUT does its work and says 504", func(s *soakRun) { s.r.LoseClose(504, 1) }),
	free("offsets are late", func(s *soakRun) { s.r.MovingOffset(s.random.Int64N(1<<16), 1) }),
	free("an empty upload says 0-0", func(s *soakRun) { s.r.EmptyStatus() }),
	// A process that is killed before it noted the newest answer cannot go on.
	free("only the newest Location is good", func(s *soakRun) { s.r.FreshLocations(); s.keeps = false }),
	free("relative Locations", func(s *soakRun) { _ = s.r.Locations("relative") }),
	free("absolute Locations", func(s *soakRun) { _ = s.r.Locations("absolute") }),
	free("closing is slow", func(s *soakRun) { s.r.SlowClose(50 * time.Millisecond) }),
	free("too many uploads", func(s *soakRun) { s.r.Status("POST", atUploads, 429, 1, "1") }),
	free("overloaded at manifests", func(s *soakRun) { s.r.Status("PUT", atManifests, 503, 1, "") }),
	free("content ranges are ignored", func(s *soakRun) { s.r.IgnoreContentRange() }),
}

// downloadMenu is what may happen to a pull.
var downloadMenu = []soakFault{
	free("connections are cut", func(s *soakRun) { s.r.Cut("", s.somewhere(), 1+s.random.IntN(3)) }),
	free("ranges are shorter than asked for", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeShort, "", 1+s.random.IntN(3)) }),
	costly("ranges are truncated", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeTruncated, "", 1+s.random.IntN(2)) }),
	free("ranges are not announced", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeUnannounced, "", 0) }),
	free("another server", func(s *soakRun) { s.r.Redirect("", 0, 0) }),
	free("another server, and addresses expire", func(s *soakRun) { s.r.Redirect("", s.size/3, 2) }),
	free("another digest in the head", func(s *soakRun) { s.r.LieAboutDigest("") }),
	free("overloaded at blobs", func(s *soakRun) { s.r.Status("GET", atBlobs, 503, 1, "") }),
	free("too many blobs", func(s *soakRun) { s.r.Status("GET", atBlobs, 429, 1, "date+1s") }),
	free("overloaded at manifests", func(s *soakRun) { s.r.Status("GET", atManifests, 502, 1, "") }),
	costly("a byte is flipped", func(s *soakRun) { s.r.FlipByte("", s.somewhere(), 1, false) }),
	costly("a byte is flipped in a range", func(s *soakRun) { s.r.FlipByte("", s.somewhere(), 1, true) }),
	costly("a range has other bytes", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeShifted, "", 1) }),
	costly("a range is longer than asked for", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeLong, "", 1) }),
	costly("ranges without Content-Range", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeBare, "", 2) }),
	costly("ranges from elsewhere", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeElsewhere, "", 2) }),
	costly("no range is good enough", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeRefused, "", 0) }),
	costly("ranges are ignored", func(s *soakRun) { _ = s.r.BreakRanges(registrytest.RangeIgnored, "", 0) }),
}

// costly is a fault that takes proven bytes away, or brings some that nobody
// asked for: up to all of the model once more.
func costly(name string, set func(s *soakRun)) soakFault {
	return soakFault{name, func(s *soakRun) int64 { set(s); return s.size }}
}
