package render

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
)

// halfway is a snapshot with a bit of everything.
func halfway(c *clock) *snapshot {
	s := newState(c.now)
	s.plan(12, 15*gb)
	s.start("shards/model-00001-of-00003.safetensors", 5*gb)
	s.reuse("shards/model-00001-of-00003.safetensors", 5*gb)
	s.finish("shards/model-00001-of-00003.safetensors", true)
	s.start("shards/model-00002-of-00003.safetensors", 5*gb)
	s.start("config.json", 600)
	s.start("whole, not yet in place", 2*mb)
	s.advance("whole, not yet in place", 2*mb)
	c.pass(time.Second)
	s.advance("shards/model-00002-of-00003.safetensors", 2*gb)
	s.start("a moment ago", gb)
	out := s.snapshot()
	return &out
}

func TestBarsByWidth(t *testing.T) {
	tests := []struct {
		width int
		want  string
	}{
		{100, `
…/model-00002-of-00003.safetensors    [========>--------------]  40 %      2.0 of 5.0 GB    2.0 GB/s
total                                 [==========>------------]  46 %     7.0 of 15.0 GB    2.0 GB/s
1 of 12 files, 4s left, reused 5.0 of 15.0 GB
`},
		{80, `
model-00002-of-00003.saf… [=====>---------]  40 %      2.0 of 5.0 GB    2.0 GB/s
total                     [======>--------]  46 %     7.0 of 15.0 GB    2.0 GB/s
1 of 12 files, 4s left, reused 5.0 of 15.0 GB
`},
		{39, `
model-00002-of-00003…  40 %    2.0 GB/s
total                  46 %    2.0 GB/s
1/12 files, 4s left, reused 5.0 GB
`},
		{15, `
model-00…  40 %
total      46 %
1/12 files, 4s…
`},
		{3, ""},
		{0, ""},
	}
	b := newBars(&bytes.Buffer{}, newState(newClock().now))
	for _, tt := range tests {
		rows := b.draw(halfway(newClock()), tt.width, 20)
		for _, r := range rows {
			if w := runewidth.StringWidth(r); w > tt.width {
				t.Errorf("a row of %d in %d columns: %q", w, tt.width, r)
			}
		}
		got := "\n"
		for _, r := range rows {
			got += strings.TrimRight(r, " ") + "\n"
		}
		if diff := cmp.Diff(tt.want, got); tt.want != "" && diff != "" {
			t.Errorf("in %d columns (-want +got):\n%s", tt.width, diff)
		}
	}
}

func TestBarsAreFew(t *testing.T) {
	c := newClock()
	s := newState(c.now)
	for i := range 100 {
		name := fmt.Sprint("large ", i)
		s.start(name, gb)
		s.wait(name, time.Minute, errors.New("busy"))
		s.start(fmt.Sprint("small ", i), 10)
	}
	c.pass(time.Second)
	now := s.snapshot()
	b := newBars(&bytes.Buffer{}, s)
	if n := len(b.draw(&now, 80, 50)); n != mostBars+mostWaits+1 {
		t.Errorf("%d rows for 200 files", n)
	}
	for _, height := range []int{4, 1, 0, -1} {
		rows := b.draw(&now, 80, height)
		if len(rows) != max(height, 1) || !strings.HasPrefix(rows[len(rows)-1], "total") {
			t.Errorf("in %d rows: %q", height, rows)
		}
	}
}

// Rows are written over, what is left of them is erased, and never the screen as
// a whole. Those that a narrower terminal broke are taken away with the others.
func TestFrames(t *testing.T) {
	var out bytes.Buffer
	width := 80
	f := &frames{w: &out, width: func() int { return width }}
	for _, step := range []struct {
		name      string
		width     int
		in, wants string
	}{
		{"the first", 80, "one\ntotal\n", "\rone\x1b[K\ntotal\x1b[K\n\x1b[K"},
		{"the same", 80, "\x1b[2A\x1b[Jone\ntotal\n", "\r\x1b[2Aone\x1b[K\ntotal\x1b[K\n\x1b[K"},
		{
			"more", 80, "\x1b[2A\x1b[Jdone\n" + strings.Repeat("x", 79) + "\n" + strings.Repeat("模", 20) + "\ntotal\n",
			"\r\x1b[2Adone\x1b[K\n" + strings.Repeat("x", 79) + "\x1b[K\n" + strings.Repeat("模", 20) + "\x1b[K\ntotal\x1b[K\n\x1b[K",
		},
		{"narrower, by which 3 rows became 7", 20, "\x1b[3A\x1b[Jtotal\n", "\r\x1b[7Atotal\x1b[K\n" + strings.Repeat("\x1b[K\n", 6) + "\x1b[K\x1b[6A"},
		{"wider", 80, "\x1b[1A\x1b[Jtotal\n", "\r\x1b[1Atotal\x1b[K\n\x1b[K"},
		{"fewer", 80, "\x1b[1A\x1b[J", "\r\x1b[1A\x1b[K\n\x1b[K\x1b[1A"},
		{"none", 80, "", "\r\x1b[K"},
	} {
		out.Reset()
		width = step.width
		if n, err := f.Write([]byte(step.in)); n != len(step.in) || err != nil || out.String() != step.wants {
			t.Errorf("%s: %q, %d, %v; want %q", step.name, &out, n, err, step.wants)
		}
	}
}
