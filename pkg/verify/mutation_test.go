package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// TestMutatedBundle turns every field of good bundles wrong, one at a time. The
// hint is not signed and may be anything.
func TestMutatedBundle(t *testing.T) {
	t.Parallel()
	m := demo()
	s := m.subject(t)
	private, public, err := sign.GenerateKeyPair(sign.P256, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.Load("k", private, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ParseKey("k", public)
	if err != nil {
		t.Fatal(err)
	}
	trusted := verify.Trust{Keys: map[string]trust.Key{"k": key}}
	for name, c := range map[string]struct {
		payload []byte
		form    sign.Form
		rules   policy.Rules
	}{
		"signature": {cosign(t, s.Descriptor.Digest), sign.FormCosign, anyOf("k")},
		"OMS":       {m.oms(t), sign.FormOMS, requireOMS(policy.Rules{Mode: policy.ModeEnforce}, "k")},
	} {
		good, err := signer.Sign(t.Context(), c.payload, c.form)
		if err != nil {
			t.Fatal(err)
		}
		check := func(bundle []byte) error {
			_, err := verify.Verify(t.Context(), s, evidence(bundle), verify.Ruling{Rules: c.rules, Trust: trusted})
			return err
		}
		if err := check(good); err != nil {
			t.Fatal(err)
		}
		mutated := 0
		for _, bad := range mutations(t, good) {
			if bytes.Equal(bad, good) {
				continue
			}
			mutated++
			err := check(bad)
			var refusal *verify.Refusal
			if !errors.As(err, &refusal) {
				t.Errorf("%s: %v for %s", name, err, bad)
			}
		}
		if mutated < 40 {
			t.Errorf("%s: only %d mutations", name, mutated)
		}
	}
}

// mutations returns good with every value changed, removed, or of another type,
// with every key renamed and doubled, and with bytes of payload and signature
// flipped.
func mutations(t *testing.T, good []byte) [][]byte {
	t.Helper()
	var out [][]byte
	var walk func(key string, v any, set func(any) any)
	walk = func(key string, v any, set func(any) any) {
		emit := func(with any) {
			b, err := json.Marshal(set(with))
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		for _, with := range []any{nil, 1, true, "", "x", []any{}} {
			emit(with)
		}
		if key != "publicKey" { // a key without a hint
			emit(map[string]any{})
		}
		switch v := v.(type) {
		case map[string]any:
			for k, member := range v {
				without := func(extra map[string]any) map[string]any {
					c := map[string]any{}
					for k2, m2 := range v {
						if k2 != k {
							c[k2] = m2
						}
					}
					for k2, m2 := range extra {
						c[k2] = m2
					}
					return c
				}
				if k == "hint" {
					continue
				}
				emit(without(nil))
				emit(without(map[string]any{k + "x": member}))
				walk(k, member, func(with any) any { return set(without(map[string]any{k: with})) })
			}
		case []any:
			emit(append(append([]any{}, v...), v...))
			for i, element := range v {
				walk(key, element, func(with any) any {
					c := append([]any{}, v...)
					c[i] = with
					return set(c)
				})
			}
		case string:
			emit(v + "x")
			emit(strings.ToUpper(v))
			for i := 0; i < len(v); i += max(1, len(v)/20) {
				b := []byte(v)
				b[i] ^= 4
				emit(string(b))
			}
		}
	}
	var doc any
	if err := json.Unmarshal(good, &doc); err != nil {
		t.Fatal(err)
	}
	walk("", doc, func(with any) any { return with })
	return out
}
