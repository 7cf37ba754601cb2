package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// decidesNothing are the changes that leave a bundle good, and why: what is changed is
// not signed, and nothing is decided by it.
var decidesNothing = map[string]string{
	".verificationMaterial.publicKey.hint":                   "it only says which of the trusted keys is tried first",
	".verificationMaterial.publicKey.hint blank":             "the same",
	".verificationMaterial.publicKey.hint absent":            "the same",
	".verificationMaterial.timestampVerificationData absent": "it is empty",
	".verificationMaterial.tlogEntries twice":                "a log counts once",
}

// TestMutatedDirectorySignature turns every field of OMS bundles of all methods
// wrong, one at a time. All are refused but those that decide nothing.
func TestMutatedDirectorySignature(t *testing.T) {
	t.Parallel()
	m := demo()
	instance := virtual.New(t, "one")
	root, err := trust.ParseRoot("one", instance.Root(t, virtual.RootOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	corp := virtual.NewAuthority(t, "corp", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	authority, err := trust.ParseAuthority("corp", corp.Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	of := func(s policy.Signer, known verify.Trust) verify.Ruling {
		r := policy.Rules{Name: "test", Mode: policy.ModeEnforce}
		r.Requirements = []policy.Requirement{{Signature: &policy.SignatureRequirement{Signers: []policy.Signer{s}, Threshold: 1}}}
		return verify.Ruling{Rules: r, Trust: known}
	}
	holder := corp.Issue(t, virtual.Leaf{CommonName: "release", Emails: []string{"release@example.com"}})
	for name, row := range map[string]struct {
		bundle []byte
		ruling verify.Ruling
	}{
		"key": {
			envelope{payload: m.oms(t), signer: "p384"}.bundle(t),
			of(policy.Signer{Name: "p384", Key: "p384.pub"}, trusted()),
		},
		"certificate": {
			instance.Certificate(t, holder, virtual.Claim{Payload: m.oms(t)}).JSON(t),
			of(policy.Signer{Name: "corp", Certificate: &policy.Certificate{Identity: policy.Match{Exact: "release@example.com"}}},
				verify.Trust{Authorities: map[string]trust.Authority{"corp": authority}}),
		},
		"keyless": {
			instance.Keyless(t, virtual.Identity{Subject: "ci@example.com", Issuer: "https://issuer.example.com"}, virtual.Claim{Payload: m.oms(t), Log: virtual.LogV1}).JSON(t),
			of(policy.Signer{Name: "ci", Keyless: &policy.Keyless{
				Issuer: policy.Match{Exact: "https://issuer.example.com"}, Identity: policy.Match{Exact: "ci@example.com"}, SCTs: -1,
			}}, verify.Trust{Roots: map[string]*trust.Root{"one": root}}),
		},
	} {
		decide := func(bundle []byte) error {
			s, err := verify.ParseDirectorySignature("model.sig", "", bundle)
			if err == nil {
				_, err = verify.Directory(t.Context(), onDisk("demo", m.resources(), false), []*verify.DirectorySignature{s}, verify.DirectoryOptions{}, row.ruling)
			}
			return err
		}
		if err := decide(row.bundle); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		mutated := 0
		for path, bad := range wrongFields(t, row.bundle) {
			mutated++
			err := decide(bad)
			var refusal *verify.Refusal
			if good := decidesNothing[path] != ""; good != (err == nil) || err != nil && !errors.As(err, &refusal) {
				t.Errorf("%s: with a wrong %s: %v", name, path, err)
			}
		}
		if mutated < 12 {
			t.Errorf("%s: only %d fields", name, mutated)
		}
	}
}

// wrongFields returns bundle with every value wrong, one at a time: another text,
// number or truth value, an array that is empty or has its elements twice, an
// object without one of its members. The key says where.
func wrongFields(t *testing.T, bundle []byte) map[string][]byte {
	t.Helper()
	var doc any
	if err := json.Unmarshal(bundle, &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	var walk func(path string, v any, set func(any) any)
	walk = func(path string, v any, set func(any) any) {
		emit := func(how string, with any) {
			b, err := json.Marshal(set(with))
			if err != nil {
				t.Fatal(err)
			}
			out[path+how] = b
		}
		switch v := v.(type) {
		case map[string]any:
			for k, member := range v {
				without := maps.Clone(v)
				delete(without, k)
				emit("."+k+" absent", without)
				walk(path+"."+k, member, func(with any) any {
					c := maps.Clone(v)
					c[k] = with
					return set(c)
				})
			}
		case []any:
			emit(" empty", []any{})
			emit(" twice", append(slices.Clone(v), v...))
			for i, element := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), element, func(with any) any {
					c := slices.Clone(v)
					c[i] = with
					return set(c)
				})
			}
		case string:
			emit("", turned(v))
			emit(" blank", "")
		case float64:
			emit("", v+1)
		case bool:
			emit("", !v)
		}
	}
	walk("", doc, func(with any) any { return with })
	return out
}

// turned is another text that is base64, or a number, where text is.
func turned(text string) string {
	i := len(text) / 2
	if text == "" {
		return "A"
	}
	with := byte('A')
	switch c := text[i]; {
	case c >= '0' && c <= '8':
		with = c + 1
	case c == '9':
		with = '8'
	case c == 'A':
		with = 'B'
	}
	return text[:i] + string(with) + text[i+1:]
}
