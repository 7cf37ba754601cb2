package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/modseal/modseal/pkg/trust"
)

// day is when tests look at things; certificates and windows are around it.
var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const year = 365 * 24 * time.Hour

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issuer is a certificate and its key.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate, signed by parent or else by itself. change may be
// nil.
func issue(t testing.TB, name string, parent *issuer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name)) + 1), Subject: pkix.Name{CommonName: name},
		NotBefore: day.Add(-year), NotAfter: day.Add(year),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(c)
	}
	by := &issuer{c, key}
	if parent != nil {
		by = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{made, key}
}

func timestamper(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
}

func certificatePEM(certificates ...*issuer) []byte {
	var out []byte
	for _, c := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	return out
}

func pbWindow(start, end time.Time) *protocommon.TimeRange {
	w := &protocommon.TimeRange{Start: timestamppb.New(start)}
	if !end.IsZero() {
		w.End = timestamppb.New(end)
	}
	return w
}

func pbAuthority(uri string, chain ...*issuer) *prototrustroot.CertificateAuthority {
	ca := &prototrustroot.CertificateAuthority{Uri: uri, CertChain: &protocommon.X509CertificateChain{}, ValidFor: pbWindow(day.Add(-year), time.Time{})}
	for _, c := range chain {
		ca.CertChain.Certificates = append(ca.CertChain.Certificates, &protocommon.X509Certificate{RawBytes: c.cert.Raw})
	}
	return ca
}

func pbLog(t testing.TB, url string, public crypto.PublicKey) *prototrustroot.TransparencyLogInstance {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(der)
	return &prototrustroot.TransparencyLogInstance{
		BaseUrl: url, HashAlgorithm: protocommon.HashAlgorithm_SHA2_256,
		PublicKey: &protocommon.PublicKey{
			RawBytes: der, KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
			ValidFor: pbWindow(day.Add(-year), time.Time{}),
		},
		LogId: &protocommon.LogId{KeyId: id[:]},
	}
}

// newRoot returns a trusted root with one of each.
func newRoot(t testing.TB) *prototrustroot.TrustedRoot {
	t.Helper()
	top := issue(t, "root", nil, nil)
	middle := issue(t, "intermediate", top, nil)
	stamps := issue(t, "timestamps", top, timestamper)
	return &prototrustroot.TrustedRoot{
		MediaType:              "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		Tlogs:                  []*prototrustroot.TransparencyLogInstance{pbLog(t, "https://rekor.example.com", newKey(t).Public())},
		Ctlogs:                 []*prototrustroot.TransparencyLogInstance{pbLog(t, "https://ct.example.com", newKey(t).Public())},
		CertificateAuthorities: []*prototrustroot.CertificateAuthority{pbAuthority("https://fulcio.example.com", middle, top)},
		TimestampAuthorities:   []*prototrustroot.CertificateAuthority{pbAuthority("https://tsa.example.com", stamps, top)},
	}
}

func rootJSON(t testing.TB, pb *prototrustroot.TrustedRoot) []byte {
	t.Helper()
	data, err := protojson.Marshal(pb)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func signingJSON() []byte {
	return []byte(`{
  "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
  "caUrls": [{"url": "https://fulcio.example.com", "majorApiVersion": 1, "validFor": {"start": "2025-01-01T00:00:00Z"}, "operator": "example.com"}],
  "rekorTlogUrls": [{"url": "https://rekor.example.com", "majorApiVersion": 2, "validFor": {"start": "2025-01-01T00:00:00Z", "end": "2025-12-31T00:00:00Z"}, "operator": "example.com"}],
  "rekorTlogConfig": {"selector": "EXACT", "count": 1}
}`)
}

func rootItem(t testing.TB, name string) trust.Item {
	t.Helper()
	return trust.Item{Kind: trust.KindRoot, Name: name, Source: "root.json", Data: rootJSON(t, newRoot(t))}
}

func keyItem(t testing.TB, name string) trust.Item {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	return trust.Item{Kind: trust.KindKey, Name: name, Source: name + ".pub", Data: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
}

func digestOf(data []byte) digest.Digest { return digest.FromBytes(data) }
