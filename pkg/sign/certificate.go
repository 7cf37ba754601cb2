package sign

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/trust"
)

// ErrCertificate is wrapped when a certificate cannot be signed with.
var ErrCertificate = errors.New("unusable certificate")

// WithCertificate returns s as it signs with a certificate of its key. The texts
// are PEM: the leaf first, then each certificate that issued the one before; leaf
// and issuers may be in different texts. A self-signed root may be the last: it is
// left out of bundles, since nobody believes a root that came along.
//
// An OMS bundle carries the chain (x509CertificateChain). In cosign's form it is
// the leaf alone: cosign does not see bundles with a chain unless it is called
// with --allow-certificate-chain (v3.1.3), so that those who verify name the
// intermediates together with the root.
//
// The error wraps [ErrCertificate] when the leaf is of another key, is not valid
// now, is an authority's or is not for signing, and when the chain is out of
// order.
func (s *Signer) WithCertificate(texts ...[]byte) (*Signer, error) {
	if s.key == nil {
		return nil, fmt.Errorf("%w: a keyless signer has the certificate of its authority", ErrCertificate)
	}
	name := s.key.public.Name
	chain, err := readChain(name, texts)
	if err == nil {
		err = checkLeaf(s.key.public, chain)
	}
	if err == nil {
		err = checkValidity(chain, s.now())
	}
	if err == nil {
		err = checkChain(chain, s.now())
	}
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", name, err)
	}
	if last := len(chain) - 1; last > 0 && selfSigned(chain[last]) {
		chain = chain[:last]
	}
	out := *s
	out.chain = chain
	return &out, nil
}

func readChain(name string, texts [][]byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, text := range texts {
		certs, err := trust.ParseCertificates(name, text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
		}
		chain = append(chain, certs...)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%w: none was given", ErrCertificate)
	}
	// A file with the leaf and a file with the whole chain are what certificate
	// authorities send.
	if len(chain) > 1 && chain[0].Equal(chain[1]) {
		chain = slices.Delete(chain, 0, 1)
	}
	if len(chain) > limits.ChainCertificates {
		return nil, fmt.Errorf("%w: %d in a chain, more than %d", ErrCertificate, len(chain), limits.ChainCertificates)
	}
	return chain, nil
}

// checkLeaf refuses a first certificate that is not of the signer's key, or not
// for signing
// (https://github.com/ossf/model-signing-spec: digitalSignature or codeSigning).
func checkLeaf(k trust.Key, chain []*x509.Certificate) error {
	leaf := chain[0]
	ofKey := func(c *x509.Certificate) bool { return k.Equal(trust.Key{Public: c.PublicKey}) }
	if !ofKey(leaf) {
		if i := slices.IndexFunc(chain, ofKey); i > 0 {
			return fmt.Errorf("%w: the signer's own is number %d of %d; put it first, then those that issued it", ErrCertificate, i+1, len(chain))
		}
		return fmt.Errorf("%w: the first (%s) is of another key than the signer's %s", ErrCertificate, leaf.Subject, k.Short())
	}
	if leaf.IsCA {
		return fmt.Errorf("%w: %s is an authority's (CA:TRUE); sign with a certificate that may not issue others", ErrCertificate, leaf.Subject)
	}
	signs := leaf.KeyUsage&x509.KeyUsageDigitalSignature != 0
	code := slices.ContainsFunc(leaf.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageCodeSigning || u == x509.ExtKeyUsageAny
	})
	otherUse := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !code
	switch {
	case leaf.KeyUsage != 0 && !signs:
		return fmt.Errorf("%w: its key usage leaves out digitalSignature; ask for a code signing certificate", ErrCertificate)
	case otherUse:
		return fmt.Errorf("%w: its extended key usage leaves out codeSigning; ask for a code signing certificate", ErrCertificate)
	case !signs && !code:
		return fmt.Errorf("%w: it has neither key usage digitalSignature nor extended key usage codeSigning", ErrCertificate)
	}
	return nil
}

func checkValidity(chain []*x509.Certificate, now time.Time) error {
	for _, c := range chain {
		switch {
		case now.Before(c.NotBefore):
			return fmt.Errorf("%w: %s is valid only from %s; it is %s now", ErrCertificate, c.Subject, rfc3339(c.NotBefore), rfc3339(now))
		case now.After(c.NotAfter):
			return fmt.Errorf("%w: %s expired at %s; it is %s now: get a new one", ErrCertificate, c.Subject, rfc3339(c.NotAfter), rfc3339(now))
		}
	}
	return nil
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkChain refuses certificates that did not issue the one before them, and a
// chain that those who verify would refuse: by its constraints, or its lengths.
// Whether its end is believed is theirs to say.
func checkChain(chain []*x509.Certificate, now time.Time) error {
	for i, c := range chain[1:] {
		if selfSigned(c) && i+2 < len(chain) {
			return fmt.Errorf("%w: number %d (%s) is a root, and others follow it; put the leaf first, then each that issued the one before", ErrCertificate, i+2, c.Subject)
		}
		if err := chain[i].CheckSignatureFrom(c); err != nil {
			return fmt.Errorf("%w: number %d (%s) did not issue number %d (%s): %w; put the leaf first, then each that issued the one before",
				ErrCertificate, i+2, c.Subject, i+1, chain[i].Subject, err)
		}
	}
	if len(chain) == 1 {
		return nil // there is nothing to check it with
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[len(chain)-1])
	for _, c := range chain[1 : len(chain)-1] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
