package fulcio

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/sigstore/fulcio/pkg/config"
	"github.com/sigstore/fulcio/pkg/identity"
)

// dated is an issuer whose principals also say when their certificate is valid:
// Fulcio itself knows ten minutes from now and nothing else.
type dated struct {
	identity.Issuer
	options Options
}

func (d dated) Authenticate(ctx context.Context, token string, opts ...config.InsecureOIDCConfigOption) (identity.Principal, error) {
	p, err := d.Issuer.Authenticate(ctx, token, opts...)
	if err != nil {
		return nil, err
	}
	return datedPrincipal{Principal: p, options: d.options}, nil
}

type datedPrincipal struct {
	identity.Principal
	options Options
}

// Embed is called with the certificate as Fulcio made it, dates and all.
func (p datedPrincipal) Embed(ctx context.Context, c *x509.Certificate) error {
	c.NotBefore = time.Now().Add(-p.options.Age)
	c.NotAfter = c.NotBefore.Add(p.options.Lifetime)
	return p.Principal.Embed(ctx, c)
}
