package sign

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/modseal/modseal/pkg/sign/internal/secure"
	"github.com/modseal/modseal/pkg/trust"
)

// renewBefore is what must be left of a certificate's life for it to sign: time
// enough for the timestamp authorities and logs to see the signature.
const renewBefore = 2 * time.Minute

// KeylessOptions say who vouches for the signer, and who sees signatures.
type KeylessOptions struct {
	ServiceOptions
	// Token returns an OpenID Connect identity token for the audience sigstore. It
	// is called for each certificate: once in ten minutes of signing.
	Token func(ctx context.Context) (string, error)
}

// keyless has the certificate of the moment.
type keyless struct {
	token     func(ctx context.Context) (string, error)
	authority string // URL of the certificate authority
	services  *services

	mu      sync.Mutex
	current credential
	until   time.Time // when current is not used any more
	who     Identity
}

// NewKeyless returns a Signer whose keys live as long as a certificate, which the
// certificate authority of o.Config issues for whom the token names. The first is
// got at once, and verified with o.Root, so that what cannot be signed is not made
// and uploaded before. One certificate signs many statements; when it ends, it is
// renewed for the same identity.
//
// Errors wrap [ErrConfig], [ErrToken], or are a [ServiceError] or a
// [SelfCheckError].
func NewKeyless(ctx context.Context, o KeylessOptions) (*Signer, error) {
	chosen, err := choose(o.ServiceOptions, sign.RekorAPIVersions)
	if err != nil {
		return nil, err
	}
	if !chosen.timed() {
		return nil, fmt.Errorf("%w: no service in it says when something was signed, and the certificate ends after minutes: "+
			"it needs a timestamp authority, or a transparency log of version 1", ErrConfig)
	}
	authority, err := root.SelectService(o.Config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, chosen.now())
	if err != nil {
		return nil, fmt.Errorf("%w: certificate authorities: %w", ErrConfig, err)
	}
	if err := secure.CheckURL(authority.URL); err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", ErrConfig, serviceAuthority, authority.URL, err)
	}
	if o.Token == nil {
		return nil, fmt.Errorf("%w: nobody gives one", ErrToken)
	}
	k := &keyless{token: o.Token, authority: authority.URL, services: chosen}
	if _, err := k.credential(ctx); err != nil {
		return nil, err
	}
	return &Signer{keyless: k, services: chosen}, nil
}

func (k *keyless) identity() Identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.who
}

// credential returns the certificate and key of the moment.
func (k *keyless) credential(ctx context.Context) (credential, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current.key != nil && k.services.now().Before(k.until) {
		return k.current, nil
	}
	token, err := k.readToken(ctx)
	if err != nil {
		return credential{}, err
	}
	pair, err := sign.NewEphemeralKeypair(nil) // EC P-256, which every verifier takes
	if err != nil {
		return credential{}, err
	}
	asked := k.services.now()
	der, err := k.services.certify(ctx, k.authority, pair, token)
	if err != nil {
		return credential{}, err
	}
	return k.accept(pair, der, asked)
}

func (k *keyless) readToken(ctx context.Context) (string, error) {
	token, err := k.token(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if errors.Is(err, ErrToken) {
			return "", err // it says so already
		}
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	claims, err := ReadClaims(token)
	if err != nil {
		return "", err
	}
	if err := claims.CheckTime(k.services.now()); err != nil {
		if k.current.key != nil {
			return "", fmt.Errorf("%w (the certificate that it gave before has ended: signing took longer than both)", err)
		}
		return "", err
	}
	return token, nil
}

// accept takes the certificate that was asked for at the time asked, if it is one
// of the key pair and, when there was one before, of the same identity.
func (k *keyless) accept(pair *sign.EphemeralKeypair, der []byte, asked time.Time) (credential, error) {
	wrong := func(err error) (credential, error) {
		return credential{}, &ServiceError{Service: serviceAuthority, URL: k.authority, Err: fmt.Errorf("its certificate is of no use: %w", err)}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return wrong(err)
	}
	public, err := trust.NewKey("keyless", pair.GetPublicKey())
	if err != nil {
		return credential{}, err
	}
	if !public.Equal(trust.Key{Public: leaf.PublicKey}) {
		return wrong(errors.New("it is of another key"))
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return wrong(err)
	}
	who := Identity{Method: MethodKeyless, Certificate: leaf, Subject: summary.SubjectAlternativeName, Issuer: summary.Issuer}
	if k.current.key != nil && (who.Subject != k.who.Subject || who.Issuer != k.who.Issuer) {
		return credential{}, fmt.Errorf("%w: the new one is of %s, and signing began as %s; sign again from the start", ErrToken, who, k.who)
	}
	if err := k.services.checkCertificate(leaf); err != nil {
		return credential{}, &SelfCheckError{err}
	}
	signer := func(ctx context.Context, message []byte) ([]byte, error) {
		sig, _, err := pair.SignData(ctx, message)
		return sig, err
	}
	k.current = credential{key: &key{public: public, do: signer}, chain: []*x509.Certificate{leaf}, leaf: true}
	k.who = who
	// By our clock and by the length of its life, whichever ends first: our clock
	// may be wrong either way.
	k.until = leaf.NotAfter
	if end := asked.Add(leaf.NotAfter.Sub(leaf.NotBefore)); end.Before(k.until) {
		k.until = end
	}
	k.until = k.until.Add(-renewBefore)
	return k.current, nil
}

// OIDCIssuer returns the OpenID Connect issuer that c names for people, who sign in
// with it. The error wraps [ErrConfig] when there is none that is valid at now.
func OIDCIssuer(c *root.SigningConfig, now time.Time) (string, error) {
	issuer, err := root.SelectService(c.OIDCProviderURLs(), []uint32{1}, now)
	if err != nil {
		return "", fmt.Errorf("%w: OpenID Connect issuers: %w", ErrConfig, err)
	}
	return issuer.URL, nil
}
