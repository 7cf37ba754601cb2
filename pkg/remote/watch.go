package remote

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// defaultStall is how long an answer may stand still.
const defaultStall = 60 * time.Second

// watchTransport watches over the answers of a transport: a registry that
// begins one and then says nothing must not hold its caller for ever. It sees
// every answer, also those that oras-go reads: of token services, listings and
// redirects. It leaves requests and their contexts alone, so that the kernel
// may still send a file, and what comes before an answer (1xx, Expect) is
// net/http's as ever.
type watchTransport struct {
	base  http.RoundTripper
	stall time.Duration
}

func (t *watchTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, &exchangeError{err}
	}
	if resp.Body != nil && resp.Body != http.NoBody {
		resp.Body = &watchedBody{body: resp.Body, stall: t.stall}
	}
	return resp, nil
}

// watchedBody is the body of an answer that is closed when it stands still.
// Only waiting for bytes is standing still, not what the caller does with them.
type watchedBody struct {
	body    io.ReadCloser
	stall   time.Duration
	timer   *time.Timer // nil until the first Read
	stalled atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	if b.timer == nil {
		b.timer = time.AfterFunc(b.stall, b.giveUp)
	} else {
		b.timer.Reset(b.stall)
	}
	n, err := b.body.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF {
		if b.stalled.Load() {
			err = &stallError{b.stall}
		}
		err = &exchangeError{err}
	}
	return n, err
}

// giveUp ends a Read that waits: bodies of net/http may be closed meanwhile,
// over HTTP/1.1 as over HTTP/2.
func (b *watchedBody) giveUp() {
	b.stalled.Store(true)
	_ = b.body.Close()
}

func (b *watchedBody) Close() error { return b.body.Close() }

// exchangeError is what went wrong while a request was sent or its answer
// read. It tells a connection that broke from a parser that found its input too
// short: both say io.ErrUnexpectedEOF.
type exchangeError struct{ err error }

func (e *exchangeError) Error() string { return e.err.Error() }
func (e *exchangeError) Unwrap() error { return e.err }

// Timeout is what a *url.Error asks of its cause.
func (e *exchangeError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.err, &t) && t.Timeout()
}

// stallError is a net.Error.
type stallError struct{ after time.Duration }

func (e *stallError) Error() string   { return fmt.Sprintf("nothing came for %v", e.after) }
func (e *stallError) Timeout() bool   { return true }
func (e *stallError) Temporary() bool { return true }
