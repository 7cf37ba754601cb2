package sign

import (
	"crypto/x509"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/modseal/modseal/pkg/trust"
)

// Method is how it is shown who signed: the methods of OMS.
type Method string

// The methods.
const (
	MethodKey         Method = "key"
	MethodCertificate Method = "certificate"
	MethodKeyless     Method = "sigstore"
)

// Identity says who signs.
type Identity struct {
	Method Method
	// Key is the zero Key for keyless: there each certificate has a key of its own.
	Key trust.Key
	// Certificate is the leaf, nil for keys. For keyless it is the one of the
	// moment.
	Certificate *x509.Certificate
	// Subject is the subject alternative name of the certificate; empty when it has
	// none, and for keys.
	Subject string
	// Issuer is the OpenID Connect issuer that vouched for Subject, for keyless.
	Issuer string
}

// Identity says who signs with s. It is the same for every bundle of s.
func (s *Signer) Identity() Identity {
	switch {
	case s.keyless != nil:
		return s.keyless.identity()
	case len(s.chain) > 0:
		return Identity{Method: MethodCertificate, Key: s.key.public, Certificate: s.chain[0], Subject: subjectName(s.chain[0])}
	}
	return Identity{Method: MethodKey, Key: s.key.public}
}

// String names the signer for people.
func (i Identity) String() string {
	switch i.Method {
	case MethodKeyless:
		return fmt.Sprintf("%s (%s)", i.Subject, i.Issuer)
	case MethodCertificate:
		name := i.Subject
		if name == "" {
			name = i.Certificate.Subject.String()
		}
		return fmt.Sprintf("%s (certificate of %s)", name, i.Certificate.Issuer)
	}
	return fmt.Sprintf("%s (%s)", i.Key.Name, i.Key.Short())
}

// subjectName is the name in cert that verifiers compare: a URI, an e-mail
// address or the otherName of Fulcio as sigstore-go reads them, else a DNS name or
// an address.
func subjectName(cert *x509.Certificate) string {
	if summary, err := certificate.SummarizeCertificate(cert); err == nil {
		return summary.SubjectAlternativeName
	}
	if len(cert.DNSNames) > 0 {
		return cert.DNSNames[0]
	}
	if len(cert.IPAddresses) > 0 {
		return cert.IPAddresses[0].String()
	}
	return ""
}
