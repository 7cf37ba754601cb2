package e2e_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/modseal/modseal/e2e/registrytest"
)

// cache NAME UPSTREAM starts a pull-through cache of the registry UPSTREAM.
func startCache(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "cache NAME UPSTREAM")
	s := stateOf(ts)
	upstream := named(ts, args[1])
	login := s.passwords[upstream.Host]
	r, err := registrytest.StartPullThrough(upstream.Host, login[0], login[1], ts.MkAbs(".cache-"+args[0]))
	ts.Check(err)
	ts.Defer(func() {
		if err := r.Close(); err != nil {
			ts.Logf("cache %s: %v", args[0], err)
		}
	})
	s.registries[args[0]] = r
	ts.Setenv(args[0], r.Host)
}

// hosts NAME FILE makes FILE, in which variables are replaced, the user's
// hosts.toml of the registry NAME.
func writeHosts(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "hosts NAME FILE")
	host, port, _ := strings.Cut(named(ts, args[0]).Host, ":")
	dir := filepath.Join(ts.Getenv("XDG_CONFIG_HOME"), "modseal", "certs.d", host+"_"+port+"_")
	ts.Check(os.MkdirAll(dir, 0o755))
	text := os.Expand(ts.ReadFile(args[1]), ts.Getenv)
	ts.Check(os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o644))
}

// close NAME stops a registry or a cache: connections to it are refused.
func closeRegistry(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "close NAME")
	ts.Check(named(ts, args[0]).Close())
}
