package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/progress"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// run lets the seconds pass, each with so many bytes of name moved.
func run(c *clock, p *Progress, name string, seconds int, bytes int64) {
	for range seconds {
		p.Advance(name, bytes)
		c.pass(time.Second)
		p.view.tick()
	}
}

const (
	mb = 1_000_000
	gb = 1_000_000_000
)

func TestPlainLines(t *testing.T) {
	tests := []struct {
		name string
		do   func(c *clock, p *Progress)
		want string
	}{
		{"nothing", func(_ *clock, p *Progress) { p.Close(nil) }, ""},
		{"a small model", func(c *clock, p *Progress) {
			p.Plan(2, 5*mb+100)
			p.Start("config.json", 100)
			p.Start("model.safetensors", 5*mb)
			p.Advance("config.json", 100)
			p.Advance("model.safetensors", 5*mb)
			p.Finish("config.json", false)
			c.pass(2 * time.Second)
			p.Finish("model.safetensors", false)
			p.Close(nil)
		}, `
done    config.json  100 B
done    model.safetensors  5.0 MB
total   2 files; moved 5.0 MB in 2.0s (2.5 MB/s)
`},
		{"a long one, resumed, says how far it is", func(c *clock, p *Progress) {
			p.Plan(2, 15*gb)
			p.Start("b", 5*gb)
			p.Finish("b", true)
			p.Start("a", 10*gb)
			p.Reuse("a", 4*gb)
			run(c, p, "a", 60, 100*mb)
			p.Finish("a", false)
			p.Close(nil)
		}, `
reused  b  5.0 GB
        80 %, 12.0 of 15.0 GB, 1 of 2 files, 100.0 MB/s, 30s left, reused 9.0 of 15.0 GB
        100 %, 15.0 of 15.0 GB, 1 of 2 files, 100.0 MB/s, finishing, reused 9.0 of 15.0 GB
done    a  10.0 GB, 4.0 GB of it reused
total   2 files; moved 6.0 GB in 1m00s (100.0 MB/s); reused 9.0 of 15.0 GB
`},
		{"without a plan nothing is promised", func(c *clock, p *Progress) {
			p.Start("a", 10*gb)
			run(c, p, "a", 30, 100*mb)
			p.Close(context.Canceled)
		}, `
        3.0 GB, 0 files, 100.0 MB/s
stopped after 30s: 0 of 1 file done, 3.0 of 10.0 GB
`},
		{"all of it reused", func(_ *clock, p *Progress) {
			p.Plan(1, 2*gb)
			p.Start("a", 2*gb)
			p.Finish("a", true)
			p.Close(nil)
		}, `
reused  a  2.0 GB
total   1 file, 2.0 GB; all of it reused
`},
		{"all of it kept by an earlier run", func(_ *clock, p *Progress) {
			p.Plan(1, 2*gb)
			p.Start("a", 2*gb)
			p.Reuse("a", 2*gb)
			p.Finish("a", false)
			p.Close(nil)
		}, `
reused  a  2.0 GB
total   1 file, 2.0 GB; all of it reused
`},
		{"waiting, once in a while", func(c *clock, p *Progress) {
			p.Start("a", 2*gb)
			for range 5 {
				progress.Wait(p, "a", 12*time.Second, errors.New("429 Too\x1b[2J Many Requests"))
				c.pass(3 * time.Second)
			}
			p.Close(context.Canceled)
		}, `
waiting 12s  a: 429 Too�[2J Many Requests
waiting 12s  a: 429 Too�[2J Many Requests
stopped after 15s: 0 of 1 file done, 0.0 of 2.0 GB
`},
		{"hostile names", func(_ *clock, p *Progress) {
			p.Start("a\x1b[31m\u009b2J\r\nb\u202e", 1)
			p.Finish("a\x1b[31m\u009b2J\r\nb\u202e", false)
			p.Start("dir/"+strings.Repeat("x", 5000), 1)
			p.Finish("dir/"+strings.Repeat("x", 5000), false)
			p.Close(nil)
		}, `
done    a�[31m�2J��b�  1 B
done    ` + strings.Repeat("x", lineWidth-14) + `…  1 B
total   2 files; moved 2 B in 0.0s
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			c := newClock()
			tt.do(c, newProgress(&out, ProgressOptions{}, c.now))
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), out.String()); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuietSaysNothing(t *testing.T) {
	for _, o := range []ProgressOptions{{Quiet: true}, {Quiet: true, JSON: true}, {Quiet: true, Terminal: true}} {
		var out bytes.Buffer
		p := NewProgress(&out, o)
		p.Plan(1, gb)
		p.Start("a", gb)
		p.Wait("a", time.Second, nil)
		p.Advance("a", 1)
		p.Finish("a", false)
		p.Close(errors.New("broken"))
		if out.Len() > 0 {
			t.Errorf("%+v: %q", o, &out)
		}
	}
}

// Ten thousand small files, and a thousand large ones, are a few lines.
func TestOutputIsBounded(t *testing.T) {
	for _, o := range []ProgressOptions{{}, {JSON: true}} {
		var out bytes.Buffer
		c := newClock()
		p := newProgress(&out, o, c.now)
		for i := range 10_000 {
			name := fmt.Sprint("small ", i)
			p.Plan(1, 10)
			p.Start(name, 10)
			p.Advance(name, 10)
			p.Finish(name, false)
			c.pass(time.Millisecond)
			if i%500 == 0 {
				p.view.tick()
			}
		}
		p.Close(nil)
		if n := strings.Count(out.String(), "\n"); n > 40 {
			t.Errorf("%+v: %d lines for 10,000 small files", o, n)
		}
	}
	var out bytes.Buffer
	p := newProgress(&out, ProgressOptions{}, newClock().now)
	for i := range 1000 {
		name := fmt.Sprint("large ", i)
		p.Start(name, 10*mb)
		p.Finish(name, false)
	}
	p.Close(nil)
	if n := strings.Count(out.String(), "\n"); n != mostOwn+2 {
		t.Errorf("%d lines for 1000 large files", n)
	}
}

// Whatever workers tell, the sums stay sums.
func TestCountsStayInBounds(t *testing.T) {
	tests := []struct {
		name                 string
		do                   func(p *Progress)
		bytes, reused, total int64
		files, totalFiles    int
	}{
		{"unknown names", func(p *Progress) {
			p.Advance("x", 5)
			p.Reuse("x", 5)
			p.Finish("x", true)
		}, 0, 0, 0, 1, 1},
		{"more than the size", func(p *Progress) {
			p.Plan(1, 10)
			p.Start("a", 10)
			p.Advance("a", 25)
			p.Reuse("a", 25)
		}, 10, 10, 10, 0, 1},
		{"taken back", func(p *Progress) {
			p.Start("a", 10)
			p.Advance("a", 8)
			p.Advance("a", -8)
		}, 0, 0, 10, 0, 1},
		{"more taken back than moved", func(p *Progress) {
			p.Start("a", 10)
			p.Reuse("a", 6)
			p.Advance("a", 2)
			p.Advance("a", -4)
		}, 4, 4, 10, 0, 1},
		{"far below zero", func(p *Progress) {
			p.Start("a", 10)
			p.Advance("a", -100)
			p.Advance("a", 3)
		}, 3, 0, 10, 0, 1},
		{"started again after a failure", func(p *Progress) {
			p.Plan(1, 10)
			p.Start("a", 10)
			p.Reuse("a", 2)
			p.Advance("a", 8)
			p.Start("a", 10)
			p.Advance("a", 5)
		}, 5, 0, 10, 0, 1},
		{"finished twice, started twice", func(p *Progress) {
			p.Plan(1, 10)
			for range 2 {
				p.Start("a", 10)
				p.Finish("a", false)
			}
			p.Finish("a", false)
		}, 20, 0, 20, 3, 3},
		{"less planned than started", func(p *Progress) {
			p.Plan(1, 1)
			p.Start("a", 10)
			p.Advance("a", 5)
		}, 5, 0, 10, 0, 1},
		{"finished as reused after some moved", func(p *Progress) {
			p.Start("a", 10)
			p.Advance("a", 7)
			p.Finish("a", true)
		}, 10, 10, 10, 1, 1},
		{"negative sizes", func(p *Progress) {
			p.Plan(-3, -10)
			p.Start("a", -10)
			p.Advance("a", 7)
			p.Finish("a", false)
		}, 0, 0, 0, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			p := newProgress(&bytes.Buffer{}, ProgressOptions{}, c.now)
			tt.do(p)
			c.pass(time.Second)
			s := p.state.snapshot()
			if s.bytes != tt.bytes || s.reused != tt.reused || s.totalBytes != tt.total || s.files != tt.files || s.totalFiles != tt.totalFiles {
				t.Errorf("bytes %d reused %d of %d, files %d of %d; want %d, %d of %d, %d of %d", s.bytes, s.reused, s.totalBytes,
					s.files, s.totalFiles, tt.bytes, tt.reused, tt.total, tt.files, tt.totalFiles)
			}
			if got := percent(s.bytes, s.totalBytes); got < 0 || got > 100 {
				t.Errorf("%d %%", got)
			}
			if d, ok := s.left(); ok && d < 0 {
				t.Errorf("%v left", d)
			}
		})
	}
}

func TestRateAndTimeLeft(t *testing.T) {
	c := newClock()
	p := newProgress(&bytes.Buffer{}, ProgressOptions{}, c.now)
	p.Plan(1, 10*gb)
	p.Start("a", 10*gb)
	p.Reuse("a", 8*gb) // what is reused has no part in the rate
	left := func() string {
		s := p.state.snapshot()
		d, ok := s.left()
		return fmt.Sprintf("%s %v %v", perSecond(s.rate), d, ok)
	}
	if got := left(); got != "0 B/s 0s false" {
		t.Errorf("at first: %s", got)
	}
	run(c, p, "a", 5, 100*mb)
	if got := left(); got != "100.0 MB/s 15s true" {
		t.Errorf("after 5 s: %s", got)
	}
	run(c, p, "a", 15, 10*mb)
	if got := left(); got != "10.0 MB/s 2m15s true" {
		t.Errorf("a slower rate is not seen: %s", got)
	}
	run(c, p, "a", 15, 0)
	if got := left(); got != "0 B/s 0s false" {
		t.Errorf("standing still: %s", got)
	}
	p.Advance("a", -650*mb) // what is sent again is moved, and still to come
	run(c, p, "a", 12, 1)
	if s := p.state.snapshot(); s.bytes != 8*gb+12 {
		t.Errorf("%d bytes", s.bytes)
	}
	if d, ok := (&snapshot{planned: true, totalBytes: 1 << 62, rate: 1}).left(); !ok || d <= 0 || duration(d) != "over 99h" {
		t.Errorf("a very long time is %v, %v", d, ok)
	}
}

func TestConcurrent(t *testing.T) {
	for _, o := range []ProgressOptions{{}, {JSON: true}, {Terminal: true}} {
		var out bytes.Buffer
		p := NewProgress(&out, o)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 200 {
					name := fmt.Sprint("shared ", i%5)
					if i%2 == 0 {
						name = fmt.Sprint("own ", w)
					}
					p.Plan(1, 2*mb)
					p.Start(name, 2*mb)
					p.Advance(name, mb)
					p.Advance(name, -10)
					p.Reuse(name, 10)
					p.Wait(name, time.Millisecond, nil)
					p.Finish(name, i%7 == 0)
				}
			})
		}
		wg.Wait()
		p.Close(nil)
		p.Close(nil)
		end := out.Len()
		p.Start("late", 2*mb)
		p.Finish("late", false)
		if out.Len() != end {
			t.Errorf("%+v: something was written after the end", o)
		}
		if o.JSON {
			decodeEvents(t, out.Bytes())
		}
	}
}

func TestShorten(t *testing.T) {
	tests := []struct {
		name  string
		width int
		want  string
	}{
		{"model.bin", 20, "model.bin"},
		{"a/long/way/to/model.bin", 12, "…/model.bin"},
		{"a/long/way/to/model-00001-of-00030.safetensors", 14, "model-00001-o…"},
		{"模型模型模型", 7, "模型模…"},
		{"dir/", 3, "di…"},
		{"x", 0, ""},
	}
	for _, tt := range tests {
		if got := shorten(tt.name, tt.width); got != tt.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", tt.name, tt.width, got, tt.want)
		}
	}
}
