package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

func reasonOf(t *testing.T, err error) verify.Reason {
	t.Helper()
	var r *verify.Refusal
	if !errors.As(err, &r) || len(r.Reasons) != 1 {
		t.Fatalf("%v is no refusal for one reason", err)
	}
	return r.Reasons[0]
}

// Of several bundles each is told, and the sentence stays short.
func TestReasonDetailsOfBundles(t *testing.T) {
	t.Parallel()
	s := demo().subject(t)
	d := s.Descriptor.Digest
	all := evidence(
		envelope{payload: cosign(t, d), signer: "stranger", hint: keys()["stranger"].CosignHint()}.bundle(t),
		envelope{payload: claim(d, "https://spdx.dev/Document"), signer: "release"}.bundle(t),
		envelope{payload: cosign(t, d), signer: "stranger", hint: keys()["release"].OMSHint()}.bundle(t),
		envelope{payload: cosign(t, digest.FromString("other")), signer: "release"}.bundle(t),
	)
	all = append(all,
		verify.Evidence{Digest: digest.FromString("e"), Err: &integrity.Error{What: "bundle", Want: digest.FromString("f")}},
		verify.Evidence{Digest: digest.FromString("g"), Err: errors.New("line cut")},
	)
	says := []string{
		"is signed by an unknown key that claims to be " + keys()["stranger"].Short() + "…",
		`is an SBOM attestation (predicateType "https://spdx.dev/Document"), not a signature`,
		"is signed in the name of release (" + keys()["release"].Short() + "), but its signature is wrong",
		"is a signature of something else (" + digest.FromString("other").String()[:19] + "…)",
		"is damaged: its bytes are not what its digest says",
		"could not be read (line cut)",
	}
	var want []string
	for i, e := range all {
		want = append(want, e.Digest.String()[:19]+"… "+says[i])
	}
	slices.Sort(want)
	_, err := verify.Verify(t.Context(), s, all, verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
	r := reasonOf(t, err)
	if diff := cmp.Diff(want, r.Details); diff != "" || r.Found != "6 bundles, none of which counts" {
		t.Errorf("found %q, details: %s", r.Found, diff)
	}
	if !strings.HasSuffix(err.Error(), ": found 6 bundles, none of which counts") {
		t.Errorf("%q", err)
	}
	if !strings.Contains(r.Next, "gives wrong bytes for "+digest.FromString("f").String()) {
		t.Errorf("damage is no cause to look for another key: %q", r.Next)
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"details":["sha256:`) {
		t.Errorf("%s, %v", text, err)
	}

	// Each one alone is told in the sentence.
	next := []string{
		"modseal tree " + s.Name + "@" + d.String() + "; if another key is the right one",
		"an attestation is no signature of the model, whoever made it; ask for a signature by release",
		"the signature was changed, or made with another key than it says",
		"what was signed is another artifact",
		"the registry, or something before it, gives wrong bytes",
		"modseal tree " + s.Name + "@" + d.String() + "; ask for a signature by release",
	}
	for i := range all {
		_, err := verify.Verify(t.Context(), s, all[i:i+1], verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
		r := reasonOf(t, err)
		if r.Found != "1 bundle, which "+says[i] || r.Details != nil {
			t.Errorf("found %q, details %q", r.Found, r.Details)
		}
		if !strings.Contains(r.Next, next[i]) {
			t.Errorf("%s: next: %s", says[i], r.Next)
		}
		if text, _ := json.Marshal(r); strings.Contains(string(text), "details") {
			t.Errorf("%s", text)
		}
	}

	// On a disk no registry is to blame.
	s.Name = "oci:/srv/model"
	_, err = verify.Verify(t.Context(), s, all[4:5], verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
	if next := reasonOf(t, err).Next; strings.Contains(next, "registry") || !strings.Contains(next, "the disk gives wrong bytes") {
		t.Errorf("next: %s", next)
	}
}

func TestReasonDetailsAreBounded(t *testing.T) {
	t.Parallel()
	m := demo()
	s := m.subject(t)
	bundle := envelope{payload: cosign(t, s.Descriptor.Digest), signer: "stranger"}.bundle(t)
	many := func(n int) []verify.Evidence {
		var out []verify.Evidence
		for i := range n {
			out = append(out, verify.Evidence{Digest: digest.FromString(fmt.Sprint(i)), Bundle: bundle})
		}
		return out
	}
	for n, want := range map[int]string{20: " is signed by an unknown key", 21: "and 1 more", 50: "and 30 more"} {
		_, err := verify.Verify(t.Context(), s, many(n), verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
		r := reasonOf(t, err)
		if len(r.Details) != min(n, 21) || !strings.HasSuffix(r.Details[len(r.Details)-1], want) {
			t.Errorf("%d bundles: %q", n, r.Details)
		}
	}

	// Differences, in an artifact and in a directory.
	larger := m
	for i := range 30 {
		larger = larger.with(fmt.Sprintf("file-%02d", i), "x")
	}
	signed := envelope{payload: larger.oms(t), signer: "release"}.bundle(t)
	_, err := verify.Verify(t.Context(), s, evidence(signed), verify.Ruling{Rules: requireOMS(policy.Rules{Mode: policy.ModeEnforce}, "release"), Trust: trusted()})
	r := reasonOf(t, err)
	if !strings.HasPrefix(r.Found, `one by release that does not match: "file-00" is signed as sha256:`) || !strings.HasSuffix(r.Found, "(and 29 more differences)") ||
		len(r.Details) != 21 || !strings.HasPrefix(r.Details[19], `"file-19" is signed as`) || r.Details[20] != "and 10 more" {
		t.Errorf("%q, %q", r.Found, r.Details)
	}
	_, err = decideDirectory(t, "demo", signed, m.resources(), false, []trust.Key{keys()["release"].Key}, verify.DirectoryOptions{})
	r = reasonOf(t, err)
	if !strings.HasPrefix(r.Found, `"file-00" missing, signed as sha256:`) || !strings.HasSuffix(r.Found, "(and 29 more differences)") ||
		len(r.Details) != 21 || !strings.HasPrefix(r.Details[19], `"file-19" missing`) || r.Details[20] != "and 10 more" {
		t.Errorf("%q, %q", r.Found, r.Details)
	}
	if strings.Contains(r.Next, "--ignore-unsigned-files") {
		t.Errorf("nothing is unsigned: %q", r.Next)
	}
}

func TestReasonOfDirectories(t *testing.T) {
	t.Parallel()
	m := demo()
	signed := envelope{payload: m.oms(t), signer: "release"}.bundle(t)
	directory := func(bundle []byte, m model) verify.Reason {
		t.Helper()
		_, err := decideDirectory(t, "demo", bundle, m.resources(), false, []trust.Key{keys()["release"].Key}, verify.DirectoryOptions{})
		return reasonOf(t, err)
	}
	r := directory(signed, m.with("extra", "x"))
	if !strings.HasPrefix(r.Found, `"extra" not signed (sha256:`) || r.Details != nil || r.Next != "remove the files that are not signed, or accept them with --ignore-unsigned-files" {
		t.Errorf("%+v", r)
	}
	r = directory(signed, m.with("extra", "x").without("config.json"))
	if !strings.HasPrefix(r.Found, `"config.json" missing`) || !strings.HasSuffix(r.Found, "(and 1 more difference)") ||
		len(r.Details) != 2 || !strings.HasPrefix(r.Details[1], `"extra" not signed`) ||
		!strings.Contains(r.Next, "fetch the model again") || !strings.Contains(r.Next, "--ignore-unsigned-files") {
		t.Errorf("%+v", r)
	}
	r = directory(envelope{payload: m.oms(t), signer: "stranger", hint: keys()["stranger"].OMSHint()}.bundle(t), m)
	if r.Found != "a bundle that is signed by an unknown key" || !strings.Contains(r.Next, "another key") {
		t.Errorf("%+v", r)
	}
	r = directory(envelope{payload: m.oms(t), signer: "stranger", hint: keys()["release"].OMSHint()}.bundle(t), m)
	if !strings.HasPrefix(r.Found, "a bundle that is signed in the name of release") || strings.Contains(r.Next, "another key") {
		t.Errorf("%+v", r)
	}
}

// Whoever attaches a bundle writes most of what is in it. None of it may reach
// a terminal as it is.
func TestReasonsQuoteForeignText(t *testing.T) {
	t.Parallel()
	m := demo()
	s := m.subject(t)
	d := s.Descriptor.Digest
	const evil = "evil\x1b[2J\u202e\n"
	quoted, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	inText := strings.Trim(string(quoted), `"`)
	other := digest.FromString("other").Encoded()
	edited := func(edit func(map[string]any)) []byte {
		return envelope{payload: cosign(t, d), signer: "stranger", edit: edit}.bundle(t)
	}
	for name, bundle := range map[string][]byte{
		"hint":           envelope{payload: cosign(t, d), signer: "stranger", hint: evil}.bundle(t),
		"OMS hint":       envelope{payload: m.oms(t), signer: "stranger", hint: evil}.bundle(t),
		"predicate type": envelope{payload: claim(d, "https://cyclonedx.org/"+inText), signer: "stranger"}.bundle(t),
		"subject":        envelope{payload: omsReplace(cosign(t, d), `"sha256":"`+d.Encoded(), `"sha256":"`+inText), signer: "release"}.bundle(t),
		"algorithm":      envelope{payload: omsReplace(cosign(t, d), `"sha256":"`+d.Encoded(), `"`+inText+`":"`+other), signer: "release"}.bundle(t),
		"media type":     edited(func(doc map[string]any) { doc["mediaType"] = evil }),
		"payload type":   edited(func(doc map[string]any) { at(doc, "dsseEnvelope")["payloadType"] = evil }),
		"unknown field":  edited(func(doc map[string]any) { doc[evil+strings.Repeat("x", 10_000)] = 1 }),
		"wrong type":     edited(func(doc map[string]any) { doc["dsseEnvelope"] = evil }),
		"wrong base64":   edited(func(doc map[string]any) { at(doc, "dsseEnvelope")["payload"] = evil }),
		"no JSON":        []byte("{\u202e" + evil),
		"statement type": envelope{payload: omsReplace(cosign(t, d), "https://in-toto.io/Statement/v1", inText), signer: "stranger"}.bundle(t),
		"OMS file":       envelope{payload: m.with("a\x1b[2J", "x").omsUnchecked(t), signer: "release"}.bundle(t),
	} {
		_, err := verify.Verify(t.Context(), s, evidence(bundle), verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
		var r *verify.Refusal
		if !errors.As(err, &r) {
			t.Fatalf("%s: %v", name, err)
		}
		text := err.Error()
		for _, reason := range r.Reasons {
			text += reason.String() + reason.Next
		}
		for _, c := range r.Checks {
			text += c.Detail
		}
		if strings.ContainsAny(text, "\x1b\u202e\n") || len(text) > 6000 {
			t.Errorf("%s: %.2000q", name, text)
		}
		if strings.Contains(name, "hint") && strings.Contains(text, "evil") {
			t.Errorf("%s is told: %q", name, text)
		}
		_, err = decideDirectory(t, "demo", bundle, nil, false, []trust.Key{keys()["release"].Key}, verify.DirectoryOptions{})
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\u202e\n") {
			t.Errorf("%s: %q", name, err)
		}
	}
}

// omsUnchecked is an OMS statement with names that none may have.
func (m model) omsUnchecked(t *testing.T) []byte {
	t.Helper()
	o, err := statement.NewOMS("demo", demo().resources(), nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Resources = m.resources()
	o.Root, o.PredicateType = rootOf(t, o.Resources), artifacttypes.PredicateOMS
	payload, err := o.Payload()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// A warning is all that is said of a requirement that is not met.
func TestWarningsNameEveryUnmetRequirement(t *testing.T) {
	t.Parallel()
	m := demo()
	s := m.subject(t)
	stranger := evidence(
		envelope{payload: cosign(t, s.Descriptor.Digest), signer: "stranger", hint: keys()["stranger"].CosignHint()}.bundle(t),
		envelope{payload: m.oms(t), signer: "stranger"}.bundle(t),
	)
	v, err := verify.Verify(t.Context(), s, stranger, verify.Ruling{Rules: warn(requireOMS(both(anyOf("release"), anyOf("backup")), "release")), Trust: trusted()})
	if err != nil {
		t.Fatal(err)
	}
	r := v.Report()
	if r.Decision != verify.Warned || len(r.Warnings) != 3 {
		t.Fatalf("%s, %q", r.Decision, r.Warnings)
	}
	for i, want := range []string{"signature by release: ", "signature by backup: ", "OMS statement by release: "} {
		if w := r.Warnings[i]; !strings.HasPrefix(w, want) || !strings.Contains(w, "claims to be "+keys()["stranger"].Short()) {
			t.Errorf("%q", w)
		}
	}
}
