package remote

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/remote/certsd"
)

func newTLSConfig(o Options) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.Insecure, //nolint:gosec // the user asked for it by name
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("registry certificates: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("registry certificates: %s holds no certificate in PEM", o.CAFile)
		}
		config.RootCAs = pool
	}
	if (o.ClientCert == "") != (o.ClientKey == "") {
		return nil, fmt.Errorf("a client certificate and its key must be given together")
	}
	if o.ClientCert != "" {
		cert, err := tls.LoadX509KeyPair(o.ClientCert, o.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", o.ClientCert, err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// addHost adds to config what a hosts.toml says about a host.
func addHost(config *tls.Config, h *certsd.Host) error {
	config.InsecureSkipVerify = config.InsecureSkipVerify || h.SkipVerify
	if len(h.CA) > 0 && config.RootCAs == nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		config.RootCAs = pool
	}
	for _, file := range h.CA {
		pem, err := readPEM(file)
		if err != nil {
			return err
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate in PEM", file)
		}
	}
	for _, pair := range h.Client {
		cert, err := readPEM(pair[0])
		if err != nil {
			return err
		}
		key, err := readPEM(pair[1])
		if err != nil {
			return err
		}
		both, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("client certificate %s: %w", pair[0], err)
		}
		config.Certificates = append(config.Certificates, both)
	}
	return nil
}

func readPEM(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, limits.HostsPEMBytes+1))
	if err == nil && len(pem) > limits.HostsPEMBytes {
		err = fmt.Errorf("%s has more than %d bytes", file, limits.HostsPEMBytes)
	}
	return pem, err
}

// connection says how one origin, or all that have nothing of their own, are
// reached.
type connection struct {
	tls        *tls.Config
	proxy      func(*http.Request) (*url.URL, error)
	credential auth.CredentialFunc
	origin     *url.URL    // that header is for
	header     http.Header // sent to origin and nowhere else
	dial       time.Duration
	answer     time.Duration // until a small request is answered
	retry      bool          // small requests are tried again
	guard      bool          // no credentials over plain HTTP
}

// Times within which a connection is made, and a small request answered.
const (
	dialTimeout   = 30 * time.Second
	answerTimeout = 60 * time.Second
)

// connect returns clients for small requests and for the bodies of blobs, which
// share their tokens.
func (c *Client) connect(way connection) (meta, blob *auth.Client) {
	metaTransport, blobTransport := c.o.Transport, c.o.Transport
	if c.o.Transport == nil {
		m, b := newTransports(way)
		metaTransport, blobTransport = m, b
		c.idle = append(c.idle, m, b)
	}
	wrap := func(t http.RoundTripper) http.RoundTripper {
		t = &watchTransport{base: t, stall: c.o.Stall}
		if way.guard {
			t = &guardTransport{base: t}
		}
		if len(way.header) > 0 {
			t = &headerTransport{base: t, origin: way.origin, header: way.header}
		}
		return t
	}
	metaTransport, blobTransport = wrap(metaTransport), wrap(blobTransport)
	if way.retry {
		metaTransport = &retryTransport{base: metaTransport, client: c}
	}
	cache := auth.NewCache()
	newAuth := func(t http.RoundTripper) *auth.Client {
		return &auth.Client{
			Client:     &http.Client{Transport: t, CheckRedirect: checkRedirect},
			Header:     http.Header{"User-Agent": {c.o.UserAgent}},
			Credential: c.secrets.remember(way.credential),
			Cache:      cache,
			ClientID:   "modseal",
		}
	}
	return newAuth(metaTransport), newAuth(blobTransport)
}

// newTransports returns the connections for small requests and those for the
// bodies of blobs. The latter speak HTTP/1.1 only: with HTTP/2 parallel
// transfers would share one TCP flow. There is no timeout for a whole request
// or, for blobs, for its first answer: the engines know how long that may take.
// The bodies of all answers are watched by watchTransport.
func newTransports(way connection) (meta, blob *http.Transport) {
	dialer := &net.Dialer{Timeout: cmp.Or(way.dial, dialTimeout), KeepAlive: 30 * time.Second}
	newTransport := func() *http.Transport {
		return &http.Transport{
			Proxy:                 way.proxy,
			DialContext:           dialer.DialContext,
			TLSClientConfig:       way.tls.Clone(),
			TLSHandshakeTimeout:   10 * time.Second,
			ExpectContinueTimeout: time.Second,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   16,
			// Digests are of the bytes as they are; a transparent gzip would also
			// hide their number.
			DisableCompression: true,
		}
	}
	meta = newTransport()
	meta.ForceAttemptHTTP2 = true
	// Answers to metadata requests begin at once or not at all.
	meta.ResponseHeaderTimeout = cmp.Or(way.answer, answerTimeout)
	blob = newTransport()
	blob.Protocols = new(http.Protocols)
	blob.Protocols.SetHTTP1(true)
	blob.ReadBufferSize = 64 << 10
	blob.WriteBufferSize = 64 << 10
	return meta, blob
}

// headerTransport adds headers to requests to one origin. It sits below
// net/http's following of redirects, so that they are never copied to another.
type headerTransport struct {
	base   http.RoundTripper
	origin *url.URL
	header http.Header
}

func (t *headerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !SameOrigin(req.URL, t.origin) {
		return t.base.RoundTrip(req)
	}
	req = req.Clone(req.Context())
	for name, values := range t.header {
		// A token that was fetched for this request is newer than what a file says.
		if name != "Authorization" || req.Header.Get(name) == "" {
			req.Header[name] = values
		}
	}
	return t.base.RoundTrip(req)
}

// guardTransport sends no credentials where anybody on the way can read them.
type guardTransport struct{ base http.RoundTripper }

func (t *guardTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" || certsd.IsLoopback(req.URL.Host) {
		return t.base.RoundTrip(req)
	}
	if req.Body != nil && req.Body != http.NoBody {
		// Of a token service: it holds what the token is given for.
		_ = req.Body.Close()
		return nil, fmt.Errorf("refused to send a request with a body to %s over plain HTTP", req.URL.Host)
	}
	if req.Header.Get("Authorization") != "" {
		req = req.Clone(req.Context())
		req.Header.Del("Authorization")
	}
	return t.base.RoundTrip(req)
}
