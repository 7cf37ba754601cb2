package material

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Since is how long before it is made a certificate is valid already, so that
// Fulcio can issue certificates that have expired (instance.Options).
const Since = 24 * time.Hour

const lifetime = 10 * 365 * 24 * time.Hour

var extendedKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

func fulcioTemplates(name string) []*x509.Certificate {
	root, intermediate := authority(name+" root"), authority(name)
	intermediate.MaxPathLenZero = true
	// Go, like Fulcio, wants the usage in each certificate between leaf and root.
	intermediate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	return []*x509.Certificate{root, intermediate}
}

func timestampingTemplates(name string) []*x509.Certificate {
	root, intermediate := authority(name+" root"), authority(name+" intermediate")
	intermediate.MaxPathLenZero = true
	intermediate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
	leaf := template(name)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	// RFC 3161 section 2.3: the one extended key usage is timestamping, and it is
	// critical; crypto/x509 would write it as not critical.
	leaf.ExtraExtensions = []pkix.Extension{{Id: extendedKeyUsage, Critical: true, Value: timestampingUsage()}}
	return []*x509.Certificate{root, intermediate, leaf}
}

func timestampingUsage() []byte {
	der, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		panic(err) // a constant
	}
	return der
}

func authority(name string) *x509.Certificate {
	c := template(name)
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return c
}

func template(name string) *x509.Certificate {
	now := time.Now().UTC().Truncate(time.Second)
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name, Organization: []string{"a private Sigstore"}},
		NotBefore: now.Add(-Since),
		NotAfter:  now.Add(lifetime),
	}
}

// issue signs each template with the key of the one before it, the first with
// its own, and returns the certificates as PEM, the last first.
func issue(templates []*x509.Certificate, last Key) ([]byte, error) {
	var chain bytes.Buffer
	var parent *x509.Certificate
	var parentKey *ecdsa.PrivateKey
	blocks := make([][]byte, len(templates))
	for i, t := range templates {
		key := last.PrivateKey
		if i < len(templates)-1 {
			var err error
			if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				return nil, err
			}
		}
		if parent == nil {
			parent, parentKey = t, key
		}
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
		if err != nil {
			return nil, err
		}
		t.SerialNumber = serial
		der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), parentKey)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Subject, err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
		parentKey = key
		blocks[len(templates)-1-i] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	for _, b := range blocks {
		chain.Write(b)
	}
	return chain.Bytes(), nil
}
