package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/term"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/remote"
)

// environment is the one place that reads environment variables.
type environment struct {
	get  func(string) string
	home string
}

func processEnvironment() environment {
	// Without a home there are no default files; every command that needs one
	// has a flag for it.
	home, _ := os.UserHomeDir()
	return environment{get: os.Getenv, home: home}
}

// Environment variables that modseal reads, besides HTTP_PROXY, HTTPS_PROXY and
// NO_PROXY.
const (
	envPassword       = "MODSEAL_PASSWORD"
	envCosignPassword = "COSIGN_PASSWORD"
	envConfigHome     = "XDG_CONFIG_HOME"
	envConfigDirs     = "XDG_CONFIG_DIRS"
	envStateHome      = "XDG_STATE_HOME"
	envCacheHome      = "XDG_CACHE_HOME"
	envRuntimeDir     = "XDG_RUNTIME_DIR"
	envDockerConfig   = "DOCKER_CONFIG"
	envPodmanAuth     = "REGISTRY_AUTH_FILE"
	envSourceDate     = "SOURCE_DATE_EPOCH"
)

// under returns the modseal directory below the XDG base directory that the
// variable names (XDG Base Directory Specification 0.8: a relative one is
// ignored).
func (e environment) under(variable string, fallback ...string) string {
	if dir := e.get(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "modseal")
	}
	if e.home == "" {
		return ""
	}
	return filepath.Join(append(append([]string{e.home}, fallback...), "modseal")...)
}

func (e environment) stateDir() string { return e.under(envStateHome, ".local", "state") }

// spoolDir returns where layers lie on their way between registries, or "".
func (e environment) spoolDir() string {
	dir := e.under(envCacheHome, ".cache")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "spool")
}

func (e environment) defaultPolicy() string {
	dir := e.under(envConfigHome, ".config")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "policy.yaml")
}

// systemConfig is always asked: whoever sets XDG_CONFIG_DIRS adds to it.
const systemConfig = "/etc/xdg"

// sitePolicies returns the policies of the machine, which hold besides whatever
// the user chooses: modseal/policy.yaml in each of XDG_CONFIG_DIRS, and in
// /etc/xdg.
func (e environment) sitePolicies() []string {
	var out []string
	for _, dir := range append(filepath.SplitList(e.get(envConfigDirs)), systemConfig) {
		file := filepath.Join(dir, "modseal", "policy.yaml")
		if filepath.IsAbs(dir) && !slices.Contains(out, file) {
			out = append(out, file)
		}
	}
	return out
}

// trustDir returns where trusted roots, keys and certificates are kept by name.
func (e environment) trustDir() string {
	dir := e.under(envConfigHome, ".config")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "trust")
}

// systemHosts is where containerd looks unless it is told otherwise.
const systemHosts = "/etc/containerd/certs.d"

// hostsDir returns the directory of mirrors: the user's own, or else that of
// the machine, which is no use to who may not read it.
func (e environment) hostsDir() string {
	if dir := e.under(envConfigHome, ".config"); dir != "" {
		dir = filepath.Join(dir, "certs.d")
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	if _, err := os.ReadDir(systemHosts); err == nil {
		return systemHosts
	}
	return ""
}

// credentialFiles returns where docker, podman and their helpers keep
// credentials, in the order in which they are asked.
func (e environment) credentialFiles() remote.CredentialFiles {
	var f remote.CredentialFiles
	docker := e.get(envDockerConfig)
	if docker == "" && e.home != "" {
		docker = filepath.Join(e.home, ".docker")
	}
	if docker != "" {
		f.Docker = append(f.Docker, filepath.Join(docker, "config.json"))
	}
	if file := e.get(envPodmanAuth); file != "" {
		f.Podman = append(f.Podman, file)
	}
	if dir := e.get(envRuntimeDir); dir != "" {
		f.Podman = append(f.Podman, filepath.Join(dir, "containers", "auth.json"))
	}
	if e.home != "" {
		f.Podman = append(f.Podman, filepath.Join(e.home, ".config", "containers", "auth.json"))
	}
	return f
}

// password returns the password of a key from the environment.
func (e environment) password() (string, bool) {
	for _, name := range []string{envPassword, envCosignPassword} {
		if v, ok := os.LookupEnv(name); ok {
			return v, true
		}
	}
	return "", false
}

// sourceDate returns the time of SOURCE_DATE_EPOCH
// (https://reproducible-builds.org/specs/source-date-epoch/), or nil.
func (e environment) sourceDate() (*time.Time, error) {
	v := e.get(envSourceDate)
	if v == "" {
		return nil, nil // no time is an answer
	}
	seconds, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is %q, and must be seconds since 1970, such as 1767322800", modseal.ErrUsage, envSourceDate, v)
	}
	t := time.Unix(seconds, 0).UTC()
	return &t, nil
}

// terminal reports whether w is a terminal that takes more than plain lines.
// NO_COLOR (https://no-color.org) is no reason to give it less: there are no
// colours.
func (e environment) terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && e.get("TERM") != "dumb" && render.Draws(f)
}

func proxyFromEnvironment(req *http.Request) (*url.URL, error) { return http.ProxyFromEnvironment(req) }
