package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/modseal/modseal/pkg/internal/limits"
)

const (
	// noTimeout leaves time to the caller: it bounds each attempt, and a client all
	// of them.
	noTimeout = -1
	// attemptTimeout bounds one request. A log of version 2 answers when the entry
	// is in its tree, which takes seconds.
	attemptTimeout = time.Minute
	// attempts is how often a service is asked that does not answer, or answers that
	// it cannot now.
	attempts = 4
)

// caller is how the clients of one service reach it. They are four, and none does
// all of this: requests end with the context, answers are bounded, what failed for
// a while is tried again, redirects are not followed, since tokens and signatures
// are for this service alone. It remembers why the last request failed. It is for
// one call, from one goroutine.
type caller struct {
	service, url string
	agent        string
	transport    http.RoundTripper
	backoff      func(attempt int) time.Duration
	within       func(*http.Request) (*http.Request, context.CancelFunc)
	wait         func(time.Duration) error
	failure      *ServiceError
}

func (s *services) caller(ctx context.Context, service, url string) *caller {
	c := &caller{service: service, url: url, agent: s.o.UserAgent, transport: s.o.Transport, backoff: s.o.backoff}
	if c.backoff == nil {
		c.backoff = exponential
	}
	c.within = func(r *http.Request) (*http.Request, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		return r.Clone(ctx), cancel
	}
	c.wait = func(d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return nil
		}
	}
	return c
}

// exponential is half a second, then twice as much each time, and up to half of it
// more, so that not all jobs of a site come back at once.
func exponential(attempt int) time.Duration {
	d := 500 * time.Millisecond << attempt
	return d + rand.N(d/2) //nolint:gosec // spread, no secret
}

// RoundTrip is [http.RoundTripper].
func (c *caller) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	for attempt := 0; ; attempt++ {
		resp, failure := c.once(r, body)
		c.failure = failure
		if failure == nil || !failure.Temporary || attempt == attempts-1 {
			if resp == nil {
				return nil, failure
			}
			return resp, nil
		}
		if err := c.wait(c.backoff(attempt)); err != nil {
			return nil, err
		}
	}
}

// once sends one request and reads the answer whole. It returns the answer, the
// failure that it tells of, or both.
func (c *caller) once(r *http.Request, body []byte) (*http.Response, *ServiceError) {
	failure := &ServiceError{Service: c.service, URL: c.url}
	req, cancel := c.within(r)
	defer cancel()
	if r.Body != nil {
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.ContentLength = int64(len(body))
		req.TransferEncoding = nil
	}
	req.Header.Del("User-Agent")
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		failure.Err, failure.Temporary, failure.Next = err, true, nextUnreachable
		return nil, failure
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, limits.ServiceBytes+1))
	if err != nil {
		failure.Status, failure.Err, failure.Temporary, failure.Next = resp.StatusCode, err, true, nextUnreachable
		return nil, failure
	}
	if len(data) > limits.ServiceBytes {
		failure.Status, failure.Err = resp.StatusCode, fmt.Errorf("the answer has more than %d bytes", limits.ServiceBytes)
		return nil, failure
	}
	resp.Body = io.NopCloser(bytes.NewReader(data))
	resp.ContentLength = int64(len(data))
	if resp.StatusCode < 300 {
		return resp, nil
	}
	failure.Status, failure.Answer = resp.StatusCode, said(data)
	failure.Temporary, failure.Next = c.next(resp.StatusCode)
	if resp.StatusCode < 400 {
		return nil, failure
	}
	return resp, failure
}

const nextUnreachable = "check the URL in the signing configuration and the way to it (proxy, certificates), or try again later"

// next says whether trying again may help, and what does otherwise.
func (c *caller) next(status int) (temporary bool, next string) {
	switch {
	case status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented:
		return true, "try again later"
	case status < 400:
		return false, "redirects are not followed; name the final URL in the signing configuration"
	case status == http.StatusNotFound:
		return false, "is the URL in the signing configuration that of such a service, and the version right?"
	case status == http.StatusConflict && c.service == serviceLog:
		return false, "the log has this signature already"
	case status == http.StatusRequestEntityTooLarge:
		return false, "the statement is larger than the service takes"
	case c.service == serviceAuthority:
		return false, "it refuses the identity token: is it valid still, for this instance (audience sigstore), and of an issuer that the instance knows?"
	}
	return false, ""
}

// failed returns the error of a call for which a client returned err.
func (c *caller) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.failure != nil {
		return c.failure
	}
	var known *ServiceError
	if errors.As(err, &known) {
		return known
	}
	return &ServiceError{Service: c.service, URL: c.url, Err: err, Next: "its answer was not understood; is the URL in the signing configuration that of such a service?"}
}

// webToken is a JSON Web Token, or the beginning of one.
var webToken = regexp.MustCompile(`eyJ[A-Za-z0-9_.-]{8,}`)

// said returns the beginning of what an error answer tells people: the message of
// it where it is JSON as Fulcio and Rekor write it, without what could confuse a
// terminal. Tokens are taken out: a proxy or a server may answer with the request.
func said(body []byte) string {
	body = body[:min(len(body), limits.ErrorBytes)]
	var answer struct {
		Message string `json:"message"`
	}
	text := string(body)
	if json.Unmarshal(body, &answer) == nil && answer.Message != "" {
		text = answer.Message
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	text = webToken.ReplaceAllString(strings.Join(strings.Fields(text), " "), "…")
	const longest = 300
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
