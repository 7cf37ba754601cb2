// Package keyref knows the keys that no file holds: in the environment, in a
// secret of Kubernetes, in a KMS, on a PKCS #11 token. It is the one place that
// links the clients of all of these, some 400 packages: who needs none of them
// leaves it out.
//
// A reference says where a key is, and who follows one talks to that place with
// the credentials of the user. References therefore come from flags and from local
// policies and never from what was fetched, and their schemes are few: those of the
// table below, and nothing that a program on PATH or a web server would answer.
//
// References are those of cosign (https://github.com/sigstore/cosign/blob/v2.6.5/KMS.md):
//
//	env://VARIABLE
//	k8s://NAMESPACE/SECRET
//	awskms://[ENDPOINT]/ID, /ARN or /alias/NAME
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/V]
//	azurekms://VAULT.vault.azure.net/KEY[/VERSION]
//	hashivault://KEY, openbao://KEY
//	pkcs11:token=T;object=O?module-path=M (RFC 7512; needs build tag pkcs11key)
package keyref

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/pkcs11"
	"github.com/modseal/modseal/pkg/trust"
)

// ErrScheme is wrapped when the scheme of a reference is none that is followed.
var ErrScheme = errors.New("such references are not followed")

// Options say what a store may look at.
type Options struct {
	// Getenv returns a variable of the environment, for env:// and for the module
	// and PIN of a token (COSIGN_PKCS11_MODULE_PATH, COSIGN_PKCS11_PIN). Nil means
	// that there is none. The clients of the KMS read their own variables from the
	// process, as their documentation says.
	Getenv func(name string) (string, bool)
}

// Store is the [sign.KeyStore] of all references.
type Store struct{ o Options }

var _ sign.KeyStore = (*Store)(nil)

// New returns a store.
func New(o Options) *Store {
	if o.Getenv == nil {
		o.Getenv = func(string) (string, bool) { return "", false }
	}
	return &Store{o}
}

// place is where references of one scheme lead.
type place interface {
	signer(ctx context.Context, reference string, password func() ([]byte, error)) (*sign.Signer, error)
	publicKey(ctx context.Context, reference string) (trust.Key, error)
	// next says what to look at when it fails.
	next() string
}

func (s *Store) place(reference string) (place, error) {
	scheme, _, ok := strings.Cut(reference, ":")
	if !ok || len(reference) > limits.ReferenceBytes {
		return nil, fmt.Errorf("%w: it is no reference", ErrScheme)
	}
	switch scheme {
	case "env":
		return environment{s.o}, nil
	case "k8s":
		return kubernetes{}, nil
	case "pkcs11":
		return token{pkcs11.Tokens{Getenv: s.o.Getenv}}, nil
	case "http", "https":
		return nil, fmt.Errorf("%w: a key that a web server sends is nobody's secret and whatever it says today; fetch it once, look at it, and name the file", ErrScheme)
	case "gitlab":
		return nil, fmt.Errorf("%w: a variable of GitLab is in the environment of its jobs; use env://COSIGN_PRIVATE_KEY", ErrScheme)
	}
	if p, ok := kmsPlaces[scheme]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("%w: scheme %q is unknown, and programs called sigstore-kms-… on PATH are not run; there are %s", ErrScheme, scheme, schemes)
}

const schemes = "env://, k8s://, awskms://, gcpkms://, azurekms://, hashivault://, openbao:// and pkcs11:"

// Signer returns the private key that reference names. Errors are a
// [sign.ReferenceError].
func (s *Store) Signer(ctx context.Context, reference string, password func() ([]byte, error)) (*sign.Signer, error) {
	p, err := s.place(reference)
	if err != nil {
		return nil, sign.NewReferenceError(reference, "", err)
	}
	signer, err := p.signer(ctx, reference, password)
	if err != nil {
		return nil, failed(ctx, p, reference, err)
	}
	return signer, nil
}

// PublicKey returns the public half of the key that reference names. Errors are a
// [sign.ReferenceError].
func (s *Store) PublicKey(ctx context.Context, reference string) (trust.Key, error) {
	p, err := s.place(reference)
	if err != nil {
		return trust.Key{}, sign.NewReferenceError(reference, "", err)
	}
	k, err := p.publicKey(ctx, reference)
	if err != nil {
		return trust.Key{}, failed(ctx, p, reference, err)
	}
	return k, nil
}

// token has keys that PKCS #11 reaches.
type token struct{ pkcs11.Tokens }

func (t token) signer(ctx context.Context, reference string, password func() ([]byte, error)) (*sign.Signer, error) {
	return t.Signer(ctx, reference, password)
}

func (t token) publicKey(ctx context.Context, reference string) (trust.Key, error) {
	return t.PublicKey(ctx, reference)
}

func (token) next() string {
	return "pkcs11-tool --module LIBRARY -L and -O list tokens and the objects on them"
}

func failed(ctx context.Context, p place, reference string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	next := p.next()
	if errors.Is(err, sign.ErrPassword) || errors.Is(err, sign.ErrKey) || errors.Is(err, trust.ErrInvalidKey) || errors.Is(err, pkcs11.ErrNotBuilt) {
		next = "" // the error says what is wrong, and it is not the way to the key
	}
	return sign.NewReferenceError(reference, next, err)
}
