package progress_test

import (
	"errors"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/progress"
)

type patient struct {
	progress.Reporter
	name   string
	d      time.Duration
	reason error
}

func (p *patient) Wait(name string, d time.Duration, reason error) {
	p.name, p.d, p.reason = name, d, reason
}

// Only who wants to know is told, and nobody has to.
func TestWait(t *testing.T) {
	busy := errors.New("busy")
	progress.Wait(nil, "a", time.Second, busy)
	progress.Wait(progress.OrNone(nil), "a", time.Second, busy)
	p := &patient{Reporter: progress.OrNone(nil)}
	progress.Wait(progress.OrNone(p), "a", time.Second, busy)
	if p.name != "a" || p.d != time.Second || !errors.Is(p.reason, busy) {
		t.Errorf("told %q, %v, %v", p.name, p.d, p.reason)
	}
}
