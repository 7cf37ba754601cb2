package remote

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
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

// newTransports returns the connections for small requests and those for the
// bodies of blobs. The latter speak HTTP/1.1 only: with HTTP/2 parallel
// transfers would share one TCP flow. There is no timeout for a whole request
// or, for blobs, for its first answer: the engines know how long that may take.
// The bodies of all answers are watched by watchTransport.
func newTransports(o Options, tlsConfig *tls.Config) (meta, blob *http.Transport) {
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	newTransport := func() *http.Transport {
		return &http.Transport{
			Proxy:                 o.Proxy,
			DialContext:           dialer.DialContext,
			TLSClientConfig:       tlsConfig.Clone(),
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
	meta.ResponseHeaderTimeout = 60 * time.Second
	blob = newTransport()
	blob.Protocols = new(http.Protocols)
	blob.Protocols.SetHTTP1(true)
	blob.ReadBufferSize = 64 << 10
	blob.WriteBufferSize = 64 << 10
	return meta, blob
}
