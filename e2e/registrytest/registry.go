// Package registrytest starts real registries on the loopback interface, each
// behind a [Front] that counts what passes and, on request, lies about it: it
// flips bytes, cuts connections, moves tags, invents referrers. With no fault
// set a front changes nothing.
package registrytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage that distribution is used with
	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/sirupsen/logrus"
)

// Kind is an implementation of the distribution specification.
type Kind string

// The kinds that there are.
const (
	// Olareg has the referrers API.
	Olareg Kind = "olareg"
	// OlaregNoReferrers has not: clients fall back to tags.
	OlaregNoReferrers Kind = "olareg-noreferrers"
	// Distribution is distribution v3, in process: no referrers API, a strict
	// order of chunks, manifests of 4 MiB at most.
	Distribution Kind = "distribution"
	// DockerRegistry is Debian's docker-registry 2.8, a process: what most
	// private registries run.
	DockerRegistry Kind = "docker-registry"
)

// Kinds lists all kinds.
var Kinds = []Kind{Olareg, OlaregNoReferrers, Distribution, DockerRegistry}

// Missing returns why registries of kind k cannot be started on this machine,
// or "" when they can.
func (k Kind) Missing() string {
	if k != DockerRegistry {
		return ""
	}
	if _, err := exec.LookPath("docker-registry"); err != nil {
		return "docker-registry is not installed (apt-get install docker-registry)"
	}
	return ""
}

// Registry is a registry that runs.
type Registry struct {
	*Front
	Host string // host:port to use in references
	Dir  string // where it keeps what it stores

	server *httptest.Server
	stop   func() error

	closed   sync.Once
	closeErr error
}

// Start starts a registry that stores below dir.
func Start(kind Kind, dir string) (*Registry, error) {
	handler, stop, err := Handler(kind, dir)
	if err != nil {
		return nil, fmt.Errorf("registry of kind %s: %w", kind, err)
	}
	return behindFront(handler, stop, dir), nil
}

// behindFront serves what handler does behind a new front.
func behindFront(handler http.Handler, stop func() error, dir string) *Registry {
	front := newFront(handler)
	server := httptest.NewUnstartedServer(front)
	server.Listener = slowListener{Listener: server.Listener, front: front}
	server.Start()
	return &Registry{
		Front: front, Host: strings.TrimPrefix(server.URL, "http://"), Dir: dir,
		server: server, stop: stop,
	}
}

// Close stops the registry, once.
func (r *Registry) Close() error {
	r.closed.Do(func() {
		r.release()
		r.server.CloseClientConnections()
		r.server.Close()
		r.closeElsewhere()
		r.closeErr = r.stop()
	})
	return r.closeErr
}

// OpenSessions is how many uploads the registry keeps that have not ended.
func (r *Registry) OpenSessions() (int, error) {
	r.settle()
	open := 0
	err := filepath.WalkDir(r.Dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // it ended a moment ago
			return nil
		case err != nil:
			return err
		case filepath.Base(filepath.Dir(path)) != "_uploads":
			return nil
		}
		if !d.IsDir() {
			open++
			return nil
		}
		// distribution knows an upload by this file; without it, the directory is
		// what a request wrote whose client was gone, after the upload had ended.
		if _, err := os.Stat(filepath.Join(path, "startedat")); err == nil {
			open++
		}
		return fs.SkipDir
	})
	return open, err
}

// Handler is a registry that stores below dir, with no front before it; stop ends
// it.
func Handler(kind Kind, dir string) (handler http.Handler, stop func() error, err error) {
	switch kind {
	case Olareg, OlaregNoReferrers:
		s := olareg.New(olaregConfig(dir, kind == Olareg))
		if kind == Olareg {
			return s, s.Close, nil
		}
		return withoutReferrers(s), s.Close, nil
	case Distribution:
		return startDistribution(dir, configuration.Proxy{})
	case DockerRegistry:
		return startDockerRegistry(dir)
	}
	return nil, nil, fmt.Errorf("it is none of %v", Kinds)
}

func olaregConfig(dir string, referrers bool) config.Config {
	yes := true
	return config.Config{
		Storage: config.ConfigStorage{StoreType: config.StoreDir, RootDir: dir},
		API: config.ConfigAPI{
			DeleteEnabled: &yes,
			Blob:          config.ConfigAPIBlob{DeleteEnabled: &yes},
			Referrer:      config.ConfigAPIReferrer{Enabled: &referrers},
		},
	}
}

// withoutReferrers answers as registries do that never heard of referrers; what
// olareg answers when they are switched off, 405, is no sign to fall back for
// all clients.
func withoutReferrers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if parseRoute(r).kind == "referrers" {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func startDistribution(dir string, upstream configuration.Proxy) (http.Handler, func() error, error) {
	logrus.SetOutput(io.Discard)
	cfg := &configuration.Configuration{
		Version: "0.1",
		Storage: configuration.Storage{
			"filesystem": configuration.Parameters{"rootdirectory": dir},
			"delete":     configuration.Parameters{"enabled": true},
		},
	}
	cfg.HTTP.Secret = "loopback"
	cfg.Proxy = upstream
	ctx, cancel := context.WithCancel(context.Background())
	app := handlers.NewApp(ctx, cfg)
	return app, func() error { cancel(); return app.Shutdown() }, nil
}

const dockerRegistryConfig = `version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: "127.0.0.1:0", secret: loopback}
`

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// startDockerRegistry runs the program and returns a proxy to it.
func startDockerRegistry(dir string) (http.Handler, func() error, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, dockerRegistryConfig, filepath.Join(dir, "data")), 0o644); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "docker-registry", "serve", file)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	stop := func() error { cancel(); _ = cmd.Wait(); return nil } // it was killed: its exit code says nothing
	output, err := cmd.StderrPipe()
	if err != nil {
		cancel()
		return nil, nil, err
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, nil, err
	}
	address, err := waitFor(output, listening, time.Minute)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	target := &url.URL{Scheme: "http", Host: address}
	proxy := &httputil.ReverseProxy{
		// The host of the client is kept: the registry builds its Location
		// headers from it.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // a cut stays a cut
		},
	}
	return proxy, stop, nil
}

// waitFor reads lines until one matches, returns its first group, and goes on
// reading in the background so that the writer never blocks.
func waitFor(r io.Reader, pattern *regexp.Regexp, timeout time.Duration) (string, error) {
	found := make(chan string, 1)
	ended := make(chan string, 1)
	go func() {
		var seen []string
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if m := pattern.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
			if len(seen) < 50 {
				seen = append(seen, lines.Text())
			}
		}
		ended <- strings.Join(seen, "\n")
	}()
	select {
	case s := <-found:
		return s, nil
	case output := <-ended:
		return "", fmt.Errorf("it stopped: %s", output)
	case <-time.After(timeout):
		return "", fmt.Errorf("nothing like %q within %v", pattern, timeout)
	}
}
