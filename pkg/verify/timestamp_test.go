package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/modseal/modseal/pkg/internal/virtual"
)

// A token carries certificates, and whoever makes it chooses which. None of them
// may stand in for the authority of the trusted root, whatever it is beside and
// whatever it is called: timestamp-authority GHSA-xm5m-wgh2-rrg3 looked at one
// certificate and verified with another.
func TestForgedTimestamps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	authority := w.root.Material().TimestampingAuthorities()[0].(*root.SigstoreTimestampingAuthority)
	strange, key := strangeAuthority(t)
	stranger := strange.Leaf
	if string(stranger.RawIssuer) != string(authority.Leaf.RawIssuer) || stranger.SerialNumber.Cmp(authority.Leaf.SerialNumber) != 0 {
		t.Fatal("a token names its signer by issuer and serial number, and those of the stranger differ")
	}
	const asked = `- signature: {timestamps: 1, signers: [$release]}`
	for name, row := range map[string]struct {
		bag  []*x509.Certificate
		good bool // to whoever trusts the stranger
	}{
		"with its own certificate":         {[]*x509.Certificate{stranger}, true},
		"without a certificate":            {nil, true},
		"with the trusted one":             {[]*x509.Certificate{authority.Leaf}, false},
		"with its own and the trusted one": {[]*x509.Certificate{stranger, authority.Leaf}, true},
		"with the trusted one and its own": {[]*x509.Certificate{authority.Leaf, stranger}, false},
		"with the whole trusted chain":     {append([]*x509.Certificate{stranger, authority.Leaf, authority.Root}, authority.Intermediates...), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := w.keyBundle("release", virtual.Claim{Timestamp: true})
			stamps := b.VerificationMaterial.TimestampVerificationData
			genuine := decisionRow{policy: asked, evidence: [][]byte{b.JSON(t)}}
			if got, text, _ := w.decide(t, genuine); got != accepted {
				t.Fatalf("as a control: %s, %s", got, text)
			}
			sig := b.GetDsseEnvelope().GetSignatures()[0].GetSig()
			token := forgeTimestamp(t, sig, key, stranger, row.bag)
			if _, err := strange.Verify(token, sig); (err == nil) != row.good {
				t.Errorf("whoever trusts the stranger: %v", err)
			}
			stamps.Rfc3161Timestamps = []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: token}}
			got, text, _ := w.decide(t, decisionRow{policy: asked, evidence: [][]byte{b.JSON(t)}})
			if got != refused || !strings.Contains(text, "timestamp") {
				t.Errorf("%s: %s", got, text)
			}
		})
	}
}

// forgeTimestamp makes a token over a signature, with these certificates in it.
func forgeTimestamp(t *testing.T, sig []byte, key *ecdsa.PrivateKey, signer *x509.Certificate, bag []*x509.Certificate) []byte {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	hash := sha256.Sum256(sig)
	plain, err := (&timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: hash[:], Time: time.Now(), Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2},
	}).CreateResponseWithOpts(signer, key, crypto.SHA256)
	check(err)
	parsed, err := timestamp.ParseResponse(plain)
	check(err)
	inner, err := pkcs7.Parse(parsed.RawToken)
	check(err)
	data, err := pkcs7.NewSignedData(inner.Content)
	check(err)
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	data.SetContentType(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4})
	data.GetSignedData().Version = 3
	for _, cert := range bag {
		data.AddCertificate(cert)
	}
	// The signing certificate by its hash (RFC 5816 section 2.2.1).
	certID := sha256.Sum256(signer.Raw)
	type essCertIDv2 struct{ Hash []byte }
	signingCertificate, err := asn1.Marshal(struct{ Certs []essCertIDv2 }{[]essCertIDv2{{certID[:]}}})
	check(err)
	check(data.AddSigner(signer, key, pkcs7.SignerInfoConfig{
		SkipCertificates: true,
		ExtraSignedAttributes: []pkcs7.Attribute{{
			Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}, Value: asn1.RawValue{FullBytes: signingCertificate},
		}},
	}))
	token, err := data.Finish()
	check(err)
	response, err := asn1.Marshal(struct {
		Status struct{ Status int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: token}})
	check(err)
	return response
}

// strangeAuthority is a timestamp authority that nobody trusts here.
func strangeAuthority(t *testing.T) (*root.SigstoreTimestampingAuthority, *ecdsa.PrivateKey) {
	t.Helper()
	rootCert, rootKey, err := ca.GenerateRootCa()
	if err != nil {
		t.Fatal(err)
	}
	intermediate, intermediateKey, err := ca.GenerateTSAIntermediate(rootCert, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), key, intermediate, intermediateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &root.SigstoreTimestampingAuthority{Root: rootCert, Intermediates: []*x509.Certificate{intermediate}, Leaf: leaf}, key
}
