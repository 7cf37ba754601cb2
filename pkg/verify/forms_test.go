package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/verify"
)

// TestMutatedForms turns every field of good bundles of all kinds of signers
// wrong, one at a time. Each is refused: nothing in a bundle is without a meaning
// to the decision but what is listed here.
func TestMutatedForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// With an age, every one of them needs the time that it has.
	const keyed = `- signature: {transparencyLogs: 1, maxAge: 1d, signers: [$release]}`
	const keyless = `- signature: {transparencyLogs: 1, maxAge: 1d, signers: [$ci]}`
	const certified = `- signature: {transparencyLogs: 1, maxAge: 1d, signers: [$alice]}`
	v1, v2 := virtual.Claim{Log: virtual.LogV1}, virtual.Claim{Log: virtual.LogV2, Timestamp: true}
	for name, c := range map[string]struct {
		policy string
		bundle []byte
	}{
		"key, Rekor v1":         {keyed, w.key("release", v1)},
		"key, Rekor v2":         {keyed, w.key("release", v2)},
		"keyless, Rekor v1":     {keyless, w.keyless(virtual.Identity{}, v1)},
		"keyless, Rekor v2":     {keyless, w.keyless(virtual.Identity{}, v2)},
		"certificate, Rekor v1": {certified, w.certificate(virtual.Leaf{}, v1)},
		"certificate, Rekor v2": {certified, w.certificate(virtual.Leaf{}, v2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ruling, err := w.rule(decisionRow{}, c.policy, "registry.example.com/team/demo")
			if err != nil {
				t.Fatal(err)
			}
			s := demo().subject(t)
			check := func(bundle []byte) error {
				_, err := verify.Verify(t.Context(), s, evidence(bundle), ruling)
				return err
			}
			if err := check(c.bundle); err != nil {
				t.Fatal(err)
			}
			before := identityOf(t, s, c.bundle, ruling)
			mutated, refusedOnes := 0, 0
			for _, bad := range mutations(t, c.bundle) {
				if sameDocument(t, bad, c.bundle) {
					continue
				}
				mutated++
				err := check(bad)
				var refusal *verify.Refusal
				switch {
				case errors.As(err, &refusal):
					refusedOnes++
				case err != nil:
					t.Errorf("%v for %s", err, bad)
				case !harmless(t, bad, c.bundle) || identityOf(t, s, bad, ruling) != before:
					t.Errorf("accepted: %s", difference(t, bad, c.bundle))
				}
			}
			if mutated < 200 || refusedOnes < mutated*9/10 {
				t.Errorf("%d mutations, %d refused", mutated, refusedOnes)
			}
		})
	}
}

// identityOf is who signed, as the report says it.
func identityOf(t *testing.T, s verify.Subject, bundle []byte, ruling verify.Ruling) string {
	t.Helper()
	r, err := verify.Explain(t.Context(), s, evidence(bundle), ruling)
	if err != nil {
		t.Fatal(err)
	}
	e := r.Requirements[0].Evidence[0]
	return e.Signer + e.Identity + e.Issuer + e.Fingerprint + e.Time.String() + e.TimeSource
}

// harmless reports whether two bundles say the same in all that matters.
func harmless(t *testing.T, a, b []byte) bool {
	t.Helper()
	return bytes.Equal(normal(t, a), normal(t, b))
}

func normal(t *testing.T, bundle []byte) []byte {
	t.Helper()
	canonical, err := verify.Canonical(bundle)
	if err != nil {
		return bundle
	}
	return canonical
}

func sameDocument(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	left, _ := json.Marshal(x)
	right, _ := json.Marshal(y)
	return bytes.Equal(left, right)
}

// difference is where two texts begin to differ.
func difference(t *testing.T, a, b []byte) string {
	t.Helper()
	var x, y any
	_ = json.Unmarshal(a, &x)
	_ = json.Unmarshal(b, &y)
	left, _ := json.Marshal(x)
	right, _ := json.Marshal(y)
	i := 0
	for i < len(left) && i < len(right) && left[i] == right[i] {
		i++
	}
	from, to := max(0, i-100), min(len(left), i+80)
	return string(left[from:to])
}
