package certsd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Capability is what a host may be asked for.
type Capability uint8

// The capabilities of docs/hosts.md, "capabilities field".
const (
	// Pull gives content by its digest. It takes no trust.
	Pull Capability = 1 << iota
	// Resolve says which digest a tag stands for. It takes trust.
	Resolve
	// Push takes content.
	Push

	all = Pull | Resolve | Push
)

// Has reports whether all of want are there.
func (c Capability) Has(want Capability) bool { return c&want == want }

// Host is one host and how it is reached.
type Host struct {
	// URL is the root of the API: scheme, host and a path such as /v2, without
	// a slash at its end. It is nil for the settings of a registry that no
	// server field names.
	URL          *url.URL
	Capabilities Capability
	CA           []string    // PEM files to trust besides the system's
	Client       [][2]string // PEM files of certificate and key; the same file when they share it
	SkipVerify   bool
	Header       http.Header // sent to this host with every request
	// DialTimeout bounds a connection attempt; 0 when the file does not say.
	DialTimeout time.Duration
	// Proxy is the one for this host, whatever else is set; nil when the file
	// does not say.
	Proxy *url.URL
}

// Config is what is said about one registry.
type Config struct {
	// File is where it was read: a hosts.toml, or a directory of certificates.
	File string
	// Mirrors are asked first, in this order.
	Mirrors []Host
	// Server is asked last: the registry itself when its URL is nil.
	Server Host
}

// fileName is the name of the file in the directory of a registry.
const fileName = "hosts.toml"

// fallbackDir is the directory for registries that have none of their own.
const fallbackDir = "_default"

// Load reads what root says about the registry host, which is written as in
// references: host[:port]. It returns nil when nothing is said about it.
func Load(root, host string) (*Config, error) {
	for _, name := range dirNames(host) {
		dir := filepath.Join(root, name)
		switch info, err := os.Stat(dir); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, fmt.Errorf("registry hosts: %w", err)
		case !info.IsDir():
			return nil, fmt.Errorf("registry hosts: %s is no directory", dir)
		}
		return loadDir(dir)
	}
	return nil, nil // nothing is said
}

// dirNames returns the names that the directory of a registry may have, the
// first one that exists counts (docs/hosts.md, "Port Handling in Registry
// Host"). The colons of an IPv6 address belong to the host.
func dirNames(host string) []string {
	if host == "" || host == "." || host == ".." || strings.ContainsAny(host, `/\`) {
		// No path may come of a name, whoever checked it before.
		return []string{fallbackDir}
	}
	names := []string{host}
	if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.HasSuffix(host, "]") {
		names = []string{host[:i] + "_" + host[i+1:] + "_", host}
		if filepath.Separator == '\\' {
			names[1] = host[:i] + host[i+1:]
		}
	}
	return append(names, fallbackDir)
}

func loadDir(dir string) (*Config, error) {
	file := filepath.Join(dir, fileName)
	raw, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return certificates(dir)
	}
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return certificates(dir)
	}
	return Parse(file, raw)
}

// readFile reads a file that people write: regular, and not long.
func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("registry hosts: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("registry hosts: %s is no regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("registry hosts: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limits.HostsBytes+1))
	if err != nil {
		return nil, fmt.Errorf("registry hosts: %w", err)
	}
	if len(raw) > limits.HostsBytes {
		return nil, fmt.Errorf("registry hosts: %s has more than %d bytes", file, limits.HostsBytes)
	}
	return raw, nil
}

// certificates reads a directory without hosts.toml: *.crt are authorities,
// *.cert certificates of the client with their *.key beside them.
func certificates(dir string) (*Config, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("registry hosts: %w", err)
	}
	if len(entries) > limits.HostsFiles {
		return nil, fmt.Errorf("registry hosts: %s has more than %d files", dir, limits.HostsFiles)
	}
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = true
	}
	c := &Config{File: dir, Server: Host{Capabilities: all}}
	for _, e := range entries {
		switch path := filepath.Join(dir, e.Name()); filepath.Ext(e.Name()) {
		case ".crt":
			c.Server.CA = append(c.Server.CA, path)
		case ".cert":
			key := path
			if name := strings.TrimSuffix(e.Name(), ".cert") + ".key"; names[name] {
				key = filepath.Join(dir, name)
			}
			c.Server.Client = append(c.Server.Client, [2]string{path, key})
		}
	}
	return c, nil
}
