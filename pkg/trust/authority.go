package trust

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

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
// empty.
func ParseAuthority(name string, roots, intermediates []byte) (Authority, error) {
	a := Authority{Name: name}
	var err error
	if a.Roots, err = ParseCertificates(name, roots); err != nil {
		return Authority{}, err
	}
	if len(intermediates) > 0 {
		a.Intermediates, err = ParseCertificates(name, intermediates)
	}
	return a, err
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
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w: no PEM block \"CERTIFICATE\" in it", name, ErrInvalidCertificate)
	}
	return out, nil
}
