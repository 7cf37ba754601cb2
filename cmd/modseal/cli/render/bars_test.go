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

// Rows that a narrower terminal broke are taken away with the others.
func TestUnwrap(t *testing.T) {
	b := &bars{rows: []string{strings.Repeat("x", 79), strings.Repeat("模", 20), "short"}, width: 80}
	for width, want := range map[int]string{80: "", 100: "", 79: "", 40: "\x1b[1A\x1b[J", 20: "\x1b[4A\x1b[J", 0: ""} {
		if got := b.unwrap(width); got != want {
			t.Errorf("from 80 to %d columns: %q, want %q", width, got, want)
		}
	}
}
