package materialize_test

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// signed stores the layers and verifies them by an OMS statement that lists
// files: path → content.
func signed(t *testing.T, files map[string]string, layers ...layer) *model {
	t.Helper()
	m := storeModel(t, layers...)
	private, _, err := sign.GenerateKeyPair(sign.P256, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.Load("test", private, nil)
	if err != nil {
		t.Fatal(err)
	}
	var resources []statement.Resource
	for p, content := range files {
		resources = append(resources, statement.Resource{Name: p, Algorithm: "sha256", Digest: digest.FromString(content).Encoded()})
	}
	oms, err := statement.NewOMS("model", resources, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := oms.Payload()
	if err != nil {
		t.Fatal(err)
	}
	simple, err := statement.CosignSign(m.desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	var evidence []verify.Evidence
	for _, s := range []struct {
		payload []byte
		form    sign.Form
	}{{payload, sign.FormOMS}, {simple, sign.FormCosign}} {
		bundle, err := signer.Sign(t.Context(), s.payload, s.form)
		if err != nil {
			t.Fatal(err)
		}
		evidence = append(evidence, verify.Evidence{Digest: digest.FromBytes(bundle), Bundle: bundle})
	}
	m.verified, err = verify.Verify(t.Context(), verify.Subject{Name: "oci:test", Descriptor: m.desc, Manifest: m.manifest}, evidence,
		verify.Ruling{Rules: policy.FromKeys([]string{"test"}), Trust: verify.Trust{Keys: map[string]trust.Key{"test": signer.Public()}}})
	if err != nil {
		t.Fatal(err)
	}
	if members, known := m.verified.Members(); !known || len(members) == 0 {
		t.Fatalf("members %v, %v: the test shows nothing", members, known)
	}
	return m
}

func TestSignedMembers(t *testing.T) {
	m := signed(t, map[string]string{"model.bin": "weights", "a.json": "1", "sub/b.json": "2"},
		raw("model.bin", "weights"), tarLayer(member{name: "a.json", content: "1"}), tarLayer(member{name: "sub/b.json", content: "2"}))
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	want := map[string]string{"model.bin": "weights", "a.json": "1", "sub/b.json": "2"}
	wantTree(t, dir, want)
	m.source.count()
	// What is signed is enough to know that nothing is missing.
	for name, o := range map[string]materialize.Options{"record": {}, "check": {Check: true}, "no record": {StateFile: t.TempDir() + "/none"}} {
		wantOutcomes(t, m.mustPull(t, dir, o), every(materialize.Reused, "model.bin", "a.json", "sub/b.json"))
		if n := m.source.count(); n != 0 {
			t.Errorf("%s: %d fetches", name, n)
		}
	}
	// A selection that no member is in needs no tar.
	if m.mustPull(t, t.TempDir(), materialize.Options{Include: []string{"*.bin"}, StateFile: t.TempDir() + "/other"}); m.source.count() != 1 {
		t.Error("a tar layer was fetched for nothing")
	}
	put(t, dir, "a.json", "X")
	wantOutcomes(t, m.mustPull(t, dir, materialize.Options{Check: true}), with(every(materialize.Reused, "model.bin", "sub/b.json"), every(materialize.Repaired, "a.json")))
	wantTree(t, dir, want)
}

// The tar has the digest that the manifest says, and holds other files than the
// signer signed: the manifest and the statement disagree, and nobody gets a byte.
func TestMembersThatWereNotSigned(t *testing.T) {
	for name, c := range map[string]struct {
		members []member
		want    materialize.MemberError
	}{
		"another content": {
			[]member{{name: "a.json", content: "evil"}, {name: "b.json", content: "2"}},
			materialize.MemberError{Path: "a.json", Want: digest.FromString("1"), Got: digest.FromString("evil")},
		},
		"one more": {
			[]member{{name: "a.json", content: "1"}, {name: "b.json", content: "2"}, {name: "evil.py", content: "3"}},
			materialize.MemberError{Path: "evil.py", Got: digest.FromString("3")},
		},
		"one less": {
			[]member{{name: "a.json", content: "1"}},
			materialize.MemberError{Path: "b.json", Want: digest.FromString("2")},
		},
		"renamed": {
			[]member{{name: "a.json", content: "1"}, {name: "c.json", content: "2"}},
			materialize.MemberError{Path: "c.json", Got: digest.FromString("2")},
		},
	} {
		for _, include := range [][]string{nil, {"a.json"}, {"*.json"}} {
			m := signed(t, map[string]string{"model.bin": "weights", "a.json": "1", "b.json": "2"}, raw("model.bin", "weights"), tarLayer(c.members...))
			dir := t.TempDir()
			_, err := m.pull(t, dir, materialize.Options{Include: include})
			var got *materialize.MemberError
			if !errors.As(err, &got) || *got != c.want {
				t.Errorf("%s, include %q: %v", name, include, err)
			}
			wantNothing(t, dir)
		}
	}
}
