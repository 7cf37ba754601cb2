package virtual

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509util"
)

// Object identifiers of extensions
// (https://github.com/sigstore/fulcio/blob/v1.8.8/docs/oid-info.md, RFC 6962
// section 3.3).
var (
	OIDIssuer              = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	OIDSourceRepositoryURI = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 12}
	oidSCTList             = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// Identity is whom the authority of an instance certifies.
type Identity struct {
	Subject          string // a URI when it has "://" in it, else an address
	Issuer           string // none when empty
	SourceRepository string // extension sourceRepositoryURI; none when empty
	// NotBefore and NotAfter bound the certificate; zero means a minute ago, and
	// ten minutes after NotBefore.
	NotBefore, NotAfter time.Time
	NoSCT               bool           // the certificate transparency log has not seen it
	Curve               elliptic.Curve // nil: P-256
}

// issue makes a certificate as Fulcio does, first without and then with the SCT
// over it.
func (s *Sigstore) issue(t testing.TB, id Identity) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	if id.Curve == nil {
		id.Curve = elliptic.P256()
	}
	key := newKey(t, id.Curve)
	return s.certify(t, id, key.Public()), key
}

func (s *Sigstore) certify(t testing.TB, id Identity, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	if id.NotBefore.IsZero() {
		id.NotBefore = time.Now().Add(-time.Minute)
	}
	if id.NotAfter.IsZero() {
		id.NotAfter = id.NotBefore.Add(10 * time.Minute)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: id.NotBefore, NotAfter: id.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if strings.Contains(id.Subject, "://") {
		u, err := url.Parse(id.Subject)
		check(t, err)
		template.URIs = []*url.URL{u}
	} else {
		template.EmailAddresses = []string{id.Subject}
	}
	for _, e := range []struct {
		id    asn1.ObjectIdentifier
		value string
	}{{OIDIssuer, id.Issuer}, {OIDSourceRepositoryURI, id.SourceRepository}} {
		if e.value != "" {
			der, err := asn1.MarshalWithParams(e.value, "utf8")
			check(t, err)
			template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: e.id, Value: der})
		}
	}
	cert := s.fulcio.sign(t, template, public)
	if !id.NoSCT {
		template.ExtraExtensions = append(template.ExtraExtensions, s.sct(t, cert))
		cert = s.fulcio.sign(t, template, public)
	}
	return cert
}

func (a authority) sign(t testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.intermediate, public, a.key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return cert
}

// sct is the promise of the log to publish cert, as an extension of it.
func (s *Sigstore) sct(t testing.TB, cert *x509.Certificate) pkix.Extension {
	t.Helper()
	promise := ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1, Timestamp: uint64(time.Now().UnixMilli()),
	}
	copy(promise.LogID.KeyID[:], logID(t, s.ct.Public()))
	issuer := sha256.Sum256(s.fulcio.intermediate.RawSubjectPublicKeyInfo)
	input, err := ct.SerializeSCTSignatureInput(promise, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version: ct.V1, LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			Timestamp: promise.Timestamp, EntryType: ct.PrecertLogEntryType,
			PrecertEntry: &ct.PreCert{IssuerKeyHash: issuer, TBSCertificate: cert.RawTBSCertificate},
		},
	}})
	check(t, err)
	sig, err := tls.CreateSignature(*s.ct, tls.SHA256, input)
	check(t, err)
	promise.Signature = ct.DigitallySigned(sig)
	list, err := x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{&promise})
	check(t, err)
	encoded, err := tls.Marshal(*list)
	check(t, err)
	der, err := asn1.Marshal(encoded)
	check(t, err)
	return pkix.Extension{Id: oidSCTList, Value: der}
}

func marshalKey(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	check(t, err)
	return der
}
