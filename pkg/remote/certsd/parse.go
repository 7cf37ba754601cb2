package certsd

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"golang.org/x/net/http/httpguts"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Error says what is wrong with a hosts.toml.
type Error struct {
	File string
	Key  string // as TOML writes it; empty when the file is no TOML
	Err  error
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("registry hosts: %s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("registry hosts: %s: %s: %v", e.File, e.Key, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Parse reads a hosts.toml. Paths in it are relative to the directory of file.
// Every error is an *Error.
func Parse(file string, raw []byte) (*Config, error) {
	if n := bytes.Count(raw, []byte(".")) + bytes.Count(raw, []byte("{")); n > limits.HostsLevels {
		return nil, &Error{File: file, Err: fmt.Errorf("it has more than %d dots and braces", limits.HostsLevels)}
	}
	var tree map[string]any
	meta, err := toml.Decode(string(raw), &tree)
	if err != nil {
		return nil, &Error{File: file, Err: notTOML(err)}
	}
	c := &Config{File: file}
	p := parser{file: file, dir: filepath.Dir(file)}
	hosts, err := p.table(tree, toml.Key{"host"})
	if err != nil {
		return nil, err
	}
	order := hostsInOrder(meta.Keys())
	if len(order) > limits.Mirrors {
		return nil, p.fail(toml.Key{"host"}, "there are %d, more than %d", len(order), limits.Mirrors)
	}
	for _, name := range order {
		key := toml.Key{"host", name}
		fields, ok := hosts[name].(map[string]any)
		if !ok || name == "" {
			return nil, p.fail(key, "it must be a table with the address of a host as its name")
		}
		h, err := p.host(key, name, fields, nil)
		if err != nil {
			return nil, err
		}
		c.Mirrors = append(c.Mirrors, h)
	}
	server := ""
	if v, ok := tree["server"]; ok {
		if server, ok = v.(string); !ok || server == "" {
			return nil, p.fail(toml.Key{"server"}, "it must be the address of a registry")
		}
	}
	c.Server, err = p.host(nil, server, tree, []string{"server", "host"})
	return c, err
}

// notTOML keeps what may be a secret out of a message about it: parsers quote
// what they did not expect.
func notTOML(err error) error {
	var at toml.ParseError
	if !errors.As(err, &at) {
		return errors.New("it is no TOML")
	}
	if strings.Contains(at.LastKey, "header") {
		return fmt.Errorf("line %d is no TOML", at.Position.Line)
	}
	return fmt.Errorf("line %d is no TOML: %s", at.Position.Line, at.Message)
}

// hostsInOrder returns the names of the hosts in the order in which the file
// first mentions them, in whatever way TOML lets it.
func hostsInOrder(keys []toml.Key) []string {
	var names []string
	seen := map[string]bool{}
	for _, k := range keys {
		if len(k) >= 2 && k[0] == "host" && !seen[k[1]] {
			seen[k[1]] = true
			names = append(names, k[1])
		}
	}
	return names
}

type parser struct{ file, dir string }

// userinfo is what an address may hold and no message may.
var userinfo = regexp.MustCompile(`://[^/@]*@`)

func (p parser) fail(key toml.Key, format string, a ...any) error {
	name := userinfo.ReplaceAllLiteralString(key.String(), "://[redacted]@")
	return &Error{File: p.file, Key: name, Err: fmt.Errorf(format, a...)}
}

// table returns the table at key of tree, which may be absent.
func (p parser) table(tree map[string]any, key toml.Key) (map[string]any, error) {
	v, ok := tree[key[len(key)-1]]
	if !ok {
		return nil, nil // an absent table is an empty one
	}
	t, ok := v.(map[string]any)
	if !ok {
		return nil, p.fail(key, "it must be a table")
	}
	return t, nil
}

// host reads the fields of a host; those of names in other are somebody else's.
func (p parser) host(at toml.Key, address string, fields map[string]any, other []string) (Host, error) {
	h := Host{Capabilities: all}
	// In the order of their names, so that the same file gives the same error.
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	override := false
	for _, name := range names {
		if slices.Contains(other, name) {
			continue
		}
		key, v := append(slices.Clone(at), name), fields[name]
		var err error
		switch name {
		case "capabilities":
			h.Capabilities, err = p.capabilities(key, v)
		case "ca":
			h.CA, err = p.files(key, v)
		case "client":
			h.Client, err = p.client(key, v)
		case "skip_verify":
			h.SkipVerify, err = p.bool(key, v)
		case "override_path":
			override, err = p.bool(key, v)
		case "header":
			var table map[string]any
			if table, err = p.table(fields, key); err == nil {
				h.Header, err = p.header(key, table)
			}
		case "dial_timeout":
			h.DialTimeout, err = p.duration(key, v)
		case "proxy":
			h.Proxy, err = p.proxy(key, v)
		default:
			err = p.fail(key, "it is not known; keys are capabilities, ca, client, skip_verify, header, override_path, dial_timeout, proxy, and at the top server and host")
		}
		if err != nil {
			return Host{}, err
		}
	}
	if address == "" {
		return h, nil
	}
	if at == nil {
		at = toml.Key{"server"}
	}
	u, err := p.address(at, address, override)
	if err != nil {
		return Host{}, err
	}
	h.URL = u
	return h, p.check(at, h)
}

// check refuses what would send a secret over the network for all to read.
func (p parser) check(at toml.Key, h Host) error {
	if h.URL.Scheme != "http" {
		return nil
	}
	if len(h.Client) > 0 || len(h.CA) > 0 {
		return p.fail(at, "it has certificates and is reached over http, where there are none; write https")
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		if h.Header.Get(name) != "" && !IsLoopback(h.URL.Host) {
			return p.fail(at, "its header %s would go over http, where others read it; write https", name)
		}
	}
	return nil
}

// address reads the URL of a host. Without a scheme it is https.
func (p parser) address(at toml.Key, s string, override bool) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, p.fail(at, "it is no URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, p.fail(at, "it must begin with https:// or http://")
	case u.User != nil:
		return nil, p.fail(at, "it holds credentials; log in to %s instead", u.Host)
	case u.Hostname() == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "" || strings.HasSuffix(u.Host, ":"):
		return nil, p.fail(at, "it must be scheme://host[:port][/path] and no more")
	case !httpguts.ValidHostHeader(u.Host):
		return nil, p.fail(at, "it names no host")
	}
	u.Host = strings.ToLower(u.Host)
	if u.Path != "" {
		u.Path = path.Clean(u.Path)
	}
	if !override && !strings.HasSuffix(u.Path, "/v2") {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/v2"
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

func (p parser) capabilities(key toml.Key, v any) (Capability, error) {
	list, ok := v.([]any)
	if !ok {
		return 0, p.fail(key, `it must be a list of "pull", "resolve" and "push"`)
	}
	if len(list) == 0 {
		// containerd takes an empty list for all of them, which is hardly what
		// an empty list says.
		return 0, p.fail(key, "it is empty; name what the host may be asked for, or leave the host out")
	}
	var c Capability
	for _, v := range list {
		name, _ := v.(string) // another type is no name either
		switch strings.ToLower(name) {
		case "pull":
			c |= Pull
		case "resolve":
			c |= Resolve
		case "push":
			c |= Push
		default:
			return 0, p.fail(key, `it may have "pull", "resolve" and "push", not %.40q`, fmt.Sprint(v))
		}
	}
	return c, nil
}

// files reads one path or a list of them.
func (p parser) files(key toml.Key, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) > limits.HostsFiles {
		return nil, p.fail(key, "it names more than %d files", limits.HostsFiles)
	}
	var out []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok || s == "" || strings.ContainsRune(s, 0) {
			return nil, p.fail(key, "it must be the path of a file, or a list of paths")
		}
		out = append(out, p.path(s))
	}
	return out, nil
}

func (p parser) path(s string) string {
	if filepath.IsAbs(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(p.dir, s)
}

// client reads the three forms of the field: a path, a list of paths, and a
// list of pairs, whose second path may be empty.
func (p parser) client(key toml.Key, v any) ([][2]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) > limits.HostsFiles {
		return nil, p.fail(key, "it names more than %d files", limits.HostsFiles)
	}
	var out [][2]string
	for _, v := range list {
		pair, ok := v.([]any)
		if !ok {
			pair = []any{v, ""}
		}
		if len(pair) != 2 {
			return nil, p.fail(key, "a pair has two paths, of the certificate and of its key, not %d", len(pair))
		}
		cert, ok1 := pair[0].(string)
		keyFile, ok2 := pair[1].(string)
		if !ok1 || !ok2 || cert == "" || strings.ContainsRune(cert+keyFile, 0) {
			return nil, p.fail(key, "it must be the path of a file, a list of paths, or a list of pairs of paths")
		}
		if keyFile == "" {
			keyFile = cert
		}
		out = append(out, [2]string{p.path(cert), p.path(keyFile)})
	}
	return out, nil
}

func (p parser) bool(key toml.Key, v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, p.fail(key, "it must be true or false")
	}
	return b, nil
}

func (p parser) duration(key toml.Key, v any) (time.Duration, error) {
	s, _ := v.(string) // another type is no duration either
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, p.fail(key, `it must be a time such as "5s"`)
	}
	return d, nil
}

// framing are headers that say how a message is to be read, or that the engines
// set themselves.
var framing = []string{
	"Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Expect", "Host", "If-Range", "Range",
	"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// header reads a table of headers. Its values may be secrets: no error has one.
func (p parser) header(key toml.Key, table map[string]any) (http.Header, error) {
	h := http.Header{}
	for name, v := range table {
		at := append(slices.Clone(key), name)
		values, ok := v.([]any)
		if !ok {
			values = []any{v}
		}
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return nil, p.fail(at, "it is no name of a header")
		case slices.Contains(framing, canonical):
			return nil, p.fail(at, "it cannot be set here")
		case h[canonical] != nil:
			return nil, p.fail(at, "it is there twice, in other letters")
		}
		for _, v := range values {
			s, ok := v.(string)
			if !ok || !httpguts.ValidHeaderFieldValue(s) {
				return nil, p.fail(at, "it must be a text, or a list of texts, on one line")
			}
			h[canonical] = append(h[canonical], s)
		}
	}
	return h, nil
}

// proxy reads the address of a proxy (docs/hosts.md, "proxy field").
func (p parser) proxy(key toml.Key, v any) (*url.URL, error) {
	s, _ := v.(string) // another type is no address either
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, p.fail(key, "it must be scheme://host[:port]")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, p.fail(key, "its scheme must be http, https, socks5 or socks5h")
}
