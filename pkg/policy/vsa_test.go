package policy_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

func TestResourcesTake(t *testing.T) {
	t.Parallel()
	const here = "registry.example.com/prod/m"
	for name, row := range map[string]struct {
		resources  policy.Resources
		uri, place string
		here       string
		takes      bool
	}{
		"nothing is asked":           {policy.Resources{}, "oci://" + here, here, here, false},
		"here":                       {policy.Resources{Here: true}, "oci://" + here, here, here, true},
		"here, in other letters":     {policy.Resources{Here: true}, "oci://" + here, here, "Registry.Example.com/prod/m", true},
		"below here":                 {policy.Resources{Here: true}, "oci://" + here + "/x", here + "/x", here, false},
		"above here":                 {policy.Resources{Here: true}, "oci://registry.example.com/prod", "registry.example.com/prod", here, false},
		"elsewhere":                  {policy.Resources{Here: true}, "oci://registry.example.com/dev/m", "registry.example.com/dev/m", here, false},
		"no place":                   {policy.Resources{Here: true}, here, "", "", false},
		"a layout":                   {policy.Resources{Here: true}, "oci:/srv/m", "oci:/srv/m", "oci:/srv/m", true},
		"anything":                   {policy.Resources{Any: true}, "https://example.com/m", "", here, true},
		"a prefix":                   {policy.Resources{Places: []string{"registry.example.com/prod"}}, "oci://" + here, here, "oci:/srv/m", true},
		"a prefix, itself":           {policy.Resources{Places: []string{here}}, "oci://" + here, here, here, true},
		"a prefix of half a word":    {policy.Resources{Places: []string{"registry.example.com/pro"}}, "oci://" + here, here, here, false},
		"another registry":           {policy.Resources{Places: []string{"registry.example.com/prod"}}, "oci://registry.example.com.evil.example/prod", "registry.example.com.evil.example/prod", here, false},
		"a list is not here":         {policy.Resources{Places: []string{"registry.example.com/dev"}}, "oci://" + here, here, here, false},
		"the second of two":          {policy.Resources{Places: []string{"a.example", "registry.example.com"}}, "oci://" + here, here, here, true},
		"layouts":                    {policy.Resources{Places: []string{"oci:"}}, "oci:/srv/m", "oci:/srv/m", here, true},
		"a URI":                      {policy.Resources{Places: []string{"https://example.com/prod"}}, "https://example.com/prod", "", here, true},
		"a URI below":                {policy.Resources{Places: []string{"https://example.com/prod"}}, "https://example.com/prod/m", "", here, false},
		"a URI that is no place":     {policy.Resources{Places: []string{"registry.example.com"}}, "https://registry.example.com/prod/m", "", here, false},
		"an empty prefix":            {policy.Resources{Places: []string{""}}, "https://example.com/m", "", here, false},
		"a package of another kind":  {policy.Resources{Places: []string{"pkg:generic/m@1"}}, "pkg:generic/m@1", "", here, true},
		"a package of another kind.": {policy.Resources{Places: []string{"pkg:generic/m@1"}}, "pkg:generic/m@2", "", here, false},
	} {
		if got := row.resources.Takes(row.uri, row.place, row.here); got != row.takes {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Who may speak as somebody vouches for the manifest, and so for what stands in
// the config; a signature is not needed besides.
func TestVSAVouchesForTheManifest(t *testing.T) {
	t.Parallel()
	p := parse(t, scopeOf("vsa: {verifiers: [{id: 'a:b', signers: [{name: k, key: k.pub}]}]}")+
		"      - freshness: {remember: true}\n      - conditions: [\"config.licenses.size() > 0\"]\n")
	r, err := p.Rules("a.example/m")
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Signers(); len(s) != 1 || s[0].Name != "k" || !r.NeedsConfig() {
		t.Errorf("signers %v", s)
	}
}

func TestVSANeeds(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]struct{ config, legacy bool }{
		"":                   {},
		", legacyTags: true": {legacy: true},
		", conditions: [\"predicate.resourceUri != config.name\"]": {config: true},
	} {
		p := parse(t, scopeOf("vsa: {verifiers: [{id: 'a:b', signers: [{name: k, key: k.pub}]}]"+more+"}"))
		r, err := p.Rules("a.example/m")
		if err != nil {
			t.Fatal(err)
		}
		signatures, attestations := r.NeedsLegacyTags()
		if r.NeedsConfig() != want.config || attestations != want.legacy || signatures {
			t.Errorf("%s: %v %v %v", more, r.NeedsConfig(), signatures, attestations)
		}
	}
}

// The thresholds that nobody can meet are found when the keys are known.
func TestCheckKeysOfSummaries(t *testing.T) {
	t.Parallel()
	p := parse(t, scopeOf("vsa: {threshold: 2, verifiers: [{id: 'a:b', signers: [{name: k, key: k.pub}]}, {id: 'a:c', signers: [{name: l, key: l.pub}]}]}"))
	w := p.CheckKeys(map[string]string{"k": "sha256:1", "l": "sha256:1"})
	if len(w) != 2 || !strings.Contains(w[0].Message, `signers "k" and "l" are the same key`) || !strings.Contains(w[1].Message, "no model can meet this vsa requirement") {
		t.Errorf("%v", w)
	}
	if w := p.CheckKeys(map[string]string{"k": "sha256:1", "l": "sha256:2"}); len(w) != 0 {
		t.Errorf("%v", w)
	}
}
