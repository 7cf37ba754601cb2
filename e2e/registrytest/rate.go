package registrytest

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Throttle lets every connection to the registry move only so many bytes a
// second in each direction; 0 lifts that.
func (f *Front) Throttle(bytesPerSecond int64) { f.rate.Store(bytesPerSecond) }

// ThrottleRange answers requests for the byte at an offset of the content d so
// slowly, the first times times (0: always); other ranges are fast.
func (f *Front) ThrottleRange(d digest.Digest, offset, bytesPerSecond int64, times int) {
	match := content(d)
	match.Header = "Range"
	match.When = func(r *http.Request) bool { return covers(r, offset) }
	f.Add(&Rule{Match: match, Times: times, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&slowWriter{ResponseWriter: w, pace: pace{rate: func() int64 { return bytesPerSecond }}}, r)
	}})
}

// burst is how much passes at once: 1/64 of a second's worth would be ideal,
// and this is that for 4 MB/s.
const burst = 64 << 10

// pace makes bytes take the time that they should.
type pace struct {
	rate func() int64 // 0: no limit

	mu   sync.Mutex
	next time.Time
}

// wait waits until n bytes may pass.
func (p *pace) wait(n int) {
	rate := p.rate()
	if rate == 0 || n == 0 {
		return
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	until := p.next
	p.mu.Unlock()
	time.Sleep(time.Until(until))
}

type slowWriter struct {
	http.ResponseWriter
	pace pace
}

func (w *slowWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		k := min(len(p)-written, burst)
		w.pace.wait(k)
		n, err := w.ResponseWriter.Write(p[written : written+k])
		if written += n; err != nil {
			return written, err
		}
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
	return written, nil
}

// slowListener gives out connections that are as fast as the front lets them.
type slowListener struct {
	net.Listener
	front *Front
}

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	rate := l.front.rate.Load
	return &slowConn{Conn: c, up: pace{rate: rate}, down: pace{rate: rate}}, nil
}

type slowConn struct {
	net.Conn
	up, down pace
}

func (c *slowConn) Read(p []byte) (int, error) {
	if c.up.rate() > 0 {
		p = p[:min(len(p), burst)]
	}
	n, err := c.Conn.Read(p)
	c.up.wait(n)
	return n, err
}

func (c *slowConn) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		k := len(p) - written
		if c.down.rate() > 0 {
			k = min(k, burst)
		}
		c.down.wait(k)
		n, err := c.Conn.Write(p[written : written+k])
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}
