package verify_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/pkcs7"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/verify"
)

// hugeKey is the public half of no key: nobody needs the private one to stop who
// verifies with it.
func hugeKey() *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), 2*limits.BundleRSABits)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 1<<31 - 1}
}

func hugeCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "huge"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), EmailAddresses: []string{"alice@example.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, hugeKey(), keys()["stranger"].private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// hugeEntries are bodies of log entries with such a key where each kind has it.
func hugeEntries(t *testing.T) map[string]string {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(hugeKey())
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hugeCertificate(t).Raw})
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	b64 := base64.StdEncoding.EncodeToString
	const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	return map[string]string{
		"hashedrekord":               fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":%q}},"signature":{"content":"AAAA","publicKey":{"content":%q}}}}`, hash, b64(key)),
		"hashedrekord, certificate":  fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":%q}},"signature":{"content":"AAAA","publicKey":{"content":%q}}}}`, hash, b64(cert)),
		"key beside another":         fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"signature":{"content":"AAAA","publicKey":{"content":%q,"content":%q}}}}`, b64(key), b64([]byte("x"))),
		"key after a certificate":    fmt.Sprintf(`{"spec":[{"x":%q}]}`, b64(slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: keylessLeaf(t)}), cert))),
		"dsse, proposed":             fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"dsse","spec":{"proposedContent":{"envelope":"{}","verifiers":[%q]}}}`, b64(key)),
		"intoto, twice in base64":    fmt.Sprintf(`{"apiVersion":"0.0.2","kind":"intoto","spec":{"content":{"envelope":{"payloadType":"x","signatures":[{"sig":"AAAA","publicKey":%q}]}}}}`, b64([]byte(b64(key)))),
		"hashedrekord 0.0.2":         fmt.Sprintf(`{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"signature":{"content":"AAAA","verifier":{"publicKey":{"rawBytes":%q}}}}}}`, b64(spki)),
		"hashedrekord 0.0.2, PKCS 1": fmt.Sprintf(`{"x":%q}`, b64(x509.MarshalPKCS1PublicKey(hugeKey()))),
	}
}

func keylessLeaf(t *testing.T) []byte {
	t.Helper()
	return virtual.NewAuthority(t, "corp", time.Time{}, time.Time{}).RootCertificate().Raw
}

// answer of a timestamp authority, with other certificates beside its own.
func timestampBeside(t *testing.T, signers int, beside ...*x509.Certificate) []byte {
	t.Helper()
	token, err := pkcs7.NewSignedData([]byte("when"))
	if err != nil {
		t.Fatal(err)
	}
	for range signers {
		h := stamper(t)
		if err := token.AddSigner(h.Chain[0], h.Key, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, cert := range beside {
		token.AddCertificate(cert)
	}
	signed, err := token.Finish()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := asn1.Marshal(struct {
		Status struct{ Status int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: signed}})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func stamper(t *testing.T) virtual.Holder {
	t.Helper()
	return virtual.NewAuthority(t, "tsa", time.Time{}, time.Time{}).Issue(t, virtual.Leaf{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}})
}

// Whoever can attach a bundle must not be able to stop who looks at it: keys that
// come along are bounded before anything is verified by them, also where the
// rules name a key and no certificate.
func TestKeysThatComeAlongAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fresh := func() virtual.Bundle {
		return w.keyBundle("release", virtual.Claim{Log: virtual.LogV1, Timestamp: true})
	}
	huge := fmt.Sprintf("it has an RSA key of %d bits, more than %d", 2*limits.BundleRSABits+1, limits.BundleRSABits)
	type row struct {
		bundle func() []byte
		says   string
	}
	rows := map[string]row{
		"certificate": {func() []byte {
			b := w.keylessBundle(virtual.Identity{}, virtual.Claim{})
			b.VerificationMaterial.GetCertificate().RawBytes = hugeCertificate(t).Raw
			return b.JSON(t)
		}, huge},
		"root in a chain": {func() []byte {
			h := w.corp.Issue(t, virtual.Leaf{Emails: []string{"alice@example.com"}})
			h.Chain = append(h.Chain, hugeCertificate(t))
			return w.one.Certificate(t, h, w.claim(virtual.Claim{})).JSON(t)
		}, huge},
		"timestamp": {func() []byte {
			b := fresh()
			b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps[0].SignedTimestamp = timestampBeside(t, 1, hugeCertificate(t))
			return b.JSON(t)
		}, "its timestamp: " + huge},
		"timestamp by two": {func() []byte {
			b := fresh()
			b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps[0].SignedTimestamp = timestampBeside(t, 2)
			return b.JSON(t)
		}, "its timestamp: it has 2 signers"},
		"timestamp that is too large": {func() []byte {
			b := fresh()
			b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps[0].SignedTimestamp = make([]byte, limits.TimestampBytes+1)
			return b.JSON(t)
		}, "its timestamp: it has 65537 bytes"},
		"log entry that is too large": {func() []byte {
			b := fresh()
			b.Entry(0).CanonicalizedBody = append(b.Entry(0).GetCanonicalizedBody(), bytes.Repeat([]byte(" "), limits.LogEntryBytes)...)
			return b.JSON(t)
		}, "its log entry: it has"},
		"too many log entries": {func() []byte {
			b := fresh()
			b.VerificationMaterial.TlogEntries = slices.Repeat([]*protorekor.TransparencyLogEntry{b.Entry(0)}, limits.LogEntries+1)
			return b.JSON(t)
		}, "it has 33 log entries, more than 32"},
		"too many timestamps": {func() []byte {
			b := fresh()
			stamps := b.VerificationMaterial.TimestampVerificationData
			stamps.Rfc3161Timestamps = slices.Repeat([]*protocommon.RFC3161SignedTimestamp{stamps.Rfc3161Timestamps[0]}, limits.BundleTimestamps+1)
			return b.JSON(t)
		}, "it has 33 timestamps, more than 32"},
	}
	for name, body := range hugeEntries(t) {
		rows["log entry: "+name] = row{func() []byte {
			b := fresh()
			b.Entry(0).CanonicalizedBody = []byte(body)
			return b.JSON(t)
		}, "its log entry: " + huge}
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, text, _ := w.decide(t, decisionRow{policy: "- signature: {signers: [$release]}", evidence: [][]byte{r.bundle()}})
			if got != refused || !strings.Contains(text, r.says) {
				t.Errorf("%s, %s\ndoes not say %q", got, text, r.says)
			}
			if _, err := verify.ReadClaim(r.bundle()); err == nil || !strings.Contains(err.Error(), r.says) {
				t.Errorf("the claim: %v", err)
			}
		})
	}
	// The same of the usual size is fine.
	b := fresh()
	b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps[0].SignedTimestamp = timestampBeside(t, 1)
	if got, text, _ := w.decide(t, decisionRow{policy: "- signature: {signers: [$release]}", evidence: [][]byte{b.JSON(t)}}); got != accepted {
		t.Errorf("%s: %s", got, text)
	}
}

// What cosign kept in annotations is bounded in the same way.
func TestKeysInAnnotationsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hugeCertificate(t).Raw}))
	for _, annotation := range []string{"dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain"} {
		h := w.corp.Issue(t, virtual.Leaf{Emails: []string{"alice@example.com"}})
		l := w.one.LegacySignature(t, h, virtual.Claim{Payload: fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, w.digest)})
		l.Annotations[annotation] = cert
		_, err := verify.Verify(t.Context(), demo().subject(t),
			[]verify.Evidence{{Digest: w.digest, Legacy: &verify.Legacy{Payload: l.Payload, Annotations: l.Annotations}}}, verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
		if err == nil || !strings.Contains(err.Error(), "RSA key of 16385 bits") {
			t.Errorf("%s: %v", annotation, err)
		}
	}
}
