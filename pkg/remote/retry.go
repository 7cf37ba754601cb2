package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

// The retry policy (registries.md §1.5).
const (
	defaultRetryFor = 2 * time.Minute
	firstWait       = time.Second
	longestWait     = time.Minute
	// longestOrder bounds what a registry may order by Retry-After without
	// progress in between.
	longestOrder = 5 * time.Minute
	// allOrders bounds what it may order over a whole operation, progress or
	// not: one that is merely busy has room again within minutes, and one that
	// gives a little between orders must not hold its caller for hours.
	allOrders = 15 * time.Minute
	// leastProgress is how many bytes count as progress: fewer may be a registry
	// that hands them out one by one to be asked for ever.
	leastProgress = 1 << 20
	// unreachedFor bounds the tries at a host that never answered: it is more
	// likely misspelt than restarting.
	unreachedFor = 5 * time.Second
)

// Attempts decides whether and when a failed request is tried again. The budget
// is time without progress, not a count. It is not safe for concurrent use.
type Attempts struct {
	client  *Client
	host    string
	since   time.Time // of the first failure since the last progress
	n       int
	moved   int64         // bytes since the last progress
	ordered time.Duration // by Retry-After since the last progress
	orders  time.Duration // by Retry-After in all
	onWait  func(time.Duration, error)
}

// Attempts begins a series of tries at the repository's registry.
func (r *Repository) Attempts() *Attempts { return r.client.attempts(r.ref.Host()) }

func (c *Client) attempts(host string) *Attempts { return &Attempts{client: c, host: host} }

// OnWait has fn called at the beginning of each wait, with how long it takes and
// the error it follows.
func (a *Attempts) OnWait(fn func(d time.Duration, err error)) { a.onWait = fn }

// Progress says that the work got n bytes further than ever before, and that
// left bytes remain. After enough of them, or the last one, the budget is full
// again; only what Retry-After may order in all stays spent.
func (a *Attempts) Progress(n, left int64) {
	if a.moved += n; a.moved < leastProgress && left > 0 {
		return
	}
	a.since, a.n, a.moved, a.ordered = time.Time{}, 0, 0, 0
}

// Wait waits until the request that failed with err may be tried again and
// returns true, or returns false when it may not: err is final, the budget is
// spent, or ctx was cancelled. header is that of the answer, nil when there was
// none.
func (a *Attempts) Wait(ctx context.Context, err error, header http.Header) bool {
	if ctx.Err() != nil || !Retryable(err) {
		return false
	}
	now := time.Now()
	if a.since.IsZero() {
		a.since = now
	}
	budget := a.client.retryFor
	if isDialError(err) && !a.client.reached(a.host) {
		budget = min(budget, unreachedFor)
	}
	wait := a.backoff()
	if order := retryAfter(header, now); order > 0 {
		a.ordered += order
		a.orders += order
		if a.ordered > longestOrder || a.orders > allOrders {
			return false
		}
		// What the registry orders is not counted as being without progress.
		wait, a.since = order, a.since.Add(order)
	}
	if now.Add(wait).Sub(a.since) > budget {
		return false
	}
	if a.onWait != nil {
		a.onWait(wait, err)
	}
	return a.sleep(ctx, wait)
}

// sleep returns false when ctx was cancelled.
func (a *Attempts) sleep(ctx context.Context, wait time.Duration) bool {
	a.n++
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// backoff is exponential with jitter. A budget shorter than the default
// shortens the waits too, so that it still means several tries.
func (a *Attempts) backoff() time.Duration {
	first := min(firstWait, max(a.client.retryFor/60, 10*time.Millisecond))
	wait := min(first<<min(a.n, 16), longestWait)
	return wait/2 + rand.N(wait/2+1) //nolint:gosec // jitter needs no secrecy
}

// Retryable reports whether err may go away by itself: a broken connection, a
// timeout, or an answer that says so.
func Retryable(err error) bool {
	if code := StatusCode(err); code != 0 {
		return retryableStatus(code)
	}
	return retryableError(err)
}

func retryableStatus(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, 499,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, 522:
		return true
	}
	return false
}

func retryableError(err error) bool {
	var (
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		network net.Error
	)
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &record), errors.As(err, &alert):
		return false
	}
	// A *url.Error is a net.Error whatever it wraps, so timeouts are asked for
	// and other network errors looked up by what they break.
	if errors.As(err, &network) && network.Timeout() {
		return true
	}
	return isBroken(err)
}

// isBroken reports whether err is an exchange with a registry that broke off.
// Its causes say nothing alone: a tar may end too soon, a pipe to another
// program break, a port to listen on be taken.
func isBroken(err error) bool {
	var (
		op       *net.OpError
		exchange *exchangeError
		u        *url.Error
	)
	switch {
	case errors.As(err, &exchange):
		err = exchange.err
	case errors.As(err, &u):
		err = u.Err
	default:
		return false
	}
	if errors.As(err, &op) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	// net/http does not export these.
	text := err.Error()
	return strings.Contains(text, "http2: ") || strings.Contains(text, "stream error: ") || strings.Contains(text, "server closed idle connection") ||
		strings.Contains(text, "transport connection broken")
}

func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// retryAfter reads a Retry-After header in either of its forms (RFC 9110,
// section 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		return max(0, time.Duration(s)*time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// retryTransport tries requests with a body that can be read again, or with
// none, until they get an answer or the budget is spent. It is for small
// requests: the engines for blobs must not have it, since they know better
// where a broken transfer stands.
type retryTransport struct {
	base   http.RoundTripper
	client *Client
}

func (t *retryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	attempts := t.client.attempts(req.URL.Host)
	for {
		resp, err := t.base.RoundTrip(req)
		var header http.Header
		failure := err
		if err == nil {
			t.client.markReached(req.URL.Host)
			if !retryableStatus(resp.StatusCode) {
				return resp, nil
			}
			header = resp.Header
			failure = &errcode.ErrorResponse{StatusCode: resp.StatusCode}
		}
		if !rewindable(req) || !attempts.Wait(req.Context(), failure, header) {
			return resp, err
		}
		next, rewindErr := rewind(req)
		if rewindErr != nil {
			return resp, err
		}
		if err == nil {
			// Read to keep the connection, not to know what it says.
			_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
			_ = resp.Body.Close()
		}
		req = next
	}
}

func rewindable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// rewind returns req ready to be sent once more.
func rewind(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	next := req.Clone(req.Context())
	next.Body = body
	return next, nil
}

// hosts remembers which hosts have answered.
type hosts struct{ m sync.Map }

func (c *Client) reached(host string) bool {
	_, ok := c.hosts.m.Load(host)
	return ok
}

func (c *Client) markReached(host string) {
	if !c.reached(host) {
		c.hosts.m.Store(host, true)
	}
}
