package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"time"
	"unicode"
)

// EventVersion is the version of the events that docs/scripting.md describes. It
// changes when a field changes its meaning or goes away, not when one is added.
const EventVersion = 1

// Event is one line on standard error with --output json. docs/scripting.md
// says which event has which fields.
type Event struct {
	Version int    `json:"v"`
	Time    string `json:"time"` // RFC 3339, UTC, milliseconds
	Event   string `json:"event"`

	Name       string        `json:"name,omitempty"`
	Files      *int          `json:"files,omitempty"`
	FilesTotal *int          `json:"filesTotal,omitempty"`
	Bytes      *int64        `json:"bytes,omitempty"`
	BytesTotal *int64        `json:"bytesTotal,omitempty"`
	Moved      *int64        `json:"moved,omitempty"`
	Reused     *int64        `json:"reused,omitempty"`
	Rate       *int64        `json:"rate,omitempty"`    // bytes a second
	ETA        *int64        `json:"eta,omitempty"`     // seconds
	Seconds    *float64      `json:"seconds,omitempty"` // that were, or are waited
	Active     []ActiveEvent `json:"active,omitempty"`
	Outcome    string        `json:"outcome,omitempty"` // of finish and summary
	Message    string        `json:"message,omitempty"`
	ExitCode   *int          `json:"exitCode,omitempty"`
	Next       []string      `json:"next,omitempty"`
}

// ActiveEvent is one file in an event of progress.
type ActiveEvent struct {
	Name       string `json:"name"`
	Bytes      int64  `json:"bytes"`
	BytesTotal int64  `json:"bytesTotal"`
	Rate       int64  `json:"rate"`
}

// Events that others than Progress write.
const (
	EventWarning = "warning"
	EventError   = "error"
)

// Outcomes of finish and summary.
const (
	outcomeMoved    = "moved"
	outcomeReused   = "reused"
	outcomeComplete = "complete"
	outcomeStopped  = "stopped"
)

const (
	eventEvery = time.Second      // how often there is an event of progress, or of waiting
	eventIdle  = 10 * time.Second // the same while nothing moves
	mostActive = 16               // files in one event of progress
)

// WriteEvent writes e as one line, in one write.
func WriteEvent(w io.Writer, now time.Time, e Event) error {
	e.Version, e.Time = EventVersion, now.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return err
	}
	_, err := w.Write(Visible(buf.Bytes()))
	return err
}

// Visible escapes in a JSON text what that may hold as it is and a terminal would
// obey, such as U+009B: results and the logs of builds are looked at in one. Outside
// of strings JSON has no such characters, so that the value stays the same.
func Visible(text []byte) []byte {
	if bytes.IndexFunc(text, hidden) < 0 {
		return text
	}
	var out bytes.Buffer
	for _, r := range string(text) {
		switch {
		case !hidden(r):
			out.WriteRune(r)
		case r == '\r': // white space: in a string it is written as an escape
		case r > math.MaxUint16:
			// As UTF-16, RFC 8259 section 7.
			r -= 1 << 16
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}

// hidden reports characters that are none to see, but for those between the values
// of JSON.
func hidden(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }

// events tells machines.
type events struct {
	w     io.Writer
	state *state

	mu        sync.Mutex
	planFiles int
	planBytes int64
	planSaid  bool
	last      time.Time // of the last progress
	lastSeen  snapshot
	lastWait  time.Time
}

// write is called with mu held, so that lines do not mix.
func (e *events) write(v Event) { _ = WriteEvent(e.w, e.state.now(), v) } // an error has nowhere to go

func (e *events) begin() {}

// planned says the plan once at once, since what starts follows it, and later
// with the next tick: it may be made of thousands of steps.
func (e *events) planned() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.planSaid {
		s := e.state.snapshot()
		e.sayPlan(&s)
	}
}

func (e *events) sayPlan(s *snapshot) {
	if !s.planned || e.planSaid && e.planFiles == s.plannedF && e.planBytes == s.plannedB {
		return
	}
	e.planSaid, e.planFiles, e.planBytes = true, s.plannedF, s.plannedB
	e.write(Event{Event: "plan", FilesTotal: &s.plannedF, BytesTotal: &s.plannedB})
}

func (e *events) started(it item) {
	if it.size >= ownFrom {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.write(Event{Event: "start", Name: it.name, BytesTotal: &it.size})
	}
}

func (e *events) reused(it item, n int64) {
	if it.size >= ownFrom {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.write(Event{Event: "reuse", Name: it.name, Bytes: &n, BytesTotal: &it.size})
	}
}

func (e *events) finished(it item, reused bool) {
	if it.size < ownFrom {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	outcome, old := outcomeMoved, it.old()
	if reused {
		outcome = outcomeReused
	}
	e.write(Event{Event: "finish", Name: it.name, Outcome: outcome, BytesTotal: &it.size, Reused: &old})
}

func (e *events) waiting(w wait) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.state.now()
	if !e.lastWait.IsZero() && now.Sub(e.lastWait) < eventEvery {
		return
	}
	e.lastWait = now
	seconds := millis(w.until.Sub(now))
	e.write(Event{Event: "wait", Name: w.name, Seconds: &seconds, Message: w.reason})
}

func (e *events) tick() {
	s := e.state.snapshot()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sayPlan(&s)
	since := s.at.Sub(e.last)
	same := s.bytes == e.lastSeen.bytes && s.files == e.lastSeen.files
	// A tick that comes a little early counts.
	if since < eventEvery-tickEvery/4 || same && since < eventIdle {
		return
	}
	e.last, e.lastSeen = s.at, s
	rate := int64(s.rate)
	v := Event{
		Event: "progress", Files: &s.files, FilesTotal: &s.totalFiles,
		Bytes: &s.bytes, BytesTotal: &s.totalBytes, Reused: &s.reused, Rate: &rate,
	}
	if d, ok := s.left(); ok {
		seconds := int64(d.Seconds())
		v.ETA = &seconds
	}
	for _, r := range s.active {
		if r.done() < r.size && len(v.Active) < mostActive {
			v.Active = append(v.Active, ActiveEvent{Name: r.name, Bytes: r.done(), BytesTotal: r.size, Rate: int64(r.rate)})
		}
	}
	e.write(v)
}

func (e *events) close(complete bool) {
	s := e.state.snapshot()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sayPlan(&s)
	v := Event{Event: "summary", Outcome: outcomeComplete}
	if !complete {
		v.Outcome = outcomeStopped
	}
	moved, seconds, rate := s.bytes-s.reused, millis(s.elapsed), int64(s.average())
	v.Files, v.FilesTotal, v.Bytes, v.BytesTotal = &s.files, &s.totalFiles, &s.bytes, &s.totalBytes
	v.Moved, v.Reused, v.Seconds, v.Rate = &moved, &s.reused, &seconds, &rate
	e.write(v)
}

func millis(d time.Duration) float64 { return math.Round(max(d, 0).Seconds()*1000) / 1000 }
