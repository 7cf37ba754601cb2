package virtual

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	mediaType   = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType = "application/vnd.in-toto+json"
)

// Log is which of the transparency logs has an entry of a bundle.
type Log int

// The logs. A bundle with LogV2 has no time but that of a timestamp.
const (
	NoLog Log = iota
	LogV1
	LogV2
	LogBoth
)

// Claim is what is signed, and who sees it.
type Claim struct {
	Payload   []byte // an in-toto statement
	Log       Log
	Logged    time.Time // of the entry of LogV1; zero means now
	Timestamp bool      // of the timestamp authority, now
	// Witnesses are other instances that see the bundle too, as Log and
	// Timestamp say.
	Witnesses []*Sigstore
	// Entry is logged in place of the payload, to make an entry of something
	// else.
	Entry []byte
	// Forged spoils the signature before LogV2 and the authority see it, as a log
	// that compares nothing would let it happen.
	Forged bool
}

// logged is when the entry is made. It is asked for once, so that all that an entry
// says of it is the same.
func (c Claim) logged() time.Time {
	if c.Logged.IsZero() {
		return time.Now()
	}
	return c.Logged
}

// Bundle is a bundle that a test may change before it is written.
type Bundle struct{ *protobundle.Bundle }

// JSON returns the bundle as it is attached to artifacts.
func (b Bundle) JSON(t testing.TB) []byte {
	t.Helper()
	data, err := protojson.Marshal(b.Bundle)
	check(t, err)
	return data
}

// Keyless returns a bundle by id, with the certificate that the authority of the
// instance issues for it.
func (s *Sigstore) Keyless(t testing.TB, id Identity, c Claim) Bundle {
	t.Helper()
	leaf, key := s.issue(t, id)
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{
		Certificate: &protocommon.X509Certificate{RawBytes: leaf.Raw},
	}}
	return s.bundle(t, key, leaf, material, c)
}

// Key returns a bundle by a key, which it names by hint.
func (s *Sigstore) Key(t testing.TB, key crypto.Signer, hint string, c Claim) Bundle {
	t.Helper()
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{
		PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint},
	}}
	return s.bundle(t, key, nil, material, c)
}

// Certificate returns a bundle of the certificate method of OMS, by the holder
// of a certificate: leaf first, then its issuers without the root.
func (s *Sigstore) Certificate(t testing.TB, h Holder, c Claim) Bundle {
	t.Helper()
	chain := &protocommon.X509CertificateChain{}
	for _, cert := range h.Chain {
		chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: cert.Raw})
	}
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}}
	return s.bundle(t, h.Key, h.Chain[0], material, c)
}

func (s *Sigstore) bundle(t testing.TB, key crypto.Signer, leaf *x509.Certificate, material *protobundle.VerificationMaterial, c Claim) Bundle {
	t.Helper()
	sig := Sign(t, key, payloadType, c.Payload)
	if c.Forged {
		sig[len(sig)-1] ^= 1
	}
	e := entry{payload: c.Payload, sig: sig, public: key.Public(), leaf: leaf, at: c.logged()}
	if c.Entry != nil {
		e.payload, e.sig = c.Entry, Sign(t, key, payloadType, c.Entry)
	}
	material.TimestampVerificationData = &protobundle.TimestampVerificationData{}
	for _, w := range append([]*Sigstore{s}, c.Witnesses...) {
		if c.Log == LogV1 || c.Log == LogBoth {
			material.TlogEntries = append(material.TlogEntries, w.logV1(t, e))
		}
		if c.Log == LogV2 || c.Log == LogBoth {
			material.TlogEntries = append(material.TlogEntries, w.logV2(t, e))
		}
		if c.Timestamp {
			token, err := w.v1.TimestampResponse(sig)
			check(t, err)
			material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps,
				&protocommon.RFC3161SignedTimestamp{SignedTimestamp: token})
		}
	}
	return Bundle{&protobundle.Bundle{
		MediaType:            mediaType,
		VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: c.Payload, PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}}
}

// Sign signs a payload as DSSE does, with the hash of the key's curve
// (https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md).
func Sign(t testing.TB, key crypto.Signer, payloadType string, payload []byte) []byte {
	t.Helper()
	message := dsse.PAE(payloadType, payload)
	hash := hashOf(key.Public())
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	sig, err := key.Sign(rand.Reader, message, hash)
	check(t, err)
	return sig
}

func hashOf(public crypto.PublicKey) crypto.Hash {
	switch public := public.(type) {
	case ed25519.PublicKey:
		return 0
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P384():
			return crypto.SHA384
		case elliptic.P521():
			return crypto.SHA512
		}
	}
	return crypto.SHA256
}

// verifierPEM is how a log names who signed.
func (e entry) verifierPEM(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	if e.leaf != nil {
		check(t, pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: e.leaf.Raw}))
		return out.Bytes()
	}
	der, err := x509.MarshalPKIXPublicKey(e.public)
	check(t, err)
	check(t, pem.Encode(&out, &pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return out.Bytes()
}

// entry is what a log is told.
type entry struct {
	payload, sig []byte
	public       crypto.PublicKey
	leaf         *x509.Certificate // nil for a key
	at           time.Time
}

// Entry returns the log entry i of the bundle, for tests that change it.
func (b Bundle) Entry(i int) *protorekor.TransparencyLogEntry {
	return b.GetVerificationMaterial().GetTlogEntries()[i]
}
