package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// decodeEvents reads lines of events as a consumer does, and checks each against
// what docs/scripting.md promises.
func decodeEvents(t *testing.T, raw []byte) []map[string]any {
	t.Helper()
	promised := promisedFields(t)
	if len(raw) > 0 && raw[len(raw)-1] != '\n' {
		t.Errorf("the last line has no end: %q", raw)
	}
	var out []map[string]any
	for line := range bytes.Lines(raw) {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, v)
		kind, _ := v["event"].(string)
		fields, ok := promised[kind]
		if !ok {
			t.Errorf("docs/scripting.md does not describe the event %q", kind)
			continue
		}
		for _, f := range []string{"v", "time", "event"} {
			if _, ok := v[f]; !ok {
				t.Errorf("%s lacks %q", line, f)
			}
		}
		for name, always := range fields {
			if _, ok := v[name]; always && !ok {
				t.Errorf("%s lacks %q, which docs/scripting.md promises", line, name)
			}
		}
		for name := range v {
			if _, ok := fields[name]; !ok && !slices.Contains([]string{"v", "time", "event"}, name) {
				t.Errorf("%s has %q, which docs/scripting.md does not describe", line, name)
			}
		}
	}
	return out
}

// promisedFields reads the table of events: the fields of each, and whether they
// are always there (those that are not end in a question mark).
func promisedFields(t *testing.T) map[string]map[string]bool {
	t.Helper()
	raw, err := os.ReadFile("../../../../docs/scripting.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|[^|]*\\|([^|]*)\\|$").FindAllStringSubmatch(string(raw), -1) {
		fields := map[string]bool{}
		for _, f := range regexp.MustCompile("`([A-Za-z]+)(\\??)`").FindAllStringSubmatch(m[2], -1) {
			fields[f[1]] = f[2] == ""
		}
		out[m[1]] = fields
	}
	for _, kind := range []string{"plan", "start", "progress", "reuse", "wait", "finish", "summary", EventWarning, EventError} {
		if len(out[kind]) == 0 {
			t.Fatalf("docs/scripting.md has no row for the event %q", kind)
		}
	}
	return out
}

func TestEvents(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	p := newProgress(&out, ProgressOptions{JSON: true}, c.now)
	p.Plan(1, 500*mb)
	p.Plan(2, 2*mb+10)
	p.Start("a", 500*mb)
	p.Reuse("a", 200*mb)
	p.Start("small", 10)
	p.Advance("small", 10)
	p.Finish("small", false)
	run(c, p, "a", 2, 100*mb)
	p.Wait("a", 1500*time.Millisecond, errors.New("429"))
	p.Advance("a", 100*mb)
	p.Finish("a", false)
	p.Start("b", 2*mb)
	p.Finish("b", true)
	p.Close(nil)
	decodeEvents(t, out.Bytes())
	want := `
{"v":1,"time":"2026-01-02T03:04:05.000Z","event":"plan","filesTotal":1,"bytesTotal":500000000}
{"v":1,"time":"2026-01-02T03:04:05.000Z","event":"start","name":"a","bytesTotal":500000000}
{"v":1,"time":"2026-01-02T03:04:05.000Z","event":"reuse","name":"a","bytes":200000000,"bytesTotal":500000000}
{"v":1,"time":"2026-01-02T03:04:06.000Z","event":"plan","filesTotal":3,"bytesTotal":502000010}
{"v":1,"time":"2026-01-02T03:04:06.000Z","event":"progress","files":1,"filesTotal":3,"bytes":300000010,"bytesTotal":502000010,"reused":200000000,"rate":100000010,"eta":3,"active":[{"name":"a","bytes":300000000,"bytesTotal":500000000,"rate":100000000}]}
{"v":1,"time":"2026-01-02T03:04:07.000Z","event":"progress","files":1,"filesTotal":3,"bytes":400000010,"bytesTotal":502000010,"reused":200000000,"rate":100000005,"eta":2,"active":[{"name":"a","bytes":400000000,"bytesTotal":500000000,"rate":100000000}]}
{"v":1,"time":"2026-01-02T03:04:07.000Z","event":"wait","name":"a","seconds":1.5,"message":"429"}
{"v":1,"time":"2026-01-02T03:04:07.000Z","event":"finish","name":"a","bytesTotal":500000000,"reused":200000000,"outcome":"moved"}
{"v":1,"time":"2026-01-02T03:04:07.000Z","event":"start","name":"b","bytesTotal":2000000}
{"v":1,"time":"2026-01-02T03:04:07.000Z","event":"finish","name":"b","bytesTotal":2000000,"reused":2000000,"outcome":"reused"}
{"v":1,"time":"2026-01-02T03:04:07.000Z","event":"summary","files":3,"filesTotal":3,"bytes":502000010,"bytesTotal":502000010,"moved":300000010,"reused":202000000,"rate":150000005,"seconds":2,"outcome":"complete"}
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Nothing but time passes: then there is a sign of life from time to time.
func TestEventsWhileNothingMoves(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	p := newProgress(&out, ProgressOptions{JSON: true}, c.now)
	p.Start("a", 500*mb)
	run(c, p, "a", 60, 0)
	p.Close(context.Canceled)
	all := decodeEvents(t, out.Bytes())
	if n := len(all); n < 7 || n > 9 {
		t.Errorf("%d events in a minute:\n%s", n, &out)
	}
	if got := all[len(all)-1]["outcome"]; got != outcomeStopped {
		t.Errorf("the summary says %v", got)
	}
}

// A name gets through as it is, and nothing of it drives the terminal in which
// the log is read.
func TestEventsOfHostileNames(t *testing.T) {
	name := "a\x1b[2J\u009b1m\r\n\u202e\u2028<&>\U000e0041" + `"\` + "é"
	var out bytes.Buffer
	p := newProgress(&out, ProgressOptions{JSON: true}, newClock().now)
	p.Start(name, 2*mb)
	p.Close(nil)
	if got := decodeEvents(t, out.Bytes())[0]["name"]; got != name {
		t.Errorf("name is %q, want %q", got, name)
	}
	for _, r := range out.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%U is in %q", r, &out)
		}
	}
}
