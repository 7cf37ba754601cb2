package trust

import "time"

// State is what a window of validity says about a time.
type State string

// States. What is expired makes no new signatures and is still good for those
// that were made in its window.
const (
	StateValid   State = "valid"
	StateNotYet  State = "not-yet"
	StateExpired State = "expired"
)

// Window is a time from Start to End, both included. A zero bound is none.
type Window struct {
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
}

// At returns the state at a time.
func (w Window) At(t time.Time) State {
	switch {
	case !w.End.IsZero() && t.After(w.End):
		return StateExpired
	case !w.Start.IsZero() && t.Before(w.Start):
		return StateNotYet
	}
	return StateValid
}

// within returns the time that is in both windows; it may be empty, and is
// expired or not yet valid at every time then.
func (w Window) within(o Window) Window {
	if o.Start.After(w.Start) {
		w.Start = o.Start
	}
	if !o.End.IsZero() && (w.End.IsZero() || o.End.Before(w.End)) {
		w.End = o.End
	}
	return w
}

// together is the state of things of which one that is valid is enough.
func together(states []State) State {
	all := StateExpired
	for _, s := range states {
		switch s {
		case StateValid:
			return StateValid
		case StateNotYet:
			all = StateNotYet
		case StateExpired:
		}
	}
	return all
}

// MaxClockSkew is how far in the future a time of fetching may lie: the clocks of
// two machines differ.
const MaxClockSkew = time.Hour

// age returns how long ago something was fetched; it reports false when nobody
// noted when, or the time lies in the future.
func age(fetched, now time.Time) (time.Duration, bool) {
	d := now.Sub(fetched)
	if fetched.IsZero() || d < -MaxClockSkew {
		return 0, false
	}
	return max(d, 0), true
}
