package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/remote"
)

// lane is one connection of a download, or one after the other.
type lane struct {
	d     *download
	extra bool // counted by the governor

	// Guarded by download.mu.
	pos, end int64 // what it is to bring
	from     *lane // whose that was, until the first range of the download is answered
	seg      *segment
	cancel   context.CancelCauseFunc
	asked    time.Time // when the present request was sent
	answer   time.Duration
	last     time.Time // when a byte came last
	// Bytes of the last whole seconds, over several requests.
	samples [starvedFor / time.Second]int64
	full    int   // of them
	count   int64 // since the last sample
	sampled time.Time

	brought  bool // something since it failed last
	answered bool // for the governor
	starved  int
	attempts *remote.Attempts
}

var (
	errStarved = errors.New("the connection is much slower than the others")
	errRevoked = errors.New("another connection went on with the part")
	errDone    = errors.New("nothing is left to do on this connection")
)

// work brings one part after the other.
func (l *lane) work() {
	d := l.d
	defer l.leave()
	l.attempts = d.fetcher.attempts(d.desc)
	for d.next(l) {
		for l.unfinished() {
			header, err := l.pull()
			if err == nil {
				continue
			}
			if stop := l.handle(header, err); stop {
				return
			}
		}
	}
}

func (l *lane) unfinished() bool {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	return l.pos < l.end
}

func (l *lane) leave() {
	l.closeSegment()
	if l.extra {
		l.d.fetcher.governor.drop(l.answered)
	}
	// What it gave back must find somebody, when it was the last.
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if len(l.d.lanes) == 0 && len(l.d.free) > 0 && l.d.err == nil && l.d.ctx.Err() == nil {
		l.d.start(&lane{d: l.d})
	}
}

// handle decides what becomes of a lane whose request failed.
func (l *lane) handle(header http.Header, err error) (stop bool) {
	d := l.d
	l.closeSegment()
	var (
		wrong   *rangeError
		expired *expiredError
		sink    *sinkError
		size    *integrity.Error
	)
	switch {
	case errors.As(err, &sink), errors.As(err, &size):
		d.fail(err)
		return true
	case errors.Is(err, errRevoked), errors.Is(err, errDone), d.ctx.Err() != nil:
		d.fail0(l, d.ctx.Err())
		return true
	case errors.Is(err, errStarved) && l.starved < mostStarved:
		l.starved++
		return false
	case errors.As(err, &wrong):
		if l.refuse(nil) {
			return true
		}
		if !d.patient {
			d.fail(err)
			return true
		}
		return false // and never again: from now on it is asked for all of it
	case errors.As(err, &expired):
		d.mu.Lock()
		d.rejected++
		tooOften := d.rejected > rejections
		d.mu.Unlock()
		if tooOften {
			err = errors.New(expired.text)
		}
	}
	// A mirror is asked again when it broke off, not when it gave nothing.
	d.mu.Lock()
	again := d.patient || l.brought
	l.brought = false
	d.mu.Unlock()
	if again && l.attempts.Wait(d.ctx, err, header) {
		return false
	}
	l.giveUp(err)
	return true
}

// fail0 takes a lane out whose work is another's now, or whose caller gave up.
func (d *download) fail0(l *lane, cancelled error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(l)
	if cancelled != nil && d.err == nil {
		d.err = context.Cause(d.ctx)
	}
}

// giveUp leaves the work to the others, or ends the download when there are none.
// No more are added to those.
func (l *lane) giveUp(err error) {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.takeBack(l)
	d.remove(l)
	d.most = len(d.lanes)
	if len(d.lanes) == 0 && d.err == nil {
		d.err = err
		d.cancel(errEnded)
	}
}

// takeBack returns an unproven part to the lane that had it. d.mu is held.
func (d *download) takeBack(l *lane) {
	if l.from != nil && slices.Contains(d.lanes, l.from) && l.from.end == l.pos {
		l.from.end = l.end
		l.end = l.pos
	}
	l.from = nil
}

// claimed reports whether what comes behind l is only lent to another lane.
// download.mu is held.
func (l *lane) claimed() bool {
	return slices.ContainsFunc(l.d.lanes, func(o *lane) bool { return o.from == l })
}

// lead is how many bytes l will bring until another lane has its first byte, and
// more. download.mu is held.
func (l *lane) lead(now time.Time) int64 {
	took := now.Sub(l.sampled) + time.Duration(l.full)*time.Second
	if l.full == 0 {
		took -= l.answer
	}
	rate := float64(l.count+l.total()) / max(took, 100*time.Millisecond).Seconds()
	ahead := 2 * l.answer
	if l.d.ranges == unknown {
		ahead += 250 * time.Millisecond // it may have to be redirected, and more
	}
	return leastLead + int64(rate*ahead.Seconds())
}

// pull asks for what the lane is to bring, unless it has an answer that goes on
// there, and moves it. A nil error means that the part is done, or that the
// answer was shorter than the part.
func (l *lane) pull() (http.Header, error) {
	d := l.d
	d.mu.Lock()
	start, end, seg := l.pos, l.end, l.seg
	if start >= end {
		d.mu.Unlock()
		return nil, nil // another connection took it back just now
	}
	whole := start == 0 && end == d.desc.Size
	ranged := d.ranges != refused && (!whole || l.extra)
	d.mu.Unlock()
	if seg != nil && !(seg.at == start && seg.left > 0) && (seg.partial || seg.at > start || ranged) {
		l.closeSegment() // it goes on elsewhere
		seg = nil
	}
	if seg == nil {
		var header http.Header
		var err error
		if seg, header, err = l.ask(start, end, ranged); err != nil {
			return header, err
		}
	}
	if err := seg.skipTo(start); err != nil {
		return nil, err
	}
	r := &laneReader{l: l, seg: seg}
	n, err := d.to.WriteFrom(r, start)
	switch {
	case err != nil && r.err == nil:
		return nil, &sinkError{err}
	case err != nil:
		return nil, err
	case !r.ended:
		// All that was to come came; meanwhile it may have become more.
	case l.unfinished() && seg.partial && n > 0:
		l.closeSegment()
		return nil, nil // the registry gave less than was asked for, which it may
	case l.unfinished() && seg.partial:
		return nil, &temporaryError{"the registry sent nothing"}
	case l.unfinished():
		return nil, &integrity.Error{What: "blob", Want: d.desc.Digest, WantSize: d.desc.Size, GotSize: seg.at, Incomplete: true}
	}
	if seg.at == d.desc.Size && !seg.partial && seg.length < 0 {
		return nil, l.checkEnd(seg)
	}
	return nil, nil
}

// checkEnd notices a blob that is longer than it should be.
func (l *lane) checkEnd(seg *segment) error {
	one := make([]byte, 1)
	if n, _ := io.ReadFull(readerFunc(seg.read), one); n > 0 {
		return &integrity.Error{What: "blob", Want: l.d.desc.Digest, WantSize: l.d.desc.Size, GotSize: seg.at}
	}
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// ask sends a request and judges the answer.
func (l *lane) ask(start, end int64, ranged bool) (*segment, http.Header, error) {
	d := l.d
	ctx, cancel := context.WithCancelCause(d.ctx)
	d.mu.Lock()
	l.cancel, l.asked, l.answer = cancel, time.Now(), 0
	l.last = l.asked
	if l.sampled.IsZero() {
		l.sampled = l.asked
	}
	d.mu.Unlock()
	seg, header, err := d.origin.ask(ctx, start, end, ranged)
	if err != nil {
		cancel(nil)
		return nil, header, err
	}
	if !seg.partial && seg.length >= 0 && seg.length != d.desc.Size {
		seg.close()
		return nil, nil, &integrity.Error{What: "blob", Want: d.desc.Digest, WantSize: d.desc.Size, GotSize: seg.length, Incomplete: seg.length < d.desc.Size}
	}
	if !seg.partial && ranged && l.refuse(seg) {
		return nil, nil, errDone
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() != nil {
		seg.close()
		return nil, nil, context.Cause(ctx)
	}
	if seg.partial {
		d.ranges, l.from = proven, nil
	}
	l.seg, l.answer = seg, time.Since(l.asked)
	if l.extra && !l.answered {
		l.answered = true
		d.fetcher.governor.open(l.answer)
	}
	d.fetcher.brought(&d.origin, seg.partial || start > 0)
	return seg, header, nil
}

// brought remembers how a blob comes.
func (f *Fetcher) brought(s *origin, pieces bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.verdict(s.desc.Digest)
	if s.endpoint.IsMirror() {
		v.mirrors[s.endpoint.Host()] = s.endpoint
	}
	v.pieces = v.pieces || pieces
}

// refuse is what follows when ranges are not served: seg is the whole blob that
// came instead, or nil. It reports whether the lane has to end, because others
// have an answer already: one that is whole is not cancelled for another.
func (l *lane) refuse(seg *segment) (end bool) {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ranges = refused
	if len(d.lanes) == 1 {
		return false
	}
	if seg != nil {
		seg.close()
	}
	d.takeBack(l)
	d.remove(l)
	return true
}

func (l *lane) closeSegment() {
	l.d.mu.Lock()
	seg, cancel := l.seg, l.cancel
	l.seg = nil
	l.d.mu.Unlock()
	if seg != nil {
		seg.close()
	}
	if cancel != nil {
		cancel(nil)
	}
}

// laneReader gives the bytes of an answer up to the end of the part, which moves:
// nearer when another connection takes over, and farther when that comes to
// nothing.
type laneReader struct {
	l   *lane
	seg *segment
	err error

	ended bool // the answer has no more
}

func (r *laneReader) Read(p []byte) (int, error) {
	l, d := r.l, r.l.d
	d.mu.Lock()
	if l.pos >= l.end {
		l.reclaim()
	}
	left := l.end - l.pos
	d.mu.Unlock()
	if left <= 0 {
		return 0, io.EOF
	}
	began := time.Now()
	n, err := r.seg.read(p[:min(int64(len(p)), left)])
	now := time.Now()
	if d.adaptive {
		d.fetcher.governor.waited.Add(int64(now.Sub(began)))
	}
	if n > 0 {
		d.mu.Lock()
		l.pos += int64(n)
		l.count += int64(n)
		l.last, l.brought = now, true
		d.mu.Unlock()
		d.fetcher.governor.moved.Add(int64(n))
		d.moved(int64(n))
		l.attempts.Progress(int64(n), d.desc.Size-r.seg.at)
	}
	if r.ended = err == io.EOF; err != nil && !r.ended { //nolint:errorlint // an end is never wrapped
		r.err = err
	}
	return n, err
}

// reclaim takes back what another lane was given and did not begin: this one is
// there first. download.mu is held.
func (l *lane) reclaim() {
	d := l.d
	for _, o := range d.lanes {
		if o.from == l && o.pos == l.end {
			d.takeBack(o)
			d.most = 1
			if o.cancel != nil {
				o.cancel(errRevoked)
			}
			return
		}
	}
}
