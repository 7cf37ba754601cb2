package verify

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/modseal/modseal/pkg/policy"
)

// clockTolerance is how far the clock of this machine may lag behind those of
// others before its time is not believed.
const clockTolerance = 5 * time.Minute

// observed is a time at which somebody trusted has seen a signature.
type observed struct {
	at     time.Time
	source string // "log URL", "timestamp URL" or "clock"
}

const sourceClock = "clock"

// seen is what logs and timestamp authorities of a trusted root say about a
// bundle.
type seen struct {
	logs        map[string]bool // IDs of the logs that have it
	authorities map[string]bool // URIs of the authorities that have timed it
	times       []observed      // oldest first
	foreignLogs int             // entries of logs that are not in the root
	foreignTSAs int             // timestamps that no authority in the root has made
	elsewhere   []*miss         // entries of known logs that are not about this bundle
}

// oneEntry is a bundle with one of its log entries. sigstore-go verifies all
// entries or none, and does not tell which log it was.
type oneEntry struct {
	verify.SignedEntity
	entry *tlog.Entry
}

func (o oneEntry) TlogEntries() ([]*tlog.Entry, error) { return []*tlog.Entry{o.entry}, nil }

// see verifies the log entries and timestamps of s by material, which has the
// keys of logs and authorities, and that of the signer when it is a key. The
// entries and timestamps of others prove nothing and do no harm.
func see(s *signedStatement, material root.TrustedMaterial) (seen, error) {
	out := seen{logs: map[string]bool{}, authorities: map[string]bool{}}
	stamps, wrong, err := verify.VerifySignedTimestamp(s.entity, material)
	if err != nil {
		return out, err
	}
	out.foreignTSAs = len(wrong)
	for _, stamp := range stamps {
		out.authorities[stamp.URI] = true
		out.times = append(out.times, observed{stamp.Time, "timestamp " + stamp.URI})
	}
	entries, err := s.entity.TlogEntries()
	if err != nil {
		return out, err
	}
	var timeless []*tlog.Entry
	for _, entry := range entries {
		log, known := material.RekorLogs()[hex.EncodeToString([]byte(entry.LogKeyID()))]
		if !known {
			out.foreignLogs++
			continue
		}
		if at := entry.IntegratedTime(); s.leaf != nil && !at.IsZero() && !validAt(s.leaf.NotBefore, s.leaf.NotAfter, at) {
			out.elsewhere = append(out.elsewhere, missf(causeExpired,
				"its log entry is of %s, and its certificate is valid from %s to %s", stamp(at), stamp(s.leaf.NotBefore), stamp(s.leaf.NotAfter)))
			continue
		}
		times, err := verify.VerifyTlogEntry(oneEntry{s.entity, entry}, material, 1, true)
		if err == nil {
			err = checkForm(entry)
		}
		if err != nil {
			out.elsewhere = append(out.elsewhere, missf(causeOtherEntry,
				"its log entry is not about this signature, or not by the log that it names (%s)", errorText(err)))
			continue
		}
		if len(times) == 0 {
			timeless = append(timeless, entry)
			continue
		}
		out.logs[entry.LogKeyID()] = true
		out.times = append(out.times, observed{times[0].Time, "log " + log.BaseURL})
	}
	slices.SortFunc(out.times, func(a, b observed) int { return a.at.Compare(b.at) })
	out.addTimeless(timeless, material)
	return out, nil
}

// addTimeless counts entries that have no time of their own. sigstore-go does not
// compare them with the time in which the log's key is valid; the other times of
// the bundle say it.
func (o *seen) addTimeless(entries []*tlog.Entry, material root.TrustedMaterial) {
	for _, entry := range entries {
		log := material.RekorLogs()[hex.EncodeToString([]byte(entry.LogKeyID()))]
		outside := slices.ContainsFunc(o.times, func(t observed) bool {
			return !validAt(log.ValidityPeriodStart, log.ValidityPeriodEnd, t.at)
		})
		if outside {
			o.elsewhere = append(o.elsewhere, missf(causeOtherEntry,
				"its log entry is by a key of %s that was not valid when it was signed", log.BaseURL))
			continue
		}
		o.logs[entry.LogKeyID()] = true
	}
}

// enough compares what was seen with what w asks for, and with the least that
// the kind of signer needs. Where a log is asked for, an entry of a known log that
// is about something else refuses, whatever stands beside it.
func (o *seen) enough(w policy.Witness, least policy.Witness) *miss {
	if n := max(w.TransparencyLogs, least.TransparencyLogs); n > 0 && (len(o.logs) < n || len(o.elsewhere) > 0) {
		return o.fewLogs(n)
	}
	if n := w.Timestamps; len(o.authorities) < n {
		return o.fewTimestamps(n)
	}
	if least.Timestamps > 0 && len(o.times) == 0 {
		if o.foreignTSAs > 0 {
			return o.fewTimestamps(1)
		}
		return missf(causeNoTime, "nobody trusted says when it was signed: its log entry has no time, and it has no timestamp")
	}
	return nil
}

func (o *seen) fewLogs(n int) *miss {
	switch {
	case len(o.elsewhere) > 0:
		return o.elsewhere[0]
	case len(o.logs) == 0 && o.foreignLogs > 0:
		return missf(causeOtherLog, "its log entry is of a transparency log that is not in the trusted root")
	case len(o.logs) == 0:
		return missf(causeNoEntry, "it has no entry of a transparency log")
	}
	return missf(causeNoEntry, "it has entries of only %d of the %d transparency logs that are needed", len(o.logs), n)
}

func (o *seen) fewTimestamps(n int) *miss {
	switch {
	case len(o.authorities) > 0:
		return missf(causeNoTime, "it has timestamps of only %d of the %d authorities that are needed", len(o.authorities), n)
	case o.foreignTSAs > 0:
		return missf(causeOtherTSA, "its timestamp is of an authority that is not in the trusted root, or of another signature")
	}
	return missf(causeNoTime, "it has no timestamp")
}

// inTime compares the times of a signature with the window of its signer and the
// age that it may have. Without any time it counts as made now.
func (x *matcher) inTime(times []observed, signer policy.Signer, w policy.Witness) *miss {
	for _, t := range times {
		if !validAt(signer.NotBefore, signer.NotAfter, t.at) {
			return missf(causeWindow, "%s, and %s counts for signatures %s", saidWhen(t), signer.Name, window(signer.NotBefore, signer.NotAfter))
		}
	}
	if w.MaxAge == 0 {
		return nil
	}
	switch t := times[0]; {
	case t.source == sourceClock:
		return missf(causeNoTime, "nobody trusted says when it was signed, and it must not be older than %s", age(w.MaxAge))
	case t.at.After(x.now.Add(clockTolerance)):
		return missf(causeClock, "it was signed at %s, and the clock of this machine says %s", stamp(t.at), stamp(x.now))
	case x.now.Sub(t.at) > w.MaxAge:
		return missf(causeAge, "it was signed at %s, %s ago, and must not be older than %s", stamp(t.at), age(x.now.Sub(t.at)), age(w.MaxAge))
	}
	return nil
}

func saidWhen(t observed) string {
	if t.source == sourceClock {
		return "nobody trusted says when it was signed, so that it counts as signed now"
	}
	return "it was signed at " + stamp(t.at)
}

func window(notBefore, notAfter time.Time) string {
	switch {
	case notBefore.IsZero():
		return "until " + stamp(notAfter)
	case notAfter.IsZero():
		return "from " + stamp(notBefore)
	}
	return fmt.Sprintf("from %s to %s", stamp(notBefore), stamp(notAfter))
}

// validAt reports whether t lies in a window; a zero bound is none.
func validAt(notBefore, notAfter, t time.Time) bool {
	return (notBefore.IsZero() || !t.Before(notBefore)) && (notAfter.IsZero() || !t.After(notAfter))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// age tells a duration in the unit that people think in.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return plural(int(d/day), "day")
	}
	return d.Round(time.Second).String()
}
