package render

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// ownFrom is from what size on a file is worth a bar or events of its own. The
// smaller ones come by the thousand, and are counted in the total.
const ownFrom = 1_000_000

// state is what is known of all that moves. It counts; who draws takes copies.
type state struct {
	now func() time.Time

	mu           sync.Mutex
	began        time.Time
	plannedFiles int
	plannedBytes int64
	active       map[string]*item
	own          map[*item]bool // those of active that are worth a bar
	seq          int
	startedFiles int // with those that are finished
	doneFiles    int
	startedBytes int64
	doneBytes    int64
	reusedBytes  int64
	meter        meter
	waits        map[string]wait
}

// item is one file on its way. What was told is kept as it was told; done and
// old bound it by the size, so that a worker that tells too much does no harm.
type item struct {
	name          string
	size          int64
	moved, reused int64
	seq           int
	begun         time.Time
	meter         meter
}

func (it *item) done() int64 { return min(max(it.moved+it.reused, 0), it.size) }
func (it *item) old() int64  { return min(max(it.reused, 0), it.done()) }

type wait struct {
	name   string
	reason string
	until  time.Time
}

func newState(now func() time.Time) *state {
	return &state{now: now, active: map[string]*item{}, own: map[*item]bool{}, waits: map[string]wait{}}
}

func (s *state) touch() time.Time {
	now := s.now()
	if s.began.IsZero() {
		s.began = now
		s.meter.observe(now)
	}
	return now
}

func (s *state) plan(files int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touch()
	s.plannedFiles = max(s.plannedFiles+files, 0)
	s.plannedBytes = max(s.plannedBytes+bytes, 0)
}

// change has fn change it, and keeps the sums right.
func (s *state) change(it *item, fn func()) {
	done, old := it.done(), it.old()
	fn()
	s.doneBytes += it.done() - done
	s.reusedBytes += it.old() - old
}

// start begins a file, or begins it anew.
func (s *state) start(name string, size int64) item {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.touch()
	s.endWait(name)
	if it := s.active[name]; it != nil {
		s.forget(it)
		s.startedFiles--
		s.startedBytes -= it.size
		s.change(it, func() { it.moved, it.reused = 0, 0 })
	}
	s.seq++
	it := &item{name: name, size: max(size, 0), seq: s.seq, begun: now}
	it.meter.observe(now)
	s.active[name] = it
	if it.size >= ownFrom {
		s.own[it] = true
	}
	s.startedFiles++
	s.startedBytes += it.size
	return *it
}

func (s *state) forget(it *item) {
	delete(s.active, it.name)
	delete(s.own, it)
}

func (s *state) advance(name string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.active[name]
	if it == nil {
		return
	}
	if n > 0 {
		s.endWait(name)
		s.meter.total += n
		it.meter.total += n
	}
	s.change(it, func() {
		if it.moved += n; it.moved < 0 {
			// More is taken back than was moved: then what was reused has to be
			// moved after all.
			it.reused, it.moved = max(it.reused+it.moved, 0), 0
		}
	})
}

// reuse reports whether the name is known.
func (s *state) reuse(name string, n int64) (item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.active[name]
	if it == nil {
		return item{}, false
	}
	s.change(it, func() { it.reused = max(it.reused+n, 0) })
	return *it, true
}

// finish ends a file. One that was never started is only counted.
func (s *state) finish(name string, reused bool) item {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.touch()
	s.endWait(name)
	s.doneFiles++
	it := s.active[name]
	if it == nil {
		s.startedFiles++
		return item{name: name, begun: now}
	}
	s.change(it, func() {
		switch {
		case reused:
			it.moved, it.reused = 0, it.size
		default:
			it.reused = it.old()
			it.moved = it.size - it.reused
		}
	})
	s.forget(it)
	return *it
}

func (s *state) wait(name string, d time.Duration, reason error) wait {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := wait{name: name, until: s.touch().Add(d)}
	if reason != nil {
		w.reason = reason.Error()
	}
	s.waits[name] = w
	return w
}

func (s *state) endWait(name string) {
	if len(s.waits) > 0 {
		delete(s.waits, name)
	}
}

// snapshot is how far everything is at one moment.
type snapshot struct {
	at                  time.Time
	elapsed             time.Duration
	planned             bool // totals were announced; without that they only grow
	files, totalFiles   int
	bytes, totalBytes   int64
	reused              int64
	rate                float64 // bytes a second, lately
	active              []row   // files worth a bar, in the order in which they began
	waits               []wait
	plannedF            int
	plannedB            int64
	unfinished, waiting int // files that began and are not whole; those that wait
}

type row struct {
	item
	rate float64
}

func (s *state) snapshot() snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	out := snapshot{at: now, planned: s.plannedFiles > 0 || s.plannedBytes > 0}
	if !s.began.IsZero() {
		out.elapsed = max(now.Sub(s.began), 0)
	}
	out.plannedF, out.plannedB = s.plannedFiles, s.plannedBytes
	out.files, out.totalFiles = s.doneFiles, max(s.plannedFiles, s.startedFiles)
	out.bytes, out.totalBytes = s.doneBytes, max(s.plannedBytes, s.startedBytes)
	out.reused = s.reusedBytes
	out.unfinished = len(s.active)
	out.rate = s.meter.observe(now)
	for it := range s.own {
		out.active = append(out.active, row{*it, it.meter.observe(now)})
	}
	slices.SortFunc(out.active, func(a, b row) int { return cmp.Compare(a.seq, b.seq) })
	for name, w := range s.waits {
		if w.until.Before(now) {
			delete(s.waits, name)
			continue
		}
		out.waits = append(out.waits, w)
	}
	slices.SortFunc(out.waits, func(a, b wait) int {
		return cmp.Or(a.until.Compare(b.until), cmp.Compare(a.name, b.name))
	})
	out.waiting = len(out.waits)
	return out
}

// percent is rounded down: 100 means all of it.
func percent(done, total int64) int {
	if total <= 0 {
		return 0
	}
	return int(math.Floor(float64(done) / float64(total) * 100))
}

// left returns how long the rest takes at the present rate, when that can be
// said.
func (s *snapshot) left() (time.Duration, bool) {
	rest := s.totalBytes - s.bytes
	if !s.planned || s.rate < 1 || rest <= 0 {
		return 0, false
	}
	seconds := math.Ceil(float64(rest) / s.rate)
	return time.Duration(min(seconds, longest.Seconds()+1)) * time.Second, true
}

// average returns the bytes a second since the beginning.
func (s *snapshot) average() float64 {
	if s.elapsed < 100*time.Millisecond {
		return 0
	}
	return float64(s.bytes-s.reused) / s.elapsed.Seconds()
}
