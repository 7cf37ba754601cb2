package modseal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/verify"
)

// What is attached decides who may become a signer, and not in whose place: an
// identity of another issuer keeps nobody out, and those whom the caller does not
// mean are left out, whatever they have signed.
func TestCandidates(t *testing.T) {
	t.Parallel()
	instance := virtual.New(t, "one")
	root := filepath.Join(t.TempDir(), "root.json")
	if err := os.WriteFile(root, instance.Root(t, virtual.RootOptions{}), 0o600); err != nil {
		t.Fatal(err)
	}
	const good, rival = "https://issuer.example.com", "https://rival.example.com"
	var attached []verify.Evidence
	for _, id := range []virtual.Identity{
		{Subject: "release@example.com", Issuer: rival},
		{Subject: "release@example.com", Issuer: good},
		{Subject: "release@example.com", Issuer: good},
		{Subject: "mallory@example.com", Issuer: good},
	} {
		payload := []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + digest.FromString("m").Encoded() + `"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`)
		b := instance.Keyless(t, id, virtual.Claim{Payload: payload, Log: virtual.LogV1}).JSON(t)
		attached = append(attached, verify.Evidence{Digest: digest.FromBytes(b), Bundle: b})
	}
	release, issuer := policy.Match{Exact: "release@example.com"}, policy.Match{Exact: good}
	const first, second, other = "release@example.com", "release@example.com of " + good, "mallory@example.com"
	for name, row := range map[string]struct {
		trust TrustOptions
		want  []string
	}{
		"nobody in particular": {TrustOptions{}, []string{first, second, other}},
		"an identity":          {TrustOptions{Identity: release}, []string{first, second}},
		"an issuer":            {TrustOptions{Issuer: issuer}, []string{first, other}},
		"both":                 {TrustOptions{Identity: release, Issuer: issuer}, []string{first}},
		"somebody else":        {TrustOptions{Identity: policy.Match{Exact: "release@example.co"}}, nil},
	} {
		row.trust.TrustedRoot, row.trust.Offline = root, true
		ruling, err := (&Client{}).candidates(t.Context(), PolicyInit{Trust: row.trust}, attached)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range ruling.Rules.Signers() {
			got = append(got, s.Name)
			if s.Name == second && s.Keyless.Issuer.Exact != good || s.Name == first && row.trust.Issuer == issuer && s.Keyless.Issuer.Exact != good {
				t.Errorf("%s: %s is vouched for by %s", name, s.Name, s.Keyless.Issuer)
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

// A policy names who is trusted; authorities alone are for the command line.
func TestDraftNeedsAName(t *testing.T) {
	t.Parallel()
	_, err := (&Client{}).DraftPolicy(t.Context(), PolicyInit{Trust: TrustOptions{Authorities: "ca.pem"}, Prefix: "*"})
	if !errors.Is(err, ErrUsage) {
		t.Error(err)
	}
}
