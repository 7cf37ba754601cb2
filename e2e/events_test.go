package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// events FILE EVENT… : every line of the file is an event, and each of these
// kinds is among them. FILE may be stderr.
func eventsIn(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 2, neg, "events FILE EVENT…")
	var seen []string
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var e struct {
			Version int       `json:"v"`
			Time    time.Time `json:"time"`
			Event   string    `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			ts.Fatalf("%q is no event: %v", line, err)
		}
		if e.Version != 1 || e.Time.IsZero() || e.Event == "" || !strings.HasSuffix(line, "\n") {
			ts.Fatalf("%q lacks its version, its time, its name or its end", line)
		}
		seen = append(seen, e.Event)
	}
	for _, want := range args[1:] {
		if !slices.Contains(seen, want) {
			ts.Fatalf("there is no event %q; seen were %q", want, seen)
		}
	}
}
