// Package instance is a whole private Sigstore on loopback: Fulcio, Rekor v2, a
// timestamp authority, a certificate transparency log and OpenID Connect
// providers, with the trusted root and the signing configurations that clients
// need. Everything is below one directory.
package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/modseal/modseal/hack/sigstore/internal/child"
	"github.com/modseal/modseal/hack/sigstore/internal/ctlog"
	"github.com/modseal/modseal/hack/sigstore/internal/fulcio"
	"github.com/modseal/modseal/hack/sigstore/internal/issuer"
	"github.com/modseal/modseal/hack/sigstore/internal/material"
)

// Options of an instance; the zero value is one like the public one.
type Options struct {
	// LeafLifetime of certificates; 0 is 10 minutes, as at the public Fulcio.
	LeafLifetime time.Duration
	// Untrusted also starts a Rekor and a timestamp authority that are not in the
	// trusted root.
	Untrusted bool
	// NoCTLog leaves out the certificate transparency log: certificates carry no
	// SCT and the trusted root has no log for them.
	NoCTLog bool
	// RekorV1 is the program of a Rekor v1 (../../rekorv1) that is started too; ""
	// is none.
	RekorV1 string
}

// expired is how old the certificates of the second Fulcio are when it issues
// them: well over their lifetime, and less than the age of its CA.
const expired = material.Since / 2

// Instance is a Sigstore that runs.
type Instance struct {
	dir      string
	options  Options
	fulcio   material.Chain
	ctlog    *ctlog.Log
	ctKey    material.Key
	trusted  services
	others   services
	rekorV1  material.Key
	urls     URLs
	servers  []*http.Server
	children []*child.Process
	ended    chan error
	lock     *flock.Flock
}

// services are one log and one timestamp authority.
type services struct {
	rekor material.Key
	tsa   material.Chain
	urls  ServiceURLs
}

// URLs are where the parts of an instance are, as DIR/sigstore.json has them.
type URLs struct {
	// Issuers by name (package issuer); "GET ISSUER/token?identity=…" is a token.
	Issuers map[string]string `json:"issuers"`
	Fulcio  string            `json:"fulcio"`
	// FulcioExpired is a door to the same Fulcio whose certificates have expired.
	FulcioExpired string `json:"fulcioExpired"`
	CTLog         string `json:"ctLog,omitempty"`
	ServiceURLs
	RekorV1   string       `json:"rekorV1,omitempty"`
	Untrusted *ServiceURLs `json:"untrusted,omitempty"`
}

// ServiceURLs are those of one log and one timestamp authority.
type ServiceURLs struct {
	Rekor string `json:"rekor"`
	TSA   string `json:"tsa"`
}

// Start runs an instance whose keys, logs and files are in dir, which is made.
// Keys that are there are used again. The caller stops it.
func Start(ctx context.Context, dir string, o Options) (*Instance, error) {
	if o.LeafLifetime == 0 {
		o.LeafLifetime = 10 * time.Minute
	}
	i := &Instance{dir: dir, options: o, ended: make(chan error, 1)}
	steps := []func(context.Context) error{i.prepare, i.startIssuers, i.startCTLog, i.startFulcio, i.startServices, i.writeFiles}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			i.Stop()
			return nil, err
		}
	}
	return i, nil
}

// URLs are where its parts are.
func (i *Instance) URLs() URLs { return i.urls }

// Failed waits until a part ends that nobody has told to, and says which; the
// end of ctx is no failure.
func (i *Instance) Failed(ctx context.Context) error {
	for _, c := range i.children {
		go func() {
			select {
			case <-c.Done():
				i.report(fmt.Errorf("%s ended: %w", c.Name, c.Err()))
			case <-ctx.Done():
			}
		}()
	}
	select {
	case err := <-i.ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// report keeps the first failure.
func (i *Instance) report(err error) {
	select {
	case i.ended <- err:
	default:
	}
}

// Stop ends all parts.
func (i *Instance) Stop() {
	for _, s := range i.servers {
		s.Close()
	}
	for _, c := range i.children {
		c.Stop()
	}
	if i.lock != nil {
		_ = i.lock.Unlock() // the process's end does it too
	}
}

// prepare makes directories and keys.
func (i *Instance) prepare(context.Context) error {
	if err := os.MkdirAll(i.keys(), 0o700); err != nil {
		return err
	}
	// Two logs that write to one directory would spoil it.
	i.lock = flock.New(filepath.Join(i.dir, "lock"))
	if locked, err := i.lock.TryLock(); err != nil || !locked {
		return errors.Join(fmt.Errorf("%s is in use by another sigstore", i.dir), err)
	}
	var err error
	if i.fulcio, err = material.LoadFulcio(i.keys(), "fulcio"); err != nil {
		return err
	}
	if i.ctKey, err = material.LoadKey(i.keys(), "ctlog"); err != nil {
		return err
	}
	if i.trusted, err = loadServices(i.keys(), ""); err != nil {
		return err
	}
	if i.rekorV1, err = material.LoadKey(i.keys(), "rekor-v1"); err != nil {
		return err
	}
	if i.options.Untrusted {
		i.others, err = loadServices(i.keys(), "-untrusted")
	}
	return err
}

func (i *Instance) keys() string { return filepath.Join(i.dir, "keys") }

func loadServices(dir, suffix string) (services, error) {
	rekor, err := material.LoadKey(dir, "rekor"+suffix)
	if err != nil {
		return services{}, err
	}
	tsa, err := material.LoadTimestamping(dir, "tsa"+suffix)
	return services{rekor: rekor, tsa: tsa}, err
}

func (i *Instance) startIssuers(ctx context.Context) error {
	listener, base, err := i.listenAgain(ctx)
	if err != nil {
		return err
	}
	s, err := issuer.New(base)
	if err != nil {
		return err
	}
	i.urls.Issuers = s.URLs()
	i.serve(listener, s.Handler())
	return nil
}

// listenAgain listens where the issuers of this directory were before, if that is
// free: their URLs are in the certificates and policies of who used them.
func (i *Instance) listenAgain(ctx context.Context) (net.Listener, string, error) {
	var before URLs
	raw, err := os.ReadFile(filepath.Join(i.dir, urlsFile))
	if err == nil && json.Unmarshal(raw, &before) == nil {
		if u, err := url.Parse(before.Issuers[issuer.Email]); err == nil {
			var config net.ListenConfig
			if listener, err := config.Listen(ctx, "tcp", u.Host); err == nil {
				return listener, "http://" + u.Host, nil
			}
		}
	}
	return listen(ctx)
}

func (i *Instance) startCTLog(ctx context.Context) (err error) {
	if i.options.NoCTLog {
		return nil
	}
	if i.ctlog, err = ctlog.New(i.ctKey.PrivateKey, i.fulcio.Certificates[0]); err != nil {
		return err
	}
	listener, base, err := listen(ctx)
	if err != nil {
		return err
	}
	i.urls.CTLog = base
	i.serve(listener, i.ctlog.Handler())
	return nil
}

func (i *Instance) startFulcio(ctx context.Context) error {
	pem, err := i.ctKey.PublicPEM()
	if err != nil {
		return err
	}
	o := fulcio.Options{
		Chain: i.fulcio, CTLog: i.urls.CTLog, CTKey: pem, Issuers: i.urls.Issuers, Lifetime: i.options.LeafLifetime,
	}
	if i.urls.Fulcio, err = i.serveFulcio(ctx, o); err != nil {
		return err
	}
	o.Age = o.Lifetime + expired
	i.urls.FulcioExpired, err = i.serveFulcio(ctx, o)
	return err
}

func (i *Instance) serveFulcio(ctx context.Context, o fulcio.Options) (string, error) {
	handler, err := fulcio.New(ctx, o)
	if err != nil {
		return "", fmt.Errorf("fulcio: %w", err)
	}
	listener, base, err := listen(ctx)
	if err != nil {
		return "", err
	}
	i.serve(listener, handler)
	return base, nil
}

func listen(ctx context.Context) (net.Listener, string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	return listener, "http://" + listener.Addr().String(), nil
}

func (i *Instance) serve(listener net.Listener, handler http.Handler) {
	s := &http.Server{Handler: handler, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
	i.servers = append(i.servers, s)
	go func() {
		if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			i.report(err)
		}
	}()
}
