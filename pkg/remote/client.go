package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"oras.land/oras-go/v2/registry"
	orasremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/internal/limits"
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
	// Transport replaces the connections to registries, for tests.
	Transport http.RoundTripper
}

// Client reaches registries. Its connections and tokens are shared by all its
// repositories. It is safe for concurrent use.
type Client struct {
	plainHTTP bool
	loopback  bool // plain HTTP for loopback hosts
	retryFor  time.Duration
	meta      *auth.Client // small requests, with retries
	blob      *auth.Client // bodies of blobs, without
	idle      []interface{ CloseIdleConnections() }
	hosts     hosts
	profiles  sync.Map // host → *Profile
	secrets   *secrets
}

// Profile is what was learned about a registry's uploads while using it. It is
// shared by all repositories of a Client on the same host.
type Profile struct {
	// RefusesStream says that the registry wants to know the digest of a blob
	// before it takes its bytes.
	RefusesStream atomic.Bool
}

// NewClient returns a Client. It reads the files that o names.
func NewClient(o Options) (*Client, error) {
	c := &Client{
		plainHTTP: o.PlainHTTP,
		loopback:  o.CAFile == "" && o.ClientCert == "" && !o.Insecure,
		retryFor:  o.RetryFor,
		secrets:   &secrets{},
	}
	if c.retryFor == 0 {
		c.retryFor = defaultRetryFor
	}
	metaTransport, blobTransport := o.Transport, o.Transport
	if o.Transport == nil {
		tlsConfig, err := newTLSConfig(o)
		if err != nil {
			return nil, err
		}
		meta, blob := newTransports(o, tlsConfig)
		metaTransport, blobTransport = meta, blob
		c.idle = append(c.idle, meta, blob)
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	metaTransport = &watchTransport{base: metaTransport, stall: o.Stall}
	blobTransport = &watchTransport{base: blobTransport, stall: o.Stall}
	userAgent := o.UserAgent
	if userAgent == "" {
		userAgent = "modseal"
	}
	cache := auth.NewCache()
	newAuth := func(t http.RoundTripper) *auth.Client {
		return &auth.Client{
			Client:     &http.Client{Transport: t, CheckRedirect: checkRedirect},
			Header:     http.Header{"User-Agent": {userAgent}},
			Credential: c.secrets.remember(o.Credential),
			Cache:      cache,
			ClientID:   "modseal",
		}
	}
	c.meta = newAuth(&retryTransport{base: metaTransport, client: c})
	c.blob = newAuth(blobTransport)
	return c, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() error {
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
	o := &orasremote.Repository{
		Client:               c.meta,
		Reference:            ref,
		PlainHTTP:            c.isPlain(ref.Host()),
		MaxMetadataBytes:     limits.ListingBytes,
		TagListMaxPages:      limits.TagPages,
		ReferrerListMaxPages: limits.ReferrerPages,
		SkipReferrersGC:      true,
	}
	// oras-go would maintain the fallback tag itself, and lose entries of
	// others while doing so (registries.md §4.2); package referrer does it.
	if err := o.SetReferrersCapability(true); err != nil {
		return nil, err
	}
	return &Repository{client: c, ref: ref, oras: o}, nil
}

// Ping asks the registry host whether it takes the credentials of c.
func (c *Client) Ping(ctx context.Context, host string) error {
	reg, err := orasremote.NewRegistry(host)
	if err != nil {
		return err
	}
	reg.Client = c.meta
	reg.PlainHTTP = c.isPlain(reg.Reference.Host())
	return c.explain(ctx, host, "", "access", reg.Ping(ctx))
}

func (c *Client) isPlain(host string) bool {
	return c.plainHTTP || c.loopback && isLoopback(host)
}

// isLoopback holds for hosts that no packet leaves the machine for.
func isLoopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if name == "localhost" {
		return true
	}
	if len(name) > 2 && name[0] == '[' && name[len(name)-1] == ']' {
		name = name[1 : len(name)-1]
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
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
