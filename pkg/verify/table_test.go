package verify_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/verify"
)

const (
	accepted  = "accepted"
	warned    = "warned"
	refused   = "refused"
	undecided = "undecided"
)

// row is an artifact, what is attached to it, and the rules; and what comes of
// it. says are parts of the refusal, of the undecided error, or of the report.
type row struct {
	name     string
	model    model
	evidence []verify.Evidence
	rules    policy.Rules
	want     string
	says     []string
}

func rows(t *testing.T) []row {
	t.Helper()
	m := demo()
	d := m.subject(t).Descriptor.Digest
	other := digest.FromString("another manifest")
	tarred := demo()
	tarred.tars = 2
	td := tarred.subject(t).Descriptor.Digest
	single := model{files: map[string]string{"model.bin": "w"}, order: []string{"model.bin"}}
	sd := single.subject(t).Descriptor.Digest

	by := func(signer string, payload []byte) []byte {
		return envelope{payload: payload, signer: signer}.bundle(t)
	}
	signed := func(signer string) []byte { return by(signer, cosign(t, d)) }
	edited := func(edit func(map[string]any)) []byte {
		return envelope{payload: cosign(t, d), signer: "release", edit: edit}.bundle(t)
	}
	retold := func(text func(string) string) []byte {
		return envelope{payload: cosign(t, d), signer: "release", text: text}.bundle(t)
	}
	hinted := func(hint string) []byte {
		return envelope{payload: cosign(t, d), signer: "release", hint: hint}.bundle(t)
	}
	// An OMS statement of a whole other kind, with the right digests.
	omsWith := func(old, with string) []byte {
		return bytes.Replace(m.oms(t), []byte(old), []byte(with), 1)
	}
	rootless := strings.Replace(string(m.oms(t)), `"sha256":"`, `"sha256":"00`, 1)
	dot := strings.Replace(string(single.oms(t)), `"name":"model.bin"`, `"name":"."`, 1)
	release := anyOf("release")

	return []row{
		// Signatures on the manifest.
		{"signed", m, evidence(signed("release")), release, accepted, []string{"release"}},
		{"signed by one of two", m, evidence(signed("backup")), anyOf("release", "backup"), accepted, nil},
		{"P-384", m, evidence(signed("p384")), anyOf("p384"), accepted, nil},
		{"P-521", m, evidence(signed("p521")), anyOf("p521"), accepted, nil},
		{"Ed25519", m, evidence(signed("ed25519")), anyOf("ed25519"), accepted, nil},
		{"RSA 2048", m, evidence(signed("rsa")), anyOf("rsa"), accepted, nil},
		{"P-384 with SHA-256", m, evidence(envelope{payload: cosign(t, d), signer: "p384", hash: crypto.SHA256}.bundle(t)), anyOf("p384"), refused, []string{"unknown key"}},
		{"RSA with SHA-512", m, evidence(envelope{payload: cosign(t, d), signer: "rsa", hash: crypto.SHA512}.bundle(t)), anyOf("rsa"), refused, []string{"unknown key"}},
		{"nothing attached", m, nil, release, refused, []string{"nothing attached", "modseal sign", "signature by release", keys()["release"].Short()}},
		{"wrong key", m, evidence(signed("stranger")), release, refused, []string{"found 1 bundle, which is signed by an unknown key", "modseal tree", "modseal verify --key"}},
		{"signer of another requirement", m, evidence(signed("backup")), release, refused, []string{"unknown key"}},
		{"signature of another artifact", m, evidence(by("release", cosign(t, other))), release, refused, []string{"a signature of something else (" + other.String()[:19], "what was signed is another artifact", "modseal sign"}},
		{"right and wrong ones", m, evidence(signed("stranger"), []byte("garbage"), by("release", cosign(t, other)), signed("release")), release, accepted, nil},
		{"statement v0.1", m, evidence(by("release", omsReplace(cosign(t, d), "Statement/v1", "Statement/v0.1"))), release, accepted, nil},
		{"one of two subjects", m, evidence(by("release", omsReplace(cosign(t, d), `"subject":[`, `"subject":[{"digest":{"sha256":"`+other.Encoded()+`"}},`))), release, accepted, nil},
		{"subject by sha512 only", m, evidence(by("release", omsReplace(cosign(t, d), `"sha256"`, `"sha512"`))), release, refused, []string{"something else"}},
		{"subject digest in upper case", m, evidence(by("release", omsReplace(cosign(t, d), d.Encoded(), strings.ToUpper(d.Encoded())))), release, refused, []string{"something else"}},

		// Attestations are no signatures.
		{"SBOM instead of a signature", m, evidence(by("release", claim(d, "https://cyclonedx.org/bom"))), release, refused, []string{"an SBOM attestation (predicateType \"https://cyclonedx.org/bom\"), not a signature", "an attestation is no signature", "modseal sign"}},
		{"provenance instead of a signature", m, evidence(by("release", claim(d, "https://slsa.dev/provenance/v1"))), release, refused, []string{"a provenance attestation"}},
		{"summary instead of a signature", m, evidence(by("release", claim(d, "https://slsa.dev/verification_summary/v1"))), release, refused, []string{"a verification summary"}},
		{"OMS instead of a signature", m, evidence(by("release", m.oms(t))), release, refused, []string{"found 1 bundle, which is an OMS statement by release", "ask for a signature by release"}},
		{"predicate type with a suffix", m, evidence(by("release", claim(d, artifacttypes.PredicateCosignSign+"/"))), release, refused, []string{"not a signature"}},
		{"predicate type in another case", m, evidence(by("release", claim(d, "https://sigstore.dev/cosign/SIGN/v1"))), release, refused, []string{"not a signature"}},
		{"two predicate types", m, evidence(by("release", omsReplace(claim(d, "https://cyclonedx.org/bom"), `"predicate":`, `"predicateType":"`+artifacttypes.PredicateCosignSign+`","predicate":`))), release, refused, []string{"twice"}},
		{"predicate type by letter case", m, evidence(by("release", omsReplace(claim(d, "https://cyclonedx.org/bom"), `"predicate":`, `"predicatetype":"`+artifacttypes.PredicateCosignSign+`","predicate":`))), release, refused, []string{"SBOM"}},

		// Thresholds.
		{"two keys of two", m, evidence(signed("release"), signed("backup")), nOf(2, "release", "backup"), accepted, []string{"backup", "release"}},
		{"one key of two", m, evidence(signed("release")), nOf(2, "release", "backup"), refused, []string{"signatures by 2 of release, backup", "found only 1 of 2, by release", "ask for a signature by backup"}},
		{"the same key twice", m, evidence(signed("release"), signed("release")), nOf(2, "release", "backup"), refused, []string{"only 1 of 2, by release; 2 bundles are attached: sha256:"}},
		{"the same key under two names", m, evidence(signed("release"), signed("release")), nOf(2, "release", "release-again"), refused, []string{"only 1 of 2"}},
		{"two requirements, one met", m, evidence(signed("release")), both(release, anyOf("backup")), refused, []string{"signature by backup"}},
		{"two requirements met", m, evidence(signed("release"), signed("backup")), both(release, anyOf("backup")), accepted, nil},

		// Hints choose, and decide nothing.
		{"right OMS hint", m, evidence(hinted(keys()["release"].OMSHint())), release, accepted, nil},
		{"right cosign hint", m, evidence(hinted(keys()["release"].CosignHint())), release, accepted, nil},
		{"unknown hint", m, evidence(hinted("nobody")), release, accepted, nil},
		{"hint of an untrusted key", m, evidence(hinted(keys()["stranger"].CosignHint())), release, accepted, nil},
		{"hint of another trusted key", m, evidence(hinted(keys()["backup"].CosignHint())), anyOf("release", "backup"), accepted, []string{"release"}},
		{"stranger with the hint of release", m, evidence(envelope{payload: cosign(t, d), signer: "stranger", hint: keys()["release"].CosignHint()}.bundle(t)), release, refused, []string{"1 bundle, which is signed in the name of release (" + keys()["release"].Short() + "), but its signature is wrong", "have it signed again: modseal sign"}},
		{"cosign hint of a stranger", m, evidence(envelope{payload: cosign(t, d), signer: "stranger", hint: keys()["stranger"].CosignHint()}.bundle(t)), release, refused, []string{"signed by an unknown key that claims to be " + keys()["stranger"].Short() + "…", "if another key is the right one"}},
		{"key id is ignored", m, evidence(edited(func(doc map[string]any) {
			at(doc, "dsseEnvelope")["signatures"].([]any)[0].(map[string]any)["keyid"] = "whatever"
		})), release, accepted, nil},
		{"key id null", m, evidence(edited(func(doc map[string]any) {
			at(doc, "dsseEnvelope")["signatures"].([]any)[0].(map[string]any)["keyid"] = nil
		})), release, accepted, nil},
		{"publicKey of OMS before 1.1", m, evidence(edited(func(doc map[string]any) {
			at(doc, "verificationMaterial")["publicKey"] = map[string]any{"rawBytes": keys()["release"].PEM(), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
		})), release, accepted, nil},
		{"the key in the bundle is not trusted", m, evidence(envelope{payload: cosign(t, d), signer: "stranger", edit: func(doc map[string]any) {
			at(doc, "verificationMaterial")["publicKey"] = map[string]any{"rawBytes": keys()["stranger"].PEM(), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
		}}.bundle(t)), release, refused, []string{"unknown key that claims to be " + keys()["stranger"].Short()}},
		{"empty log entries", m, evidence(edited(func(doc map[string]any) { at(doc, "verificationMaterial")["tlogEntries"] = []any{} })), release, accepted, nil},

		// Broken bundles.
		{"tampered payload", m, evidence(edited(func(doc map[string]any) {
			at(doc, "dsseEnvelope")["payload"] = []byte(strings.Replace(string(cosign(t, d)), `"predicate":{}`, `"predicate":{"a":1}`, 1))
		})), release, refused, []string{"unknown key"}},
		{"payload of another signature", m, evidence(envelope{payload: cosign(t, other), signer: "release", edit: func(doc map[string]any) {
			at(doc, "dsseEnvelope")["payload"] = cosign(t, d)
		}}.bundle(t)), release, refused, []string{"unknown key"}},
		{"tampered signature", m, evidence(edited(func(doc map[string]any) {
			sig := at(doc, "dsseEnvelope", "signatures", 0)["sig"].([]byte)
			sig[len(sig)-1] ^= 1
		})), release, refused, []string{"unknown key"}},
		{"empty signature", m, evidence(edited(func(doc map[string]any) { at(doc, "dsseEnvelope", "signatures", 0)["sig"] = "" })), release, refused, nil},
		{"two signatures in the envelope", m, evidence(edited(func(doc map[string]any) {
			e := at(doc, "dsseEnvelope")
			e["signatures"] = append(e["signatures"].([]any), e["signatures"].([]any)[0])
		})), release, refused, []string{"2 signatures"}},
		{"no signature in the envelope", m, evidence(edited(func(doc map[string]any) { at(doc, "dsseEnvelope")["signatures"] = []any{} })), release, refused, []string{"0 signatures"}},
		{"media type v0.2", m, evidence(edited(func(doc map[string]any) { doc["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2" })), release, refused, []string{"version 0.3"}},
		{"media type v0.1", m, evidence(edited(func(doc map[string]any) { doc["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1" })), release, refused, []string{"version 0.3"}},
		{"media type v0.4", m, evidence(edited(func(doc map[string]any) { doc["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.4+json" })), release, refused, []string{"v0.4"}},
		{"media type v0.3 in its older spelling", m, evidence(edited(func(doc map[string]any) { doc["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.3" })), release, accepted, nil},
		{"no media type", m, evidence(edited(func(doc map[string]any) { delete(doc, "mediaType") })), release, refused, []string{"media type"}},
		{"payload type changed", m, evidence(edited(func(doc map[string]any) { at(doc, "dsseEnvelope")["payloadType"] = "application/json" })), release, refused, []string{"payload type"}},
		{"other payload type, signed", m, evidence(envelope{payload: cosign(t, d), signer: "release", payloadType: "application/json"}.bundle(t)), release, refused, []string{"payload type"}},
		{"message signature", m, evidence(edited(func(doc map[string]any) {
			delete(doc, "dsseEnvelope")
			doc["messageSignature"] = map[string]any{"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": "AA=="}, "signature": "AA=="}
		})), release, refused, []string{"bytes, not a statement"}},
		{"no envelope", m, evidence(edited(func(doc map[string]any) { delete(doc, "dsseEnvelope") })), release, refused, []string{"no envelope"}},
		{"no verification material", m, evidence(edited(func(doc map[string]any) { delete(doc, "verificationMaterial") })), release, refused, []string{"verification material"}},
		{"certificate", m, evidence(edited(func(doc map[string]any) {
			doc["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": "AAAA"}}
		})), release, refused, []string{"is not usable"}},
		{"unknown field", m, evidence(edited(func(doc map[string]any) { doc["more"] = 1 })), release, refused, []string{"does not parse"}},
		{"duplicate field", m, evidence(retold(replaceIn(`"dsseEnvelope":`, `"mediaType":"x","dsseEnvelope":`))), release, refused, []string{"does not parse"}},
		{"duplicate field beside rawBytes", m, evidence(retold(replaceIn(`"publicKey":{"hint":""}`, `"publicKey":{"rawBytes":"","rawBytes":""}`))), release, refused, []string{"does not parse"}},
		{"something behind a bundle with rawBytes", m, evidence(append(edited(func(doc map[string]any) {
			at(doc, "verificationMaterial")["publicKey"] = map[string]any{"rawBytes": keys()["release"].PEM(), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
		}), "} evil"...)), release, refused, []string{"does not parse"}},
		{"payload is no JSON", m, evidence(by("release", []byte("hello"))), release, refused, []string{"not JSON"}},
		{"payload is empty", m, evidence(by("release", nil)), release, refused, nil},
		{"not a bundle", m, evidence([]byte("hello")), release, refused, []string{"is not usable"}},
		{"empty bundle", m, evidence(nil), release, refused, []string{"is not usable"}},
		{"bundle too large", m, evidence(bytes.Repeat([]byte(" "), limits.BundleBytes+1)), release, refused, []string{"more than"}},
		{"bundle that could not be read", m, []verify.Evidence{{Digest: other, Err: errors.New("line cut")}}, release, refused, []string{"could not be read (line cut)"}},
		{"many bundles", m, evidence(signed("stranger"), signed("stranger"), signed("stranger"), signed("stranger"), signed("stranger"), signed("stranger"), signed("stranger")), release, refused, []string{"7 bundles, none of which counts: sha256:", " is signed by an unknown key; sha256:"}},
		{"bundle with wrong bytes", m, []verify.Evidence{{Digest: other, Err: fmt.Errorf("bundle: %w", &integrity.Error{What: "bundle", Want: d, Got: other, WantSize: 3, GotSize: 3})}}, release, refused, []string{
			"1 bundle, which is damaged: its bytes are not what its digest says",
			"the registry, or something before it, gives wrong bytes for " + d.String() + ": pull from another copy, or sign again: modseal sign",
		}},

		// OMS binds the files.
		{"OMS beside the signature", m, evidence(signed("release"), by("release", m.oms(t))), release, accepted, []string{"OMS statement by release"}},
		{"OMS required and there", m, evidence(signed("release"), by("release", m.oms(t))), requireOMS(release), accepted, nil},
		{"OMS required and not there", m, evidence(signed("release")), requireOMS(release), refused, []string{"OMS statement by release", "found 1 bundle, which is a signature by release", "ask for an OMS statement by release"}},
		{"OMS by a stranger", m, evidence(signed("release"), by("stranger", m.oms(t))), requireOMS(release), refused, []string{"an OMS statement signed by an unknown key", "if another key is the right one"}},
		{"wrong OMS by a stranger", m, evidence(signed("release"), by("stranger", m.with("config.json", "x").oms(t))), release, accepted, nil},
		{"OMS by another signer than its own", m, evidence(signed("release"), by("release", m.oms(t))), requireOMS(release, "backup"), refused, []string{"OMS statement by backup", "is an OMS statement signed by an unknown key"}},
		{"OMS in the name of another signer than its own", m, evidence(signed("release"), envelope{payload: m.oms(t), signer: "release", hint: keys()["release"].OMSHint()}.bundle(t)), requireOMS(release, "backup"), refused, []string{"is an OMS statement signed by a key that claims to be release (" + keys()["release"].Short() + "), which does not count here"}},
		{"OMS by its own signer", m, evidence(signed("release"), by("backup", m.oms(t))), requireOMS(release, "backup"), accepted, nil},
		{"OMS alone", m, evidence(by("release", m.oms(t))), requireOMS(policy.Rules{Mode: policy.ModeEnforce}, "release"), accepted, nil},
		{"two wrong OMS", m, evidence(signed("release"), by("release", m.with("config.json", "x").oms(t)), by("release", m.without("config.json").oms(t))), release, refused, []string{"2 by trusted signers, none of which matches: sha256:", `does not match: "config.json"`}},
		{"OMS with another digest", m, evidence(signed("release"), by("release", m.with("config.json", "x").oms(t))), release, refused, []string{
			`"config.json"`, digest.FromString("x").String(), digest.FromString("{}").String(),
		}},
		{"OMS with another path", m, evidence(signed("release"), by("release", m.without("config.json").with("config.jso", "{}").oms(t))), release, refused, []string{`"config.jso" is signed as`, "is not in the model"}},
		{"OMS with more files", m, evidence(signed("release"), by("release", m.with("more", "x").oms(t))), release, refused, []string{`"more" is signed as`, "is not in the model"}},
		{"OMS with fewer files", m, evidence(signed("release"), by("release", m.without("config.json").oms(t))), release, refused, []string{`"config.json"`, "is not signed"}},
		{"OMS with swapped files", m, evidence(signed("release"), by("release", m.with("config.json", "weights").with("model.safetensors", "{}").oms(t))), release, refused, []string{"found one by release that does not match: \"config.json\" is signed as", "(and 1 more difference)", "the signed files are not these"}},
		{"OMS in another letter case", m, evidence(signed("release"), by("release", m.without("config.json").with("Config.json", "{}").oms(t))), release, refused, []string{`"Config.json"`}},
		{"OMS leaving a file out", m, evidence(signed("release"), by("release", omsReplace(m.without("config.json").oms(t), `".gitignore"`, `".gitignore","config.json"`))), release, refused, []string{"ignore_paths"}},
		{"OMS with a wrong root", m, evidence(signed("release"), by("release", []byte(rootless))), release, refused, []string{"does not match"}},
		{"OMS with an unknown key", m, evidence(signed("release"), by("release", omsWith(`"predicate":{`, `"predicate":{"x":1,`))), release, refused, []string{"unknown"}},
		{"OMS by blake3", m, evidence(signed("release"), by("release", bytes.ReplaceAll(bytes.ReplaceAll(m.oms(t), []byte(`"algorithm":"sha256"`), []byte(`"algorithm":"blake3"`)), []byte(`"hash_type":"sha256"`), []byte(`"hash_type":"blake3"`)))), release, refused, []string{"files by blake3"}},
		{"OMS v1.3", m, evidence(signed("release"), by("release", omsWith("signature/v1.0", "signature/v1.3"))), requireOMS(release), accepted, nil},
		{"OMS v2", m, evidence(signed("release"), by("release", omsWith("signature/v1.0", "signature/v2.0"))), requireOMS(release), refused, []string{"signature/v2.0"}},
		{"a wrong and a right OMS", m, evidence(signed("release"), by("release", m.with("config.json", "x").oms(t)), by("release", m.oms(t))), release, accepted, []string{"does not match"}},
		{"tampered OMS", m, evidence(signed("release"), envelope{payload: m.oms(t), signer: "release", edit: func(doc map[string]any) {
			at(doc, "dsseEnvelope")["payload"] = omsReplace(m.oms(t), `"demo"`, `"dem0"`)
		}}.bundle(t)), requireOMS(release), refused, []string{"an OMS statement signed by an unknown key"}},
		{"single file by its name", single, evidence(by("release", cosign(t, sd)), by("release", single.oms(t))), requireOMS(release), accepted, nil},
		{"single file as .", single, evidence(by("release", cosign(t, sd)), by("release", []byte(dot))), requireOMS(release), accepted, nil},
		{". for a model of many files", m, evidence(signed("release"), by("release", []byte(dot))), release, refused, []string{`"."`}},

		// Grouping tars.
		{"tars without OMS", tarred, evidence(by("release", cosign(t, td))), release, accepted, nil},
		{"tars with members", tarred, evidence(by("release", cosign(t, td)), by("release", tarred.with("docs/a.md", "a").oms(t))), requireOMS(release), accepted, nil},
		{"tars and a missing raw file", tarred, evidence(by("release", cosign(t, td)), by("release", tarred.without("config.json").oms(t))), release, refused, []string{`"config.json"`}},
		{"a member that cannot stand beside a file", tarred, evidence(by("release", cosign(t, td)), by("release", tarred.with("CONFIG.json", "a").oms(t))), release, refused, []string{"folds case"}},
		{"a member below a file", tarred, evidence(by("release", cosign(t, td)), by("release", tarred.with("config.json/x", "a").oms(t))), release, refused, []string{"unsafe path"}},
		{". beside tars", tarred, evidence(by("release", cosign(t, td)), by("release", []byte(dot))), release, refused, []string{`"config.json"`}},
		{"two OMS that disagree about members", tarred, evidence(by("release", cosign(t, td)), by("release", tarred.with("a", "1").oms(t)), by("release", tarred.with("a", "2").oms(t))), release, refused, []string{"disagree"}},

		// Warn mode.
		{"warn, signed", m, evidence(signed("release")), warn(release), accepted, nil},
		{"warn, nothing attached", m, nil, warn(release), warned, []string{"signature by release: looked for", "nothing attached"}},
		{"warn, wrong OMS", m, evidence(signed("release"), by("release", m.with("config.json", "x").oms(t))), warn(release), warned, []string{"does not match"}},

		// Rules that cannot be decided.
		{"no rules", m, evidence(signed("release")), policy.Rules{}, undecided, []string{"no rules"}},
		{"rules without requirements", m, evidence(signed("release")), policy.Rules{Mode: policy.ModeEnforce}, undecided, []string{"no rules"}},
		{"no mode", m, evidence(signed("release")), policy.Rules{Requirements: release.Requirements}, undecided, []string{"mode"}},
		{"unknown mode", m, evidence(signed("release")), policy.Rules{Mode: "audit", Requirements: release.Requirements}, undecided, []string{"audit"}},
		{"no key for the signer", m, evidence(signed("release")), anyOf("nobody"), undecided, []string{`"nobody"`}},
		{"no key for one of two", m, evidence(signed("release")), anyOf("release", "nobody"), undecided, []string{`"nobody"`}},
		{"threshold 0", m, nil, nOf(0, "release"), undecided, []string{"threshold"}},
		{"no signers", m, nil, nOf(1), undecided, []string{"signers"}},
		{"empty requirement", m, nil, policy.Rules{Mode: policy.ModeEnforce, Requirements: []policy.Requirement{{}}}, undecided, []string{"empty"}},
		{"OMS without signers", m, nil, requireOMS(policy.Rules{Mode: policy.ModeEnforce}), undecided, []string{"no signers"}},
		{"too many bundles", m, make([]verify.Evidence, limits.Referrers+1), release, undecided, []string{"more than"}},
	}
}

func omsReplace(payload []byte, old, with string) []byte {
	return []byte(replaceIn(old, with)(string(payload)))
}

func both(a, b policy.Rules) policy.Rules {
	a.Requirements = append(append([]policy.Requirement{}, a.Requirements...), b.Requirements...)
	return a
}
