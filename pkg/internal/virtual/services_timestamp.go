package virtual

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"net/http"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
)

// stamps is a timestamp authority that takes hashes, as RFC 3161 has it; that of
// sigstore-go takes signatures.
type stamps struct {
	authority *root.SigstoreTimestampingAuthority
	key       *ecdsa.PrivateKey
}

func newStamps(t testing.TB, name string) *stamps {
	t.Helper()
	rootCert, rootKey, err := ca.GenerateRootCa()
	check(t, err)
	intermediate, intermediateKey, err := ca.GenerateTSAIntermediate(rootCert, rootKey)
	check(t, err)
	key := newKey(t, elliptic.P256())
	leaf, err := ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), key, intermediate, intermediateKey)
	check(t, err)
	return &stamps{key: key, authority: &root.SigstoreTimestampingAuthority{
		Root: rootCert, Intermediates: []*x509.Certificate{intermediate}, Leaf: leaf, URI: "https://served.tsa." + name + ".localhost",
		ValidityPeriodStart: rootCert.NotBefore, ValidityPeriodEnd: intermediate.NotAfter,
	}}
}

func (v *Services) timestamp(_ *http.Request, body []byte) (reply, error) {
	request, err := timestamp.ParseRequest(body)
	if err != nil {
		return reply{}, err
	}
	token := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Time: time.Now(), Nonce: request.Nonce,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2},
	}
	answer, err := token.CreateResponseWithOpts(v.s.stamps.authority.Leaf, v.s.stamps.key, crypto.SHA256)
	return reply{status: http.StatusCreated, mediaType: "application/timestamp-reply", body: answer}, err
}
