package trust

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrInvalidCertificate is wrapped when something is no certificate that modseal
// can use.
var ErrInvalidCertificate = errors.New("invalid certificate")

// Authority are certificates that a verifier believes: a signer's certificate
// must chain to one of the roots. Intermediates help to find the chain and are
// never believed by themselves.
type Authority struct {
	Name          string
	Roots         []*x509.Certificate
	Intermediates []*x509.Certificate
}

// ParseAuthority reads roots and intermediates from PEM; intermediates may be
// empty. It refuses with [ErrInvalidCertificate] certificates that may not issue
// others, weak keys, and roots that are not signed by themselves: those are
// intermediates, which would be believed without the authority above them.
// Expired ones are taken: they are good for what was signed before.
func ParseAuthority(name string, roots, intermediates []byte) (Authority, error) {
	a := Authority{Name: name}
	var err error
	if a.Roots, err = ParseCertificates(name, roots); err != nil {
		return Authority{}, err
	}
	if len(intermediates) > 0 {
		if a.Intermediates, err = ParseCertificates(name, intermediates); err != nil {
			return Authority{}, err
		}
	}
	return a, a.check()
}

// ParseChain reads roots and intermediates from one PEM text, in any order: those
// that are signed by themselves are the roots. It refuses what [ParseAuthority]
// refuses, and a text without a root.
func ParseChain(name string, data []byte) (Authority, error) {
	certificates, err := ParseCertificates(name, data)
	if err != nil {
		return Authority{}, err
	}
	a := Authority{Name: name}
	for _, c := range certificates {
		if selfSigned(c) {
			a.Roots = append(a.Roots, c)
		} else {
			a.Intermediates = append(a.Intermediates, c)
		}
	}
	if len(a.Roots) == 0 {
		return Authority{}, fmt.Errorf("%s: %w: no certificate in it is signed by itself: the root is missing; "+
			"add the certificate of %q", name, ErrInvalidCertificate, certificates[len(certificates)-1].Issuer)
	}
	return a, a.check()
}

func (a Authority) check() error {
	for _, c := range a.Roots {
		if !selfSigned(c) {
			return fmt.Errorf("%s: %w: %q is no root but an intermediate: it was issued by %q, whose certificate is the one to trust; name this one among the intermediates",
				a.Name, ErrInvalidCertificate, c.Subject, c.Issuer)
		}
	}
	for _, c := range slices.Concat(a.Roots, a.Intermediates) {
		if err := checkAuthority(c); err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
	}
	return nil
}

// checkAuthority refuses a certificate that may not issue others (RFC 5280
// 4.2.1.9 and 4.2.1.3), or has a key that modseal does not verify with.
func checkAuthority(c *x509.Certificate) error {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return fmt.Errorf("%w: %q is not that of an authority: it may not issue certificates (basicConstraints)", ErrInvalidCertificate, c.Subject)
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("%w: %q may not issue certificates (keyUsage)", ErrInvalidCertificate, c.Subject)
	}
	if _, err := NewKey(c.Subject.String(), c.PublicKey); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidCertificate, err)
	}
	return nil
}

// ParseCertificates reads at least one certificate from PEM. Text around the
// blocks is tolerated; other blocks are refused.
func ParseCertificates(name string, data []byte) ([]*x509.Certificate, error) {
	if len(data) > limits.KeyBytes {
		return nil, fmt.Errorf("%s: %w: %d bytes, more than %d", name, ErrInvalidCertificate, len(data), limits.KeyBytes)
	}
	var out []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: %w: PEM block %q is no certificate", name, ErrInvalidCertificate, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", name, ErrInvalidCertificate, err)
		}
		if out = append(out, cert); len(out) > limits.Certificates {
			return nil, fmt.Errorf("%s: %w: more than %d certificates", name, ErrInvalidCertificate, limits.Certificates)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w: no PEM block \"CERTIFICATE\" in it", name, ErrInvalidCertificate)
	}
	return out, nil
}
