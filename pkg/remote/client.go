package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry"
	orasremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/remote/certsd"
)

// Options say how registries are reached. The zero value reaches them over
// HTTPS with the certificates of the system, anonymously and without a proxy.
type Options struct {
	// PlainHTTP uses HTTP. It is implied for a registry on a loopback address
	// unless CAFile, ClientCert or Insecure say that it speaks TLS.
	PlainHTTP bool
	// CAFile holds certificates in PEM that are trusted besides those of the
	// system.
	CAFile string
	// ClientCert and ClientKey are PEM files for TLS client authentication.
	ClientCert, ClientKey string
	// Insecure takes any certificate.
	Insecure bool
	// UserAgent is sent with every request; "modseal" when empty.
	UserAgent string
	// Credential finds the credential for a host; nil means anonymous.
	Credential auth.CredentialFunc
	// Proxy finds the proxy of a request; nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// RetryFor is how long a request is tried again without progress: 2 minutes
	// when zero, not at all when negative.
	RetryFor time.Duration
	// Stall is how long the body of an answer may stand still before it counts
	// as broken; 60 s when zero.
	Stall time.Duration
	// HostsDir is a directory like containerd's certs.d, which says where the
	// content of registries can be had, and how hosts are reached; empty means
	// that every registry is asked itself.
	HostsDir string
	// LockDir is a directory in which processes of this machine keep away from each
	// other while they change what a registry would let them change at once; empty
	// means that there is none.
	LockDir string
	// Transport replaces the connections to registries, for tests.
	Transport http.RoundTripper
}

// Client reaches registries. Its connections are shared by all its
// repositories, and its tokens by those on the same host. It is safe for
// concurrent use.
type Client struct {
	o        Options // with defaults in place
	loopback bool    // plain HTTP for loopback hosts
	retryFor time.Duration
	meta     *auth.Client // small requests, with retries
	blob     *auth.Client // bodies of blobs, without
	hosts    hosts
	secrets  *secrets
	warnings warnings

	mu     sync.Mutex
	idle   []interface{ CloseIdleConnections() }
	routes map[string]*route // by the name of the registry
}

// NewClient returns a Client. It reads the files that o names; what
// o.HostsDir holds is read when a registry is first used.
func NewClient(o Options) (*Client, error) {
	c := &Client{
		loopback: o.CAFile == "" && o.ClientCert == "" && !o.Insecure,
		retryFor: o.RetryFor,
		secrets:  &secrets{},
		routes:   map[string]*route{},
	}
	if c.retryFor == 0 {
		c.retryFor = defaultRetryFor
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.UserAgent == "" {
		o.UserAgent = "modseal"
	}
	c.o = o
	if o.HostsDir != "" {
		switch info, err := os.Stat(o.HostsDir); {
		case err != nil:
			return nil, fmt.Errorf("registry hosts: %w", err)
		case !info.IsDir():
			return nil, fmt.Errorf("registry hosts: %s is no directory", o.HostsDir)
		}
	}
	way := connection{proxy: o.Proxy, credential: o.Credential, retry: true}
	if o.Transport == nil {
		var err error
		if way.tls, err = newTLSConfig(o); err != nil {
			return nil, err
		}
	}
	c.meta, c.blob = c.connect(way)
	return c, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.idle {
		t.CloseIdleConnections()
	}
	return nil
}

// Repository returns the repository of ref. Nothing is sent yet.
func (c *Client) Repository(ref registry.Reference) (*Repository, error) {
	if err := ref.ValidateRegistry(); err != nil {
		return nil, err
	}
	if err := ref.ValidateRepository(); err != nil {
		return nil, err
	}
	ref.Reference = ""
	way, err := c.route(ref.Registry, ref.Host())
	if err != nil {
		return nil, err
	}
	r := &Repository{client: c, ref: ref, route: way}
	r.oras, err = r.orasAt(way.home)
	return r, err
}

// Ping asks the registry host whether it takes the credentials of c.
func (c *Client) Ping(ctx context.Context, host string) error {
	reg, err := orasremote.NewRegistry(host)
	if err != nil {
		return err
	}
	way, err := c.route(host, reg.Reference.Host())
	if err != nil {
		return err
	}
	reg.Client = way.home.meta
	reg.PlainHTTP = way.home.root.Scheme == "http"
	return c.explain(ctx, host, "", "access", reg.Ping(ctx))
}

func (c *Client) isPlain(host string) bool {
	return c.o.PlainHTTP || c.loopback && certsd.IsLoopback(host)
}

const maxRedirects = 10

// checkRedirect bounds redirects. auth.Client takes the credentials off the
// request when it leaves the origin; net/http keeps the Range header.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	first := via[0].URL
	if first.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("refused a redirect from https to http")
	}
	if req.Body != nil && req.Body != http.NoBody && !SameOrigin(first, req.URL) {
		return fmt.Errorf("refused to send the body on to %s", req.URL.Host)
	}
	return nil
}

// SameOrigin reports whether a and b have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}
