//go:build linux || darwin

package render

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/mattn/go-runewidth"

	"github.com/modseal/modseal/pkg/progress"
)

// screen shows what a terminal does with the little that modseal may send it:
// anything else is an error.
type screen struct {
	width int

	mu       sync.Mutex
	changed  *sync.Cond
	rows     [][]rune
	row, col int
	rest     string
	bad      []string
	echoes   int // of key
	ended    bool
}

var control = regexp.MustCompile(`^\x1b\[(\d*)([AK])`)

// key is what a person types. It is not ^C, at which the kernel drops what it has
// not yet written.
const key = '~'

// secondHalf is what is in the second column of a wide character.
const secondHalf = '\x00'

func watch(r io.Reader, width int) *screen {
	s := &screen{width: width, rows: [][]rune{nil}}
	s.changed = sync.NewCond(&s.mu)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			s.mu.Lock()
			s.show(string(buf[:n]))
			s.ended = err != nil
			s.changed.Broadcast()
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *screen) show(text string) {
	text, s.rest = s.rest+text, ""
	for text != "" {
		if m := control.FindStringSubmatch(text); m != nil {
			if n, _ := strconv.Atoi(m[1]); m[2] == "A" {
				s.row = max(s.row-max(n, 1), 0)
			} else {
				s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
			}
			text = text[len(m[0]):]
			continue
		}
		if text[0] == 0x1b && len(text) < 8 {
			s.rest = text
			return
		}
		if c := text[0]; c >= 0xc0 && len(text) < 4 && !strings.ContainsAny(text[1:], "\r\n") && !complete(text) {
			s.rest = text
			return
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		s.put(r)
	}
}

func complete(text string) bool { return []rune(text)[0] != '\uFFFD' }

func (s *screen) put(r rune) {
	switch {
	case r == '\r':
		s.col = 0
	case r == '\n':
		s.row++
	case r < ' ' || r >= 0x7f && r < 0xa0:
		s.bad = append(s.bad, strconv.QuoteRune(r))
	default:
		if r == key {
			s.echoes++
		}
		if s.col+runewidth.RuneWidth(r) > s.width {
			s.row, s.col = s.row+1, 0
		}
		s.grow()
		line := s.rows[s.row]
		for len(line) <= s.col {
			line = append(line, ' ')
		}
		line[s.col] = r
		s.rows[s.row] = line
		if s.col += runewidth.RuneWidth(r); runewidth.RuneWidth(r) > 1 {
			s.rows[s.row] = append(s.rows[s.row][:s.col-1], secondHalf)
		}
	}
	s.grow()
}

func (s *screen) grow() {
	for len(s.rows) <= s.row {
		s.rows = append(s.rows, nil)
	}
}

func (s *screen) text() string {
	var b strings.Builder
	for _, r := range s.rows {
		b.WriteString(strings.TrimRight(strings.ReplaceAll(string(r), string(secondHalf), ""), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// await waits until the screen looks like that.
func (s *screen) await(t *testing.T, what string, like func(text string) bool) string {
	t.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
		s.changed.Broadcast()
	})
	defer late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !like(s.text()) {
		if s.ended {
			t.Fatalf("%s is not seen:\n%s", what, s.text())
		}
		s.changed.Wait()
	}
	if len(s.bad) > 0 {
		t.Errorf("control characters: %v", s.bad)
	}
	return s.text()
}

// press types the key for the nth time and waits for its echo.
func (s *screen) press(t *testing.T, person io.Writer, n int) {
	t.Helper()
	if _, err := io.WriteString(person, strings.Repeat(string(key), 3)); err != nil {
		t.Fatal(err)
	}
	s.await(t, "the echo", func(string) bool { return s.echoes >= 3*n })
}

func matches(expression string) func(string) bool {
	return regexp.MustCompile(`(?m)\A` + expression + `\z`).MatchString
}

func terminal(t *testing.T, width, height int) (person, tty *os.File, s *screen) {
	t.Helper()
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tty.Close()
		person.Close()
	})
	if err := pty.Setsize(tty, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		t.Fatal(err)
	}
	return person, tty, watch(person, width)
}

func TestOnATerminal(t *testing.T) {
	person, tty, s := terminal(t, 60, 24)
	_, _ = tty.WriteString("$ modseal push\n")
	p := NewProgress(tty, ProgressOptions{Terminal: true})
	p.Plan(3, 15*mb+10)
	p.Start("evil\x1b[2J\u009b2J\r\n/模型.bin", 10*mb)
	p.Start("b.bin", 5*mb)
	p.Start("small", 10)
	p.Advance("small", 10)
	p.Finish("small", false)
	p.Reuse("b.bin", 2*mb)
	p.Advance("b.bin", mb)
	s.await(t, "a row each", matches(`\$ modseal push
done    small  10 B
evil�\[2J�2J��/模型\S* +0 % +0\.0 of 10\.0 MB +0 B/s
b\.bin +60 % +3\.0 of 5\.0 MB +\S+ .?B/s
total +20 % +3\.0 of 15\.0 MB +\S+ .?B/s
1 of 3 files(, \S+ left)?, reused 2\.0 of 15\.0 MB
`))
	// The terminal echoes what is typed, and moves the cursor by that.
	s.press(t, person, 1)
	progress.Wait(p, "b.bin", 40*time.Second, errors.New("429 Too Many Requests"))
	s.await(t, "what is waited for, and no rest of the echo", matches(`\$ modseal push
done    small  10 B
evil.*
b\.bin .*
waiting \d+s  b\.bin: 429 Too Many Requests
total .*
1 of 3 files.*
`))
	p.Advance("b.bin", 2*mb)
	p.Finish("b.bin", false)
	s.press(t, person, 2)
	p.Close(errors.New("interrupted"))
	_, _ = tty.WriteString("$ ")
	s.await(t, "nothing but lines", matches(`\$ modseal push
done    small  10 B
done    b\.bin  5\.0 MB, 2\.0 MB of it reused
stopped after \S+s: 2 of 3 files done, 5\.0 of 15\.0 MB
\$
`))
}

// Ten thousand small files are two rows, whatever the size of the terminal.
func TestManyFilesOnATerminal(t *testing.T) {
	_, tty, s := terminal(t, 40, 5)
	p := NewProgress(tty, ProgressOptions{Terminal: true})
	const n = 10_000
	p.Plan(n, n*100)
	for i := range n {
		name := strconv.Itoa(i)
		p.Start(name, 100)
		p.Advance(name, 100)
		if i < n/2 {
			p.Finish(name, false)
		}
	}
	s.await(t, "half of the files", matches(`(done    .*\n){20}\.\.\.     further files below 1\.0 MB are…
total +100 % +\S+ .?B/s
5000/10000 files, finishing
`))
	for i := n / 2; i < n; i++ {
		p.Finish(strconv.Itoa(i), false)
	}
	p.Close(nil)
	s.await(t, "the end", matches(`(done    .*\n){20}\.\.\.     further files below 1\.0 MB are…
total   10000 files; moved 1\.0 MB in \S+
?.*
`))
}
