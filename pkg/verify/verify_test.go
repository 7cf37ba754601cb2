package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, r := range rows(t) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := r.model.subject(t)
			v, err := verify.Verify(t.Context(), s, r.evidence, verify.Ruling{Rules: r.rules, Trust: trusted()})
			var refusal *verify.Refusal
			var undecidedError *verify.Undecided
			var got string
			var text []byte
			switch {
			case err == nil:
				got = string(v.Report().Decision)
				text, _ = json.Marshal(v.Report())
			case errors.As(err, &refusal):
				got = refused
				var whole []string
				for _, reason := range refusal.Reasons {
					whole = append(whole, reason.String(), reason.Next)
					if reason.Requirement == "" || reason.LookedFor == "" || reason.Found == "" || reason.Next == "" {
						t.Errorf("incomplete reason %+v", reason)
					}
				}
				text = []byte(strings.Join(whole, "\n"))
				if e := err.Error(); !strings.HasPrefix(e, s.Name+"@"+s.Descriptor.Digest.String()[:19]) || strings.Contains(e, "\n") {
					t.Errorf("error is %q", e)
				}
			case errors.As(err, &undecidedError):
				got, text = undecided, []byte(err.Error())
				if undecidedError.Next == "" {
					t.Error("no next step")
				}
			default:
				t.Fatal(err)
			}
			if got != r.want {
				t.Fatalf("%s, want %s: %s%v", got, r.want, text, err)
			}
			if v.Valid() != (err == nil) {
				t.Errorf("Valid is %t with error %v", v.Valid(), err)
			}
			for _, want := range r.says {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s\ndoes not say %q", text, want)
				}
			}
		})
	}
}

func TestVerifyChecksTheManifest(t *testing.T) {
	t.Parallel()
	good := demo().subject(t)
	bundle := envelope{payload: cosign(t, good.Descriptor.Digest), signer: "release"}.bundle(t)
	try := func(s verify.Subject) []error {
		_, err := verify.Verify(t.Context(), s, evidence(bundle), verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
		_, skip := verify.SkipUnsafe(t.Context(), s)
		return []error{err, skip}
	}
	for _, err := range try(good) {
		if err != nil {
			t.Fatal(err)
		}
	}
	changed := good
	changed.Manifest = bytes.Replace(good.Manifest, []byte("config.json"), []byte("config.jsom"), 1)
	short := good
	short.Descriptor.Size--
	for _, s := range []verify.Subject{changed, short} {
		for _, err := range try(s) {
			var bad *integrity.Error
			if !errors.As(err, &bad) {
				t.Errorf("%v is no *integrity.Error", err)
			}
		}
	}
	redo := func(raw []byte) verify.Subject {
		s := good
		s.Manifest = raw
		s.Descriptor.Digest, s.Descriptor.Size = digest.FromBytes(raw), int64(len(raw))
		return s
	}
	for raw, want := range map[string]error{
		"{}":    artifacttypes.ErrInvalidManifest,
		"hello": artifacttypes.ErrInvalidManifest,
		strings.Replace(string(good.Manifest), `"config.json"`, `"../config.json"`, 1):                              artifacttypes.ErrUnsafePath,
		strings.Replace(string(good.Manifest), `"config.json"`, `"model/tok.txt"`, 1):                               artifacttypes.ErrUnsafePath,
		`{"schemaVersion":2,"config":{"mediaType":"x","digest":"` + digest.FromString("").String() + `","size":0}}`: artifacttypes.ErrNotAModel,
	} {
		for _, err := range try(redo([]byte(raw))) {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", raw, err, want)
			}
		}
	}
	bad := good
	bad.Descriptor.Digest = "md5:00"
	for _, err := range try(bad) {
		if err == nil {
			t.Error("an unknown digest algorithm is accepted")
		}
	}
}

func TestVerified(t *testing.T) {
	t.Parallel()
	m := demo()
	m.tars = 1
	s := m.subject(t)
	signature := envelope{payload: cosign(t, s.Descriptor.Digest), signer: "release"}.bundle(t)
	oms := envelope{payload: m.with("docs/a.md", "a").oms(t), signer: "release"}.bundle(t)
	v, err := verify.Verify(t.Context(), s, evidence(signature, oms), verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
	if err != nil {
		t.Fatal(err)
	}
	members, known := v.Members()
	if diff := cmp.Diff(map[string]digest.Digest{"docs/a.md": digest.FromString("a")}, members); diff != "" || !known {
		t.Errorf("members, known %t: %s", known, diff)
	}
	if v.Descriptor().Digest != s.Descriptor.Digest || v.Name() != s.Name || !bytes.Equal(v.Raw(), s.Manifest) || len(v.Model().Layers) != 4 {
		t.Error("the subject is not what was verified")
	}
	// What was decided stays decided, whatever is done to what it was made of.
	members["docs/b.md"] = ""
	v.Raw()[0] = 'x'
	v.Model().Layers[0].Path = "other"
	s.Manifest[0] = 'x'
	v.Report().Checks[0].Outcome = verify.Failed
	if again, _ := v.Members(); len(again) != 1 || v.Raw()[0] != '{' || v.Model().Layers[0].Path != "config.json" || !v.Report().Checks[0].Passed() {
		t.Error("a Verified can be changed")
	}

	report := v.Report()
	var predicates []string
	for _, c := range report.Checks {
		predicates = append(predicates, c.PredicateType)
		if !c.Passed() || c.Signer != "release" || c.Fingerprint != keys()["release"].Fingerprint().String() || c.Evidence == "" {
			t.Errorf("check %+v", c)
		}
	}
	if diff := cmp.Diff([]string{artifacttypes.PredicateCosignSign, artifacttypes.PredicateOMS}, predicates); diff != "" {
		t.Error(diff)
	}
	if report.Decision != verify.Accepted || report.Policy != "test policy" || len(report.Warnings) != 0 {
		t.Errorf("report %+v", report)
	}

	v, err = verify.Verify(t.Context(), m.subject(t), evidence(signature), verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
	if err != nil {
		t.Fatal(err)
	}
	if _, known := v.Members(); known {
		t.Error("members are known without an OMS statement")
	}
}

func TestZeroVerified(t *testing.T) {
	t.Parallel()
	var v verify.Verified
	members, known := v.Members()
	if v.Valid() || v.Model() != nil || v.Raw() != nil || v.Descriptor().Digest != "" || v.Name() != "" || v.Report().Decision != "" || members != nil || known {
		t.Error("the zero Verified holds something")
	}
}

func TestSkipUnsafe(t *testing.T) {
	t.Parallel()
	v, err := verify.SkipUnsafe(t.Context(), demo().subject(t))
	if err != nil {
		t.Fatal(err)
	}
	r := v.Report()
	if !v.Valid() || r.Decision != verify.Skipped || len(r.Warnings) != 1 || len(r.Checks) != 0 {
		t.Errorf("report %+v", r)
	}
	if _, known := v.Members(); known {
		t.Error("members are known without a verification")
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	s := demo().subject(t)
	bundle := envelope{payload: cosign(t, s.Descriptor.Digest), signer: "release"}.bundle(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := verify.Verify(ctx, s, evidence(bundle), verify.Ruling{Rules: anyOf("release"), Trust: trusted()}); !errors.Is(err, context.Canceled) || v.Valid() {
		t.Error(err)
	}
	if v, err := verify.SkipUnsafe(ctx, s); !errors.Is(err, context.Canceled) || v.Valid() {
		t.Error(err)
	}
}

// The order in which a registry lists referrers must not show.
func TestReportDoesNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	m := demo()
	s := m.subject(t)
	all := evidence(
		envelope{payload: cosign(t, s.Descriptor.Digest), signer: "release"}.bundle(t),
		envelope{payload: cosign(t, s.Descriptor.Digest), signer: "backup"}.bundle(t),
		envelope{payload: m.oms(t), signer: "release"}.bundle(t),
		envelope{payload: m.oms(t), signer: "stranger"}.bundle(t),
		[]byte("garbage"),
	)
	var first verify.Report
	for i := range all {
		turned := append(append([]verify.Evidence{}, all[i:]...), all[:i]...)
		v, err := verify.Verify(t.Context(), s, turned, verify.Ruling{Rules: nOf(2, "release", "backup"), Trust: trusted()})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = v.Report()
		} else if diff := cmp.Diff(first, v.Report()); diff != "" {
			t.Fatal(diff)
		}
	}
}

func FuzzBundle(f *testing.F) {
	m := demo()
	s := m.subject(f)
	add := func(payload []byte, edit func(map[string]any)) {
		f.Add(envelope{payload: payload, signer: "release", edit: edit}.bundle(f))
	}
	add(cosign(f, s.Descriptor.Digest), nil)
	add(m.oms(f), nil)
	add(cosign(f, s.Descriptor.Digest), func(doc map[string]any) {
		at(doc, "verificationMaterial")["publicKey"] = map[string]any{"rawBytes": keys()["release"].PEM(), "keyDetails": "x"}
	})
	add(claim(s.Descriptor.Digest, "https://slsa.dev/provenance/v1"), nil)
	instance, corp := virtual.New(f, "one"), virtual.NewAuthority(f, "corp", time.Time{}, time.Time{})
	id := virtual.Identity{Subject: "dev@example.com", Issuer: issuer}
	for _, log := range []virtual.Log{virtual.LogV1, virtual.LogV2} {
		c := virtual.Claim{Payload: cosign(f, s.Descriptor.Digest), Log: log, Timestamp: true}
		f.Add(instance.Keyless(f, id, c).JSON(f))
		f.Add(instance.Key(f, keys()["release"].private, "", c).JSON(f))
		f.Add(instance.Certificate(f, corp.Issue(f, virtual.Leaf{Emails: []string{"dev@example.com"}}), c).JSON(f))
	}
	rules, none := nobody(f, instance, corp)
	f.Fuzz(func(t *testing.T, bundle []byte) {
		// No bytes at all may be a signature by those who signed nothing.
		var refusal *verify.Refusal
		if _, err := verify.Verify(t.Context(), s, evidence(bundle), verify.Ruling{Rules: rules, Trust: none}); !errors.As(err, &refusal) {
			t.Fatalf("%v", err)
		}
		if _, err := verify.ParseDirectorySignature("model.sig", "", bundle); err != nil && !errors.As(err, &refusal) {
			t.Fatalf("%v", err)
		}
		files := []statement.Resource{{Name: "a", Digest: digest.FromString("a").Encoded(), Algorithm: "sha256"}}
		if r, err := decideDirectory(t, "d", bundle, files, false, []trust.Key{keys()["p384"].Key}, verify.DirectoryOptions{LegacyPredicate: true}); err == nil {
			t.Fatalf("%+v", r)
		}
	})
}

// nobody are rules of signers of every kind, none of whom has signed anything.
func nobody(f *testing.F, instance *virtual.Sigstore, corp *virtual.Authority) (policy.Rules, verify.Trust) {
	f.Helper()
	root, err := trust.ParseRoot("one", instance.Root(f, virtual.RootOptions{}))
	if err != nil {
		f.Fatal(err)
	}
	authority, err := trust.ParseAuthority("corp", corp.Root(), nil)
	if err != nil {
		f.Fatal(err)
	}
	other := policy.Match{Exact: "nobody@example.com"}
	rules := policy.Rules{Mode: policy.ModeEnforce, Requirements: []policy.Requirement{{Signature: &policy.SignatureRequirement{
		Threshold: 1, Signers: []policy.Signer{
			{Name: "other", Key: "other.pub"},
			{Name: "keyless", Keyless: &policy.Keyless{Issuer: policy.Match{Exact: issuer}, Identity: other, SCTs: -1}},
			{Name: "corp", Certificate: &policy.Certificate{Roots: "corp.pem", Identity: other}},
		},
	}}}}
	return rules, verify.Trust{
		Keys:  map[string]trust.Key{"other": keys()["p384"].Key},
		Roots: map[string]*trust.Root{"one": root}, Authorities: map[string]trust.Authority{"corp": authority},
	}
}
