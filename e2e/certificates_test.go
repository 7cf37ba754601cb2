package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// authority issues certificates in a script.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue returns a certificate of template for a new key.
func (a *authority) issue(ts *testscript.TestScript, template *x509.Certificate) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	ts.Check(err)
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	ts.Check(err)
	certificate, err := x509.ParseCertificate(der)
	ts.Check(err)
	return &authority{certificate, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// authority DIR makes certificate authorities: DIR/root.pem, DIR/intermediate.pem
// and both in DIR/chain.pem.
func newAuthority(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "authority DIR")
	root := (*authority)(nil).issue(ts, authorityTemplate(args[0]+" root"))
	intermediate := root.issue(ts, authorityTemplate(args[0]+" intermediate"))
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	for name, text := range map[string][]byte{
		"root.pem": root.pem(), "intermediate.pem": intermediate.pem(), "chain.pem": append(intermediate.pem(), root.pem()...),
	} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	s := stateOf(ts)
	if s.authorities == nil {
		s.authorities = map[string]*authority{}
	}
	s.authorities[args[0]] = intermediate
}

// certificate DIR NAME IDENTITY issues a certificate of the authority DIR for
// signing code: NAME.pem, and its key as NAME.key. IDENTITY is a URI or an e-mail
// address.
func newCertificate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "certificate DIR NAME IDENTITY")
	a := stateOf(ts).authorities[args[0]]
	if a == nil {
		ts.Fatalf("there is no authority %s", args[0])
	}
	template := &x509.Certificate{
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if strings.Contains(args[2], "://") {
		u, err := url.Parse(args[2])
		ts.Check(err)
		template.URIs = []*url.URL{u}
	} else {
		template.EmailAddresses = []string{args[2]}
	}
	leaf := a.issue(ts, template)
	der, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	ts.Check(err)
	var key bytes.Buffer
	ts.Check(pem.Encode(&key, &pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".pem"), leaf.pem(), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".key"), key.Bytes(), 0o600))
}
