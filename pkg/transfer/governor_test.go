package transfer_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// link is a registry behind a line of which the time is that of the test: each
// connection has a rate, and all together have one.
type link struct {
	size   int64
	each   float64 // bytes/s
	all    float64 // 0: no bound
	answer time.Duration
	slow   int // the request with this number, if any, has a thousandth of the rate

	mu       sync.Mutex
	ranges   []string
	free     time.Time // when the line has room again
	now      int       // connections
	most     int
	requests int
}

func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(l.answer)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.ranges = append(l.ranges, r.Header.Get("Range"))
	l.now++
	l.most = max(l.most, l.now)
	resp := &http.Response{Request: r, Header: http.Header{}, StatusCode: http.StatusOK, ContentLength: l.size}
	body := &linkBody{link: l, left: l.size, request: r, each: l.each}
	if l.requests == l.slow {
		body.each /= 1000
	}
	var start, end int64
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &start, &end); n == 2 {
		resp.StatusCode, body.left = http.StatusPartialContent, end-start+1
		resp.ContentLength = body.left
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end, l.size))
	}
	resp.Body = body
	return resp, nil
}

type linkBody struct {
	link    *link
	request *http.Request
	left    int64
	each    float64
	once    sync.Once
}

func (b *linkBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), b.left, 64<<10)
	l := b.link
	wait := time.Duration(float64(n) / b.each * float64(time.Second))
	if l.all > 0 {
		l.mu.Lock()
		now := time.Now()
		if l.free.Before(now) {
			l.free = now
		}
		l.free = l.free.Add(time.Duration(float64(n) / l.all * float64(time.Second)))
		wait = max(wait, l.free.Sub(now))
		l.mu.Unlock()
	}
	select {
	case <-time.After(wait):
	case <-b.request.Context().Done():
		return 0, b.request.Context().Err()
	}
	b.left -= n
	return int(n), nil
}

func (b *linkBody) Close() error {
	b.once.Do(func() {
		b.link.mu.Lock()
		defer b.link.mu.Unlock()
		b.link.now--
	})
	return nil
}

// nowhere is a sink that counts what comes.
type nowhere struct {
	size  int64
	takes time.Duration // for what one Read brought

	mu sync.Mutex
	n  int64
}

func (s *nowhere) Missing() []partial.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == s.size {
		return nil
	}
	return []partial.Span{{Start: 0, End: s.size}}
}

func (s *nowhere) WriteFrom(r io.Reader, _ int64) (n int64, err error) {
	buf := make([]byte, 256<<10)
	for err == nil {
		var m int
		m, err = r.Read(buf)
		time.Sleep(s.takes)
		n += int64(m)
		s.mu.Lock()
		s.n += int64(m)
		s.mu.Unlock()
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// How many connections are used, and what that brings, in time that does not
// depend on the machine.
func TestNumberOfConnections(t *testing.T) {
	const MB = 1_000_000
	for name, c := range map[string]struct {
		link    *link
		blobs   int
		takes   time.Duration // to write and hash 64 KiB
		atLeast float64       // times the rate of one connection
		most    int           // connections
	}{
		"each is slow":          {link: &link{each: 50 * MB, answer: 2 * time.Millisecond}, blobs: 1, atLeast: 6, most: 8},
		"each is slow, far":     {link: &link{each: 50 * MB, answer: 100 * time.Millisecond}, blobs: 1, atLeast: 5, most: 8},
		"four blobs":            {link: &link{each: 50 * MB, answer: 2 * time.Millisecond}, blobs: 4, atLeast: 16, most: 24},
		"the line is the limit": {link: &link{each: 1000 * MB, all: 700 * MB, answer: time.Millisecond}, blobs: 1, atLeast: 0.65, most: 2},
		"four share the line":   {link: &link{each: 1000 * MB, all: 700 * MB, answer: time.Millisecond}, blobs: 4, atLeast: 0.65, most: 8},
		"this side is slow":     {link: &link{each: 1000 * MB, answer: time.Millisecond}, blobs: 1, takes: 100 * time.Microsecond, atLeast: 0.35, most: 1},
		"it is, for four blobs": {link: &link{each: 1000 * MB, answer: time.Millisecond}, blobs: 4, takes: 100 * time.Microsecond, atLeast: 1.4, most: 4},
		"two fill the line":     {link: &link{each: 100 * MB, all: 200 * MB, answer: 5 * time.Millisecond}, blobs: 1, atLeast: 1.7, most: 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := c.link
				l.size = 1 << 30
				reg := &testRegistry{host: "registry.example"}
				f := transfer.NewFetcher(reg.repository(t, "team/model", remote.Options{Transport: l}))
				start := time.Now()
				var group sync.WaitGroup
				for i := range c.blobs {
					group.Go(func() {
						desc := ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.FromString(fmt.Sprint(i)), Size: l.size}
						to := &nowhere{size: l.size, takes: c.takes}
						if err := f.Download(t.Context(), desc, to, nil); err != nil {
							t.Error(err)
						}
						if to.n != l.size {
							t.Errorf("%d bytes came", to.n)
						}
					})
				}
				group.Wait()
				rate := float64(l.size) * float64(c.blobs) / time.Since(start).Seconds()
				if got := rate / l.each; got < c.atLeast {
					t.Errorf("%.2f times the rate of a connection, want %.2f", got, c.atLeast)
				} else {
					t.Logf("%.2f times the rate of a connection, %d connections, %d requests", got, l.most, l.requests)
				}
				if l.most > c.most {
					t.Errorf("%d connections, want at most %d", l.most, c.most)
				}
			})
		})
	}
}

// A connection that brings next to nothing beside its siblings is replaced where
// it is, and one alone is not.
func TestStarvedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{size: 4 << 30, each: 50_000_000, answer: time.Millisecond, slow: 3}
		reg := &testRegistry{host: "registry.example"}
		f := transfer.NewFetcher(reg.repository(t, "team/model", remote.Options{Transport: l}))
		desc := ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.FromString("x"), Size: l.size}
		to := &nowhere{size: l.size}
		start := time.Now()
		if err := f.Download(t.Context(), desc, to, nil); err != nil || to.n != l.size {
			t.Errorf("%d bytes came, %v", to.n, err)
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
		var from, end int64
		if _, err := fmt.Sscanf(l.ranges[2], "bytes=%d-%d", &from, &end); err != nil {
			t.Fatal(err)
		}
		again := 0
		for _, text := range l.ranges[3:] {
			var a, b int64
			if n, _ := fmt.Sscanf(text, "bytes=%d-%d", &a, &b); n == 2 && a > from && a < from+1<<20 && b == end {
				again++
			}
		}
		if again != 1 {
			t.Errorf("the rest of %s was asked for %d times", l.ranges[2], again)
		}
	})
}
