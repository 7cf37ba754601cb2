package modseal_test

import (
	"errors"
	"testing"

	"github.com/modseal/modseal/pkg/modseal"
)

// The outcome of many is that of each, and the first failure in their order is the
// one to branch on.
func TestReportErr(t *testing.T) {
	later, drift := errors.New("later"), &modseal.DriftError{Reference: "b/c:v1", Have: "sha256:1", Want: "sha256:2"}
	r := &modseal.CopyReport{Copies: []modseal.CopyOutcome{{Outcome: modseal.CopyDone}, {Outcome: modseal.CopyFailed, Err: drift}, {Outcome: modseal.CopyFailed, Err: later}}}
	if err := r.Err(); modseal.ClassOf(err) != modseal.ClassDrift {
		t.Error(err)
	}
	if err := (&modseal.CopyReport{Copies: r.Copies[:1]}).Err(); err != nil {
		t.Error(err)
	}
}
