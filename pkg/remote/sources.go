package remote

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/modseal/modseal/pkg/internal/integrity"
)

// Source is a host that gave content.
type Source struct {
	Host   string `json:"host"`
	Mirror bool   `json:"mirror"`
	Bytes  int64  `json:"bytes"` // received for manifests and blobs, wrong ones included
}

// Sources returns the hosts that gave content so far, the registry of each
// before its mirrors, in no other order of meaning.
func (c *Client) Sources() []Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Source
	add := func(s *site) {
		if n := s.bytes.Load(); n > 0 {
			out = append(out, Source{Host: s.root.Host, Mirror: s.mirror, Bytes: n})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.routes)) {
		add(c.routes[name].home)
		for _, m := range c.routes[name].mirrors {
			add(m)
		}
	}
	return out
}

// warnings are what went wrong and was mended, each said once.
type warnings struct {
	mu   sync.Mutex
	said map[string]bool
	list []string
}

// mostWarnings bounds what hostile mirrors make us keep.
const mostWarnings = 100

func (w *warnings) add(key, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said[key] || len(w.list) >= mostWarnings {
		return
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[key] = true
	w.list = append(w.list, text)
}

// Warnings returns what mirrors did wrong so far and was mended by asking
// elsewhere, for people to read.
func (c *Client) Warnings() []string {
	c.warnings.mu.Lock()
	defer c.warnings.mu.Unlock()
	return slices.Clone(c.warnings.list)
}

// failed remembers that a site could not be reached, broke off, or refused.
func (c *Client) failed(s *site, err error) {
	s.failures.Add(1)
	if s.mirror {
		c.warn(s, "failed", reason(err))
	}
}

// answered remembers an answer. That something is not there says nothing about
// who says so: a mirror need not have everything.
func (c *Client) answered(s *site, resp *http.Response) {
	c.markReached(s.root.Host)
	status := resp.StatusCode
	refused := status == http.StatusUnauthorized || status == http.StatusForbidden
	switch {
	case retryableStatus(status), s.mirror && (refused || status >= http.StatusInternalServerError):
		c.failed(s, errors.New("status "+strconv.Itoa(status)))
	case s.mirror && resp.Request.Method == http.MethodGet && (status == http.StatusOK || status == http.StatusPartialContent):
		// To begin an answer is not enough: see gave.
	default:
		s.failures.Store(0)
	}
}

// gave counts n bytes of content from s, and remembers how it ended.
func (c *Client) gave(ctx context.Context, s *site, n int, err error) {
	s.bytes.Add(int64(n))
	switch {
	case err == nil || ctx.Err() != nil: // it goes on, or the caller gave up
	case err == io.EOF: //nolint:errorlint // an end is never wrapped
		s.failures.Store(0)
	default:
		c.failed(s, err)
	}
}

// lied remembers that a mirror gave something else than it was asked for.
func (c *Client) lied(s *site, err error) {
	if s.mirror {
		s.lied.Store(true)
		c.warn(s, "lied", "gave something else than was asked for, which was not used: "+err.Error())
	}
}

func (c *Client) warn(s *site, kind, text string) {
	c.warnings.add(kind+" "+s.root.String(), c.secrets.redact(clean("mirror "+s.root.Host+": "+text)))
}

// blame looks for a lie in what went wrong while content was read from a mirror;
// failures are remembered where they happen.
func (c *Client) blame(ctx context.Context, s *site, err error) {
	var wrong *integrity.Error
	var large *integrity.TooLargeError
	switch {
	case ctx.Err() != nil: // not its fault
	case errors.As(err, &wrong), errors.As(err, &large):
		c.lied(s, err)
	}
}
