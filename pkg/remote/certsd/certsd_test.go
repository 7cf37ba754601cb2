package certsd_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/remote/certsd"
)

// describe writes a configuration as one line per host.
func describe(c *certsd.Config) string {
	var b strings.Builder
	one := func(h certsd.Host) {
		if h.URL == nil {
			b.WriteString("-")
		} else {
			b.WriteString(h.URL.String())
		}
		b.WriteByte(' ')
		for _, x := range []struct {
			c    certsd.Capability
			name byte
		}{{certsd.Pull, 'p'}, {certsd.Resolve, 'r'}, {certsd.Push, 'w'}} {
			if h.Capabilities.Has(x.c) {
				b.WriteByte(x.name)
			}
		}
		if len(h.CA) > 0 {
			fmt.Fprintf(&b, " ca=%v", h.CA)
		}
		if len(h.Client) > 0 {
			fmt.Fprintf(&b, " client=%v", h.Client)
		}
		if h.SkipVerify {
			b.WriteString(" skip")
		}
		if len(h.Header) > 0 {
			fmt.Fprintf(&b, " header=%v", h.Header)
		}
		if h.DialTimeout > 0 {
			fmt.Fprintf(&b, " dial=%v", h.DialTimeout)
		}
		if h.Proxy != nil {
			fmt.Fprintf(&b, " proxy=%v", h.Proxy)
		}
		b.WriteByte('\n')
	}
	for _, m := range c.Mirrors {
		one(m)
	}
	one(c.Server)
	return b.String()
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"# nothing\n", "- prw\n"},
		"server":         {`server = "https://registry.example.com"`, "https://registry.example.com/v2 prw\n"},
		"no scheme":      {`server = "registry.example.com:5000"`, "https://registry.example.com:5000/v2 prw\n"},
		"path":           {`server = "https://h.example/a/"`, "https://h.example/a/v2 prw\n"},
		"path with v2":   {`server = "https://h.example/v2/"`, "https://h.example/v2 prw\n"},
		"dots in path":   {`server = "https://h.example/a/../b"`, "https://h.example/b/v2 prw\n"},
		"letters":        {`server = "HTTPS://H.Example"`, "https://h.example/v2 prw\n"},
		"IPv6":           {`server = "http://[::1]:5000"`, "http://[::1]:5000/v2 prw\n"},
		"settings alone": {"skip_verify = true\ndial_timeout = \"2s\"", "- prw skip dial=2s\n"},
		"order of the file": {
			"[host.\"https://z\"]\n[host.\"https://a\"]\n[host.\"https://m\".header]\nx = \"1\"\n[host.\"https://m\"]\ncapabilities = [\"pull\"]\n",
			"https://z/v2 prw\nhttps://a/v2 prw\nhttps://m/v2 p header=map[X:[1]]\n- prw\n",
		},
		"order of inline tables": {
			`host = { "https://z" = { capabilities = ["pull"] }, "https://a" = { capabilities = ["resolve"] } }`,
			"https://z/v2 p\nhttps://a/v2 r\n- prw\n",
		},
		"order of dotted keys": {
			"host.\"https://z\".skip_verify = true\nhost.\"https://a\".skip_verify = false\n",
			"https://z/v2 prw skip\nhttps://a/v2 prw\n- prw\n",
		},
		"capabilities in any letters": {"capabilities = [\"Pull\", \"RESOLVE\"]", "- pr\n"},
		"override_path":               {"[host.\"https://h/v2/proxy\"]\noverride_path = true", "https://h/v2/proxy prw\n- prw\n"},
		"override_path of a root":     {"[host.\"https://h/\"]\noverride_path = true", "https://h prw\n- prw\n"},
		"one ca":                      {`ca = "ca.pem"`, "- prw ca=[/etc/d/ca.pem]\n"},
		"several ca":                  {`ca = ["a.pem", "/b.pem", "../c.pem"]`, "- prw ca=[/etc/d/a.pem /b.pem /etc/c.pem]\n"},
		"client, one file":            {`client = "c.pem"`, "- prw client=[[/etc/d/c.pem /etc/d/c.pem]]\n"},
		"client, files":               {`client = ["a.pem", "b.pem"]`, "- prw client=[[/etc/d/a.pem /etc/d/a.pem] [/etc/d/b.pem /etc/d/b.pem]]\n"},
		"client, pairs":               {`client = [["a.cert", "a.key"], ["/b.pem", ""]]`, "- prw client=[[/etc/d/a.cert /etc/d/a.key] [/b.pem /b.pem]]\n"},
		"header":                      {"[header]\nx-one = \"1\"\nX-Two = [\"a\", \"b\"]", "- prw header=map[X-One:[1] X-Two:[a b]]\n"},
		"a token over TLS":            {"[host.\"https://h\".header]\nAuthorization = \"Bearer abc\"", "https://h/v2 prw header=map[Authorization:[Bearer abc]]\n- prw\n"},
		"a token on this machine":     {"[host.\"http://127.0.0.1:1\".header]\nAuthorization = \"Bearer abc\"", "http://127.0.0.1:1/v2 prw header=map[Authorization:[Bearer abc]]\n- prw\n"},
		"proxy":                       {`proxy = "http://proxy.example:8080/"`, "- prw proxy=http://proxy.example:8080/\n"},
		"example of containerd": {
			"server = \"https://registry-1.docker.io\"    # Exclude this to not use upstream\n\n[host.\"https://public-mirror.example.com\"]\n  capabilities = [\"pull\"]\n[host.\"https://docker-mirror.internal\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"docker-mirror.crt\"\n",
			"https://public-mirror.example.com/v2 p\nhttps://docker-mirror.internal/v2 pr ca=[/etc/d/docker-mirror.crt]\nhttps://registry-1.docker.io/v2 prw\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(c.want, "/etc") {
				t.Skip("paths of Unix")
			}
			got, err := certsd.Parse("/etc/d/hosts.toml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, describe(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	many := ""
	for i := range limits.Mirrors + 1 {
		many += fmt.Sprintf("[host.\"https://m%d\"]\n", i)
	}
	for name, c := range map[string]struct{ text, key string }{
		"no TOML":                      {"server = ", ""},
		"no UTF-8":                     {"server = \"\xff\"", ""},
		"a key twice":                  {"server = \"a\"\nserver = \"b\"", ""},
		"a table twice":                {"[host.\"https://a\"]\n[host.\"https://a\"]", ""},
		"unknown key":                  {"skip-verify = true", "skip-verify"},
		"unknown key of a host":        {"[host.\"https://a\"]\nauth = \"x\"", `host."https://a".auth`},
		"a host in a host":             {"[host.\"https://a\"]\n[host.\"https://a\".host.\"https://b\"]", `host."https://a".host`},
		"server in a host":             {"[host.\"https://a\"]\nserver = \"b\"", `host."https://a".server`},
		"server of another type":       {"server = 5", "server"},
		"empty server":                 {`server = ""`, "server"},
		"host of another type":         {"host = 1", "host"},
		"a host of another type":       {"[host]\n\"https://a\" = 1", `host."https://a"`},
		"hosts as a list":              {"[[host]]\n", "host"},
		"ftp":                          {`server = "ftp://a"`, "server"},
		"a file":                       {`server = "file:///etc/passwd"`, "server"},
		"credentials in a URL":         {"[host.\"https://u:hunter2@a\"]", `host."https://[redacted]@a"`},
		"a query":                      {`server = "https://a/?x=1"`, "server"},
		"an empty query":               {`server = "https://a/?"`, "server"},
		"a fragment":                   {`server = "https://a/#x"`, "server"},
		"an escaped slash":             {`server = "https://a/%2fv2"`, "server"},
		"no host name":                 {`server = "https:///x"`, "server"},
		"a port and no host":           {`server = "https://:5000"`, "server"},
		"a host and no port":           {`server = "https://a:"`, "server"},
		"a port that is none":          {`server = "https://a:port"`, "server"},
		"no address":                   {"[host.\"\"]", `host.""`},
		"no capabilities":              {"capabilities = []", "capabilities"},
		"unknown capability":           {`capabilities = ["pull", "trust"]`, "capabilities"},
		"capabilities as text":         {`capabilities = "pull"`, "capabilities"},
		"ca of another type":           {"ca = 1", "ca"},
		"empty ca":                     {`ca = ""`, "ca"},
		"ca with another type":         {`ca = ["a", 1]`, "ca"},
		"a path with a zero byte":      {`ca = "a\u0000b"`, "ca"},
		"a pair of three":              {`client = [["a", "b", "c"]]`, "client"},
		"a pair without certificate":   {`client = [["", "b"]]`, "client"},
		"skip_verify as text":          {`skip_verify = "false"`, "skip_verify"},
		"override_path as number":      {"override_path = 1", "override_path"},
		"dial_timeout as number":       {"dial_timeout = 5", "dial_timeout"},
		"dial_timeout below zero":      {`dial_timeout = "-1s"`, "dial_timeout"},
		"header as text":               {`header = "x"`, "header"},
		"a header with a line break":   {"[header]\nx = \"a\\r\\nHost: b\"", "header.x"},
		"a header's name":              {"[header]\n\"x y\" = \"a\"", `header."x y"`},
		"a header of the message":      {"[header]\nhost = \"evil.example\"", "header.host"},
		"a length":                     {"[header]\ncontent-length = \"0\"", "header.content-length"},
		"a header in two spellings":    {"[header]\nx = \"1\"\nX = \"2\"", "header."},
		"a header of another type":     {"[header]\nx = 1", "header.x"},
		"a token over http":            {"[host.\"http://mirror.example\".header]\nauthorization = \"Bearer abcdef\"", `host."http://mirror.example"`},
		"certificates over http":       {"[host.\"http://mirror.example\"]\nclient = \"c.pem\"", `host."http://mirror.example"`},
		"a proxy that is none":         {`proxy = "proxy.example:8080"`, "proxy"},
		"a proxy of another scheme":    {`proxy = "ftp://p"`, "proxy"},
		"too deep":                     {"a = " + strings.Repeat("{a=", limits.HostsLevels+1), ""},
		"too deep with dots":           {strings.Repeat("a.", limits.HostsLevels+1) + "a=1", ""},
		"too many mirrors":             {many, "host"},
		"too many files":               {"ca = [" + strings.Repeat(`"a",`, limits.HostsFiles+1) + "]", "ca"},
		"a secret in what is no TOML":  {"[header]\nAuthorization = \"Bearer hunter2\nx = 1", ""},
		"a secret in what is no value": {"[header]\nAuthorization = hunter2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := certsd.Parse("/etc/d/hosts.toml", []byte(c.text))
			var e *certsd.Error
			if !errors.As(err, &e) || got != nil && err == nil {
				t.Fatalf("%v, %v", got, err)
			}
			if e.File != "/etc/d/hosts.toml" || !strings.HasPrefix(e.Key, c.key) || c.key == "" && e.Key != "" {
				t.Errorf("file %q, key %q, want %q: %v", e.File, e.Key, c.key, err)
			}
			if !strings.Contains(err.Error(), e.File) || !strings.Contains(err.Error(), e.Key) {
				t.Errorf("the message lacks file or key: %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "abcdef") {
				t.Errorf("the message has the secret: %v", err)
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"a.example", "a.example_5000_", "[::1]_5000_", "[fe80::1]", "_default"} {
		write(t, filepath.Join(root, dir, "hosts.toml"), fmt.Sprintf("dial_timeout = \"%ds\"", len(dir)))
	}
	for host, dir := range map[string]string{
		"a.example":       "a.example",
		"a.example:5000":  "a.example_5000_",
		"a.example:443":   "_default",
		"b.example":       "_default",
		"[::1]:5000":      "[::1]_5000_",
		"[fe80::1]":       "[fe80::1]",
		"[::1]":           "_default",
		"..":              "_default",
		".":               "_default",
		"":                "_default",
		"../a.example":    "_default",
		`..\a.example`:    "_default",
		"x/../a.example":  "_default",
		"A.EXAMPLE.other": "_default",
	} {
		c, err := certsd.Load(root, host)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if want := filepath.Join(root, dir, "hosts.toml"); c.File != want || c.Server.DialTimeout != time.Duration(len(dir))*time.Second {
			t.Errorf("%s is read from %s, not %s", host, c.File, want)
		}
	}
	if runtime.GOOS != "windows" {
		write(t, filepath.Join(root, "c.example:1", "hosts.toml"), "")
		if c, err := certsd.Load(root, "c.example:1"); err != nil || c.File != filepath.Join(root, "c.example:1") {
			t.Errorf("a directory with a colon: %v, %v", c, err)
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "_default")); err != nil {
		t.Fatal(err)
	}
	if c, err := certsd.Load(root, "b.example"); c != nil || err != nil {
		t.Errorf("nothing is said: %v, %v", c, err)
	}
	if c, err := certsd.Load(filepath.Join(root, "none"), "b.example"); c != nil || err != nil {
		t.Errorf("no directory: %v, %v", c, err)
	}
}

func TestLoadCertificates(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a.example")
	for _, name := range []string{"ca.crt", "client.cert", "client.key", "both.cert", "other.key", "readme.txt"} {
		write(t, filepath.Join(dir, name), "")
	}
	c, err := certsd.Load(root, "a.example")
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	if !slices.Equal(c.Server.CA, []string{at("ca.crt")}) ||
		!slices.Equal(c.Server.Client, [][2]string{{at("both.cert"), at("both.cert")}, {at("client.cert"), at("client.key")}}) {
		t.Errorf("%+v", c.Server)
	}
	// An empty hosts.toml is like none, a wrong one is not.
	write(t, at("hosts.toml"), " \n")
	if c, err := certsd.Load(root, "a.example"); err != nil || len(c.Server.CA) != 1 {
		t.Errorf("%v, %v", c, err)
	}
	write(t, at("hosts.toml"), "server = ")
	if _, err := certsd.Load(root, "a.example"); err == nil {
		t.Error("a hosts.toml that is no TOML was passed over")
	}
}

func TestLoadRefuses(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "large.example", "hosts.toml"), "#"+strings.Repeat("x", limits.HostsBytes))
	if err := os.MkdirAll(filepath.Join(root, "dir.example", "hosts.toml"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "file.example"), "")
	for _, host := range []string{"large.example", "dir.example", "file.example"} {
		if c, err := certsd.Load(root, host); err == nil || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: %v, %v", host, c, err)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1": true, "127.8.9.1:80": true, "[::1]": true, "[::1]:80": true,
		"localhost.example.com": false, "10.0.0.1:80": false, "[fe80::1]:80": false, "127.0.0.1.example.com": false, "": false,
	} {
		if got := certsd.IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %v", host, got)
		}
	}
}

// FuzzParse holds that whatever is read is safe to connect to.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"server = \"https://a\"\n[host.\"http://b:5000/x\"]\ncapabilities = [\"pull\"]\nca = \"x\"\nclient = [[\"a\", \"b\"]]\n[host.\"http://b:5000/x\".header]\nx = [\"1\"]",
		"host = { \"https://z\" = { override_path = true } }", "proxy = \"socks5://p:1\"\ndial_timeout = \"1s\"\nskip_verify = true",
		strings.Repeat("[", 100), "a = " + strings.Repeat("{a=", 20),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > limits.HostsBytes {
			return
		}
		c, err := certsd.Parse("/etc/d/hosts.toml", raw)
		if err != nil {
			var e *certsd.Error
			if !errors.As(err, &e) || e.File == "" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if len(c.Mirrors) > limits.Mirrors {
			t.Fatalf("%d mirrors", len(c.Mirrors))
		}
		for i, h := range append(c.Mirrors, c.Server) {
			if h.URL == nil && i < len(c.Mirrors) || h.Capabilities == 0 {
				t.Fatalf("%+v", h)
			}
			if h.URL == nil {
				continue
			}
			again, err := url.Parse(h.URL.String())
			if err != nil || again.Host != h.URL.Host || h.URL.Hostname() == "" || h.URL.User != nil || h.URL.RawQuery != "" {
				t.Fatalf("%v: %v", h.URL, err)
			}
			if h.URL.Scheme != "https" && (h.URL.Scheme != "http" || h.Header.Get("Authorization") != "" && !certsd.IsLoopback(h.URL.Host)) {
				t.Fatalf("%+v", h)
			}
		}
	})
}
