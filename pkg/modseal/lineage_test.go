//go:build unix

package modseal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/lineage"
)

// provenanceOf names n dependencies.
func provenanceOf(n int, dependency func(i int) string) string {
	var list []string
	for i := range n {
		list = append(list, dependency(i))
	}
	return `{"buildDefinition":{"buildType":"https://example.com/b/v1","externalParameters":{},"resolvedDependencies":[` + strings.Join(list, ",") +
		`]},"runDetails":{"builder":{"id":"https://example.com/ci"}}}`
}

func TestLineageIsBounded(t *testing.T) {
	c, target, private, _ := signedModel(t)
	for claim := range 3 {
		text := provenanceOf(limits.LineageDependencies, func(i int) string {
			return fmt.Sprintf(`{"name":"dataset","uri":"https://data.example.com/%d/%d"}`, claim, i)
		})
		if _, err := c.Attest(t.Context(), target, attestWith(private, "slsaprovenance1", text)); err != nil {
			t.Fatal(err)
		}
	}
	// One that names more is not read, and is no reason to refuse the others.
	text := provenanceOf(limits.LineageDependencies+1, func(int) string { return `{"name":"dataset","uri":"x"}` })
	if _, err := c.Attest(t.Context(), target, attestWith(private, "slsaprovenance1", text)); err != nil {
		t.Fatal(err)
	}
	g, err := c.Lineage(t.Context(), target, LineageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Nodes) != limits.LineageNodes {
		t.Errorf("%d nodes, not %d", len(g.Nodes), limits.LineageNodes)
	}
	warnings := strings.Join(g.Warnings, "\n")
	for _, want := range []string{"at most 512 nodes", "names 257 dependencies"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("warnings do not say %q: %s", want, warnings)
		}
	}
}

// A claim that somebody else made leads nowhere, whatever it names, and one that is
// about another artifact is none of this one.
func TestLineageFollowsWhoIsTrusted(t *testing.T) {
	c, target, private, public := signedModel(t)
	stranger, _ := plainKey(t)
	elsewhere := func(host string) string {
		return provenanceOf(1, func(int) string { return `{"name":"base-model","uri":"oci://` + host + `/a/b:v1"}` })
	}
	if _, err := c.Attest(t.Context(), target, attestWith(stranger, "slsaprovenance1", elsewhere("stranger.invalid"))); err != nil {
		t.Fatal(err)
	}
	g, err := c.Lineage(t.Context(), target, LineageOptions{Trust: TrustOptions{Keys: []string{public}}})
	if err != nil {
		t.Fatal(err)
	}
	if root := g.Node(g.Root); root.State != lineage.Accepted {
		t.Errorf("%+v", root)
	}
	n := g.Node("stranger.invalid/a/b:v1")
	if n == nil || n.State != lineage.NotFollowed {
		t.Fatalf("a stranger's claim: %+v", n)
	}
	if e := g.From(g.Root); len(e) == 0 || e[len(e)-1].Verified() {
		t.Errorf("%+v", e)
	}
	// By the key that is trusted it is followed: nobody is there.
	if _, err := c.Attest(t.Context(), target, attestWith(private, "slsaprovenance1", elsewhere("127.0.0.1:1"))); err != nil {
		t.Fatal(err)
	}
	if g, err = c.Lineage(t.Context(), target, LineageOptions{Trust: TrustOptions{Keys: []string{public}}}); err != nil {
		t.Fatal(err)
	}
	if n := g.Node("127.0.0.1:1/a/b:v1"); n == nil || n.State != lineage.Unreachable {
		t.Errorf("a registry that is not there: %+v", n)
	}
}

func TestWithoutNames(t *testing.T) {
	signed := lineage.Saying{Origin: lineage.FromAnnotation, Verified: true}
	name := func(n string) saidDependency {
		return saidDependency{lineage.Dependency{Kind: lineage.KindModel, Name: n}, signed}
	}
	pinned := func(n int, verified bool) saidDependency {
		return saidDependency{lineage.Dependency{Kind: lineage.KindModel, Digest: digest.FromString(fmt.Sprint(n))}, lineage.Saying{Origin: lineage.FromProvenance, Verified: verified}}
	}
	built := saidDependency{lineage.Dependency{Kind: lineage.KindModel, Name: "org/a"}, lineage.Saying{Origin: lineage.FromProvenance, Verified: true}}
	for what, tt := range map[string]struct {
		said  []saidDependency
		names string // noted
		left  int
	}{
		"a name alone":                        {[]saidDependency{name("org/a")}, "", 1},
		"a digest for the name":               {[]saidDependency{name("org/a"), pinned(1, true)}, "org/a", 1},
		"a digest for one of two names":       {[]saidDependency{name("org/a"), name("org/b"), pinned(1, true)}, "", 3},
		"two digests for two names":           {[]saidDependency{name("org/a"), name("org/b"), pinned(1, true), pinned(2, true)}, "org/a org/b", 2},
		"one digest twice for two names":      {[]saidDependency{name("org/a"), name("org/b"), pinned(1, true), pinned(1, true)}, "", 4},
		"the digest of a stranger":            {[]saidDependency{name("org/a"), pinned(1, false)}, "", 2},
		"a name that the build gives as well": {[]saidDependency{name("org/a"), built, pinned(1, true)}, "", 3},
	} {
		t.Run(what, func(t *testing.T) {
			n := &lineage.Node{}
			left := withoutNames(n, tt.said)
			if got := strings.Join(n.BaseNames, " "); got != tt.names || len(left) != tt.left {
				t.Errorf("noted %q and left %d, not %q and %d", got, len(left), tt.names, tt.left)
			}
		})
	}
}
