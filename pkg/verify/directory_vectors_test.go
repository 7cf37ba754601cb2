package verify_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// referenceRulings are the rules by which the models that the Python
// implementation signed are good, by method; see signing.md section 8.
func referenceRulings(t *testing.T) map[string]verify.Ruling {
	t.Helper()
	authority, err := trust.ParseAuthority("ca", read(t, "keys", "ca-cert.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.ParseRoot("public-good", read(t, "..", "sigstore", "trusted-root-public-good.json"))
	if err != nil {
		t.Fatal(err)
	}
	of := func(s policy.Signer, known verify.Trust) verify.Ruling {
		return verify.Ruling{Rules: policy.Rules{
			Name: "test", Mode: policy.ModeEnforce,
			Requirements: []policy.Requirement{{Signature: &policy.SignatureRequirement{Signers: []policy.Signer{s}, Threshold: 1}}},
		}, Trust: known}
	}
	return map[string]verify.Ruling{
		"elliptic-key": of(policy.Signer{Name: "key", Key: "signing-key-pub.pem"}, verify.Trust{Keys: map[string]trust.Key{"key": referenceKey(t)}}),
		"certificate": of(policy.Signer{Name: "ca", Certificate: &policy.Certificate{Identity: policy.Match{Exact: "intermediate-ca"}}},
			verify.Trust{Authorities: map[string]trust.Authority{"ca": authority}}),
		"sigstore": of(policy.Signer{Name: "stefan", Keyless: &policy.Keyless{
			Issuer: policy.Match{Exact: "https://sigstore.verify.ibm.com/oauth2"}, Identity: policy.Match{Exact: "stefanb@us.ibm.com"}, SCTs: -1,
		}}, verify.Trust{Roots: map[string]*trust.Root{"public-good": root}}),
	}
}

// referenceModel is one of those models.
type referenceModel struct {
	version, method string
	relaxations     []statement.Relaxation
}

func (m referenceModel) name() string { return m.version + "-" + m.method }
func (m referenceModel) single() bool { return m.name() == "v0.3.1-elliptic-key" }

func referenceModels() []referenceModel {
	const old = "v0.3.1"
	return []referenceModel{
		{old, "elliptic-key", []statement.Relaxation{statement.RelaxedKey, statement.RelaxedIgnorePaths, statement.RelaxedSingleFile, statement.RelaxedKeyID}},
		{old, "certificate", []statement.Relaxation{statement.RelaxedIgnorePaths, statement.RelaxedKeyID}},
		{old, "sigstore", []statement.Relaxation{statement.RelaxedIgnorePaths}},
		{"v1.1.0", "elliptic-key", nil},
		{"v1.1.0", "certificate", nil},
		{"v1.1.0", "sigstore", nil},
	}
}

// signature reads the signature of a model, and files what is there.
func (m referenceModel) signature(t *testing.T) (s *verify.DirectorySignature, bundle []byte, files []statement.Resource) {
	t.Helper()
	bundle = read(t, m.name(), "model.sig")
	s, err := verify.ParseDirectorySignature("model.sig", "model.sig", bundle)
	if err != nil {
		t.Fatal(err)
	}
	return s, bundle, walk(t, filepath.Join(testdata, m.name()), s)
}

func TestEveryReferenceModelVerifies(t *testing.T) {
	t.Parallel()
	rulings := referenceRulings(t)
	var want []string
	for _, m := range referenceModels() {
		want = append(want, filepath.Join(testdata, m.name()))
	}
	there, err := filepath.Glob(filepath.Join(testdata, "v*"))
	if slices.Sort(want); err != nil || !slices.Equal(there, want) {
		t.Errorf("the models are %q, %v; the table has %q", there, err, want)
	}
	for _, m := range referenceModels() {
		s, _, files := m.signature(t)
		if diff := cmp.Diff(m.relaxations, s.Relaxations); diff != "" {
			t.Errorf("%s: %s", m.name(), diff)
		}
		for method, ruling := range rulings {
			r, err := verify.Directory(t.Context(), onDisk(m.name(), files, m.single()), []*verify.DirectorySignature{s}, verify.DirectoryOptions{}, ruling)
			if method != m.method {
				refusal(t, m.name()+" by "+method, err, "a bundle that is signed")
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", m.name(), err)
				continue
			}
			for _, relaxation := range m.relaxations {
				if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, string(relaxation)) }) ||
					!slices.ContainsFunc(r.Requirements[0].Details, func(d string) bool { return strings.Contains(d, string(relaxation)) }) {
					t.Errorf("%s: %q is not named in %q", m.name(), relaxation, r.Warnings)
				}
			}
			_, err = verify.Directory(t.Context(), onDisk(m.name(), files, m.single()), []*verify.DirectorySignature{s}, verify.DirectoryOptions{Strict: true}, ruling)
			strict := !slices.ContainsFunc(m.relaxations, func(r statement.Relaxation) bool { return !r.Conforms() })
			if strict != (err == nil) {
				t.Errorf("%s, strict: %v", m.name(), err)
			}
		}
	}
}

// What section 8 derives from those models, each refused.
func TestReferenceModelsTampered(t *testing.T) {
	t.Parallel()
	rulings := referenceRulings(t)
	more := statement.Resource{Name: "more", Digest: strings.Repeat("ab", 32), Algorithm: "sha256"}
	for _, m := range referenceModels() {
		_, bundle, files := m.signature(t)
		decide := func(bundle []byte, files []statement.Resource, o verify.DirectoryOptions, ruling verify.Ruling) error {
			s, err := verify.ParseDirectorySignature("model.sig", "model.sig", bundle)
			if err == nil {
				_, err = verify.Directory(t.Context(), onDisk(m.name(), files, m.single()), []*verify.DirectorySignature{s}, o, ruling)
			}
			return err
		}
		edit := func(fn func(doc map[string]any)) []byte {
			var doc map[string]any
			if err := json.Unmarshal(bundle, &doc); err != nil {
				t.Fatal(err)
			}
			fn(doc)
			b, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		changed := slices.Clone(files)
		changed[0].Digest = more.Digest
		material := func(fn func(material map[string]any)) []byte {
			return edit(func(doc map[string]any) { fn(at(doc, "verificationMaterial")) })
		}
		for name, row := range map[string]struct {
			bundle []byte
			files  []statement.Resource
			lax    bool
		}{
			"a changed file":       {bundle, changed, false},
			"a changed file, lax":  {bundle, changed, true},
			"a missing file":       {bundle, files[1:], true},
			"a file more":          {bundle, append(slices.Clone(files), more), false},
			"media type v0.2":      {edit(func(doc map[string]any) { doc["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2" }), files, false},
			"another payload type": {edit(func(doc map[string]any) { at(doc, "dsseEnvelope")["payloadType"] = "application/json" }), files, false},
			"a signature of two": {edit(func(doc map[string]any) {
				e := at(doc, "dsseEnvelope")
				l := e["signatures"].([]any)
				e["signatures"] = append(l, l[0])
			}), files, false},
			"no signature":          {edit(func(doc map[string]any) { at(doc, "dsseEnvelope")["signatures"] = []any{} }), files, false},
			"the other certificate": {material(swapCertificate), files, false},
			"a key for it": {material(func(m map[string]any) {
				delete(m, "certificate")
				delete(m, "x509CertificateChain")
				m["publicKey"] = map[string]any{"hint": "x"}
			}), files, false},
		} {
			if m.method == "elliptic-key" && (name == "the other certificate" || name == "a key for it") || m.single() && (name == "a file more" || name == "a missing file") {
				continue
			}
			refusal(t, m.name()+": "+name, decide(row.bundle, row.files, verify.DirectoryOptions{IgnoreUnsigned: row.lax}, rulings[m.method]), "refused")
		}
		if !m.single() {
			if err := decide(bundle, append(slices.Clone(files), more), verify.DirectoryOptions{IgnoreUnsigned: true}, rulings[m.method]); err != nil {
				t.Errorf("%s: a file more, lax: %v", m.name(), err)
			}
		}
	}
}

// swapCertificate moves the certificate to the field of the other method.
func swapCertificate(material map[string]any) {
	if chain, ok := material["x509CertificateChain"].(map[string]any); ok {
		material["certificate"] = chain["certificates"].([]any)[0]
		delete(material, "x509CertificateChain")
	} else if leaf, ok := material["certificate"]; ok {
		material["x509CertificateChain"] = map[string]any{"certificates": []any{leaf}}
		delete(material, "certificate")
	}
}

// The trust is right and something about it is not.
func TestReferenceModelsByOtherTrust(t *testing.T) {
	t.Parallel()
	stranger, err := trust.ParseAuthority("ca", virtual.NewAuthority(t, "other", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)).Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		method string
		change func(r *verify.Ruling)
		says   string
	}{
		"another key":      {"elliptic-key", func(r *verify.Ruling) { r.Trust.Keys = map[string]trust.Key{"key": keys()["p384"].Key} }, "unknown key"},
		"another root":     {"certificate", func(r *verify.Ruling) { r.Trust.Authorities = map[string]trust.Authority{"ca": stranger} }, "does not chain to a trusted root"},
		"after its expiry": {"certificate", func(r *verify.Ruling) { r.Trust.Now = time.Date(2035, 5, 1, 0, 0, 0, 0, time.UTC) }, "is valid from"},
		"before its time":  {"certificate", func(r *verify.Ruling) { r.Trust.Now = time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC) }, "is valid from"},
		"another holder": {"certificate", func(r *verify.Ruling) {
			signer(r).Certificate = &policy.Certificate{Identity: policy.Match{Exact: "root-ca"}}
		}, `signed by "intermediate-ca"`},
		"another identity":    {"sigstore", withKeyless(func(k *policy.Keyless) { k.Identity.Exact = "stefanb@us.ibm.co" }), "the identity must be"},
		"another issuer":      {"sigstore", withKeyless(func(k *policy.Keyless) { k.Issuer.Exact = "https://accounts.google.com" }), "the issuer must be"},
		"part of an identity": {"sigstore", withKeyless(func(k *policy.Keyless) { k.Identity = policy.Match{Regexp: "stefanb"} }), "the identity must be"},
		"signed timestamps": {"sigstore", func(r *verify.Ruling) {
			r.Rules.Requirements[0].Signature.Witness = policy.Witness{Timestamps: 1}
		}, "timestamp"},
		"two logs": {"sigstore", func(r *verify.Ruling) {
			r.Rules.Requirements[0].Signature.Witness = policy.Witness{TransparencyLogs: 2}
		}, "transparency log"},
		"too old": {"sigstore", func(r *verify.Ruling) {
			r.Rules.Requirements[0].Signature.Witness = policy.Witness{MaxAge: time.Hour}
		}, "must not be older"},
	} {
		for _, m := range referenceModels() {
			if m.method != row.method {
				continue
			}
			s, _, files := m.signature(t)
			ruling := referenceRulings(t)[m.method]
			row.change(&ruling)
			_, err := verify.Directory(t.Context(), onDisk(m.name(), files, m.single()), []*verify.DirectorySignature{s}, verify.DirectoryOptions{}, ruling)
			refusal(t, m.name()+", "+name, err, row.says)
		}
	}
	// Nothing to know the signer by is no refusal.
	s, _, files := referenceModels()[2].signature(t)
	ruling := referenceRulings(t)["sigstore"]
	ruling.Trust.Roots = nil
	_, err = verify.Directory(t.Context(), onDisk("m", files, false), []*verify.DirectorySignature{s}, verify.DirectoryOptions{}, ruling)
	var no *verify.Undecided
	if !errors.As(err, &no) || no.Next == "" {
		t.Errorf("no trusted root: %v", err)
	}
}

// signer makes a copy of the only signer of the rules, to be changed.
func signer(r *verify.Ruling) *policy.Signer {
	req := *r.Rules.Requirements[0].Signature
	req.Signers = slices.Clone(req.Signers)
	r.Rules.Requirements = []policy.Requirement{{Signature: &req}}
	return &req.Signers[0]
}

func withKeyless(change func(*policy.Keyless)) func(*verify.Ruling) {
	return func(r *verify.Ruling) {
		s := signer(r)
		k := *s.Keyless
		change(&k)
		s.Keyless = &k
	}
}
