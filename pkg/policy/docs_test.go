package policy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

// The policies in the documentation are read, and the pieces of policies each in
// the place where it belongs.
func TestDocumentationParses(t *testing.T) {
	t.Parallel()
	fence := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	// How many whole policies and how many blocks there are at least, so that a
	// page whose blocks are not found is no page that is right.
	for name, least := range map[string]struct{ whole, blocks int }{
		"policy.md": {1, 8}, "trust.md": {5, 5}, "attest.md": {1, 2}, "oms.md": {1, 1},
		"provenance.md": {1, 3}, "scan.md": {0, 1}, "sbom.md": {0, 1}, "known.md": {1, 1},
	} {
		page, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		whole, found := 0, 0
		blocks := fence.FindAllStringSubmatch(string(page), -1)
		for _, b := range blocks {
			if !aboutPolicy(b[1]) {
				continue
			}
			found++
			text, complete := documentOf(b[1])
			if complete {
				whole++
			}
			p, err := policy.Parse("docs/"+name, []byte(text))
			if err != nil {
				t.Errorf("%v\n%s", err, text)
				continue
			}
			if complete && p.Default != policy.DefaultReject {
				t.Errorf("docs/%s: a policy to begin with must reject by default", name)
			}
		}
		if whole < least.whole || found < least.blocks {
			t.Errorf("docs/%s: %d policies in %d blocks were found", name, whole, found)
		}
	}
}

// aboutPolicy reports blocks that are of a policy, and not of modseal.yaml or of the
// configuration of a CI system.
func aboutPolicy(block string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(block), "\n")
	return first != "scan:" && first != "env:"
}

// documentOf makes a whole document of a block that may be a part of one, and
// reports whether it was whole.
func documentOf(block string) (text string, whole bool) {
	block = strings.TrimSuffix(dedent(block), "\n")
	indented := func(by string) string { return strings.ReplaceAll(block, "\n", "\n"+by) + "\n" }
	const roots = "trustedRoots: [{name: public-good, tuf: public-good, maxAge: 30d}]\n"
	switch {
	case strings.HasPrefix(block, "version:"):
		return block + "\n", true
	case strings.HasPrefix(block, "#"):
		return block + "\n" + scopes("registry.example.com"), false
	case strings.HasPrefix(block, "- predicate."):
		return attestationWith("          conditions:\n            " + indented("            ")), false
	case strings.HasPrefix(block, "- "):
		return roots + scopes("registry.example.com") + "      " + indented("      "), false
	case strings.HasPrefix(block, "signers:"):
		const example = "{signers: [{name: k, key: k.pub}]}\n"
		return roots + strings.TrimSuffix(scopes("registry.example.com"), example) + "\n          " + indented("          "), false
	case strings.HasPrefix(block, "conditions:"):
		return attestationWith("          " + indented("          ")), false
	case strings.HasPrefix(block, "trustedRoots:"):
		return block + "\n" + scopes("registry.example.com"), false
	}
	return roots + block + "\n" + scopes("registry.example.com"), false
}

// attestationWith is a policy that asks for provenance on the conditions.
func attestationWith(conditions string) string {
	const signer = "      - signature: {signers: [{name: k, key: k.pub}]}\n"
	return strings.TrimSuffix(scopes("registry.example.com"), signer) + `      - attestation:
          predicateType: https://slsa.dev/provenance/v1
          signers: [{name: k, key: k.pub}]
` + conditions
}

// dedent takes away what the first line is indented by.
func dedent(text string) string {
	by := text[:len(text)-len(strings.TrimLeft(text, " "))]
	return strings.ReplaceAll(strings.TrimPrefix(text, by), "\n"+by, "\n")
}
