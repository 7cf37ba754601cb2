package verify

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"github.com/digitorus/pkcs7"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// What reads bundles, log entries and timestamps verifies signatures in them by
// the keys that came along, to see that they are well-formed, before anybody asks
// whether those keys are trusted. Neither that nor Go bounds the size of such a
// key, and the time that it takes grows with its square: whoever can attach a
// bundle could stop every verifier. So all of them are looked at first.

// checkCost refuses a bundle that would take long to look at.
func checkCost(m *protobundle.VerificationMaterial) error {
	if cert := m.GetCertificate(); cert != nil {
		if err := checkCertificate(cert.GetRawBytes()); err != nil {
			return err
		}
	}
	chain := m.GetX509CertificateChain().GetCertificates()
	if n := len(chain); n > limits.BundleCertificates {
		return fmt.Errorf("it has %d certificates, more than %d", n, limits.BundleCertificates)
	}
	for _, cert := range chain {
		if err := checkCertificate(cert.GetRawBytes()); err != nil {
			return err
		}
	}
	entries := m.GetTlogEntries()
	if n := len(entries); n > limits.LogEntries {
		return fmt.Errorf("it has %d log entries, more than %d", n, limits.LogEntries)
	}
	for _, e := range entries {
		if err := checkEntry(e.GetCanonicalizedBody()); err != nil {
			return fmt.Errorf("its log entry: %w", err)
		}
	}
	stamps := m.GetTimestampVerificationData().GetRfc3161Timestamps()
	if n := len(stamps); n > limits.BundleTimestamps {
		return fmt.Errorf("it has %d timestamps, more than %d", n, limits.BundleTimestamps)
	}
	for _, s := range stamps {
		if err := checkTimestamp(s.GetSignedTimestamp()); err != nil {
			return fmt.Errorf("its timestamp: %w", err)
		}
	}
	return nil
}

// checkCertificate passes what is no certificate: nothing can be verified by it.
func checkCertificate(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil //nolint:nilerr // whoever uses it says what is wrong with it
	}
	return checkKey(cert.PublicKey)
}

func checkKey(public crypto.PublicKey) error {
	if key, ok := public.(*rsa.PublicKey); ok && key.N.BitLen() > limits.BundleRSABits {
		return fmt.Errorf("it has an RSA key of %d bits, more than %d", key.N.BitLen(), limits.BundleRSABits)
	}
	return nil
}

// checkEntry looks for keys in every text of the body of a log entry, wherever it
// stands: the kinds of entries have them in different places, and some twice in
// base64.
func checkEntry(body []byte) error {
	if len(body) > limits.LogEntryBytes {
		return fmt.Errorf("it has %d bytes, more than %d", len(body), limits.LogEntryBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		t, err := dec.Token()
		if err != nil {
			// What is no JSON is no entry, either.
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if text, ok := t.(string); ok {
			if err := checkText([]byte(text)); err != nil {
				return err
			}
		}
	}
}

// checkText looks for PEM blocks and encoded keys in a text, and in what it is
// the base64 of.
func checkText(text []byte) error {
	for range 3 {
		for rest := text; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if err := checkDER(block.Bytes); err != nil {
				return err
			}
		}
		decoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(decoded, text)
		if err != nil {
			return nil //nolint:nilerr // it is a text and not base64
		}
		text = decoded[:n]
		if err := checkDER(text); err != nil {
			return err
		}
	}
	return nil
}

// checkDER looks whether der is a public key or a certificate, in any form.
func checkDER(der []byte) error {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return checkKey(key)
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return checkKey(key)
	}
	return checkCertificate(der)
}

// checkTimestamp looks at the certificates in the answer of a timestamp authority.
// RFC 3161 section 2.4.2 has one signer in it, and no other.
func checkTimestamp(der []byte) error {
	if len(der) > limits.TimestampBytes {
		return fmt.Errorf("it has %d bytes, more than %d", len(der), limits.TimestampBytes)
	}
	var response struct {
		Status asn1.RawValue
		Token  asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &response); err != nil || len(response.Token.Bytes) == 0 {
		return nil //nolint:nilerr // whoever uses it says what is wrong with it
	}
	token, err := pkcs7.Parse(response.Token.FullBytes)
	if err != nil {
		return nil //nolint:nilerr // the same
	}
	if n := len(token.Signers); n > 1 {
		return fmt.Errorf("it has %d signers, not one", n)
	}
	for _, cert := range token.Certificates {
		if err := checkKey(cert.PublicKey); err != nil {
			return err
		}
	}
	return nil
}
