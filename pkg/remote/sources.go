package remote

import (
	"context"
	"errors"
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
func (c *Client) answered(s *site, status int) {
	c.markReached(s.root.Host)
	refused := status == http.StatusUnauthorized || status == http.StatusForbidden
	if retryableStatus(status) || s.mirror && (refused || status >= http.StatusInternalServerError) {
		c.failed(s, errors.New("status "+strconv.Itoa(status)))
		return
	}
	s.failures.Store(0)
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

// blame sorts what went wrong while content was read from a mirror.
func (c *Client) blame(ctx context.Context, s *site, err error) {
	var wrong *integrity.Error
	var large *integrity.TooLargeError
	switch {
	case ctx.Err() != nil || StatusCode(err) != 0: // not its fault, or remembered already
	case errors.As(err, &wrong), errors.As(err, &large):
		c.lied(s, err)
	}
}
