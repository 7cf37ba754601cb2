package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever the user's environment says, the policy in /etc/xdg is among those that
// hold.
func TestSitePolicies(t *testing.T) {
	t.Parallel()
	const system = "/etc/xdg/modseal/policy.yaml"
	for dirs, want := range map[string][]string{
		"":                    {system},
		"/a:/b":               {"/a/modseal/policy.yaml", "/b/modseal/policy.yaml", system},
		"/a:/etc/xdg":         {"/a/modseal/policy.yaml", system},
		"relative:":           {system},
		"=:/a:relative/again": {"/a/modseal/policy.yaml", system},
	} {
		e := environment{get: func(name string) string {
			if name == envConfigDirs {
				return dirs
			}
			return ""
		}}
		if got := e.sitePolicies(); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", dirs, got, want)
		}
	}
}

// Logins are for registries: what is on this machine is read whatever is wrong with them.
func TestLoginsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"config.json": "{broken", "m/README.md": "a model"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(envDockerConfig, dir)
	if code, _, stderr := call(t, "inspect", filepath.Join(dir, "m")); code != exitDone {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := call(t, "login", "127.0.0.1:1", "-u", "x"); code != exitOther || !strings.Contains(stderr, "config.json") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
