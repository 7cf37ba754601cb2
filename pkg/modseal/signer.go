package modseal

import (
	"context"
	"crypto/x509"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// SignOptions say what signs: a key, a key with a certificate, or an identity
// (keyless).
type SignOptions struct {
	// Key is the path of a private key, or a key reference.
	Key string
	// Password is asked for the password of an encrypted key; nil means that
	// there is nobody to ask.
	Password func() ([]byte, error)

	// Certificate is a PEM file with the certificate of Key; CertificateChain
	// one with those between it and the root.
	Certificate, CertificateChain string

	// Keyless signs in the name that Token's issuer vouches for.
	Keyless bool
	// Token returns an OpenID Connect token with the audience sigstore. issuer is
	// where a person can sign in by the signing configuration; empty when it names
	// none.
	Token func(ctx context.Context, issuer string) (string, error)

	// SigningConfig names the services to sign with: a file, [TrustPrefix] and a
	// name in the trust store, or [policy.PublicGood]. Empty means none for a key,
	// and the public-good instance for Keyless.
	SigningConfig string
	// TrustedRoot is what the services answer is verified with at once: a file, or
	// [TrustPrefix] and a name in the trust store. Empty means the public-good one
	// for the services of that instance, and none otherwise: then they are believed,
	// and [Client.Warnings] says so.
	TrustedRoot string
}

// signer is a loaded signer and what its signatures are recognised by.
type signer struct {
	*sign.Signer
	root *trust.Root // nil: signatures that depend on one are not recognised
	// witness is what the services add to a signature by a key or a certificate:
	// one that was made without it is not the same.
	witness policy.Witness
}

// signer loads what o names.
func (c *Client) signer(ctx context.Context, o *SignOptions) (*signer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &signer{}
	services, err := c.signingServices(ctx, o)
	if err != nil {
		return nil, err
	}
	s.root = services.Root
	if o.Keyless {
		// Without an issuer nobody can sign in, which whoever has a token need not.
		issuer, _ := sign.OIDCIssuer(services.Config, time.Now())
		s.Signer, err = sign.NewKeyless(ctx, sign.KeylessOptions{
			ServiceOptions: services.ServiceOptions,
			Token:          func(ctx context.Context) (string, error) { return o.Token(ctx, issuer) },
		})
		return s, err
	}
	if s.Signer, err = c.privateKey(ctx, o); err != nil {
		return nil, err
	}
	if o.Certificate != "" {
		if s.Signer, err = withCertificate(s.Signer, o); err != nil {
			return nil, err
		}
	}
	if services.Config != nil {
		s.witness = witnessOf(services.ServiceOptions)
		s.Signer, err = s.WithServices(services.ServiceOptions)
	}
	return s, err
}

func witnessOf(o sign.ServiceOptions) policy.Witness {
	w := policy.Witness{
		TransparencyLogs: min(len(o.Config.RekorLogURLs()), 1),
		Timestamps:       min(len(o.Config.TimestampAuthorityURLs()), 1),
	}
	if o.Root != nil {
		w.TrustedRoot = o.Root.Name
	}
	return w
}

func (o *SignOptions) check() error {
	switch {
	case o.Key == "" && !o.Keyless:
		return fmt.Errorf("%w: nothing to sign with: a key or keyless", ErrUsage)
	case o.Key != "" && o.Keyless:
		return fmt.Errorf("%w: a key and keyless are both given: use one of them", ErrUsage)
	case o.Keyless && o.Token == nil:
		return fmt.Errorf("%w: keyless signing needs an identity token", ErrUsage)
	case o.Certificate == "" && o.CertificateChain != "":
		return fmt.Errorf("%w: a chain of certificates is given without the certificate that it begins with", ErrUsage)
	case o.Certificate != "" && o.Keyless:
		return fmt.Errorf("%w: a keyless signature gets its certificate by itself: leave the certificate out, or name its key", ErrUsage)
	case o.TrustedRoot == "" || o.SigningConfig != "":
	case !o.Keyless:
		return fmt.Errorf("%w: a trusted root verifies what services answer, and none is asked: add the signing configuration, or leave the root out", ErrUsage)
	case o.TrustedRoot != policy.PublicGood:
		// The identity and the signature would be told to the public instance, for
		// ever, before the root shows that another was meant.
		return fmt.Errorf("%w: a trusted root is named and no signing configuration, which says whose services sign: "+
			"add that of the same instance (%s for the public one)", ErrUsage, policy.PublicGood)
	}
	return nil
}

// publicGood reports whether the services are those of the public-good instance.
func (o *SignOptions) publicGood() bool {
	return o.SigningConfig == policy.PublicGood || o.Keyless && o.SigningConfig == ""
}

// privateKey loads the key from its file or from where its reference leads.
//
// The password of a key is stretched in 64 MiB of memory (scrypt). What was done
// before has left garbage, a scan most of all: that is given back first, and the
// 64 MiB before the work begins that needs memory too, so that the peak is that of
// one of the three and not their sum.
func (c *Client) privateKey(ctx context.Context, o *SignOptions) (*sign.Signer, error) {
	if o.Password == nil {
		return c.loadKey(ctx, o, nil)
	}
	stretched := false
	s, err := c.loadKey(ctx, o, func() ([]byte, error) {
		stretched = true
		password, err := o.Password()
		debug.FreeOSMemory()
		return password, err
	})
	if stretched {
		debug.FreeOSMemory()
	}
	return s, err
}

func (c *Client) loadKey(ctx context.Context, o *SignOptions, password func() ([]byte, error)) (*sign.Signer, error) {
	if sign.IsReference(o.Key) {
		if c.o.Keys == nil {
			return nil, fmt.Errorf("%s: %w", sign.Redact(o.Key), ErrNoKeyStore)
		}
		return c.o.Keys.Signer(ctx, o.Key, password)
	}
	if policy.Inline(o.Key) {
		// As the name of a file it would be in the error, and so in a log.
		return nil, fmt.Errorf("%w: the private key itself is given, where all who list processes see it: put it into a variable and name that, env://VARIABLE", ErrUsage)
	}
	pem, err := readSmall(o.Key, limits.KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return sign.Load(o.Key, pem, password)
}

func withCertificate(s *sign.Signer, o *SignOptions) (*sign.Signer, error) {
	var blocks [][]byte
	for _, file := range []string{o.Certificate, o.CertificateChain} {
		if file == "" {
			continue
		}
		pem, err := readSmall(file, limits.KeyBytes)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		blocks = append(blocks, pem)
	}
	return s.WithCertificate(blocks...)
}

// signingServices are what signatures are made with besides a key.
type signingServices struct{ sign.ServiceOptions }

func (c *Client) signingServices(ctx context.Context, o *SignOptions) (signingServices, error) {
	s := signingServices{sign.ServiceOptions{UserAgent: c.o.Registry.UserAgent, Transport: c.serviceTransport()}}
	if o.Keyless || o.SigningConfig != "" {
		config, err := c.signingConfig(ctx, o.SigningConfig, false)
		if err != nil {
			return s, err
		}
		s.Config = config.Material()
	}
	if o.TrustedRoot == "" && !o.publicGood() {
		if s.Config != nil {
			c.services.warn("what the services of " + o.SigningConfig + " answer is believed as it comes, and who verifies may refuse it: " +
				"name the trusted root of the instance (--trusted-root) to have it verified at once")
		}
		return s, nil
	}
	var err error
	s.Root, err = c.root(ctx, trustedRoot(o.TrustedRoot), "", false)
	return s, err
}

// signedBy returns, by predicate type, the valid signatures that s has made on
// the artifact before.
func (a *artifact) signedBy(ctx context.Context, s *signer) (map[string]Signature, error) {
	ruling, ok := s.recognised()
	if !ok {
		return nil, nil
	}
	evidence, err := a.evidence(ctx)
	if err != nil || len(evidence) == 0 {
		return nil, err
	}
	v, err := verify.Verify(ctx, a.subject(), evidence, ruling)
	if err != nil {
		// Not signed by this signer, or not so that it would be accepted: sign.
		return nil, nil //nolint:nilerr // a refusal is an answer here
	}
	out := map[string]Signature{}
	for _, c := range v.Report().Checks {
		if c.Passed() {
			out[c.PredicateType] = Signature{Digest: c.Evidence.String(), PredicateType: c.PredicateType, Signer: s.Identity().String(), Existed: true}
		}
	}
	return out, nil
}

// recognised returns rules that only a signature by s meets. It reports false
// where nothing can tell.
func (s *signer) recognised() (verify.Ruling, bool) {
	who := s.Identity()
	name := who.String()
	rule := func(signer policy.Signer) policy.Rules {
		signer.Name = name
		return policy.Rules{Mode: policy.ModeEnforce, Requirements: []policy.Requirement{
			{Signature: &policy.SignatureRequirement{Signers: []policy.Signer{signer}, Threshold: 1, Witness: s.witness}},
		}}
	}
	witnessed := s.witness.TransparencyLogs+s.witness.Timestamps > 0
	if witnessed && s.root == nil {
		return verify.Ruling{}, false
	}
	roots := map[string]*trust.Root{}
	if s.root != nil {
		roots[s.root.Name] = s.root
	}
	switch who.Method {
	case sign.MethodKey:
		return verify.Ruling{
			Rules: rule(policy.Signer{Key: name}),
			Trust: verify.Trust{Keys: map[string]trust.Key{name: who.Key}, Roots: roots},
		}, true
	case sign.MethodKeyless:
		if s.root == nil {
			return verify.Ruling{}, false
		}
		r := rule(policy.Signer{Keyless: &policy.Keyless{
			TrustedRoot: s.root.Name, Issuer: policy.Match{Exact: who.Issuer}, Identity: policy.Match{Exact: who.Subject}, SCTs: -1,
		}})
		return verify.Ruling{Rules: r, Trust: verify.Trust{Roots: roots}}, true
	case sign.MethodCertificate:
		// The leaf itself is the root: nothing else than this very certificate
		// counts, whoever it names, and nobody has to know its authority.
		anybody, err := policy.Pattern(".*")
		if err != nil {
			return verify.Ruling{}, false
		}
		return verify.Ruling{
			Rules: rule(policy.Signer{Certificate: &policy.Certificate{Identity: anybody}}),
			Trust: verify.Trust{Authorities: map[string]trust.Authority{name: {Name: name, Roots: []*x509.Certificate{who.Certificate}}}, Roots: roots},
		}, true
	}
	return verify.Ruling{}, false
}
