package virtual

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// Authority is a certificate authority of a site: a root that is handed out, and
// an intermediate that issues.
type Authority struct{ authority }

// NewAuthority returns an authority whose certificates are valid between
// notBefore and notAfter; zero times mean ten years around now.
func NewAuthority(t testing.TB, name string, notBefore, notAfter time.Time) *Authority {
	t.Helper()
	if notBefore.IsZero() {
		notBefore = time.Now().AddDate(-5, 0, 0)
	}
	if notAfter.IsZero() {
		notAfter = time.Now().AddDate(5, 0, 0)
	}
	template := func(suffix string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name + suffix},
			NotBefore: notBefore, NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign,
		}
	}
	rootKey, key := newKey(t, elliptic.P384()), newKey(t, elliptic.P384())
	rootTemplate := template(" root")
	root := authority{intermediate: rootTemplate, key: rootKey}.sign(t, rootTemplate, rootKey.Public())
	intermediate := authority{intermediate: root, key: rootKey}.sign(t, template(" intermediate"), key.Public())
	return &Authority{authority{root: root, intermediate: intermediate, key: key}}
}

// Root returns the certificate of the root as PEM.
func (a *Authority) Root() []byte { return certificatePEM(a.root) }

// Intermediate returns the certificate of the intermediate as PEM.
func (a *Authority) Intermediate() []byte { return certificatePEM(a.intermediate) }

// RootCertificate returns the root itself.
func (a *Authority) RootCertificate() *x509.Certificate { return a.root }

func certificatePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// Leaf says whom a certificate is for, and for what.
type Leaf struct {
	CommonName          string
	Emails, URIs, DNS   []string
	NotBefore, NotAfter time.Time          // zero: an hour ago, and a day from now
	Curve               elliptic.Curve     // nil: P-256
	ExtKeyUsage         []x509.ExtKeyUsage // nil: code signing
	KeyUsage            x509.KeyUsage      // 0: digital signature
	NoUsage             bool               // neither of both
}

// Holder has a certificate and its key.
type Holder struct {
	Key   crypto.Signer
	Chain []*x509.Certificate // leaf first, without the root
}

// Issue makes a certificate and its key.
func (a *Authority) Issue(t testing.TB, l Leaf) Holder {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: l.CommonName}, EmailAddresses: l.Emails, DNSNames: l.DNS,
		NotBefore: l.NotBefore, NotAfter: l.NotAfter, KeyUsage: l.KeyUsage, ExtKeyUsage: l.ExtKeyUsage,
	}
	if l.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if l.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(0, 0, 1)
	}
	if !l.NoUsage && l.KeyUsage == 0 {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	if !l.NoUsage && l.ExtKeyUsage == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}
	for _, text := range l.URIs {
		u, err := url.Parse(text)
		check(t, err)
		template.URIs = append(template.URIs, u)
	}
	curve := l.Curve
	if curve == nil {
		curve = elliptic.P256()
	}
	var err error
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	check(t, err)
	key := newKey(t, curve)
	return Holder{Key: key, Chain: []*x509.Certificate{a.sign(t, template, key.Public()), a.intermediate}}
}

// PEM returns the chain of h as PEM, leaf first.
func (h Holder) PEM() []byte {
	var out bytes.Buffer
	for _, cert := range h.Chain {
		out.Write(certificatePEM(cert))
	}
	return out.Bytes()
}
