package remote_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/remote"
)

const (
	registryPassword = "of-the-registry"
	mirrorPassword   = "of-the-mirror"
)

// store gives each host the password that is named after it.
type store map[string]string

func (s store) credential(_ context.Context, host string) (auth.Credential, error) {
	if p := s[host]; p != "" {
		return auth.Credential{Username: "alice", Password: p}, nil
	}
	return auth.EmptyCredential, nil
}

// basic asks for a password.
func basic(password string) front {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if _, got, _ := r.BasicAuth(); got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong: %s"}]}`, got)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// holds reports whether a request has the secret in any form.
func holds(r *http.Request, secret string) bool {
	encoded := base64.StdEncoding.EncodeToString([]byte("alice:" + secret))
	text := r.URL.String() + fmt.Sprint(r.Header)
	return strings.Contains(text, secret) || strings.Contains(text, encoded)
}

func noneHolds(t *testing.T, who string, requests []*http.Request, secret string) {
	t.Helper()
	for _, r := range requests {
		if holds(r, secret) {
			t.Errorf("%s got %q: %s %s %v", who, secret, r.Method, r.URL, r.Header)
		}
	}
}

func TestCredentialsOfMirrors(t *testing.T) {
	for name, c := range map[string]struct {
		mirror  front
		known   bool // there is a password for the mirror
		through bool // the content comes from the mirror
	}{
		"open":                  {nil, false, true},
		"own password":          {basic(mirrorPassword), true, true},
		"no password":           {basic(mirrorPassword), false, false},
		"wants the registry's":  {basic(registryPassword), true, false},
		"wants it, knows none":  {basic(registryPassword), false, false},
		"Bearer from nowhere":   {bearer("http://127.0.0.1:1/token"), true, false},
		"Bearer from a scheme":  {bearer("file:///etc/passwd"), true, false},
		"redirects, wants more": {nil, true, false}, // set below
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirrored(t, 1)
			m.hosts(t, "[host.\"M0\"]\n")
			m.registry.set(basic(registryPassword))
			m.mirrors[0].set(c.mirror)
			if name == "redirects, wants more" {
				// To the registry, which knows the client, but not from there.
				m.mirrors[0].set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					http.Redirect(w, r, m.registry.http.URL+r.URL.Path, http.StatusTemporaryRedirect)
				})
			}
			known := store{m.registry.host: registryPassword}
			if c.known {
				known[m.mirrors[0].host] = mirrorPassword
			}
			client, repo := m.open(t, remote.Options{Credential: known.credential})
			if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
				t.Errorf("Fetch = %q, %v", got, err)
			}
			noneHolds(t, "the mirror", m.mirrors[0].seen(), registryPassword)
			noneHolds(t, "the registry", m.registry.seen(), mirrorPassword)
			if through := len(client.Sources()) == 1 && client.Sources()[0].Mirror; through != c.through {
				t.Errorf("Sources = %v", client.Sources())
			}
			if w := strings.Join(client.Warnings(), "\n"); strings.Contains(w, registryPassword) || strings.Contains(w, mirrorPassword) {
				t.Errorf("a warning has a password: %s", w)
			}
		})
	}
}

func bearer(realm string) front {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="x"`, realm))
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// A mirror and its token service get the mirror's password; the repository that
// a token is for is the mirror's.
func TestTokensOfMirrors(t *testing.T) {
	m := newMirrored(t, 1)
	m.hosts(t, "[host.\"M0/v2/hub\"]\noverride_path = true\n")
	var mu sync.Mutex
	var scopes []string
	m.mirrors[0].set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path == "/token" {
			if _, p, _ := r.BasicAuth(); p != mirrorPassword {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			mu.Lock()
			scopes = append(scopes, r.URL.Query().Get("scope"))
			mu.Unlock()
			_, _ = io.WriteString(w, `{"token":"mirror-token"}`)
			return
		}
		if r.Header.Get("Authorization") != "Bearer mirror-token" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x",scope="repository:hub/team/model:pull"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.URL.Path = strings.Replace(r.URL.Path, "/v2/hub/", "/v2/", 1)
		next.ServeHTTP(w, r)
	})
	known := store{m.registry.host: registryPassword, m.mirrors[0].host: mirrorPassword}
	_, repo := m.open(t, remote.Options{Credential: known.credential})
	for range 2 {
		if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
			t.Errorf("Fetch = %q, %v", got, err)
		}
	}
	if len(m.registry.seen()) != 0 || !slices.Equal(scopes, []string{"repository:hub/team/model:pull"}) {
		t.Errorf("scopes %q, %d requests to the registry", scopes, len(m.registry.seen()))
	}
	if n := len(m.mirrors[0].seen()); n != 4 { // refused, token, blob, blob
		t.Errorf("%d requests", n)
	}
	noneHolds(t, "the mirror", m.mirrors[0].seen(), registryPassword)
}

// Headers of a hosts.toml go to their host, over redirects within it, and to no
// other; and no warning has what they say.
func TestHeadersOfHosts(t *testing.T) {
	m := newMirrored(t, 2)
	cdn := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	m.hosts(t, `
[header]
X-Registry = "registry-header"
[host."M0".header]
X-Mirror = ["mirror-header", "twice"]
Authorization = "Bearer mirror-secret"
[host."M1"]
`)
	m.mirrors[0].set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if !strings.Contains(r.URL.Path, "/again/") {
			http.Redirect(w, r, "/again"+r.URL.Path+"/", http.StatusTemporaryRedirect)
			return
		}
		http.Redirect(w, r, cdn.http.URL+"/signed", http.StatusTemporaryRedirect)
	})
	client, repo := m.open(t, remote.Options{})
	if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
		t.Errorf("Fetch = %q, %v", got, err)
	}
	seen := m.mirrors[0].seen()
	if len(seen) != 2 || len(cdn.seen()) != 1 {
		t.Fatalf("%d requests, and %d", len(seen), len(cdn.seen()))
	}
	for _, r := range seen {
		if !slices.Equal(r.Header["X-Mirror"], []string{"mirror-header", "twice"}) || r.Header.Get("Authorization") != "Bearer mirror-secret" {
			t.Errorf("%v", r.Header)
		}
		if r.Header.Get("X-Registry") != "" {
			t.Error("the mirror got the registry's header")
		}
	}
	for _, secret := range []string{"mirror-header", "mirror-secret", "registry-header"} {
		noneHolds(t, "the redirect's target", cdn.seen(), secret)
	}
	// The others get none of it.
	m.mirrors[0].set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(404)
	})
	m.mirrors[1].set(status(404))
	if _, err := fetch(t.Context(), repo, m.layer); err != nil {
		t.Error(err)
	}
	noneHolds(t, "the other mirror", m.mirrors[1].seen(), "mirror-")
	noneHolds(t, "the registry", m.registry.seen(), "mirror-")
	if seen := m.registry.seen(); len(seen) != 1 || seen[0].Header.Get("X-Registry") != "registry-header" {
		t.Errorf("%v", seen)
	}
	m.mirrors[0].set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+"://x", http.StatusTemporaryRedirect)
	})
	if _, err := fetch(t.Context(), repo, m.layer); err != nil {
		t.Error(err)
	}
	if w := client.Warnings(); len(w) != 1 || strings.Contains(w[0], "mirror-secret") || !strings.Contains(w[0], "[redacted]") {
		t.Errorf("Warnings = %q", w)
	}
}

// forward is a proxy that knows where every host is, and keeps what it was
// asked: for a tunnel the host alone.
type forward struct {
	server *httptest.Server
	to     map[string]string // host:port → address

	mu   sync.Mutex
	seen []*http.Request
}

func newForward(t *testing.T, to map[string]string) *forward {
	t.Helper()
	f := &forward{to: to}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *forward) url() *url.URL {
	u, err := url.Parse(f.server.URL)
	if err != nil {
		panic(err)
	}
	return u
}

func (f *forward) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hosts []string
	for _, r := range f.seen {
		hosts = append(hosts, r.Host)
	}
	return hosts
}

func (f *forward) requests(host string) []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.seen), func(r *http.Request) bool { return r.Host != host })
}

func (f *forward) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen = append(f.seen, r.Clone(r.Context()))
	f.mu.Unlock()
	address := f.to[r.Host]
	if address == "" {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if r.Method != http.MethodConnect {
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Host = "", address
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
		return
	}
	there, err := net.Dial("tcp", address)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	go func(r *bufio.Reader) { _, _ = io.Copy(there, r) }(buffered.Reader)
	_, _ = io.Copy(here, there)
}

// Every way out goes through the proxy: small requests and blobs, to the
// registry, to mirrors, to token services and to where they redirect. And to
// mirrors over plain HTTP no credentials go, whatever they ask for.
func TestProxyAndPlainHTTP(t *testing.T) {
	m := newMirrored(t, 1)
	cdn := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	token := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"anonymous-token"}`) }))
	proxy := newForward(t, map[string]string{
		"registry.test": m.registry.host, "mirror.test:8080": m.mirrors[0].host, "cdn.test": cdn.host, "token.test": token.host,
	})
	writeHosts(t, m.dir, "registry.test", "[host.\"http://mirror.test:8080\"]\n")
	open := func(known store) (*remote.Client, *remote.Repository) {
		t.Helper()
		c, err := remote.NewClient(remote.Options{
			PlainHTTP: true, HostsDir: m.dir, RetryFor: -1, Proxy: http.ProxyURL(proxy.url()),
			Credential: func(ctx context.Context, host string) (auth.Credential, error) {
				// A token service over https would get it otherwise, on the word of
				// whoever answers in the mirror's place.
				if host != "registry.test" {
					t.Errorf("the login for %s was looked up", host)
				}
				return known.credential(ctx, host)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		repo, err := c.Repository(remote.Reference{Registry: "registry.test", Repository: "team/model"})
		if err != nil {
			t.Fatal(err)
		}
		return c, repo
	}
	known := store{"registry.test": registryPassword, "mirror.test:8080": mirrorPassword}

	m.mirrors[0].set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, "http://cdn.test/signed", http.StatusTemporaryRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
	_, repo := open(known)
	for _, e := range repo.Endpoints() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.BlobURL(m.layer.Digest).String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := e.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if _, err := fetch(t.Context(), repo, m.manifest); err != nil {
		t.Error(err)
	}
	if _, err := repo.Exists(t.Context(), m.layer); err != nil {
		t.Error(err)
	}
	if want := []string{"mirror.test:8080", "cdn.test", "registry.test", "mirror.test:8080", "registry.test"}; !slices.Equal(proxy.asked(), want) {
		t.Errorf("the proxy was asked for %v, want %v", proxy.asked(), want)
	}

	// The mirror wants a password, or a token that costs one.
	for name, front := range map[string]front{"Basic": basic(mirrorPassword), "Bearer": bearer("http://token.test/token")} {
		m.mirrors[0].set(front)
		c, repo := open(known)
		if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
			t.Errorf("%s: Fetch = %q, %v", name, got, err)
		}
		if w := c.Warnings(); len(w) != 1 {
			t.Errorf("%s: Warnings = %q", name, w)
		}
	}
	for host := range proxy.to {
		for _, r := range proxy.requests(host) {
			if host != "registry.test" && (r.Header.Get("Authorization") != "" || r.Method != http.MethodGet) {
				t.Errorf("%s got %s %v", host, r.Method, r.Header)
			}
		}
	}
	if len(proxy.requests("token.test")) == 0 {
		t.Error("the token service was not asked through the proxy")
	}
	// Even when the login is a refresh token, which goes in the body.
	before := len(proxy.requests("token.test"))
	c, err := remote.NewClient(remote.Options{
		PlainHTTP: true, HostsDir: m.dir, RetryFor: -1, Proxy: http.ProxyURL(proxy.url()),
		Credential: func(context.Context, string) (auth.Credential, error) {
			return auth.Credential{RefreshToken: "refresh-" + mirrorPassword}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	repo, err = c.Repository(remote.Reference{Registry: "registry.test", Repository: "team/model"})
	if err != nil {
		t.Fatal(err)
	}
	m.mirrors[0].set(bearer("http://token.test/token"))
	if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
		t.Errorf("Fetch = %q, %v", got, err)
	}
	for _, r := range proxy.requests("token.test")[before:] {
		if r.Method != http.MethodGet || r.ContentLength > 0 {
			t.Errorf("the token service got %s with %d bytes", r.Method, r.ContentLength)
		}
	}
}

// The proxy of a host is for that host.
func TestProxyOfAHost(t *testing.T) {
	m := newMirrored(t, 0)
	mirror := serve(t, m.registry.http.Config.Handler)
	one, other := newForward(t, map[string]string{"registry.test": m.registry.host}), newForward(t, map[string]string{"mirror.test": mirror.host})
	writeHosts(t, m.dir, "registry.test", fmt.Sprintf("[host.\"http://mirror.test\"]\nproxy = %q\n", other.server.URL))
	c, err := remote.NewClient(remote.Options{PlainHTTP: true, HostsDir: m.dir, Proxy: http.ProxyURL(one.url())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	repo, err := c.Repository(remote.Reference{Registry: "registry.test", Repository: "team/model"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t.Context(), repo, m.layer); err != nil {
		t.Error(err)
	}
	if _, err := repo.Exists(t.Context(), m.layer); err != nil {
		t.Error(err)
	}
	if !slices.Equal(one.asked(), []string{"registry.test"}) || !slices.Equal(other.asked(), []string{"mirror.test"}) {
		t.Errorf("%v, %v", one.asked(), other.asked())
	}
}

// A server field with http lowers the registry itself to it, and credentials
// then stay at home.
func TestRegistryOverPlainHTTP(t *testing.T) {
	m := newMirrored(t, 0)
	m.registry.set(basic(registryPassword))
	proxy := newForward(t, map[string]string{"registry.test": m.registry.host})
	writeHosts(t, m.dir, "registry.test", "server = \"http://registry.test\"\n")
	c, err := remote.NewClient(remote.Options{
		HostsDir: m.dir, RetryFor: -1, Proxy: http.ProxyURL(proxy.url()), Credential: store{"registry.test": registryPassword}.credential,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	repo, err := c.Repository(remote.Reference{Registry: "registry.test", Repository: "team/model"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t.Context(), repo, m.layer); !remote.IsUnauthorized(err) {
		t.Errorf("Fetch: %v", err)
	}
	if err := c.Ping(t.Context(), "registry.test"); !remote.IsUnauthorized(err) {
		t.Errorf("Ping: %v", err)
	}
	noneHolds(t, "the proxy", proxy.requests("registry.test"), registryPassword)
	if len(proxy.asked()) == 0 {
		t.Error("nobody was asked")
	}
}

// certificate makes a key with a certificate, as two PEM blocks.
func certificate(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf(der), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
}

// Certificates are those of the host: authorities and clients' alike, over a
// tunnel through the proxy.
func TestCertificatesOfHosts(t *testing.T) {
	m := newMirrored(t, 0)
	var mu sync.Mutex
	var clients []string
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		name := ""
		for _, c := range r.TLS.PeerCertificates {
			name = c.Subject.CommonName
		}
		clients = append(clients, name)
		mu.Unlock()
		m.registry.http.Config.Handler.ServeHTTP(w, r)
	}))
	secure.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	// The certificate of httptest is for this name.
	proxy := newForward(t, map[string]string{"example.com:443": strings.TrimPrefix(secure.URL, "https://")})
	dir := filepath.Join(m.dir, strings.Replace(m.registry.host, ":", "_", 1)+"_")
	m.hosts(t, "")
	cert, key := certificate(t, "of-the-mirror")
	own, ownKey := certificate(t, "of-the-registry")
	for name, content := range map[string][]byte{
		"ca.pem": pemOf(secure.Certificate().Raw), "other.pem": otherCA(t), "c.cert": cert, "c.key": key, "both.pem": append(slices.Clone(cert), key...),
		"own.cert": own, "own.key": ownKey,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		text, client string
		through      bool
		options      remote.Options
	}{
		"nothing":             {text: "", through: false},
		"ca":                  {text: `ca = "ca.pem"`, through: true},
		"ca in a list":        {text: `ca = ["other.pem", "ca.pem"]`, through: true},
		"another ca":          {text: `ca = "other.pem"`, through: false},
		"skip_verify":         {text: "skip_verify = true", through: true},
		"client, a pair":      {text: `ca = "ca.pem"` + "\n" + `client = [["c.cert", "c.key"]]`, client: "of-the-mirror", through: true},
		"client, one file":    {text: `ca = "ca.pem"` + "\n" + `client = "both.pem"`, client: "of-the-mirror", through: true},
		"client, a list":      {text: `ca = "ca.pem"` + "\n" + `client = ["both.pem"]`, client: "of-the-mirror", through: true},
		"--ca-file":           {through: true, options: remote.Options{CAFile: filepath.Join(dir, "ca.pem"), PlainHTTP: true}},
		"--insecure":          {through: false, options: remote.Options{Insecure: true, PlainHTTP: true}},
		"the registry's cert": {text: `ca = "ca.pem"`, client: "", through: true, options: remote.Options{ClientCert: filepath.Join(dir, "own.cert"), ClientKey: filepath.Join(dir, "own.key"), PlainHTTP: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m.hosts(t, "[host.\"https://example.com\"]\n"+c.text)
			mu.Lock()
			clients = nil
			mu.Unlock()
			c.options.Proxy = func(r *http.Request) (*url.URL, error) {
				if r.URL.Hostname() == "example.com" {
					return proxy.url(), nil
				}
				return nil, nil
			}
			client, repo := m.open(t, c.options)
			if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
				t.Fatalf("Fetch = %q, %v", got, err)
			}
			if through := client.Sources()[0].Mirror; through != c.through {
				t.Errorf("through the mirror: %v; %v", through, client.Warnings())
			}
			mu.Lock()
			defer mu.Unlock()
			if c.through && !slices.Equal(clients, []string{c.client}) {
				t.Errorf("the mirror saw %q, want %q", clients, c.client)
			}
		})
	}
	if !slices.Contains(proxy.asked(), "example.com:443") {
		t.Error("TLS did not go through the proxy")
	}
}

// What a hosts.toml says at the top is about the registry itself.
func TestCertificatesOfTheRegistry(t *testing.T) {
	m := newMirrored(t, 0)
	secure := httptest.NewTLSServer(m.registry.http.Config.Handler)
	t.Cleanup(secure.Close)
	host := strings.TrimPrefix(secure.URL, "https://")
	for name, text := range map[string]string{
		"skip_verify": "skip_verify = true", "ca": "ca = \"ca.pem\"", "server": "server = \"https://" + host + "\"\nca = \"ca.pem\"",
	} {
		root := t.TempDir()
		writeHosts(t, root, host, text)
		dir := filepath.Join(root, strings.Replace(host, ":", "_", 1)+"_")
		if err := os.WriteFile(filepath.Join(dir, "ca.pem"), pemOf(secure.Certificate().Raw), 0o600); err != nil {
			t.Fatal(err)
		}
		repo := newRepository(t, host, remote.Options{HostsDir: root})
		if got, err := fetch(t.Context(), repo, m.layer); err != nil || string(got) != "hello" {
			t.Errorf("%s: Fetch = %q, %v", name, got, err)
		}
		if e := repo.Endpoints(); len(e) != 1 || e[0].IsMirror() {
			t.Errorf("%s: Endpoints = %v", name, e)
		}
		if _, err := repo.Resolve(t.Context(), "v1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Docker Hub has three names, and mirrors are told the one of references.
func TestDockerHub(t *testing.T) {
	for _, server := range []string{"", "https://docker.io", "https://index.docker.io", "https://registry-1.docker.io", "https://registry-1.docker.io:443"} {
		root := t.TempDir()
		text := "[host.\"https://mirror.test\"]\n"
		if server != "" {
			text = fmt.Sprintf("server = %q\n", server) + text
		}
		writeHosts(t, root, "docker.io", text)
		c, err := remote.NewClient(remote.Options{HostsDir: root})
		if err != nil {
			t.Fatal(err)
		}
		repo, err := c.Repository(remote.Reference{Registry: "docker.io", Repository: "library/x"})
		if err != nil {
			t.Fatal(err)
		}
		e := repo.Endpoints()
		if len(e) != 2 || e[1].IsMirror() || e[1].Host() != "registry-1.docker.io" || e[0].BlobURL("sha256:x").Query().Get("ns") != "docker.io" {
			t.Errorf("%q: %s, then %s", server, e[0].BlobURL("sha256:x"), e[len(e)-1].Host())
		}
		_ = c.Close()
	}
}
