package registrytest

import (
	"io"
	"net/http"
)

// Direction of bytes, seen from the client.
type Direction string

// Up are bytes of blobs that the client sends, down those that it fetches.
const (
	Up   Direction = "up"
	Down Direction = "down"
)

// gate stops the bytes of one direction after a number of them.
type gate struct {
	left    int64
	reached chan struct{} // closed once a byte more is wanted
	isShut  bool
}

// trigger does something once a number of bytes have passed.
type trigger struct {
	direction Direction
	left      int64
	do        func()
}

// StopAfter lets n more bytes of blobs pass in direction d and then holds them
// back. The channel is closed when that happens.
func (f *Front) StopAfter(d Direction, n int64) <-chan struct{} {
	g := &gate{left: n, reached: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gates[d] = g
	return g.reached
}

// Continue lets bytes pass again: of requests that come, not of those that
// were held, which are cut.
func (f *Front) Continue() {
	f.release()
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.gates)
	f.closed = make(chan struct{})
}

// release cuts the connections that a gate or a stall holds.
func (f *Front) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
}

// released is closed when what is held is to be cut.
func (f *Front) released() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// take reserves up to n bytes in direction d. When none may pass any more it
// waits until the held requests are cut, and returns 0.
func (f *Front) take(d Direction, n int) int {
	f.mu.Lock()
	g, closed := f.gates[d], f.closed
	if g == nil || n == 0 {
		f.mu.Unlock()
		return n
	}
	if k := min(int64(n), g.left); k > 0 {
		g.left -= k
		f.mu.Unlock()
		return int(k)
	}
	if !g.isShut {
		g.isShut = true
		close(g.reached)
	}
	f.mu.Unlock()
	<-closed
	return 0
}

// passed gives back what was reserved and did not pass, and pulls the triggers
// that what did is for.
func (f *Front) passed(d Direction, reserved, n int) {
	f.mu.Lock()
	if g := f.gates[d]; g != nil {
		g.left += int64(reserved - n)
	}
	var due []func()
	for _, t := range f.triggers {
		if t.direction != d || t.left <= 0 {
			continue
		}
		if t.left -= int64(n); t.left <= 0 {
			due = append(due, t.do)
		}
	}
	f.mu.Unlock()
	for _, do := range due {
		do()
	}
}

// after does something once n more bytes of blobs have passed in direction d.
func (f *Front) after(d Direction, n int64, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.triggers = append(f.triggers, &trigger{direction: d, left: n, do: do})
}

// countingBody is the body of a request. A gate that cuts it makes it end with
// an error, as the end of the client does, so that the registry keeps of it what
// it would keep then.
type countingBody struct {
	io.ReadCloser
	front *Front
	gated bool
	n     int64
	cut   bool
}

func (b *countingBody) Read(p []byte) (int, error) {
	if !b.gated {
		n, err := b.ReadCloser.Read(p)
		b.n += int64(n)
		return n, err
	}
	reserved := b.front.take(Up, len(p))
	if reserved == 0 && len(p) > 0 {
		b.cut = true
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:reserved])
	b.n += int64(n)
	b.front.passed(Up, reserved, n)
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	front  *Front
	gated  bool
	status int
	n      int64
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	var written int
	for {
		k := len(p) - written
		if w.gated {
			if k = w.front.take(Down, k); k == 0 && len(p) > 0 {
				panic(http.ErrAbortHandler)
			}
		}
		n, err := w.ResponseWriter.Write(p[written : written+k])
		w.n += int64(n)
		written += n
		if w.gated {
			w.front.passed(Down, k, n)
		}
		if err != nil || written == len(p) {
			return written, err
		}
		// The rest is held: what passed must arrive all the same.
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// Unwrap is for [http.ResponseController].
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
