package remote

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/remote/certsd"
)

// Mirrors are asked first, and there is another to ask: they get less time than
// the registry itself.
const (
	mirrorDial   = 10 * time.Second
	mirrorAnswer = 30 * time.Second
)

// failuresInARow are how many a mirror may have before it is asked last.
const failuresInARow = 2

// site is one origin that is asked: a registry itself or a mirror, with
// connections, tokens and headers that are its own.
type site struct {
	root       *url.URL // of the API: https://host/v2
	mirror     bool
	ns         string // the registry that a mirror is asked for; empty when it knows
	can        certsd.Capability
	meta, blob *auth.Client

	failures atomic.Int32 // in a row
	lied     atomic.Bool
	bytes    atomic.Int64 // of content that it gave
}

// url returns the address of something in a repository.
func (s *site) url(repository string, path ...string) *url.URL {
	u := *s.root
	u.Path += "/" + repository
	for _, p := range path {
		u.Path += "/" + p
	}
	if s.ns != "" {
		u.RawQuery = url.Values{"ns": {s.ns}}.Encode()
	}
	return &u
}

// scoped asks for what a request to the site needs when there will be a token.
func (s *site) scoped(req *http.Request, repository string) *http.Request {
	actions := []string{auth.ActionPull}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		actions = append(actions, auth.ActionPush)
	}
	// A mirror may keep the repository below one of its own.
	name := strings.Trim(strings.TrimPrefix(s.root.Path, "/v2")+"/"+repository, "/")
	return req.WithContext(auth.AppendScopesForHost(req.Context(), s.root.Host, auth.ScopeRepository(name, actions...)))
}

// bad reports whether the site is asked after all others.
func (s *site) bad() bool { return s.lied.Load() || s.failures.Load() >= failuresInARow }

// route is where a registry's content is asked for.
type route struct {
	home    *site   // the registry itself: what is written goes there and nowhere else
	mirrors []*site // in the order of the file
	// alone: a file names another host in the place of the registry, which is
	// the last of mirrors then; the registry itself is not read from.
	alone bool
	file  string // where it is said; empty when nowhere
}

// sites returns whom to ask for something that takes the capability want:
// mirrors, then the registry, then mirrors that failed.
func (w *route) sites(want certsd.Capability) []*site {
	var good, bad []*site
	for _, m := range w.mirrors {
		switch {
		case !m.can.Has(want):
		case m.bad():
			bad = append(bad, m)
		default:
			good = append(good, m)
		}
	}
	if !w.alone && w.home.can.Has(want) {
		good = append(good, w.home)
	}
	return append(good, bad...)
}

// listers returns whom to ask for lists. What is not on a list cannot be
// missed, so the registry is asked before any mirror; only one that could not
// be reached in this run comes last.
func (w *route) listers() []*site {
	sites := w.sites(certsd.Resolve)
	if i := slices.Index(sites, w.home); i > 0 && w.home.failures.Load() == 0 {
		sites = append([]*site{w.home}, slices.Delete(sites, i, i+1)...)
	}
	return sites
}

// route returns the route of the registry that references call name.
func (c *Client) route(name, host string) (*route, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.routes[name]; w != nil {
		return w, nil
	}
	w, err := c.newRoute(name, host)
	if err != nil {
		return nil, err
	}
	c.routes[name] = w
	return w, nil
}

func (c *Client) newRoute(name, host string) (*route, error) {
	w := &route{home: &site{root: &url.URL{Scheme: "https", Host: host, Path: "/v2"}, can: certsd.Pull | certsd.Resolve | certsd.Push}}
	if c.isPlain(host) {
		w.home.root.Scheme = "http"
	}
	w.home.meta, w.home.blob = c.meta, c.blob
	if c.o.HostsDir == "" {
		return w, nil
	}
	config, err := certsd.Load(c.o.HostsDir, name)
	if err != nil || config == nil {
		return w, err
	}
	w.file = config.File
	hosts := config.Mirrors
	if isRegistry(config.Server.URL, name, host) {
		err = c.setHome(w.home, &config.Server)
	} else {
		hosts = append(slices.Clip(hosts), config.Server)
		w.alone = true
	}
	for i := range hosts {
		if err != nil {
			break
		}
		var m *site
		if m, err = c.newMirror(&hosts[i], name, host, w.alone && i == len(hosts)-1); err == nil {
			w.mirrors = append(w.mirrors, m)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("registry hosts: %s: %w", w.file, err)
	}
	if len(w.sites(certsd.Pull)) == 0 {
		return nil, fmt.Errorf(`registry hosts: %s: no host has the capability "pull"`, w.file)
	}
	return w, nil
}

// isRegistry reports whether the server field of a hosts.toml names the
// registry itself.
func isRegistry(u *url.URL, name, host string) bool {
	if u == nil {
		return true
	}
	if name == "docker.io" && u.Host == "index.docker.io" {
		return u.Path == "/v2" // another name of Docker Hub, which examples use
	}
	same := u.Host
	if u.Port() == "443" && u.Scheme == "https" {
		same = u.Hostname()
	}
	return u.Path == "/v2" && (u.Host == name || u.Host == host || same == host)
}

// setHome reaches the registry itself as its hosts.toml says.
func (c *Client) setHome(home *site, h *certsd.Host) error {
	home.can = h.Capabilities
	tlsSaid := len(h.CA) > 0 || len(h.Client) > 0 || h.SkipVerify
	guard := false
	switch {
	case c.o.PlainHTTP:
	case h.URL != nil:
		home.root.Scheme = h.URL.Scheme
		guard = h.URL.Scheme == "http" // nobody said so to modseal
	case tlsSaid:
		home.root.Scheme = "https"
	}
	if !tlsSaid && !guard && len(h.Header) == 0 && h.DialTimeout == 0 && h.Proxy == nil {
		return nil
	}
	way := connection{proxy: c.o.Proxy, credential: c.o.Credential, dial: h.DialTimeout, retry: true, guard: guard}
	return c.reach(home, way, h, c.o)
}

// newMirror makes a site of a host that is not the registry itself. last is one
// that nobody is asked after.
func (c *Client) newMirror(h *certsd.Host, name, host string, last bool) (*site, error) {
	m := &site{root: h.URL, mirror: true, can: h.Capabilities}
	if h.URL.Host != host && h.URL.Host != name {
		m.ns = name
	}
	way := connection{
		proxy: c.o.Proxy, credential: c.o.Credential, dial: h.DialTimeout, answer: mirrorAnswer, retry: last, guard: true,
	}
	if way.dial == 0 && !last {
		way.dial = mirrorDial
	}
	// Authorities are trusted for all hosts. The certificate of the client and
	// the leave to take any certificate were given for the registry.
	return m, c.reach(m, way, h, Options{CAFile: c.o.CAFile})
}

// reach connects s as h says, with the certificates of o besides.
func (c *Client) reach(s *site, way connection, h *certsd.Host, o Options) error {
	if c.o.Transport == nil {
		var err error
		if way.tls, err = newTLSConfig(o); err != nil {
			return err
		}
		if err := addHost(way.tls, h); err != nil {
			return err
		}
	}
	if h.Proxy != nil {
		way.proxy = http.ProxyURL(h.Proxy)
	}
	if way.guard && s.root.Scheme == "http" && !certsd.IsLoopback(s.root.Host) {
		// Whoever reads along could also ask for them, in the host's name.
		way.credential = nil
	}
	way.origin, way.header = s.root, h.Header
	c.secrets.addHeader(h.Header)
	s.meta, s.blob = c.connect(way)
	return nil
}
