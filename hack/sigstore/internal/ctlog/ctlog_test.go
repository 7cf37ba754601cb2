package ctlog_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"

	"github.com/modseal/modseal/hack/sigstore/internal/ctlog"
	"github.com/modseal/modseal/hack/sigstore/internal/material"
)

func issued(t *testing.T, by material.Chain, extensions ...pkix.Extension) ct.ASN1Cert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), ExtraExtensions: extensions,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, by.Certificates[0], key.Public(), by.Key.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return ct.ASN1Cert{Data: der}
}

func chain(t *testing.T) material.Chain {
	t.Helper()
	c, err := material.LoadFulcio(t.TempDir(), "fulcio")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The public client of such logs takes what this one signs, and the log takes
// only what its own issuer has issued.
func TestLog(t *testing.T) {
	t.Parallel()
	key, err := material.LoadKey(t.TempDir(), "ctlog")
	if err != nil {
		t.Fatal(err)
	}
	ours, others := chain(t), chain(t)
	log, err := ctlog.New(key.PrivateKey, ours.Certificates[0])
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(log.Handler())
	t.Cleanup(server.Close)
	pem, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(server.URL, http.DefaultClient, jsonclient.Options{PublicKey: string(pem)})
	if err != nil {
		t.Fatal(err)
	}
	poison := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: asn1.NullBytes}
	issuer := ct.ASN1Cert{Data: ours.Certificates[0].Raw}

	sct, err := c.AddChain(t.Context(), []ct.ASN1Cert{issued(t, ours), issuer})
	if err != nil {
		t.Fatal(err)
	}
	if string(sct.LogID.KeyID[:]) != string(log.ID()) {
		t.Errorf("the log's ID is %x in the SCT and %x", sct.LogID.KeyID, log.ID())
	}
	if _, err := c.AddPreChain(t.Context(), []ct.ASN1Cert{issued(t, ours, poison), issuer}); err != nil {
		t.Error(err)
	}
	for name, sent := range map[string][]ct.ASN1Cert{
		"alone":                 {issued(t, ours)},
		"of another":            {issued(t, others), {Data: others.Certificates[0].Raw}},
		"of another below ours": {issued(t, others), issuer},
		"no certificate":        {{Data: []byte("x")}, issuer},
	} {
		if _, err := c.AddChain(t.Context(), sent); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
