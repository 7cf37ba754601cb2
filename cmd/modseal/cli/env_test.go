package cli

import (
	"slices"
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
