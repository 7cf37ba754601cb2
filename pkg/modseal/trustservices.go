package modseal

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/modseal/modseal/pkg/trust"
)

// services is what a Client knows about Sigstore instances while it lives.
type services struct {
	mu       sync.Mutex
	fetched  []fetched // without a store, or where it cannot be written
	warnings []string
	now      func() time.Time // nil means time.Now
}

type fetched struct {
	src    trust.Source
	root   *trust.Root
	config *trust.SigningConfig // nil when there is none
}

func (s *services) time() time.Time {
	if s.now == nil {
		return time.Now()
	}
	return s.now()
}

func (s *services) warn(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = append(s.warnings, text)
}

func (s *services) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

func (c *Client) fetchOptions() trust.FetchOptions {
	return trust.FetchOptions{Transport: c.serviceTransport(), UserAgent: c.o.Registry.UserAgent, Now: c.services.now}
}

// Times after which a service that does not answer is given up.
const (
	serviceDial   = 15 * time.Second
	serviceAnswer = 30 * time.Second
)

// serviceTransport reaches services that are no registries: TUF repositories.
func (c *Client) serviceTransport() http.RoundTripper {
	if c.o.Services != nil {
		return c.o.Services
	}
	dialer := &net.Dialer{Timeout: serviceDial}
	return &http.Transport{
		Proxy: c.o.Registry.Proxy, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: serviceDial, ResponseHeaderTimeout: serviceAnswer, IdleConnTimeout: serviceAnswer,
	}
}
